package kubernetes

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/triangle-suite/triangle/tools/cluster"
)

// nothingLeft looks for what a cluster of this machine has left behind when it has
// been ended.
func nothingLeft(c *cluster.Cluster) error {
	if c.Kubeconfig() == os.Getenv(envKubeconfig) {
		return nil // it goes on
	}
	var found []error
	for what, text := range map[string]func() (string, error){
		"processes": commandLines,
		"mounts":    func() (string, error) { return read("/proc/self/mountinfo") },
		"links":     func() (string, error) { return output("ip", "-o", "link") },
		"tables":    func() (string, error) { return output("nft", "list", "tables") },
		"folders": func() (string, error) {
			return names("/var/lib/triangle-*", "/var/lib/kubelet", "/run/netns/cni-*", "/sys/fs/cgroup/*/kubepods", "/var/log/containers/*")
		},
	} {
		told, err := text()
		if err != nil {
			found = append(found, err)
		}
		for line := range strings.Lines(told) {
			for _, sign := range []string{"triangle-cluster", "triangle0", "kube-proxy", "cni-", "kubepods", "/var/lib/kubelet", "/var/log/containers/"} {
				if strings.Contains(line, sign) {
					found = append(found, fmt.Errorf("left of the cluster's %s: %s", what, strings.TrimSpace(line)))
					break
				}
			}
		}
	}
	return errors.Join(found...)
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
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	var all []string
	for _, file := range files {
		if text, err := os.ReadFile(file); err == nil { // else it has ended meanwhile
			all = append(all, strings.ReplaceAll(string(text), "\x00", " "))
		}
	}
	return strings.Join(all, "\n"), err
}
