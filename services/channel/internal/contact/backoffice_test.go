package contact_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	"github.com/triangle-suite/triangle/services/channel/internal/contact"
	"github.com/triangle-suite/triangle/services/internal/backoffice"
)

var order = backoffice.Request{ID: "r-1", Text: "How much?"}

// office returns a back office that a visitor waits for.
func office(t *testing.T, deadline time.Duration, handler http.HandlerFunc) contact.BackOffice {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return contact.BackOffice{Client: backoffice.New(server.URL), Deadline: deadline}
}

// never is a deadline that no test waits for.
const never = time.Minute

func pending(why string) contact.Handling {
	return contact.Handling{How: channelv1.Handling_HANDLING_PENDING, Detail: why}
}

func TestWhatTheBackOfficeAnswersDecidesHowTheRequestStands(t *testing.T) {
	done := contact.Handling{How: channelv1.Handling_HANDLING_STRAIGHT_THROUGH, Detail: "BO-7"}
	unclear := pending("the back office gave an answer that is not understood")
	for name, tc := range map[string]struct {
		code int
		body string
		want contact.Handling
	}{
		"done":                 {200, `{"status":"done","reference":"BO-7"}`, done},
		"pending":              {202, `{"status":"pending","reference":"BO-8"}`, pending("the back office has it in hand")},
		"pending, with a 200":  {200, `{"status":"pending"}`, unclear},
		"a status of its own":  {200, `{"status":"perhaps"}`, unclear},
		"an error":             {500, `{"status":"done"}`, pending("the back office answered 500")},
		"refused":              {409, ``, pending("the back office answered 409")},
		"moved somewhere else": {307, ``, pending("the back office answered 307")},
	} {
		t.Run(name, func(t *testing.T) {
			office := office(t, never, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(tc.code)
				fmt.Fprint(w, tc.body)
			})
			got, err := office.Try(t.Context(), order)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestABackOfficeThatIsSlowLeavesTheRequestPending(t *testing.T) {
	released := make(chan struct{})
	office := office(t, 20*time.Millisecond, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-released:
		case <-r.Context().Done():
		}
	})
	defer close(released)
	got, err := office.Try(t.Context(), order)
	if err != nil || got != pending("the back office did not answer within 20ms") {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestABackOfficeThatIsAwayLeavesTheRequestPending(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	url := strings.Replace(server.URL, "http://", "http://user:secret@", 1)
	server.Close()
	got, err := contact.BackOffice{Client: backoffice.New(url), Deadline: never}.Try(t.Context(), order)
	if err != nil || got != pending("the back office can't be reached") {
		t.Errorf("got %+v, %v", got, err)
	}
	got, err = contact.BackOffice{Deadline: never}.Try(t.Context(), order)
	if err != nil || got != pending("there is no back office to ask") {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestAVisitorWhoGivesUpLearnsThatNobodyCanTell(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	office := office(t, never, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then the server sees that the caller has gone
		cancel()
		<-r.Context().Done()
	})
	if got, err := office.Try(ctx, order); !errors.Is(err, context.Canceled) {
		t.Errorf("got %+v, %v", got, err)
	}
}
