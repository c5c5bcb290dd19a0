package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is one by its id and when it began: the id alone may be another's by now.
type process struct {
	Name  string `json:"name"`
	PID   int    `json:"pid"`
	Began uint64 `json:"began"` // in ticks since the machine's start
}

// state is what has to be known to end a cluster, written down as soon as it is so.
type state struct {
	// Owner is the process that the cluster is to end with; none when it is detached.
	Owner     process           `json:"owner"`
	Processes []process         `json:"processes"`
	Sysctls   map[string]string `json:"sysctls"` // as they were before
	// HadPods and HadKubelet tell that there were control groups and a folder of
	// another kubelet before.
	HadPods    bool `json:"hadPods"`
	HadKubelet bool `json:"hadKubelet"`
	Used       bool `json:"-"` // it is somebody else's
}

func newState(detach bool) state {
	_, err := os.Stat(kubeletFolder)
	s := state{Sysctls: map[string]string{}, HadPods: len(podGroups()) > 0, HadKubelet: err == nil}
	if !detach {
		s.Owner = newProcess("owner", os.Getpid())
	}
	return s
}

func stateFile(dir string) string { return filepath.Join(dir, "state.json") }

func readState(dir string) (s state, err error) {
	text, err := os.ReadFile(stateFile(dir))
	if err != nil {
		return s, fmt.Errorf("read what runs: %w", err)
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return s, fmt.Errorf("%s: %w", stateFile(dir), err)
	}
	return s, nil
}

func (s state) write(dir string) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	next := stateFile(dir) + ".next"
	return errors.Join(os.WriteFile(next, text, 0o600), os.Rename(next, stateFile(dir)))
}

// held tells whether the cluster is somebody's: he lives, or it was let go and lives
// itself.
func (s state) held() bool {
	if s.Owner.PID != 0 {
		return s.Owner.alive()
	}
	for _, p := range s.Processes {
		if p.alive() {
			return true
		}
	}
	return false
}

func newProcess(name string, pid int) process {
	began, _ := beginning(pid)
	return process{Name: name, PID: pid, Began: began}
}

func (p process) alive() bool {
	began, ok := beginning(p.PID)
	return ok && began == p.Began
}

// beginning tells when a process began; not of one that is gone, or that only waits
// for its parent to notice.
func beginning(pid int) (ticks uint64, ok bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, false
	}
	_, after, _ := strings.Cut(string(text), ") ") // the name may hold anything
	fields := strings.Fields(after)
	if len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return 0, false
	}
	ticks, err = strconv.ParseUint(fields[19], 10, 64)
	return ticks, err == nil
}

// end ends a process: it is asked to, and made to when it has not within grace.
func (p process) end(ctx context.Context, grace time.Duration) error {
	if !p.alive() {
		return nil
	}
	asked, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	if err := syscall.Kill(p.PID, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("end %s: %w", p.Name, err)
	}
	gone := func() (bool, error) { return !p.alive(), nil }
	if until(asked, gone) == nil {
		return nil
	}
	if err := syscall.Kill(p.PID, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("kill %s: %w", p.Name, err)
	}
	killed, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	if err := until(killed, gone); err != nil {
		return fmt.Errorf("%s (process %d) does not end: %w", p.Name, p.PID, err)
	}
	return nil
}

// running is a process that was started here.
type running struct {
	process
	log   string
	ended chan struct{}
	why   error // once ended
}

// start starts a part of the cluster, in a session of its own, so that what is typed
// at this process's terminal is not for it.
func (c *Cluster) start(p part) error {
	path, err := p.find(c)
	if err != nil {
		return err
	}
	r := &running{log: c.path("logs", p.name+".log"), ended: make(chan struct{})}
	log, err := os.Create(r.log)
	if err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(path, p.args...) //nolint:noctx // it may outlive whoever starts it, and is ended by its id
	cmd.Dir, cmd.Stdout, cmd.Stderr = c.dir, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	r.process = newProcess(p.name, cmd.Process.Pid)
	go func() {
		r.why = cmd.Wait()
		close(r.ended)
	}()
	c.running = append(c.running, r)
	c.state.Processes = append(c.state.Processes, r.process)
	return c.state.write(c.dir)
}

// check tells of a part that has ended, and the last that it said.
func (c *Cluster) check() error {
	for _, r := range c.running {
		select {
		case <-r.ended:
			return fmt.Errorf("%s has ended: %w; its last words:\n%s", r.Name, cmp.Or(r.why, errors.New("exit status 0")), lastLines(r.log, 10))
		default:
		}
	}
	return nil
}

func lastLines(file string, n int) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// until looks until it is so, something fails, or the context ends.
func until(ctx context.Context, isSo func() (bool, error)) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok, err := isSo(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
