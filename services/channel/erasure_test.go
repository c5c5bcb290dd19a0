package channel

import (
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
)

// erased is why there is no list for who was erased.
const erased = "the customer is erased, and nothing is decided about them any more"

// Nobody waits for a list that nobody will decide, at whatever cadence the flows run.
func TestWhatHappensInAContactOfWhoWasErasedIsAnsweredAtOnce(t *testing.T) {
	for name, slow := range map[string]func(w *world){
		"in real time":                    func(*world) {},
		"decisions come daily":            func(w *world) { w.set("next-best-actions", flows.Daily) },
		"marketing hears of it weekly":    func(w *world) { w.adopted("contact-events", flows.Weekly) },
		"what CRM tells is held up":       func(w *world) { w.set("customer-view", flows.Paused) },
		"CRM hears of contacts hourly":    func(w *world) { w.adopted("contacts", flows.Hourly) },
		"marketing has facts of CRM late": func(w *world) { w.adopted("customer-facts", flows.Weekly) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				slow(w)
				started, err := w.api().StartContact(w.withKey("a"), &channelv1.StartContactRequest{Channel: website, CustomerId: "k"})
				if err != nil {
					t.Fatal(err)
				}
				w.toldErased("k")
				began := time.Now()
				got, err := w.api().RecordEvent(w.withKey("b"), interest(started.GetContact().GetContactId(), 10*time.Second))
				if err != nil {
					t.Fatal(err)
				}
				wantActions(t, got.GetNextBestActions(), none, erased, "")
				another, err := w.api().StartContact(w.withKey("c"), &channelv1.StartContactRequest{
					Channel: website, CustomerId: "k", Wait: durationpb.New(10 * time.Second),
				})
				if err != nil {
					t.Fatal(err)
				}
				wantActions(t, another.GetNextBestActions(), none, erased, "")
				if took := time.Since(began); took != 0 {
					t.Errorf("both waited for %s", took)
				}
			})
		})
	}
}

// toldErased plays that CRM has erased a person.
func (w *world) toldErased(customer string) {
	w.t.Helper()
	w.tellErased(customer)
	w.pass(100 * time.Millisecond) // the eraser may be at rest
}

func (w *world) tellErased(customer string) {
	w.t.Helper()
	w.play("customer-"+customer, "", &salesv1.CustomerErased{CustomerId: customer, By: "the privacy officer", Reason: "asked for"})
}

func TestWhoIsErasedWhileSomebodyWaitsEndsTheWait(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		began := time.Now()
		time.AfterFunc(time.Second, func() { w.tellErased("k") })
		got, err := w.api().StartContact(w.withKey("a"), &channelv1.StartContactRequest{
			Channel: website, CustomerId: "k", Wait: durationpb.New(10 * time.Second),
		})
		if err != nil {
			t.Fatal(err)
		}
		wantActions(t, got.GetNextBestActions(), none, erased, "")
		if took := time.Since(began); took != time.Second {
			t.Errorf("it took %s, and the customer was erased after a second", took)
		}
	})
}

// A visitor may still be found by an address of the time before.
func TestWhoClaimsToBeSomebodyErasedIsAnsweredWhenCRMHasFoundThem(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.play("view-k-1", "", view("k-1", nil))
		w.toldErased("k-1")
		w.hear(func(e codec.Event) {
			if m, ok := e.Message.(*channelv1.IdentityClaimed); ok {
				<-time.After(20 * time.Millisecond)
				w.play("registration-"+m.GetContactId(), e.Metadata.CorrelationID, &salesv1.ContactRegistered{ContactId: m.GetContactId(), CustomerId: "k-1"})
			}
		})
		began := time.Now()
		request := ada()
		request.Wait = durationpb.New(10 * time.Second)
		got, err := w.api().StartContact(w.withKey("a"), request)
		if err != nil {
			t.Fatal(err)
		}
		wantActions(t, got.GetNextBestActions(), none, erased, "")
		if took := time.Since(began); took > 100*time.Millisecond {
			t.Errorf("it took %s; CRM's word is there after 20ms", took)
		}
	})
}

// What CRM tells of a customer after the erasure names nobody: the row is as one that
// was emptied, whichever came first.
func TestAPersonOfWhomNothingIsToldIsNobody(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.play("view-k", "", view("k", &journeyv1.Person{GivenName: "Ada"}))
		w.toldErased("k")
		for _, nobody := range []*journeyv1.Person{{}, {Address: &journeyv1.Address{}}, nil} {
			w.play("view-k", "", view("k", nobody))
			synctest.Wait()
			var body string
			if err := w.db.QueryRow(t.Context(), `SELECT body FROM customer_view_person WHERE customer_id = 'k'`).Scan(&body); err != nil || body != "" {
				t.Errorf("of who was erased there is %q (%v)", body, err)
			}
		}
	})
}
