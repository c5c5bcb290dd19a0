package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// suite is a running Triangle, spoken to over REST and by the command.
type suite struct {
	t    *testing.T
	data string
	at   map[string]string // base URL by service
	keys int
	// prefix keeps the idempotency keys of the parts of a test apart.
	prefix     string
	eventStore string
	// traceparent is the trace that calls belong to; none: each begins one.
	traceparent string
}

// up starts everything, without sample and scenario, and stops it at the end of
// the test.
func up(t *testing.T, more ...string) *suite {
	t.Helper()
	return upOn(t, t.TempDir(), more...)
}

// upOn is up on a data folder.
func upOn(t *testing.T, data string, more ...string) *suite {
	t.Helper()
	s := &suite{t: t, data: data, at: map[string]string{}}
	args := append([]string{"up", "--no-sample", "--no-scenario", "--data", s.data, "--ports", "auto"}, more...)
	cmd := exec.Command(filepath.Join(programs, "triangle"), args...)
	var told bytes.Buffer
	cmd.Stdout, cmd.Stderr = &told, &told
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		if t.Failed() {
			keepForTheReader(t, s.data)
		}
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Error(err)
		}
		if err := <-ended; err != nil {
			t.Errorf("triangle up ended with %v:\n%s", err, told.String())
		}
	})
	s.await("addresses.json", func() bool {
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("triangle up ended with %v:\n%s", err, told.String())
		default:
		}
		return s.readAddresses()
	})
	return s
}

func (s *suite) readAddresses() bool {
	text, err := os.ReadFile(filepath.Join(s.data, "addresses.json"))
	if err != nil {
		return false
	}
	var addresses map[string]json.RawMessage
	if err := json.Unmarshal(text, &addresses); err != nil {
		s.t.Fatal(err)
	}
	if err := json.Unmarshal(addresses["eventstore"], &s.eventStore); err != nil {
		s.t.Fatal(err)
	}
	for _, service := range services {
		var at struct{ HTTP string }
		if err := json.Unmarshal(addresses[service], &at); err != nil {
			s.t.Fatal(err)
		}
		s.at[service] = "http://" + at.HTTP
	}
	return true
}

// await looks until it is so, or a minute has passed.
func (s *suite) await(what string, isSo func() bool) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !isSo() {
		select {
		case <-ctx.Done():
			s.t.Fatalf("waited a minute for: %s", what)
		case <-tick.C:
		}
	}
}

// body is a JSON object.
type body map[string]any

// at walks into nested objects.
func (b body) get(path ...string) any {
	var v any = map[string]any(b)
	for _, name := range path {
		object, _ := v.(map[string]any)
		v = object[name]
	}
	return v
}

func (b body) text(path ...string) string { return fmt.Sprint(b.get(path...)) }

// call sends a request with an idempotency key of its own, and wants status.
func (s *suite) call(status int, method, service, path string, request body) body {
	s.t.Helper()
	s.keys++
	return s.callAs(fmt.Sprintf("%skey-%d", s.prefix, s.keys), status, method, service, path, request)
}

func (s *suite) callAs(key string, status int, method, service, path string, request body) body {
	s.t.Helper()
	text, err := json.Marshal(request)
	if err != nil {
		s.t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.at[service]+path, bytes.NewReader(text))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Idempotency-Key", key)
	if s.traceparent != "" {
		r.Header.Set("Traceparent", s.traceparent)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	raw, err := io.ReadAll(answer.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	if answer.StatusCode != status {
		s.t.Fatalf("%s %s answered %d, want %d: %s", method, path, answer.StatusCode, status, raw)
	}
	var b body
	if err := json.Unmarshal(raw, &b); err != nil {
		s.t.Fatalf("%s %s: %v: %s", method, path, err, raw)
	}
	return b
}

// triangle runs the command, which has to end well, and returns what it prints.
func (s *suite) triangle(args ...string) string {
	s.t.Helper()
	out, status := s.try(args...)
	if status != 0 {
		s.t.Fatalf("triangle %s ended with %d:\n%s", strings.Join(args, " "), status, out)
	}
	return out
}

// try runs the command, and returns what it prints and its status.
func (s *suite) try(args ...string) (out string, status int) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	text, err := exec.CommandContext(ctx, filepath.Join(programs, "triangle"), append(args, "--data", s.data)...).CombinedOutput()
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		return string(text), failed.ExitCode()
	}
	if err != nil {
		s.t.Fatalf("triangle %s: %v", strings.Join(args, " "), err)
	}
	return string(text), 0
}
