package e2e

import (
	"bufio"
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What is kept of a suite, while it runs, is the store's events and the keys. They are
// enough to have all of it again: the services make their databases of the events, and
// what each flow has come to adds up.
func TestASuiteIsHadAgainFromItsEventsAndKeys(t *testing.T) {
	data, again, kept := t.TempDir(), t.TempDir(), t.TempDir()
	events, keys := filepath.Join(kept, "events.jsonl"), filepath.Join(kept, "keys.db")
	demo(t, data, func(int) {})
	t.Run("kept while it runs", func(t *testing.T) {
		s := upOn(t, data)
		run(t, "event-store", "backup", "--eventstore", "esdb://"+s.eventStore+"?tls=false", events)
		run(t, "channel-support", "copy-keys", "--keys", filepath.Join(data, "keys.db"), "--to", keys)
	})
	run(t, "event-store", "import", "--data", filepath.Join(again, "store"), events)
	run(t, "channel-support", "copy-keys", "--keys", keys, "--to", filepath.Join(again, "keys.db"))
	t.Run("had again", func(t *testing.T) {
		s := upOn(t, again)
		s.triangle("flow", "probe", "--timeout", "1m")
		for _, flow := range s.flows() {
			if out, status := s.audit(flow, "--from", "0"); status != 0 {
				t.Errorf("triangle flow audit %s ended with %d:\n%s", flow, status, out)
			}
		}
	})
	compare(t, readModels(t, data), readModels(t, again))
}

// A store that comes from a backup lacks what was written since. Who has taken in
// more than the store holds says so, and takes nothing in.
func TestAStoreThatIsOlderThanItsReadersIsNoticed(t *testing.T) {
	data, kept := t.TempDir(), t.TempDir()
	events := filepath.Join(kept, "events.jsonl")
	t.Run("kept and gone on", func(t *testing.T) {
		s := upOn(t, data)
		s.call(http.StatusOK, http.MethodPost, "sales", "/v1/customers", body{"customer_number": "c-1", "source": "test"})
		run(t, "event-store", "backup", "--eventstore", "esdb://"+s.eventStore+"?tls=false", events)
		s.startContact("CHANNEL_WEBSITE", "c-1")
		s.triangle("flow", "probe", "contacts")
	})
	store := filepath.Join(data, "store")
	if err := os.RemoveAll(store); err != nil {
		t.Fatal(err)
	}
	run(t, "event-store", "import", "--data", store, events)
	told := untilTold(t, "it has been restored", "up", "--no-sample", "--no-scenario", "--data", data, "--ports", "auto")
	if !strings.Contains(told, "connect the right store, or start on a new database") {
		t.Errorf("it does not say what to do: %s", told)
	}
}

// untilTold runs the command until it prints a line with a text, and returns the line.
func untilTold(t *testing.T, text string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(programs, "triangle"), args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	out, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Wait() }() // it is told to end before it is done
	defer cancel()
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if strings.Contains(lines.Text(), text) {
			return lines.Text()
		}
	}
	t.Fatalf("triangle %s did not say that %s", strings.Join(args, " "), text)
	return ""
}

// run runs a program, which has to end well, and returns what it prints.
func run(t *testing.T, program string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, filepath.Join(programs, program), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
	return string(out)
}
