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
	"time"

	"github.com/google/go-cmp/cmp"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	"github.com/triangle-suite/triangle/services/channel/internal/backoffice"
)

var quote = backoffice.Request{ID: "r-1", Kind: journeyv1.RequestKind_REQUEST_KIND_QUOTE, Text: "How much?"}

// never is a deadline that no test waits for.
const never = time.Minute

func serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

func answering(code int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		fmt.Fprint(w, body)
	}
}

func TestWhatTheBackOfficeAnswersDecidesHowTheRequestStands(t *testing.T) {
	pending := func(reason string) backoffice.Answer { return backoffice.Answer{Pending: reason} }
	unclear := pending("the back office gave an answer that is not understood")
	for name, tc := range map[string]struct {
		code int
		body string
		want backoffice.Answer
	}{
		"done":                    {200, `{"status":"done","reference":"BO-7"}`, backoffice.Answer{Reference: "BO-7"}},
		"done, and more":          {200, `{"status":"done","reference":"BO-7","more":[1]}`, backoffice.Answer{Reference: "BO-7"}},
		"pending":                 {202, `{"status":"pending","reference":"BO-8"}`, pending("the back office has it in hand")},
		"pending, with a 200":     {200, `{"status":"pending"}`, pending("the back office has it in hand")},
		"an error":                {500, `{"status":"done"}`, pending("the back office answered 500")},
		"refused":                 {409, ``, pending("the back office answered 409")},
		"moved":                   {307, ``, pending("the back office answered 307")},
		"no JSON":                 {200, `<html>`, unclear},
		"a status of its own":     {200, `{"status":"perhaps"}`, unclear},
		"a reference of a novel":  {200, `{"status":"done","reference":"` + strings.Repeat("x", 201) + `"}`, unclear},
		"an answer without limit": {200, `{"status":"done","reference":"` + strings.Repeat("x", 1<<20), unclear},
	} {
		t.Run(name, func(t *testing.T) {
			client := backoffice.New(serve(t, answering(tc.code, tc.body)), never)
			got, err := client.Ask(t.Context(), quote)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTheRequestIsTheContractsOwn(t *testing.T) {
	var body map[string]any
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
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
	got, err := backoffice.New(url+"/base/", never).Ask(t.Context(), quote)
	if err != nil || got.Reference != "BO-1" {
		t.Fatalf("got %+v, %v", got, err)
	}
	want := map[string]any{"request_id": "r-1", "kind": "quote", "text": "How much?"}
	if diff := cmp.Diff(want, body); diff != "" {
		t.Error(diff)
	}
}

func TestABackOfficeThatIsSlowLeavesTheRequestPending(t *testing.T) {
	released := make(chan struct{})
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-released:
		case <-r.Context().Done():
		}
	})
	defer close(released)
	got, err := backoffice.New(url, 20*time.Millisecond).Ask(t.Context(), quote)
	if err != nil || got.Pending != "the back office did not answer within 20ms" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestABackOfficeThatIsAwayLeavesTheRequestPending(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	url := strings.Replace(server.URL, "http://", "http://user:secret@", 1)
	server.Close()
	got, err := backoffice.New(url, never).Ask(t.Context(), quote)
	if err != nil || got.Pending != "the back office can't be reached" {
		t.Errorf("got %+v, %v", got, err)
	}
	got, err = backoffice.New("", never).Ask(t.Context(), quote)
	if err != nil || got.Pending != "there is no back office to ask" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestACallerWhoGivesUpLearnsThatNobodyCanTell(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then the server sees that the caller has gone
		cancel()
		<-r.Context().Done()
	})
	if got, err := backoffice.New(url, never).Ask(ctx, quote); !errors.Is(err, context.Canceled) {
		t.Errorf("got %+v, %v", got, err)
	}
}
