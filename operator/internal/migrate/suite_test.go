package migrate_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/triangle-suite/triangle/services/control"
)

// the programs of the suite, built when a test first runs them.
var the struct {
	once sync.Once
	dir  string
	err  error
}

func programs(t *testing.T) string {
	t.Helper()
	the.once.Do(func() {
		if the.dir, the.err = os.MkdirTemp("", "triangle-programs-"); the.err != nil {
			return
		}
		build := exec.Command("go", "build", "-o", the.dir+string(filepath.Separator),
			"../../../services/eventstore/cmd/event-store", "../../../services/channel/cmd/channel-support",
			"../../../services/sales/cmd/sales-support", "../../../services/marketing/cmd/marketing-support", "../../../tools/cmd/triangle")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			the.err = fmt.Errorf("build the programs: %w\n%s", err, out)
		}
	})
	if the.err != nil {
		t.Fatal(the.err)
	}
	return the.dir
}

func removePrograms() {
	if err := os.RemoveAll(the.dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

// suite is an event store and the three services, as processes of their own.
type suite struct {
	*testing.T
	data, store, sales string
	flows              *control.Flows
	customers          int // that the prober has registered: each has a number
}

// up starts a suite, and stops it at the end of the test.
func up(t *testing.T) *suite {
	t.Helper()
	s := &suite{T: t, data: t.TempDir()}
	cmd := exec.Command(filepath.Join(programs(t), "triangle"), "up", "--no-sample", "--no-scenario", "--data", s.data, "--ports", "auto")
	var told bytes.Buffer
	cmd.Stdout, cmd.Stderr = &told, &told
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		if err := errors.Join(cmd.Process.Signal(syscall.SIGINT), <-ended); err != nil {
			t.Errorf("triangle up ended with %v:\n%s", err, told.String())
		}
	})
	s.await("the suite is up", s.readAddresses)
	var err error
	if s.flows, err = control.Connect(s.store); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.flows.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *suite) readAddresses() bool {
	text, err := os.ReadFile(filepath.Join(s.data, "addresses.json"))
	if err != nil {
		return false
	}
	var at struct {
		EventStore string
		Sales      struct{ HTTP string }
	}
	if err := json.Unmarshal(text, &at); err != nil {
		s.Fatal(err)
	}
	s.store, s.sales = "esdb://"+at.EventStore+"?tls=false", "http://"+at.Sales.HTTP
	return true
}

// await looks until it is so, or two minutes have passed.
func (s *suite) await(what string, isSo func() bool) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !isSo() {
		select {
		case <-ctx.Done():
			s.Fatalf("waited two minutes for: %s", what)
		case <-tick.C:
		}
	}
}

// register has the prober register customers, each with the next number.
func (s *suite) register(n int) {
	s.Helper()
	for range n {
		s.customers++
		body := fmt.Sprintf(`{"customer_number": "prober-%d", "source": "prober"}`, s.customers)
		request, err := http.NewRequestWithContext(s.Context(), http.MethodPost, s.sales+"/v1/customers", bytes.NewReader([]byte(body)))
		if err != nil {
			s.Fatal(err)
		}
		request.Header.Set("Idempotency-Key", fmt.Sprintf("prober-%d", s.customers))
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			s.Fatal(err)
		}
		if err := answer.Body.Close(); err != nil {
			s.Fatal(err)
		}
		if answer.StatusCode != http.StatusOK {
			s.Fatalf("customer %d was answered with %s", s.customers, answer.Status)
		}
	}
}

// account has the flow audited from the first event on, by a party that trusts
// nobody, and returns how many events are accounted for.
func (s *suite) account(flow string) (lost, twice, seen uint64) {
	s.Helper()
	audit, err := s.flows.Audit(s.Context(), flow, control.AuditOf{From: &control.Position{}}, "prober")
	if err != nil {
		s.Fatal(err)
	}
	for _, line := range audit.Lines {
		lost, twice, seen = lost+line.Missing, twice+line.Twice, seen+line.Delivered()
	}
	for _, objection := range audit.Objections {
		s.Errorf("the account of %s does not close: %s", flow, objection)
	}
	return lost, twice, seen
}
