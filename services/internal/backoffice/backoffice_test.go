package backoffice_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	"github.com/triangle-suite/triangle/services/internal/backoffice"
	"github.com/triangle-suite/triangle/services/telemetry"
)

var quote = backoffice.Request{ID: "r-1", Kind: journeyv1.RequestKind_REQUEST_KIND_QUOTE, Text: "my secret"}

func serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

func TestAnswers(t *testing.T) {
	const unclear = "the back office gave an answer that is not understood"
	for name, tc := range map[string]struct {
		code    int
		body    string
		want    backoffice.Answer
		refusal string
	}{
		"done":                          {200, `{"status":"done","reference":"BO-1"}`, backoffice.Answer{Done: true, Reference: "BO-1"}, ""},
		"done, and more":                {200, `{"status":"done","reference":"BO-1","more":[1]}`, backoffice.Answer{Done: true, Reference: "BO-1"}, ""},
		"pending":                       {202, `{"status":"pending","reference":"BO-1"}`, backoffice.Answer{Reference: "BO-1"}, ""},
		"done without a reference":      {200, `{"status":"done"}`, backoffice.Answer{Done: true}, ""},
		"a long reference":              {200, `{"status":"done","reference":"` + strings.Repeat("é", 300) + `"}`, backoffice.Answer{Done: true, Reference: strings.Repeat("é", 200)}, ""},
		"done, but accepted":            {202, `{"status":"done"}`, backoffice.Answer{}, unclear},
		"pending, but all right":        {200, `{"status":"pending"}`, backoffice.Answer{}, unclear},
		"a status of its own":           {200, `{"status":"perhaps"}`, backoffice.Answer{}, unclear},
		"no JSON":                       {200, `<html>`, backoffice.Answer{}, unclear},
		"an answer without limit":       {200, `{"status":"done","reference":"` + strings.Repeat("x", 1<<20), backoffice.Answer{}, unclear},
		"an error":                      {500, `{"status":"done"}`, backoffice.Answer{}, "the back office answered 500"},
		"refused":                       {409, ``, backoffice.Answer{}, "the back office answered 409"},
		"a redirection is not followed": {302, ``, backoffice.Answer{}, "the back office answered 302"},
		"nor one that keeps the method": {307, ``, backoffice.Answer{}, "the back office answered 307"},
	} {
		t.Run(name, func(t *testing.T) {
			url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(tc.code)
				_, _ = io.WriteString(w, tc.body) // one without limit is not read to its end
			})
			got, err := backoffice.New(url+"/").Ask(t.Context(), quote)
			refusal, _ := errors.AsType[backoffice.Refusal](err)
			if got != tc.want || string(refusal) != tc.refusal || (err != nil) != (tc.refusal != "") {
				t.Errorf("got %v, %v", got, err)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the error repeats the visitor's words: %v", err)
			}
		})
	}
}

func TestTheRequestIsTheContractsOwn(t *testing.T) {
	const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	var body map[string]any
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("traceparent"); got != trace {
			t.Errorf("the call's trace ends before the back office: %q", got)
		}
		if r.Method != http.MethodPost || r.URL.Path != "/base/requests" || r.Header.Get("Idempotency-Key") != "r-1" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		fmt.Fprint(w, `{"status":"done","reference":"BO-1"}`)
	})
	for kind, name := range map[journeyv1.RequestKind]string{
		journeyv1.RequestKind_REQUEST_KIND_QUOTE:     "quote",
		journeyv1.RequestKind_REQUEST_KIND_SERVICE:   "service",
		journeyv1.RequestKind_REQUEST_KIND_COMPLAINT: "complaint",
	} {
		request := backoffice.Request{ID: "r-1", Kind: kind, Text: "How much?"}
		got, err := backoffice.New(url+"/base/").Ask(telemetry.Extract(t.Context(), trace, ""), request)
		if err != nil || got.Reference != "BO-1" {
			t.Fatalf("got %+v, %v", got, err)
		}
		want := map[string]any{"request_id": "r-1", "kind": name, "text": "How much?"}
		if diff := cmp.Diff(want, body); diff != "" {
			t.Error(diff)
		}
	}
}

func TestABackOfficeThatIsAwayHasNotRefused(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	_, err := backoffice.New(server.URL).Ask(t.Context(), quote)
	if _, refused := errors.AsType[backoffice.Refusal](err); err == nil || refused {
		t.Errorf("err = %v", err)
	}
}

func TestACallerWhoGivesUpLearnsThatNobodyCanTell(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then the server sees that the caller has gone
		cancel()
		<-r.Context().Done()
	})
	if got, err := backoffice.New(url).Ask(ctx, quote); !errors.Is(err, context.Canceled) {
		t.Errorf("got %+v, %v", got, err)
	}
}
