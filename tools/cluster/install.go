package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// ErrMissing says that the machine has not got what runs containers.
var ErrMissing = errors.New("the machine lacks what runs containers")

// needs are the packages of Debian, each with a file of its that is needed.
var needs = []struct{ pkg, file string }{
	{"containerd", "containerd"},
	{"containerd", "ctr"},
	{"runc", "runc"},
	{"containernetworking-plugins", "/usr/lib/cni/ptp"},
	{"containernetworking-plugins", "/usr/lib/cni/host-local"},
	{"nftables", "nft"},
	{"iproute2", "ip"},
	{"mount", "mount"},
}

// install installs what is missing, where that can be done.
func install(ctx context.Context, log io.Writer) error {
	missing := missing()
	if len(missing) == 0 {
		return nil
	}
	if err := Install(ctx, log, missing...); err != nil {
		return fmt.Errorf("%w: %w", ErrMissing, err)
	}
	return nil
}

// Install installs packages of Debian, as root. The error names them, where that can't
// be done.
func Install(ctx context.Context, log io.Writer, packages ...string) error {
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("install %s (so they are called by Debian; CNI's plugins in /usr/lib/cni)", strings.Join(packages, ", "))
	}
	fmt.Fprintf(log, "install %s\n", strings.Join(packages, ", "))
	for _, args := range [][]string{{"update", "-q"}, append([]string{"install", "-q", "-y", "--no-install-recommends"}, packages...)} {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if _, err := run(cmd); err != nil {
			return fmt.Errorf("install %s: %w", strings.Join(packages, ", "), err)
		}
	}
	return nil
}

// missing are the packages of which a file is not there.
func missing() (packages []string) {
	for _, need := range needs {
		_, err := exec.LookPath(need.file)
		if err != nil && (len(packages) == 0 || packages[len(packages)-1] != need.pkg) {
			packages = append(packages, need.pkg)
		}
	}
	return packages
}
