package channel

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

// office is a back office that answers as it is told, and remembers its callers.
type office struct {
	mu     sync.Mutex
	keys   []string
	answer func(w http.ResponseWriter, asked int)
}

func (o *office) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body struct {
		RequestID string `json:"request_id"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil || body.RequestID != r.Header.Get("Idempotency-Key") {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	o.mu.Lock()
	o.keys = append(o.keys, body.RequestID)
	asked := len(o.keys)
	o.mu.Unlock()
	o.answer(w, asked)
}

func (o *office) asked() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.keys)
}

// withOffice is a world with a back office, and a contact to submit requests in.
func withOffice(t *testing.T, answer func(w http.ResponseWriter, asked int)) (*world, *office, *channelv1.SubmitRequestRequest) {
	t.Helper()
	o := &office{answer: answer}
	server := httptest.NewServer(o)
	t.Cleanup(server.Close)
	w := newWorld(t)
	w.backOffice = server.URL
	w.start()
	w.ready()
	return w, o, &channelv1.SubmitRequestRequest{ContactId: w.prepare(), Kind: quote, Text: "How much?"}
}

func done(w http.ResponseWriter, asked int) {
	fmt.Fprintf(w, `{"status":"done","reference":"BO-%d"}`, asked)
}

const (
	straightThrough = channelv1.Handling_HANDLING_STRAIGHT_THROUGH
	pending         = channelv1.Handling_HANDLING_PENDING
)

func TestARequestIsDoneWithinTheContact(t *testing.T) {
	w, office, request := withOffice(t, done)
	got, err := w.api().SubmitRequest(w.withKey("a"), request)
	if err != nil || got.GetHandling() != straightThrough || got.GetDetail() != "BO-1" {
		t.Fatalf("got %v, %v", got, err)
	}
	if keys := office.asked(); !slices.Equal(keys, []string{got.GetRequestId()}) {
		t.Errorf("asked with the keys %q", keys)
	}
	events := w.events("contact-" + request.GetContactId())
	submitted, handled := events[len(events)-2], events[len(events)-1]
	if handled.Type != "channel.RequestHandled" || handled.Metadata.CausationID != submitted.ID.String() ||
		handled.Metadata.CorrelationID != submitted.Metadata.CorrelationID {
		t.Errorf("%s was caused by %s, correlation %s", handled.Type, handled.Metadata.CausationID, handled.Metadata.CorrelationID)
	}
	if sealed := submitted.Metadata.SealedFor; sealed == "" {
		t.Error("the visitor's words were not sealed")
	}
}

func TestARequestThatTheBackOfficeDoesNotDoStaysPendingAndItsFirstAnswerStands(t *testing.T) {
	w, office, request := withOffice(t, func(w http.ResponseWriter, asked int) {
		if asked == 1 {
			w.WriteHeader(http.StatusAccepted)
			fmt.Fprint(w, `{"status":"pending"}`)
			return
		}
		done(w, asked)
	})
	for range 2 {
		got, err := w.api().SubmitRequest(w.withKey("a"), request)
		if err != nil || got.GetHandling() != pending || got.GetDetail() != "the back office has it in hand" {
			t.Fatalf("got %v, %v", got, err)
		}
	}
	if n := len(office.asked()); n != 1 {
		t.Errorf("the back office was asked %d times", n)
	}
}

func TestAProcessThatEndsBeforeTheOutcomeAsksAgainWithTheSameKey(t *testing.T) {
	w, office, request := withOffice(t, done)
	crash := failure(func(_ string, events []eventlog.NewEvent) error {
		if events[0].Type == "channel.RequestHandled" {
			return eventlog.ErrUnavailable
		}
		return nil
	})
	w.before.Store(&crash)
	if got, err := w.api().SubmitRequest(w.withKey("a"), request); err == nil {
		t.Fatalf("got %v from a process that ended", got)
	}
	w.stop()
	w.before.Store(nil)
	w.start()
	w.ready()
	got, err := w.api().SubmitRequest(w.withKey("a"), request)
	if err != nil || got.GetHandling() != straightThrough || got.GetDetail() != "BO-2" {
		t.Fatalf("got %v, %v", got, err)
	}
	if keys := office.asked(); len(keys) != 2 || keys[0] != keys[1] {
		t.Errorf("asked with the keys %q", keys)
	}
}

func TestARequestThatItsCallLeftBehindIsHandedToCRM(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		request := &channelv1.SubmitRequestRequest{ContactId: w.prepare(), Kind: quote, Text: "How much?"}
		crash := failure(func(_ string, events []eventlog.NewEvent) error {
			if events[0].Type == "channel.RequestHandledInPart" {
				return eventlog.ErrUnavailable
			}
			return nil
		})
		w.before.Store(&crash)
		if got, err := w.api().SubmitRequest(w.withKey("a"), request); err == nil {
			t.Fatalf("got %v from a process that ended", got)
		}
		w.pass(2 * time.Minute) // the settler tries in vain, too
		w.stop()
		w.before.Store(nil)
		w.start()
		w.pass(10 * time.Second)
		got, err := w.api().SubmitRequest(w.withKey("a"), request)
		if err != nil || got.GetHandling() != pending || got.GetDetail() != "the channel was interrupted while it asked the back office" {
			t.Errorf("got %v, %v", got, err)
		}
		events := w.events("contact-" + request.GetContactId())
		handled, submitted := events[len(events)-1], events[len(events)-2]
		if len(events) != 4 || handled.Metadata.CausationID != submitted.ID.String() ||
			handled.Metadata.CorrelationID != submitted.Metadata.CorrelationID {
			t.Errorf("%q, the last of them caused by %s", w.types("contact-"+request.GetContactId()), handled.Metadata.CausationID)
		}
		for _, worker := range w.service.workers {
			if err := worker.Ready(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestOfTwoCallsAtOnceTheFirstOutcomeIsTheAnswerToBoth(t *testing.T) {
	arrived := make(chan struct{}, 2)
	together := make(chan struct{})
	w, _, request := withOffice(t, func(w http.ResponseWriter, asked int) {
		arrived <- struct{}{}
		<-together
		done(w, asked)
	})
	go func() {
		<-arrived
		<-arrived
		close(together)
	}()
	var both sync.WaitGroup
	details := make([]string, 2)
	for i := range details {
		both.Go(func() {
			got, err := w.api().SubmitRequest(w.withKey("a"), request)
			if err != nil {
				t.Error(err)
			}
			details[i] = got.GetDetail()
		})
	}
	both.Wait()
	if details[0] != details[1] {
		t.Errorf("the answers are %q", details)
	}
	if n := len(w.types("contact-" + request.GetContactId())); n != 4 { // started, presented, submitted, handled
		t.Errorf("%d events in the contact's stream", n)
	}
}
