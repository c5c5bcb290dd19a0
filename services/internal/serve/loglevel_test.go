package serve_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestTheLogsLevelChangesWhileTheServiceRuns(t *testing.T) {
	r := run(t, &api{})
	call := func(method, body string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, r.url+"/loglevel", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close() //nolint:errcheck // all was read
		all, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, strings.TrimSpace(string(all))
	}
	for _, step := range []struct {
		method, body string
		code         int
		want         string
	}{
		{http.MethodGet, "", 200, `{"level":"debug"}`},
		{http.MethodPut, "warn", 200, `{"level":"warn"}`},
		{http.MethodPut, " Info\n", 200, `{"level":"info"}`},
		{http.MethodPut, "loud", 400, "write debug, info, warn or error"},
		{http.MethodPut, "", 400, "write debug, info, warn or error"},
		{http.MethodPut, strings.Repeat("info", 1000), 400, "write debug, info, warn or error"},
		{http.MethodPost, "debug", 405, "GET, HEAD, PUT"},
		{http.MethodGet, "", 200, `{"level":"info"}`}, // what was refused changed nothing
	} {
		if code, got := call(step.method, step.body); code != step.code || !strings.Contains(got, step.want) {
			t.Errorf("%s %.10q: %d %s, want %d %s", step.method, step.body, code, got, step.code, step.want)
		}
	}
	before := len(r.logs.String())
	r.badCall() // told at debug
	if after := r.logs.String(); strings.Contains(after[before:], "call failed") {
		t.Errorf("at info the log says %s", after[before:])
	}
	call(http.MethodPut, "debug")
	r.badCall()
	if logged := r.logs.String(); !strings.Contains(logged[before:], "call failed") || !strings.Contains(logged, "the log's level is DEBUG from here on, and was INFO") {
		t.Errorf("at debug the log says %s", logged[before:])
	}
}

// badCall makes a call that is refused, which is told at debug.
func (r *running) badCall() {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, r.url+"/v1/contacts", strings.NewReader("{}"))
	if err != nil {
		r.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req) // without an idempotency key
	if err != nil {
		r.t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest {
		r.t.Fatalf("a call without an idempotency key is answered %d", resp.StatusCode)
	}
}
