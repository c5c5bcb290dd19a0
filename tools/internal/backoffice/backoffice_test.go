package backoffice

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

type office struct {
	t   *testing.T
	url string
	log *bytes.Buffer
}

func start(t *testing.T, file string) *office {
	t.Helper()
	log := &bytes.Buffer{}
	o, err := Open(file, slog.New(slog.NewJSONHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(o.Handler())
	t.Cleanup(func() {
		server.Close()
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	})
	return &office{t: t, url: server.URL, log: log}
}

func (o *office) post(key, body string) (int, Answer) {
	o.t.Helper()
	req, err := http.NewRequestWithContext(o.t.Context(), http.MethodPost, o.url+"/requests", strings.NewReader(body))
	if err != nil {
		o.t.Fatal(err)
	}
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	return o.do(req)
}

func (o *office) get(id string) (int, Answer) {
	o.t.Helper()
	req, err := http.NewRequestWithContext(o.t.Context(), http.MethodGet, o.url+"/requests/"+id, nil)
	if err != nil {
		o.t.Fatal(err)
	}
	return o.do(req)
}

func (o *office) do(req *http.Request) (int, Answer) {
	o.t.Helper()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		o.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var a Answer
	if err := json.NewDecoder(resp.Body).Decode(&a); err != nil {
		o.t.Fatal(err)
	}
	return resp.StatusCode, a
}

func TestKindsAreAnsweredInTheirOwnWay(t *testing.T) {
	tests := map[string]struct {
		key, body  string
		wantCode   int
		wantStatus string
	}{
		"a service request is done at once":    {"k1", `{"request_id":"r1","kind":"service","text":"x"}`, 200, StatusDone},
		"a quote waits for people":             {"k2", `{"request_id":"r2","kind":"quote","text":"x"}`, 202, StatusPending},
		"a complaint waits for people":         {"k3", `{"request_id":"r3","kind":"complaint"}`, 202, StatusPending},
		"a kind in the contracts' words":       {"k11", `{"request_id":"r11","kind":"REQUEST_KIND_SERVICE"}`, 400, ""},
		"an unknown kind is refused":           {"k4", `{"request_id":"r4","kind":"gift"}`, 400, ""},
		"a missing key is refused":             {"", `{"request_id":"r5","kind":"quote"}`, 400, ""},
		"a missing request is refused":         {"k6", `{"kind":"quote"}`, 400, ""},
		"what is not JSON is refused":          {"k7", `request`, 400, ""},
		"a body beyond the limit is refused":   {"k8", `{"text":"` + strings.Repeat("x", maxBody) + `"}`, 400, ""},
		"a key of endless length is refused":   {strings.Repeat("k", 256), `{"request_id":"r9","kind":"quote"}`, 400, ""},
		"a request without a text is in order": {"k10", `{"request_id":"r10","kind":"service"}`, 200, StatusDone},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			code, answer := start(t, "").post(tc.key, tc.body)
			if code != tc.wantCode || answer.Status != tc.wantStatus {
				t.Errorf("got %d %q, want %d %q", code, answer.Status, tc.wantCode, tc.wantStatus)
			}
			if tc.wantStatus != "" && !strings.HasPrefix(answer.Reference, "BO-") {
				t.Errorf("the reference is %q", answer.Reference)
			}
		})
	}
}

func TestTheSameKeyGetsTheSameAnswerAlsoAfterARestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "backoffice.journal")
	const body = `{"request_id":"r1","kind":"service","text":"my boiler leaks"}`
	before := start(t, file)
	_, first := before.post("key", body)
	_, again := before.post("key", body)
	if first != again {
		t.Errorf("repeated: %v, then %v", first, again)
	}
	tear(t, file) // the process died while it wrote the next line

	after := start(t, file)
	if code, later := after.get("r1"); code != 200 || later != first {
		t.Errorf("after a restart: %d %v, want %v", code, later, first)
	}
	if _, later := after.post("key", body); later != first {
		t.Errorf("repeated after a restart: %v, want %v", later, first)
	}
	if code, _ := after.post("key", `{"request_id":"r2","kind":"service"}`); code != http.StatusConflict {
		t.Errorf("another request with the key: %d, want 409", code)
	}
	if code, _ := after.get("nobody"); code != http.StatusNotFound {
		t.Errorf("an unknown request: %d, want 404", code)
	}
}

func TestNeitherLogNorJournalHoldsWhatACustomerWrote(t *testing.T) {
	file := filepath.Join(t.TempDir(), "backoffice.journal")
	o := start(t, file)
	o.post("key", `{"request_id":"r1","kind":"quote","text":"my boiler leaks"}`)
	kept, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for what, text := range map[string]string{"journal": string(kept), "log": o.log.String()} {
		if strings.Contains(text, "boiler") || !strings.Contains(text, "r1") {
			t.Errorf("the %s reads %s", what, text)
		}
	}
}

func tear(t *testing.T, file string) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if _, err := io.WriteString(f, `{"key":"half`); err != nil {
		t.Fatal(err)
	}
}

func TestServeEndsWithItsContext(t *testing.T) {
	o, err := Open("", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- o.Serve(ctx, "127.0.0.1:0") }()
	cancel()
	if err := <-served; err != nil && !strings.Contains(err.Error(), "canceled") {
		t.Errorf("serve: %v", err)
	}
}
