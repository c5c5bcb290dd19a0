package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// programs is the folder of the programs that TestMain has built.
var programs string

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "triangle-e2e-")
	if err == nil {
		defer func() { _ = os.RemoveAll(dir) }()
		programs = filepath.Join(dir, "bin")
		err = build(programs)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

func build(into string) error {
	if err := os.Mkdir(into, 0o755); err != nil {
		return err
	}
	cmd := exec.Command("go", "build", "-o", into+string(filepath.Separator),
		"../services/eventstore/cmd/event-store", "../services/channel/cmd/channel-support",
		"../services/sales/cmd/sales-support", "../services/marketing/cmd/marketing-support", "../tools/cmd/triangle",
		"../services/internal/pgtest/cmd/pgtest")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the programs: %w\n%s", err, out)
	}
	return nil
}

// patience bounds a play, crashes included.
const patience = 5 * time.Minute

// demo plays the scenario on a data folder, and calls onStep at the beginning of
// each step, with its number from 1.
func demo(t *testing.T, data string, onStep func(step int), more ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(programs, "triangle"), append([]string{"demo", "--data", data, "--ports", "auto"}, more...)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 20 * time.Second
	var told, complained bytes.Buffer
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = &complained
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	last := watchSteps(stdout, &told, onStep)
	if err := cmd.Wait(); err != nil {
		keepForTheReader(t, data)
		t.Fatalf("triangle demo ended with %v at step %d:\n%s%s", err, last, told.String(), complained.String())
	}
	if last < 10 {
		t.Fatalf("triangle demo told of %d steps only:\n%s", last, told.String())
	}
}

var stepLine = regexp.MustCompile(`^\s*(\d+)[. ]`)

// watchSteps reads what the demo tells, and calls onStep when a step begins.
func watchSteps(stdout io.Reader, told io.Writer, onStep func(int)) (last int) {
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		fmt.Fprintln(told, lines.Text())
		if m := stepLine.FindStringSubmatch(lines.Text()); m != nil {
			if n, err := strconv.Atoi(m[1]); err == nil && n == last+1 {
				last = n
				onStep(n)
			}
		}
	}
	return last
}

// keepForTheReader keeps the logs of a failed run.
func keepForTheReader(t *testing.T, data string) {
	t.Helper()
	to := filepath.Join("failures", filepath.Base(t.Name()))
	if err := errors.Join(os.RemoveAll(to), os.MkdirAll(to, 0o755), os.CopyFS(to, os.DirFS(filepath.Join(data, "logs")))); err != nil {
		t.Logf("the logs could not be kept: %v", err)
		return
	}
	t.Logf("the logs are in e2e/%s", to)
}

// signalProcess sends a signal to a process of the suite. SIGKILL ends it as a
// power cut would; the suite starts it again.
func signalProcess(t *testing.T, data, name string, signal syscall.Signal) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(data, "processes.json"))
	if err != nil {
		t.Errorf("find the processes: %v", err)
		return
	}
	pids := map[string]int{}
	if err := json.Unmarshal(text, &pids); err != nil || pids[name] == 0 {
		t.Errorf("find process %s: %v", name, err)
		return
	}
	// One that was killed a moment ago may be on its way up; then it is dead
	// already, which is what was wanted.
	if err := syscall.Kill(pids[name], signal); err != nil && !errors.Is(err, syscall.ESRCH) {
		t.Errorf("send %v to %s: %v", signal, name, err)
	}
}
