package observe

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
	"syscall"
	"testing"
	"time"
)

const (
	// patience bounds how long a back end takes to start.
	patience = time.Minute
	// askTimeout bounds a question.
	askTimeout = 10 * time.Second
)

// start has a back end run until the test and what it started since have ended. A
// variable names its program.
func start(t testing.TB, variable string, env []string, args ...string) {
	t.Helper()
	program := os.Getenv(variable)
	if program == "" {
		t.Fatalf("%s names no program: run make test-telemetry or make e2e-full, which build it once", variable)
	}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), program, args...)
	cmd.Env = append(os.Environ(), env...)
	var told bytes.Buffer
	cmd.Stdout, cmd.Stderr = &told, &told
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Logf("%s ended with %v:\n%s", program, err, told.String())
		}
	})
}

// awaitReady waits until a back end answers.
func awaitReady(t testing.TB, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ask(ctx, http.MethodGet, url, nil)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s is not ready within %s: %v", url, patience, err)
		case <-tick.C:
		}
	}
}

// refused is an answer that is none.
type refused struct {
	status int
	text   string
}

func (r refused) Error() string { return fmt.Sprintf("%d: %s", r.status, r.text) }

// ask asks, and reads the answer if somebody wants it. It fails with refused.
func ask(ctx context.Context, method, url string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	switch {
	case err != nil:
		return err
	case answer.StatusCode != http.StatusOK:
		return refused{answer.StatusCode, string(text)}
	case into == nil:
		return nil
	default:
		return json.Unmarshal(text, into)
	}
}

// missing tells whether what was asked for is not there.
func missing(err error) bool {
	r, ok := errors.AsType[refused](err)
	return ok && r.status == http.StatusNotFound
}
