package channel

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

const (
	website = journeyv1.Channel_CHANNEL_WEBSITE
	decided = channelv1.ListSource_LIST_SOURCE_DECIDED
	last    = channelv1.ListSource_LIST_SOURCE_LAST_KNOWN
	none    = channelv1.ListSource_LIST_SOURCE_UNSPECIFIED
)

// sales plays CRM, which finds the customer k-1 whatever is claimed, and tells of
// them a moment later.
func sales(w *world, after time.Duration) func(codec.Event) {
	return func(e codec.Event) {
		m, ok := e.Message.(*channelv1.IdentityClaimed)
		if !ok {
			return
		}
		const customer = "k-1"
		w.play("registration-"+m.GetContactId(), e.Metadata.CorrelationID, &salesv1.ContactRegistered{
			ContactId: m.GetContactId(), CustomerId: customer, Identification: salesv1.Identification_IDENTIFICATION_NEW,
		})
		<-time.After(after)
		w.play("view-"+customer, e.Metadata.CorrelationID, view(customer, &journeyv1.Person{GivenName: m.GetGivenName(), Email: m.GetEmail()}))
	}
}

func view(customer string, person *journeyv1.Person) *salesv1.CustomerViewChanged {
	return &salesv1.CustomerViewChanged{CustomerId: customer, CustomerNumber: "4711", Person: person, Orders: 2, SpentCents: 995}
}

// marketing plays next best action, which takes its time and decides what it is
// given.
func marketing(w *world, after time.Duration, proposition func() string) func(codec.Event) {
	return func(e codec.Event) {
		m, ok := e.Message.(interface {
			GetContactId() string
			GetCustomerId() string
		})
		if _, presented := e.Message.(*channelv1.PropositionPresented); !ok || presented || m.GetCustomerId() == "" {
			return
		}
		<-time.After(after)
		w.play("decisions-"+m.GetContactId(), e.Metadata.CorrelationID, decision(m.GetContactId(), m.GetCustomerId(), proposition()))
	}
}

func decision(contact, customer, proposition string) *marketingv1.NextBestActionsDecided {
	return &marketingv1.NextBestActionsDecided{
		DecisionId: "d-" + proposition, ContactId: contact, CustomerId: customer, Channel: website, Features: "{}",
		Actions:  []*journeyv1.NextBestAction{{PropositionId: proposition, Name: "A bicycle", Content: "Ride on", Priority: 0.125}},
		RestedOn: []*flowv1.Freshness{{Flow: "contact-events", Cadence: flows.RealTime}},
	}
}

func always(proposition string) func() string { return func() string { return proposition } }

func ada() *channelv1.StartContactRequest {
	return &channelv1.StartContactRequest{
		Channel: website, VisitorId: "cookie-1", Claims: &channelv1.Claims{Email: " Ada@Example.org", GivenName: "Ada"},
	}
}

func TestAVisitorIsMetWithTheCustomerViewAndTheNextBestActions(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.hear(sales(w, 20*time.Millisecond))
		w.hear(marketing(w, 10*time.Millisecond, always("p-1")))
		began := time.Now()
		got, err := w.api().StartContact(w.withKey("a"), ada())
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < 20*time.Millisecond || took > 60*time.Millisecond {
			t.Errorf("it took %s; the view comes after 20ms", took)
		}
		id := got.GetContact().GetContactId()
		want := &channelv1.StartContactResponse{
			Contact: &channelv1.Contact{
				ContactId: id, Channel: website, State: channelv1.ContactState_CONTACT_STATE_OPEN, CustomerId: "k-1", Steps: 1,
			},
			Customer: &channelv1.CustomerView{
				CustomerId: "k-1", CustomerNumber: "4711", Person: &journeyv1.Person{GivenName: "Ada", Email: "ada@example.org"},
				Orders: 2, SpentCents: 995,
			},
			NextBestActions: &channelv1.Actions{
				Source: decided, DecisionId: "d-p-1", Actions: decision("", "", "p-1").GetActions(), RestedOn: decision("", "", "").GetRestedOn(),
			},
		}
		ignore := protocmp.IgnoreFields(&channelv1.Actions{}, "decided_at")
		if diff := cmp.Diff(want, got, protocmp.Transform(), ignore, protocmp.IgnoreFields(got, "freshness")); diff != "" {
			t.Error(diff)
		}
		var fresh []string
		for _, f := range got.GetFreshness() {
			fresh = append(fresh, f.GetFlow()+" "+f.GetCadence())
		}
		if !slices.Equal(fresh, []string{"customer-view realtime", "next-best-actions realtime"}) {
			t.Errorf("freshness: %q", fresh)
		}
		if got := w.types("contact-" + id); !slices.Equal(got, []string{"ContactStarted", "IdentityClaimed", "VisitorIdentified"}) {
			t.Errorf("the contact's stream: %q", got)
		}
		correlations := map[string]bool{}
		for _, e := range w.events("contact-" + id) {
			correlations[e.Metadata.CorrelationID] = true
		}
		if len(correlations) != 1 {
			t.Errorf("one call came to %d correlation ids", len(correlations))
		}
	})
}

func TestWhoWaitsInVainIsToldSoAndGetsTheLastList(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		began := time.Now()
		started, err := w.api().StartContact(w.withKey("a"), &channelv1.StartContactRequest{Channel: website, CustomerId: "k"})
		if err != nil {
			t.Fatal(err)
		}
		id := started.GetContact().GetContactId()
		wantActions(t, started.GetNextBestActions(), none, "no decision within 150ms", "")
		if took := time.Since(began); took != 150*time.Millisecond {
			t.Errorf("it took %s", took)
		}

		// Another contact of the customer has a list.
		w.play("decisions-other", "x", decision("other", "k", "p-1"))
		synctest.Wait()
		got, err := w.api().RecordEvent(w.withKey("b"), interest(id, time.Second))
		if err != nil {
			t.Fatal(err)
		}
		wantActions(t, got.GetNextBestActions(), last, "no decision within 1s", "d-p-1")

		// This contact has one, of an earlier call.
		w.play("decisions-"+id, "y", decision(id, "k", "p-2"))
		synctest.Wait()
		got, err = w.api().RecordEvent(w.withKey("c"), interest(id, 0))
		if err != nil {
			t.Fatal(err)
		}
		wantActions(t, got.GetNextBestActions(), last, "no decision within 0s", "d-p-2")
		looked, err := w.api().GetContact(t.Context(), &channelv1.GetContactRequest{ContactId: id})
		if err != nil {
			t.Fatal(err)
		}
		wantActions(t, looked.GetNextBestActions(), last, "a contact that is looked up asks for no new list", "d-p-2")
		if n := looked.GetContact().GetSteps(); n != 2 {
			t.Errorf("%d steps", n)
		}
	})
}

func interest(contact string, wait time.Duration) *channelv1.RecordEventRequest {
	return &channelv1.RecordEventRequest{
		ContactId: contact, Wait: durationpb.New(wait),
		Event: &channelv1.RecordEventRequest_Interest{Interest: &channelv1.InterestEvent{Kind: "landing-page", Topic: "bicycles"}},
	}
}

func wantActions(t *testing.T, got *channelv1.Actions, source channelv1.ListSource, reason, decision string) {
	t.Helper()
	if got.GetSource() != source || got.GetReason() != reason || got.GetDecisionId() != decision {
		t.Errorf("got %s %q %q, want %s %q %q", got.GetSource(), got.GetReason(), got.GetDecisionId(), source, reason, decision)
	}
}

func TestNobodyWaitsForAFlowThatIsNotInRealTime(t *testing.T) {
	for name, tc := range map[string]struct {
		slow       func(w *world)
		wantClaims string
		wantEvent  string
		// Nobody answers here: where CRM could, in real time, it is waited for.
		wantTook time.Duration
	}{
		"one of the channel's own": {
			func(w *world) { w.set("next-best-actions", flows.Daily) },
			"flow next-best-actions runs daily", "flow next-best-actions runs daily", 10 * time.Second,
		},
		"one that is paused": {
			func(w *world) { w.set("customer-view", flows.Paused) },
			"flow customer-view is paused", "no decision within 10s", 0,
		},
		"CRM's": {
			func(w *world) { w.adopted("contacts", flows.Weekly) },
			"flow contacts runs weekly", "no decision within 10s", 0,
		},
		"marketing's": {
			func(w *world) { w.adopted("contact-events", flows.Hourly) },
			"flow contact-events runs hourly", "flow contact-events runs hourly", 10 * time.Second,
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				tc.slow(w)
				began := time.Now()
				request := ada()
				request.Wait = durationpb.New(10 * time.Second)
				started, err := w.api().StartContact(w.withKey("a"), request)
				if err != nil {
					t.Fatal(err)
				}
				wantActions(t, started.GetNextBestActions(), none, tc.wantClaims, "")
				if took := time.Since(began); took != tc.wantTook {
					t.Errorf("it took %s, want %s", took, tc.wantTook)
				}
				known, err := w.api().StartContact(w.withKey("k"), &channelv1.StartContactRequest{Channel: website, CustomerId: "k", Wait: durationpb.New(0)})
				if err != nil {
					t.Fatal(err)
				}
				began = time.Now()
				got, err := w.api().RecordEvent(w.withKey("b"), interest(known.GetContact().GetContactId(), 10*time.Second))
				if err != nil {
					t.Fatal(err)
				}
				wantActions(t, got.GetNextBestActions(), none, tc.wantEvent, "")
				if took := time.Since(began); took != 0 && strings.HasPrefix(tc.wantEvent, "flow") {
					t.Errorf("it waited for %s", took)
				}
			})
		})
	}
}

func TestTheCustomerViewIsAwaitedWhereOnlyTheListIsSlow(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.adopted("contact-events", flows.Daily)
		w.hear(sales(w, 30*time.Millisecond))
		got, err := w.api().StartContact(w.withKey("a"), ada())
		if err != nil {
			t.Fatal(err)
		}
		if got.GetCustomer().GetPerson().GetGivenName() != "Ada" || got.GetContact().GetCustomerId() == "" {
			t.Errorf("got %v", got)
		}
		wantActions(t, got.GetNextBestActions(), none, "flow contact-events runs daily", "")
	})
}

func TestWhatAsksForNoListIsNotAwaited(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		began := time.Now()
		started, err := w.api().StartContact(w.withKey("a"), &channelv1.StartContactRequest{Channel: website})
		if err != nil {
			t.Fatal(err)
		}
		wantActions(t, started.GetNextBestActions(), none, "the visitor is not identified", "")
		id := started.GetContact().GetContactId()
		present := &channelv1.RecordEventRequest{
			ContactId: id, Event: &channelv1.RecordEventRequest_Presented{Presented: &channelv1.PresentedEvent{PropositionId: "p"}},
		}
		got, err := w.api().RecordEvent(w.withKey("b"), present)
		if err != nil {
			t.Fatal(err)
		}
		wantActions(t, got.GetNextBestActions(), none, "that a proposition was presented asks for no new list", "")
		// Marketing decides nothing for somebody whom nobody knows.
		got, err = w.api().RecordEvent(w.withKey("c"), interest(id, 10*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		wantActions(t, got.GetNextBestActions(), none, "the visitor is not identified", "")
		if took := time.Since(began); took != 0 {
			t.Errorf("it waited for %s", took)
		}
	})
}

func TestEachEventLeadsToAListOfItsOwn(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		next := make(chan string, 3)
		w.hear(marketing(w, time.Millisecond, func() string { return <-next }))
		next <- "p-1"
		started, err := w.api().StartContact(w.withKey("a"), &channelv1.StartContactRequest{Channel: website, CustomerId: "k"})
		if err != nil {
			t.Fatal(err)
		}
		wantActions(t, started.GetNextBestActions(), decided, "", "d-p-1")
		next <- "p-2"
		first := interest(started.GetContact().GetContactId(), time.Second)
		got, err := w.api().RecordEvent(w.withKey("b"), first)
		if err != nil {
			t.Fatal(err)
		}
		wantActions(t, got.GetNextBestActions(), decided, "", "d-p-2")
		next <- "p-3"
		if _, err = w.api().RecordEvent(w.withKey("c"), interest(started.GetContact().GetContactId(), time.Second)); err != nil {
			t.Fatal(err)
		}
		// Who repeats the call before that gets its own list again, however
		// patient they are this time.
		again := proto.CloneOf(first)
		again.Wait = durationpb.New(time.Minute / 10)
		got, err = w.api().RecordEvent(w.withKey("b"), again)
		if err != nil {
			t.Fatal(err)
		}
		wantActions(t, got.GetNextBestActions(), decided, "", "d-p-2")
	})
}

func TestCRMsAnswerCountsWheneverItComesAndOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.set("customer-view", flows.Weekly)
		started, err := w.api().StartContact(w.withKey("a"), ada())
		if err != nil {
			t.Fatal(err)
		}
		id := started.GetContact().GetContactId()
		ended, err := w.api().EndContact(w.withKey("b"), &channelv1.EndContactRequest{ContactId: id, Outcome: channelv1.ContactOutcome_CONTACT_OUTCOME_ABANDONED})
		if err != nil || ended.GetContact().GetState() != channelv1.ContactState_CONTACT_STATE_ENDED {
			t.Fatalf("got %v, %v", ended, err)
		}
		registered := &salesv1.ContactRegistered{ContactId: id, CustomerId: "k"}
		w.play("registration-"+id, "", registered, registered)
		w.set("customer-view", flows.RealTime)
		synctest.Wait()
		want := []string{"ContactStarted", "IdentityClaimed", "ContactEnded", "VisitorIdentified", "NothingDecided"}
		if got := w.types("contact-" + id); !slices.Equal(got, want) {
			t.Errorf("the contact's stream: %q", got)
		}
	})
}

func TestNothingPersonalStandsInTheLogInClear(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		request := ada()
		request.Claims = &channelv1.Claims{Email: "ada@example.org", Phone: "0201234567", GivenName: "Augusta", Surname: "Lovelace"}
		w.hear(sales(w, 0))
		started, err := w.api().StartContact(w.withKey("for ada@example.org"), request)
		if err != nil {
			t.Fatal(err)
		}
		id := started.GetContact().GetContactId()
		submit := &channelv1.SubmitRequestRequest{ContactId: id, Kind: quote, Text: "Augusta wants to know."}
		if _, err := w.api().SubmitRequest(w.withKey("b"), submit); err != nil {
			t.Fatal(err)
		}
		for e, err := range w.log.ReadAll(t.Context(), eventlog.Forward, nil, 0) {
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(e.Type, "channel.") {
				continue
			}
			text := strings.ToLower(e.Stream + string(e.Data) + string(e.Metadata))
			for _, personal := range []string{"example.org", "0201234567", "augusta", "lovelace"} {
				if strings.Contains(text, personal) {
					t.Errorf("%s in %s holds %q", e.Type, e.Stream, personal)
				}
			}
		}
	})
}

func TestAnAnswerForNobodyIsParkedAndOthersGoOn(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		started, err := w.api().StartContact(w.withKey("a"), ada())
		if err != nil {
			t.Fatal(err)
		}
		id := started.GetContact().GetContactId()
		w.play("registration-x", "", &salesv1.ContactRegistered{ContactId: "nobody's", CustomerId: "k-1"})
		w.play("registration-"+id, "", &salesv1.ContactRegistered{ContactId: id, CustomerId: "k-2"})
		w.pass(time.Minute)
		if s := w.service.flows.Intake("customer-view").State(); s.Parked != 1 || s.Err != nil {
			t.Errorf("parked %d, %v", s.Parked, s.Err)
		}
		got, err := w.api().GetContact(t.Context(), &channelv1.GetContactRequest{ContactId: id})
		if err != nil || got.GetContact().GetCustomerId() != "k-2" {
			t.Errorf("got %v, %v", got, err)
		}
	})
}
