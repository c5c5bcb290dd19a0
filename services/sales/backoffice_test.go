package sales_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// backOffice plays the outside partner.
type backOffice struct {
	*httptest.Server

	mu     sync.Mutex
	asked  []map[string]string
	status int
	answer string
}

func newBackOffice(t *testing.T) *backOffice {
	b := &backOffice{status: http.StatusAccepted, answer: `{"status":"pending","reference":"B-1"}`}
	b.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		asked := map[string]string{}
		if err := json.Unmarshal(body, &asked); err != nil || r.Method != http.MethodPost || r.URL.Path != "/requests" {
			t.Errorf("%s %s %s: %v", r.Method, r.URL.Path, body, err)
		}
		asked["key"] = r.Header.Get("Idempotency-Key")
		asked["traceparent"] = r.Header.Get("Traceparent")
		b.mu.Lock()
		defer b.mu.Unlock()
		b.asked = append(b.asked, asked)
		rw.WriteHeader(b.status)
		if _, err := io.WriteString(rw, b.answer); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(b.Close)
	return b
}

// say sets what the back office answers from now on.
func (b *backOffice) say(status int, answer string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.status, b.answer = status, answer
}

// requests returns what the back office was asked.
func (b *backOffice) requests() []map[string]string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]map[string]string(nil), b.asked...)
}
