// Package packages installs what a machine lacks of Debian's, where that can be done.
package packages

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// ErrMissing says that the machine lacks something, and can't be given it.
var ErrMissing = errors.New("the machine lacks what is needed")

// Need is a package, with a file of its that is needed: a program, or a path.
type Need struct{ Package, File string }

// Install installs what is missing, by apt-get and so as root. It fails with ErrMissing.
func Install(ctx context.Context, log io.Writer, needs ...Need) error {
	missing := missing(needs)
	if len(missing) == 0 {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil || os.Geteuid() != 0 {
		return fmt.Errorf("%w: install %s (so Debian calls them)", ErrMissing, strings.Join(missing, ", "))
	}
	fmt.Fprintf(log, "install %s\n", strings.Join(missing, ", "))
	for _, args := range [][]string{{"update", "-q"}, append([]string{"install", "-q", "-y", "--no-install-recommends"}, missing...)} {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%w: apt-get %s: %w: %s", ErrMissing, args[0], err, bytes.TrimSpace(out))
		}
	}
	return nil
}

// missing are the packages of which a file is not there.
func missing(needs []Need) (packages []string) {
	for _, need := range needs {
		if _, err := exec.LookPath(need.File); err != nil && !slices.Contains(packages, need.Package) {
			packages = append(packages, need.Package)
		}
	}
	return packages
}
