package cluster

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/triangle-suite/triangle/tools/cluster/netpol"
)

// grace is how long a part may take to end.
const grace = 15 * time.Second

// Stop ends the cluster, and takes away all that it has made: processes, containers
// first; network, mounts, control groups, and its folder. A cluster that is only used
// goes on.
func (c *Cluster) Stop(ctx context.Context) error {
	if c.state.Used {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := c.endProcesses(ctx)
	err = errors.Join(err, c.unmountAll(), c.removeNetwork(ctx), c.restoreSysctls(), c.removePodRecords())
	if !c.state.HadPods {
		err = errors.Join(err, removePodGroups())
	}
	if !c.state.HadKubelet {
		err = errors.Join(err, removeKubeletFolder())
	}
	if err != nil {
		return fmt.Errorf("end the cluster in %s: %w", c.dir, err)
	}
	return os.RemoveAll(c.dir)
}

// kubeletFolder is where every kubelet has the sockets of devices, wherever the rest
// of it is.
const kubeletFolder = "/var/lib/kubelet"

func removeKubeletFolder() error {
	err := os.RemoveAll(filepath.Join(kubeletFolder, "device-plugins"))
	if removeErr := os.Remove(kubeletFolder); removeErr != nil && !errors.Is(removeErr, os.ErrNotExist) {
		err = errors.Join(err, removeErr)
	}
	return err
}

// endProcesses ends the kubelet first, that it starts nothing again, and containerd
// once it has taken the pods away.
func (c *Cluster) endProcesses(ctx context.Context) (err error) {
	byName := func(name string) (process, bool) {
		i := slices.IndexFunc(c.state.Processes, func(p process) bool { return p.Name == name })
		if i < 0 {
			return process{}, false
		}
		return c.state.Processes[i], c.state.Processes[i].alive()
	}
	if kubelet, ok := byName("kubelet"); ok {
		err = kubelet.end(ctx, grace)
	}
	if _, ok := byName("containerd"); ok {
		if podsErr := c.removePods(ctx); podsErr != nil && c.state.HadPods {
			err = errors.Join(err, podsErr)
		} else if podsErr != nil {
			fmt.Fprintf(c.log, "containerd fails to take the pods away, so they are killed: %v\n", podsErr)
		}
	}
	for _, p := range slices.Backward(c.state.Processes) {
		err = errors.Join(err, p.end(ctx, grace))
	}
	return errors.Join(err, c.endOrphans(ctx))
}

// unmountAll unmounts what is mounted below the cluster's folder, the innermost
// first.
func (c *Cluster) unmountAll() error {
	all, err := mountsBelow(c.dir)
	if err != nil {
		return err
	}
	for _, at := range slices.Backward(all) {
		if err := syscall.Unmount(at, syscall.MNT_DETACH); err != nil && !errors.Is(err, syscall.EINVAL) {
			return fmt.Errorf("unmount %s: %w", at, err)
		}
	}
	return nil
}

func mountsBelow(dir string) (all []string, err error) {
	file, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if fields := strings.Fields(lines.Text()); len(fields) > 4 && strings.HasPrefix(fields[4], dir+"/") {
			all = append(all, strings.ReplaceAll(fields[4], `\040`, " "))
		}
	}
	slices.Sort(all)
	return all, nil
}

// removeNetwork removes the node's address, and the tables of the services' ones and of
// the policies.
func (c *Cluster) removeNetwork(ctx context.Context) error {
	if _, ok := c.state.Sysctls[sysctls[0]]; !ok {
		return nil // it was ended before there was any
	}
	var err error
	if _, statErr := os.Stat("/sys/class/net/" + bridge); statErr == nil {
		_, err = run(exec.CommandContext(ctx, "ip", "link", "delete", bridge))
	}
	tables, listErr := run(exec.CommandContext(ctx, "nft", "list", "tables"))
	err = errors.Join(err, listErr)
	for _, table := range []string{"ip kube-proxy", "ip6 kube-proxy", "inet " + netpol.Table} {
		if strings.Contains(tables, "table "+table+"\n") {
			_, deleteErr := run(exec.CommandContext(ctx, "nft", append([]string{"delete", "table"}, strings.Fields(table)...)...))
			err = errors.Join(err, deleteErr)
		}
	}
	return err
}

func (c *Cluster) restoreSysctls() (err error) {
	for name, value := range c.state.Sysctls {
		now, readErr := os.ReadFile("/proc/sys/" + name)
		if readErr == nil && strings.TrimSpace(string(now)) != value {
			err = errors.Join(err, os.WriteFile("/proc/sys/"+name, []byte(value), 0o600))
		}
	}
	return err
}

// KeepLogs copies the logs of all parts and pods, and what the cluster tells of its
// objects, to a folder; a new one when it is empty. It returns which.
func (c *Cluster) KeepLogs(ctx context.Context, to string) (string, error) {
	if to == "" {
		var err error
		if to, err = os.MkdirTemp("", "triangle-cluster-logs-"); err != nil {
			return "", fmt.Errorf("keep the logs: %w", err)
		}
	}
	if c.dir != "" {
		if err := copyLogs(c.path("logs"), to); err != nil {
			return to, fmt.Errorf("keep the logs: %w", err)
		}
	}
	for file, args := range map[string][]string{
		"events.txt":  {"get", "events", "--all-namespaces", "--sort-by=.lastTimestamp"},
		"objects.txt": {"get", "all,pv,pvc", "--all-namespaces", "--output=wide"},
		"pods.txt":    {"describe", "pods", "--all-namespaces"},
	} {
		asked, cancel := context.WithTimeout(ctx, 20*time.Second)
		told, err := c.Kubectl(asked, nil, args...)
		cancel()
		if err != nil { // a cluster that never came up has none
			told += "\n" + err.Error() + "\n"
		}
		if err := os.WriteFile(filepath.Join(to, file), []byte(told), 0o600); err != nil {
			return to, fmt.Errorf("keep the logs: %w", err)
		}
	}
	return to, nil
}

// copyLogs copies files; what pods' logs are called by besides is left out.
func copyLogs(from, to string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		relative, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		copied := filepath.Join(to, relative)
		return errors.Join(os.MkdirAll(filepath.Dir(copied), 0o755), os.WriteFile(copied, text, 0o600))
	})
}
