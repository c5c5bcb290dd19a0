package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Where pods are known outside of the cluster's folder, which can't be told elsewhere.
const (
	logLinks       = "/var/log/containers/*.log"
	networkRecords = "/var/lib/cni/results"
)

// endOrphans ends what containerd was not there to: those that hold containers, and
// what runs in them.
func (c *Cluster) endOrphans(ctx context.Context) error {
	err := c.endShims(ctx)
	if c.state.HadPods {
		return err // whose they are can't be told
	}
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	return errors.Join(err, until(ctx, func() (bool, error) {
		pids, err := podProcesses()
		for _, pid := range pids {
			if killErr := syscall.Kill(pid, syscall.SIGKILL); killErr != nil && !errors.Is(killErr, syscall.ESRCH) {
				err = errors.Join(err, fmt.Errorf("kill process %d of a pod: %w", pid, killErr))
			}
		}
		return len(pids) == 0, err
	}))
}

func (c *Cluster) endShims(ctx context.Context) (err error) {
	files, globErr := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range files {
		text, readErr := os.ReadFile(file)
		if readErr != nil || !strings.Contains(string(text), "\x00"+c.socket()+"\x00") {
			continue // it is another one, or it has ended meanwhile
		}
		var pid int
		if _, scanErr := fmt.Sscanf(file, "/proc/%d/cmdline", &pid); scanErr == nil {
			err = errors.Join(err, newProcess("containerd-shim", pid).end(ctx, grace))
		}
	}
	return errors.Join(err, globErr)
}

// removePodRecords removes what is known of pods that containerd was not there to
// remove: the addresses of those that held containers, and CNI's records. What the
// kubelet calls containers' logs is left in any case, and leads to nowhere.
func (c *Cluster) removePodRecords() (err error) {
	links, globErr := filepath.Glob(logLinks)
	for _, link := range links {
		if to, readErr := os.Readlink(link); readErr == nil && strings.HasPrefix(to, c.dir+"/") {
			err = errors.Join(err, os.Remove(link))
		}
	}
	addresses, addressErr := filepath.Glob(c.path("containerd-state", "io.containerd.runtime.v2.task", "*", "*", "address"))
	var records []string
	for _, file := range addresses {
		if address, readErr := os.ReadFile(file); readErr == nil {
			records = append(records, strings.TrimPrefix(string(address), "unix://"))
		}
		found, foundErr := filepath.Glob(filepath.Join(networkRecords, "*-"+filepath.Base(filepath.Dir(file))+"-*"))
		records, err = append(records, found...), errors.Join(err, foundErr)
	}
	for _, record := range records {
		if removeErr := os.Remove(record); removeErr != nil && !errors.Is(removeErr, os.ErrNotExist) { // a pod's containers share one
			err = errors.Join(err, removeErr)
		}
	}
	return errors.Join(err, globErr, addressErr)
}

// podGroups are the control groups of pods, in all hierarchies.
func podGroups() (all []string) {
	for _, pattern := range []string{"/sys/fs/cgroup/kubepods", "/sys/fs/cgroup/*/kubepods"} {
		found, err := filepath.Glob(pattern)
		if err == nil {
			all = append(all, found...)
		}
	}
	return all
}

// podGroupsBelow are they and those in them, the innermost last.
func podGroupsBelow() (all []string, err error) {
	for _, top := range podGroups() {
		err = errors.Join(err, filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				all = append(all, path)
			}
			return err
		}))
	}
	return all, err
}

// podProcesses are those that run in pods.
func podProcesses() (pids []int, err error) {
	groups, err := podGroupsBelow()
	for _, group := range groups {
		text, readErr := os.ReadFile(filepath.Join(group, "cgroup.procs"))
		if readErr != nil && !errors.Is(readErr, os.ErrNotExist) {
			err = errors.Join(err, readErr)
		}
		for line := range strings.Lines(string(text)) {
			if pid, parseErr := strconv.Atoi(strings.TrimSpace(line)); parseErr == nil && pid > 0 {
				pids = append(pids, pid)
			}
		}
	}
	slices.Sort(pids)
	return slices.Compact(pids), err
}

// removePodGroups removes their groups, the innermost first.
func removePodGroups() error {
	groups, err := podGroupsBelow()
	for _, group := range slices.Backward(groups) {
		if removeErr := syscall.Rmdir(group); removeErr != nil && !errors.Is(removeErr, syscall.ENOENT) {
			err = errors.Join(err, fmt.Errorf("remove the control group %s: %w", group, removeErr))
		}
	}
	return err
}
