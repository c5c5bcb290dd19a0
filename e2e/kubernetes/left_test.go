package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/triangle-suite/triangle/tools/cluster"
)

// killCluster kills all parts of this machine's cluster, and those that hold its
// containers, at once, while a pod runs, which goes on.
func killCluster(ctx context.Context, c *cluster.Cluster) error {
	if c.Kubeconfig() == os.Getenv(envKubeconfig) {
		return errors.New("-killed is for a cluster of this machine")
	}
	for _, args := range [][]string{
		{"run", "left", "--image=triangle.dev/pause:1", "--image-pull-policy=Never"},
		{"wait", "pod/left", "--for=condition=Ready", "--timeout=1m"},
	} {
		if _, err := c.Kubectl(ctx, nil, args...); err != nil {
			return err
		}
	}
	all, err := processes()
	for pid, line := range all {
		if strings.Contains(line, cluster.DefaultDir+"/") {
			err = errors.Join(err, syscall.Kill(pid, syscall.SIGKILL))
		}
	}
	return err
}

// nothingLeft looks for what a cluster of this machine has left behind when it has
// been ended, and gives the kernel a little time to take networks away that nobody is
// in any more.
func nothingLeft(c *cluster.Cluster) error {
	if c.Kubeconfig() == os.Getenv(envKubeconfig) {
		return nil // it goes on
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	late := time.After(10 * time.Second)
	for {
		err := leftNow()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-late:
			return err
		}
	}
}

func leftNow() error {
	var found []error
	for what, text := range map[string]func() (string, error){
		"processes": commandLines,
		"mounts":    func() (string, error) { return read("/proc/self/mountinfo") },
		"links":     func() (string, error) { return output("ip", "-o", "link") },
		"tables":    func() (string, error) { return output("nft", "list", "tables") },
		"folders": func() (string, error) {
			return names("/var/lib/triangle-*", "/var/lib/kubelet", "/run/netns/cni-*", "/var/lib/cni/results/triangle-*",
				"/run/containerd/s/*", "/sys/fs/cgroup/*/kubepods", "/var/log/containers/*")
		},
	} {
		told, err := text()
		if err != nil {
			found = append(found, err)
		}
		for line := range strings.Lines(told) {
			if slices.ContainsFunc(signs, func(sign string) bool { return strings.Contains(line, sign) }) {
				found = append(found, fmt.Errorf("left of the cluster's %s: %s", what, strings.TrimSpace(line)))
			}
		}
	}
	return errors.Join(found...)
}

// signs are what a cluster's things are known by.
var signs = []string{
	"triangle-cluster", "triangle0", "kube-proxy", "cni-", "/var/lib/cni/", "kubepods", "/var/lib/kubelet", "/var/log/containers/", "/run/containerd/s/",
}

func read(file string) (string, error) {
	text, err := os.ReadFile(file)
	return string(text), err
}

func output(name string, args ...string) (string, error) {
	out, err := exec.Command(name, args...).Output()
	return string(out), err
}

func names(patterns ...string) (string, error) {
	var all []string
	for _, pattern := range patterns {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return "", err
		}
		all = append(all, found...)
	}
	return strings.Join(all, "\n"), nil
}

// commandLines are those of all processes.
func commandLines() (string, error) {
	all, err := processes()
	return strings.Join(slices.Collect(maps.Values(all)), "\n"), err
}

// processes are the command lines of all, by id.
func processes() (map[int]string, error) {
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	all := map[int]string{}
	for _, file := range files {
		var pid int
		if _, scanErr := fmt.Sscanf(file, "/proc/%d/cmdline", &pid); scanErr != nil {
			err = errors.Join(err, scanErr)
		}
		if text, readErr := os.ReadFile(file); readErr == nil { // else it has ended meanwhile
			all[pid] = strings.ReplaceAll(string(text), "\x00", " ")
		}
	}
	return all, err
}
