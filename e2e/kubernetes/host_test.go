package kubernetes

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// node is the cluster's one node, and where it is. A test that drains it, freezes what
// runs on it, or serves on it, does that on this machine alone.
func (w *world) node() (name, address string) {
	w.Helper()
	told := strings.Fields(w.kubectl("get", "nodes", `--output=jsonpath={range .items[*]}{.metadata.name} {.status.addresses[?(@.type=="InternalIP")].address} {end}`))
	if len(told) != 2 || !isOurs(told[1]) {
		w.Fatalf("the nodes are %v, want one, which is this machine: leave KUBECONFIG out, or have it name the cluster of make cluster", told)
	}
	return told[0], told[1]
}

func isOurs(address string) bool {
	all, err := net.InterfaceAddrs()
	return err == nil && slices.ContainsFunc(all, func(a net.Addr) bool { return strings.HasPrefix(a.String(), address+"/") })
}

// process is the one that a pod runs.
func (w *world) process(pod string) (pid int) {
	w.Helper()
	uid := w.kubectl("get", "pod", pod, "--output=jsonpath={.metadata.uid}")
	w.until("a process of "+pod, func() bool {
		pid = processOf(uid)
		return pid != 0
	})
	return pid
}

// programs are those of our images.
var programs = []string{"/channel-support", "/sales-support", "/marketing-support", "/event-store", "/triangle-operator"}

// processOf finds it by its control groups, which are called by the pod; 0: there is
// none. What holds the pod's namespaces is none of ours.
func processOf(uid string) (pid int) {
	files, err := filepath.Glob("/proc/[0-9]*/cgroup")
	if err != nil {
		return 0
	}
	for _, file := range files {
		groups, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(groups), "pod"+uid+"/") {
			continue // another one's, or it has ended meanwhile
		}
		line, err := os.ReadFile(filepath.Join(filepath.Dir(file), "cmdline"))
		if program, _, _ := strings.Cut(string(line), "\x00"); err != nil || !slices.Contains(programs, program) {
			continue // it is on its way to become one
		}
		if _, err := fmt.Sscanf(file, "/proc/%d/cgroup", &pid); err == nil {
			return pid
		}
	}
	return 0
}

// signal sends a signal to a pod's process, and returns which that is.
func (w *world) signal(pod string, signal syscall.Signal) (pid int) {
	w.Helper()
	pid = w.process(pod)
	if err := syscall.Kill(pid, signal); err != nil {
		w.Fatalf("send %v to %s: %v", signal, pod, err)
	}
	return pid
}

// gone tells whether a process has ended.
func gone(pid int) bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }
