package channel

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	"github.com/triangle-suite/triangle/services/channel/internal/contact"
	"github.com/triangle-suite/triangle/services/channel/internal/idle"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/fault"
)

// begin starts a contact on the website, of a visitor nobody knows.
func (w *world) begin(key string) string {
	w.t.Helper()
	started, err := w.api().StartContact(w.withKey(key), &channelv1.StartContactRequest{Channel: website})
	if err != nil {
		w.t.Fatal(err)
	}
	synctest.Wait()
	return started.GetContact().GetContactId()
}

// look tells where a contact stands.
func (w *world) look(id string) *channelv1.Contact {
	w.t.Helper()
	got, err := w.api().GetContact(w.t.Context(), &channelv1.GetContactRequest{ContactId: id})
	if err != nil {
		w.t.Fatal(err)
	}
	return got.GetContact()
}

func (w *world) wantOutcome(id string, want channelv1.ContactOutcome) {
	w.t.Helper()
	if got := w.look(id).GetOutcome(); got != want {
		w.t.Errorf("the contact's outcome is %s, want %s", got, want)
	}
}

func wantReason(t *testing.T, err error, want string) {
	t.Helper()
	if f, ok := fault.Of(err); !ok || f.Reason != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

const (
	open     = channelv1.ContactOutcome_CONTACT_OUTCOME_UNSPECIFIED
	timedOut = channelv1.ContactOutcome_CONTACT_OUTCOME_TIMED_OUT
)

func TestScenarioCH2AContactThatNobodyTouchesEndsByItself(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		id := w.begin("a")
		w.pass(29 * time.Minute)
		if _, err := w.api().RecordEvent(w.withKey("b"), interest(id, 0)); err != nil {
			t.Fatal(err)
		}
		w.pass(29 * time.Minute)
		w.wantOutcome(id, open)
		w.pass(2 * time.Minute)
		w.wantOutcome(id, timedOut)

		events := w.events("contact-" + id)
		touched, ended := events[len(events)-2], events[len(events)-1]
		if ended.Metadata.CausationID != touched.ID.String() || ended.Metadata.CorrelationID != touched.Metadata.CorrelationID {
			t.Errorf("%s was caused by %s, correlation %s", ended.Type, ended.Metadata.CausationID, ended.Metadata.CorrelationID)
		}
		at := ended.Message.(*channelv1.ContactEnded).GetEndedAt().AsTime() //nolint:forcetypeassert // a test
		if want := touched.Metadata.Time.Add(30 * time.Minute); !at.Equal(want) {
			t.Errorf("it ended at %s, want %s", at, want)
		}

		_, err := w.api().RecordEvent(w.withKey("c"), interest(id, 0))
		wantReason(t, err, "CONTACT_TIMED_OUT")
		_, err = w.api().EndContact(w.withKey("d"), &channelv1.EndContactRequest{ContactId: id, Outcome: timedOut})
		if f, ok := fault.Of(err); !ok || len(f.Violations) != 1 || f.Violations[0].Field != "outcome" {
			t.Errorf("a caller says that a contact has timed out: %v", err)
		}
		w.wantOutcome(w.begin("e"), open)
		var left int
		if err := w.db.QueryRow(t.Context(), `SELECT count(*) FROM contact_open`).Scan(&left); err != nil || left != 1 {
			t.Errorf("%d contacts are kept as open, %v", left, err)
		}
	})
}

func TestTimeOutsAreSetByChannelAndGoWithTheContact(t *testing.T) {
	set := func(s *Settings) { s.ContactTimeOuts = "website=10m,call-centre=3h" }
	inBubbleWith(t, set, func(t *testing.T, w *world) {
		left, over := w.begin("a"), w.begin("b")
		if _, err := w.api().HandOverContact(w.withKey("c"), handOver(over, calls)); err != nil {
			t.Fatal(err)
		}
		w.pass(11 * time.Minute)
		w.wantOutcome(left, timedOut)
		w.wantOutcome(over, open)
		w.pass(3 * time.Hour)
		w.wantOutcome(over, timedOut)
	})
}

func TestAContactTimesOutThatWasLeftWhileTheServiceWasAway(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		id := w.begin("a")
		w.stop()
		<-time.After(10 * time.Hour)
		w.start()
		w.pass(29 * time.Minute)
		w.wantOutcome(id, open) // the clock may have been set meanwhile: it is watched first
		w.pass(2 * time.Minute)
		w.wantOutcome(id, timedOut)
	})
}

func TestAStepInTheVeryMomentKeepsTheContactAlive(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		id := w.begin("a")
		var stepped bool
		step := failure(func(_ string, events []eventlog.NewEvent) error {
			if events[0].Type != "channel.ContactEnded" || stepped {
				return nil
			}
			stepped = true
			_, err := w.api().RecordEvent(w.withKey("b"), interest(id, 0))
			return err
		})
		w.before.Store(&step)
		w.pass(31 * time.Minute)
		if got := w.types("contact-" + id); !stepped || !slices.Equal(got, []string{"ContactStarted", "InterestShown"}) {
			t.Errorf("the contact's stream: %q", got)
		}
		w.pass(30 * time.Minute)
		w.wantOutcome(id, timedOut)
	})
}

// An owner that was deposed, and does not know yet, ends contacts beside the new one.
func TestOfTwoWhoFindThatAContactTimedOutOneEndsIt(t *testing.T) {
	never := func(s *Settings) { s.ContactTimeOuts = "website=99999h" }
	inBubbleWith(t, never, func(t *testing.T, w *world) {
		ids := []string{w.begin("a"), w.begin("b"), w.begin("c")}
		began := time.Now()
		two := make([]*idle.Expirer, 2)
		for i := range two {
			two[i] = contact.Expirer(w.streams, idle.Expirer{
				DB: w.db, TimeOuts: contact.TimeOuts{website: 30 * time.Minute},
				Now: w.now, Count: func() time.Duration { return time.Since(began) },
			})
		}
		for range 32 {
			var both sync.WaitGroup
			for _, x := range two {
				both.Go(func() {
					if _, err := x.Round(t.Context()); err != nil {
						t.Error(err)
					}
				})
			}
			both.Wait()
			w.pass(time.Minute)
		}
		for _, id := range ids {
			if got := w.types("contact-" + id); !slices.Equal(got, []string{"ContactStarted", "ContactEnded"}) {
				t.Errorf("the contact's stream: %q", got)
			}
		}
	})
}

// The clock of the machine is set again and again, forward and back, and what calls
// record goes by it. No contact ends in which something happened within the
// time-out, by the time that truly passes; and once the clock is left alone all end.
func TestAClockThatIsSetEndsNoContactThatIsAlive(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			never := func(s *Settings) { s.ContactTimeOuts = "website=99999h" } // the service's own clock is not set
			inBubbleWith(t, never, func(t *testing.T, w *world) { setTheClock(t, w, rand.New(rand.NewPCG(seed, 0))) })
		})
	}
}

func setTheClock(t *testing.T, w *world, random *rand.Rand) {
	const timeOut, minutes = 30 * time.Minute, 150
	began := time.Now()
	expirer := contact.Expirer(w.streams, idle.Expirer{
		DB: w.db, TimeOuts: contact.TimeOuts{website: timeOut},
		Now:   w.now,
		Count: func() time.Duration { return time.Since(began) },
	})
	touched, ended := map[string]time.Time{}, 0
	round := func(minute int) {
		synctest.Wait()
		if _, err := expirer.Round(t.Context()); err != nil {
			t.Fatal(err)
		}
		for id, at := range touched {
			if w.look(id).GetOutcome() != timedOut {
				continue
			}
			if age := time.Since(at); age < timeOut {
				t.Errorf("minute %d: a contact has ended %s after its last step", minute, age)
			}
			delete(touched, id)
			ended++
		}
	}
	for minute := range minutes {
		w.pass(time.Minute)
		if random.IntN(15) == 0 {
			id := w.begin(fmt.Sprintf("start %d", minute))
			touched[id] = time.Now()
		}
		for _, id := range slices.Sorted(maps.Keys(touched)) {
			if random.IntN(10) == 0 {
				if _, err := w.api().RecordEvent(w.withKey(fmt.Sprintf("%s %d", id, minute)), interest(id, 0)); err != nil {
					t.Fatal(err)
				}
				touched[id] = time.Now()
			}
		}
		if random.IntN(20) == 0 {
			w.ahead.Store(random.Int64N(int64(96*time.Hour)) - int64(48*time.Hour))
		}
		round(minute)
	}
	w.ahead.Store(int64(96 * time.Hour)) // ahead of all that was recorded
	for minute := range 35 {
		w.pass(time.Minute)
		round(minutes + minute)
	}
	if len(touched) > 0 || ended == 0 {
		t.Errorf("%d contacts have ended, %d never do", ended, len(touched))
	}
}

func handOver(id string, to journeyv1.Channel) *channelv1.HandOverContactRequest {
	return &channelv1.HandOverContactRequest{ContactId: id, To: to, AgentId: "eve", Reason: "She would rather speak to somebody."}
}

func TestScenarioCH2WhoTakesAContactOverKnowsWhatHappened(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		next := make(chan string, 3)
		w.hear(sales(w, 0))
		w.hear(marketing(w, time.Millisecond, func() string { return <-next }))
		next <- "p-1"
		started, err := w.api().StartContact(w.withKey("a"), ada())
		if err != nil {
			t.Fatal(err)
		}
		id := started.GetContact().GetContactId()
		next <- "p-2"
		if _, err := w.api().RecordEvent(w.withKey("b"), interest(id, time.Second)); err != nil {
			t.Fatal(err)
		}
		next <- "p-3"
		want := &channelv1.HandOverContactResponse{
			Contact: &channelv1.Contact{
				ContactId: id, Channel: calls, State: channelv1.ContactState_CONTACT_STATE_OPEN, CustomerId: "k-1", Steps: 3, AgentId: "eve",
			},
			Customer:        started.GetCustomer(),
			NextBestActions: &channelv1.Actions{Source: decided, DecisionId: "d-p-3", Actions: decision("", "", "p-3").GetActions(), RestedOn: decision("", "", "").GetRestedOn()},
			History: []*channelv1.Step{
				{Kind: "identity-claimed", Channel: website},
				{Kind: "interest-shown", Channel: website, About: "bicycles"},
				{Kind: "handed-over", Channel: website, Reason: "She would rather speak to somebody."},
			},
		}
		for range 2 { // with one key it has one effect, and one answer
			got, err := w.api().HandOverContact(w.withKey("c"), handOver(id, calls))
			if err != nil {
				t.Fatal(err)
			}
			ignore := []cmp.Option{protocmp.Transform(), protocmp.IgnoreFields(&channelv1.Actions{}, "decided_at"), protocmp.IgnoreFields(got, "freshness")}
			if diff := cmp.Diff(want, got, ignore...); diff != "" {
				t.Error(diff)
			}
		}
		types := []string{"ContactStarted", "IdentityClaimed", "VisitorIdentified", "InterestShown", "ContactHandedOver"}
		if got := w.types("contact-" + id); !slices.Equal(got, types) {
			t.Errorf("the contact's stream: %q", got)
		}
		looked, err := w.api().GetContact(t.Context(), &channelv1.GetContactRequest{ContactId: id})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want.GetHistory(), looked.GetHistory(), protocmp.Transform()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestWhatCantBeHandedOverIsRefused(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		id := w.begin("a")
		_, err := w.api().HandOverContact(w.withKey("b"), handOver(id, website))
		wantReason(t, err, "CONTACT_IN_CHANNEL")
		_, err = w.api().HandOverContact(w.withKey("c"), handOver("nobody's", calls))
		wantReason(t, err, "CONTACT_NOT_FOUND")
		somebody := handOver(id, calls)
		somebody.Visitor = &channelv1.Visitor{CustomerId: "k-2"}
		_, err = w.api().HandOverContact(w.withKey("d"), somebody)
		wantReason(t, err, "CONTACT_OF_SOMEBODY_ELSE")
		_, err = w.api().HandOverContact(w.withKey("e"), handOver(id, 17))
		if f, ok := fault.Of(err); !ok || len(f.Violations) != 1 || f.Violations[0].Field != "to" {
			t.Errorf("handed over to nowhere: %v", err)
		}

		// Nobody knows who she is: there is no list for her, and nobody waits for one.
		got, err := w.api().HandOverContact(w.withKey("f"), handOver(id, calls))
		if err != nil {
			t.Fatal(err)
		}
		wantActions(t, got.GetNextBestActions(), none, "the visitor is not identified", "")

		if _, err := w.api().EndContact(w.withKey("g"), &channelv1.EndContactRequest{ContactId: id, Outcome: handled}); err != nil {
			t.Fatal(err)
		}
		_, err = w.api().HandOverContact(w.withKey("h"), handOver(id, website))
		wantReason(t, err, "CONTACT_ENDED")
		if n := len(w.types("contact-" + id)); n != 3 { // started, handed over, ended
			t.Errorf("%d events in the contact's stream", n)
		}
	})
}
