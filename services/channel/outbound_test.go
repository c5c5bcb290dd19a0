package channel

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/keyring"
)

const (
	email = journeyv1.Channel_CHANNEL_EMAIL
	print = journeyv1.Channel_CHANNEL_PRINT
)

func order(message string, channel journeyv1.Channel, customer string) *salesv1.DispatchOrdered {
	return &salesv1.DispatchOrdered{
		LeadId: "l-" + message, MessageId: message, CustomerId: customer, Channel: channel, PropositionId: "p", Content: "Buy a bicycle", Grant: "g",
	}
}

// order orders messages of the customers.
func (w *world) order(channel journeyv1.Channel, customers ...string) {
	w.t.Helper()
	for _, customer := range customers {
		w.play("lead-"+customer, "", order("m-"+customer, channel, customer))
	}
}

// messages tells where the messages stand, newest first.
func (w *world) messages(channel journeyv1.Channel) []string {
	w.t.Helper()
	told := []string{}
	for _, m := range w.list(channel) {
		state := strings.ToLower(strings.TrimPrefix(m.GetState().String(), "MESSAGE_STATE_"))
		told = append(told, strings.TrimSpace(fmt.Sprintf("%s %s %s%s", m.GetMessageId(), state, m.GetAddress(), m.GetDetail())))
	}
	return told
}

func (w *world) list(channel journeyv1.Channel) []*channelv1.Message {
	w.t.Helper()
	got, err := w.api().ListMessages(w.t.Context(), &channelv1.ListMessagesRequest{Channel: channel})
	if err != nil {
		w.t.Fatal(err)
	}
	return got.GetMessages()
}

func (w *world) wantMessages(channel journeyv1.Channel, want ...string) {
	w.t.Helper()
	if got := w.messages(channel); !slices.Equal(got, want) {
		w.t.Errorf("messages: %q, want %q", got, want)
	}
}

func TestMessagesGoOutInTheHourToWhomTheyCanReach(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.play("view-a", "", view("a", &journeyv1.Person{Phone: "+311"}))
		w.play("view-b", "", view("b", &journeyv1.Person{Email: "b@example.org"}))
		w.order(calls, "a", "b")
		w.order(email, "c")
		w.pass(time.Minute)
		w.wantMessages(0) // lead-dispatch is hourly
		w.pass(time.Hour)
		w.wantMessages(0, "m-c refused the channel does not know the customer", "m-b refused the customer has no phone number", "m-a sent +311")
		w.wantMessages(calls, "m-b refused the customer has no phone number", "m-a sent +311")
		if got := w.types("message-m-a"); !slices.Equal(got, []string{"MessageAccepted", "MessageSent"}) {
			t.Errorf("the message's stream: %q", got)
		}
		events := w.events("message-m-a")
		if events[1].Metadata.CausationID != events[0].ID.String() || events[1].Metadata.CorrelationID != events[0].Metadata.CorrelationID {
			t.Errorf("the sending does not tell its cause: %+v", events[1].Metadata)
		}
	})
}

func TestAnAddressThatChangedAfterTheOrderIsHonoured(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.play("view-a", "", view("a", &journeyv1.Person{Phone: "+311"}))
		w.play("view-b", "", view("b", &journeyv1.Person{Phone: "+312"}))
		w.set("customer-view", flows.Daily)
		w.order(calls, "a", "b")
		w.play("view-a", "", view("a", &journeyv1.Person{Phone: "+319"}))
		objects := view("b", &journeyv1.Person{Phone: "+312"})
		objects.Consent = journeyv1.Consent_CONSENT_WITHDRAWN
		w.play("view-b", "", objects)
		w.pass(time.Hour)
		// They are accepted, and wait until customer-view has passed a marker that
		// was set after that.
		w.wantMessages(0, "m-b accepted", "m-a accepted")
		w.pass(2 * time.Hour) // its window is at two
		w.wantMessages(0, "m-b refused the customer objects to being approached", "m-a sent +319")
	})
}

func TestMessagesWaitWhileTheCustomerViewIsPaused(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.play("view-a", "", view("a", &journeyv1.Person{Phone: "+311"}))
		w.set("customer-view", flows.Paused)
		w.order(calls, "a")
		w.pass(2 * time.Hour)
		w.wantMessages(0, "m-a accepted")
		w.set("customer-view", flows.RealTime)
		w.pass(2 * time.Second)
		w.wantMessages(0, "m-a sent +311")
	})
}

func TestManyMessagesGoOutInTheOrderInWhichTheyWereAccepted(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		const many = 120
		for i := range many {
			customer := fmt.Sprintf("%03d", i)
			w.play("view-"+customer, "", view(customer, &journeyv1.Person{Email: customer + "@example.org"}))
			w.order(email, customer)
		}
		w.pass(time.Hour + time.Second) // the orders come at the hour, and are looked at together
		var sent []string
		for e, err := range w.log.ReadAll(t.Context(), eventlog.Forward, nil, 0) {
			if err != nil {
				t.Fatal(err)
			}
			if e.Type == "channel.MessageSent" {
				sent = append(sent, e.Stream)
			}
		}
		if len(sent) != many || !slices.IsSorted(sent) {
			t.Errorf("%d were sent, in order: %t", len(sent), slices.IsSorted(sent))
		}
		if n := len(w.messages(email)); n != 100 {
			t.Errorf("a page holds %d", n)
		}
		markers := 0
		for _, err := range w.log.ReadStream(t.Context(), "markers-channel", eventlog.Forward, 0, 0) {
			if err != nil {
				t.Fatal(err)
			}
			markers++
		}
		if markers == 0 || markers > 10 {
			t.Errorf("%d markers are kept", markers)
		}
	})
}

// moments are where a process ends, by the event whose appending is lost.
var moments = map[string]struct {
	eventType string
	after     bool // whether the append takes effect
}{
	"before it is accepted":          {"channel.MessageAccepted", false},
	"when it is accepted":            {"channel.MessageAccepted", true},
	"before the marker is set":       {"flow.MarkerSet", false},
	"when the marker is set":         {"flow.MarkerSet", true},
	"before it is being handed over": {"channel.DeliveryBegun", false},
	"when it is being handed over":   {"channel.DeliveryBegun", true},
	"before the sending is told":     {sendingTold, false},
	"when the sending is told":       {sendingTold, true},
	"before the refusal is told":     {"channel.MessageRefused", false},
	"when the refusal is on file":    {"channel.MessageRefused", true},
}

const sendingTold = "channel.MessageSent"

// ends has a process end at a moment, and another one begin.
func (w *world) ends(eventType string, after bool) {
	w.t.Helper()
	crash := failure(func(_ string, events []eventlog.NewEvent) error {
		if events[0].Type == eventType {
			return eventlog.ErrUnavailable
		}
		return nil
	})
	at := &w.before
	if after {
		at = &w.after
	}
	at.Store(&crash)
	w.order(email, "a", "b")
	w.pass(10 * time.Second)
	w.stop()
	at.Store(nil)
	w.start()
	w.pass(time.Minute)
}

// CH-7: what is left in a folder is left once, and the folder tells so.
func TestAMessageIsSentOnceWhereverTheProcessEnds(t *testing.T) {
	for name, lost := range moments {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				w.set("lead-dispatch", flows.RealTime)
				w.play("view-a", "", view("a", &journeyv1.Person{Email: "a@example.org"}))
				w.ends(lost.eventType, lost.after)
				w.wantMessages(0, "m-b refused the channel does not know the customer", "m-a sent a@example.org")
				for stream, want := range map[string][]string{
					"message-m-a": {"MessageAccepted", "DeliveryBegun", "MessageSent"}, "message-m-b": {"MessageAccepted", "MessageRefused"},
				} {
					if got := w.types(stream); !slices.Equal(got, want) {
						t.Errorf("%s: %q", stream, got)
					}
				}
				if got := w.left(w.settings.MailFolder); !slices.Equal(got, []string{"m-a.eml"}) {
					t.Errorf("the folder holds %q", got)
				}
			})
		})
	}
}

// left is what stands in a folder.
func (w *world) left(dir string) (names []string) {
	w.t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestASenderThatFailsSaysSoUntilItWorks(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.set("lead-dispatch", flows.RealTime)
		w.play("view-a", "", view("a", &journeyv1.Person{Email: "a@example.org"}))
		away := failure(func(stream string, _ []eventlog.NewEvent) error {
			if stream == "markers-channel" {
				return eventlog.ErrUnavailable
			}
			return nil
		})
		w.before.Store(&away)
		w.order(email, "a")
		w.pass(10 * time.Second)
		if err := w.service.workers[0].Ready(t.Context()); err == nil {
			t.Error("the sender is ready, and can't send")
		}
		w.before.Store(nil)
		w.pass(time.Minute)
		if err := w.service.workers[0].Ready(t.Context()); err != nil {
			t.Error(err)
		}
		w.wantMessages(0, "m-a sent a@example.org")
	})
}

func TestAMessageThatCameBackOrIsLostIsShownSo(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.set("lead-dispatch", flows.RealTime)
		for _, customer := range []string{"a", "b"} {
			w.play("view-"+customer, "", view(customer, &journeyv1.Person{Email: customer + "@example.org"}))
		}
		w.order(email, "a", "b")
		w.pass(time.Second)
		w.play("message-m-a", "", &channelv1.MessageBounced{MessageId: "m-a", LeadId: "l", Reason: "no such mailbox"})
		w.play("message-m-b", "", &channelv1.MessageOutcomeUnknown{MessageId: "m-b", LeadId: "l", Reason: "the mail server did not answer"})
		synctest.Wait()
		w.wantMessages(0, "m-b unknown the mail server did not answer", "m-a bounced no such mailbox")
	})
}

func TestAnOrderOfNoMessageIsParked(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.set("lead-dispatch", flows.RealTime)
		w.play("lead-x", "", &salesv1.DispatchOrdered{LeadId: "x", CustomerId: "k", Channel: print})
		w.pass(time.Minute)
		if s := w.service.flows.Intake("lead-dispatch").State(); s.Parked != 1 {
			t.Errorf("%d are parked", s.Parked)
		}
	})
}

// CRM records what changes a customer, and tells the view of it in a step of its own.
func TestWhatCRMHasOnRecordCountsThoughItHasNotToldTheView(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.set("lead-dispatch", flows.RealTime)
		for _, customer := range []string{"a", "b"} {
			w.play("customer-"+customer, "", registered(customer, &journeyv1.Person{Email: "old-" + customer + "@example.org"}))
			w.play("view-"+customer, "", view(customer, &journeyv1.Person{Email: "old-" + customer + "@example.org"}))
		}
		w.play("customer-c", "", registered("c", &journeyv1.Person{Email: "c@example.org"}))
		w.play("customer-a", "", &salesv1.CustomerChanged{CustomerId: "a", Person: &journeyv1.Person{Email: "new@example.org"}})
		w.play("customer-b", "", &salesv1.ConsentChanged{CustomerId: "b", Consent: journeyv1.Consent_CONSENT_WITHDRAWN})
		w.order(email, "a", "b", "c")
		w.pass(10 * time.Second)
		w.wantMessages(0, "m-c sent c@example.org", "m-b refused the customer objects to being approached", "m-a sent new@example.org")
		if got := w.left(w.settings.MailFolder); !slices.Equal(got, []string{"m-a.eml", "m-c.eml"}) {
			t.Errorf("the folder holds %q", got)
		}
	})
}

// What came of an earlier event tells nothing new, however late it is told.
func TestALateViewTakesNothingBack(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.set("lead-dispatch", flows.RealTime)
		old := view("a", &journeyv1.Person{Email: "old@example.org"})
		w.play("customer-a", "", registered("a", old.GetPerson()))
		ordered := w.play("customer-a", "", &salesv1.OrderPlaced{CustomerId: "a", OrderId: "o"})
		moved := w.play("customer-a", "", &salesv1.CustomerChanged{CustomerId: "a", Person: &journeyv1.Person{Email: "new@example.org"}})
		w.answer("view-a", ordered, old)
		w.order(email, "a")
		w.pass(10 * time.Second)
		w.wantMessages(0, "m-a sent new@example.org")

		// The view of the move, and of what the flow did not carry: it is later than
		// all that is known.
		w.answer("view-a", moved, view("a", &journeyv1.Person{Email: "newest@example.org"}))
		w.play("lead-again", "", order("again", email, "a"))
		w.pass(10 * time.Second)
		if got := w.messages(0)[0]; got != "again sent newest@example.org" {
			t.Errorf("the message: %q", got)
		}
	})
}

func registered(customer string, person *journeyv1.Person) *salesv1.CustomerRegistered {
	return &salesv1.CustomerRegistered{CustomerId: customer, CustomerNumber: "4711", Person: person}
}

// CH-7: where a message went is on record, whatever the customer's address is now.
func TestTheListShowsWhereAMessageWent(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.set("lead-dispatch", flows.RealTime)
		w.play("view-a", "", view("a", &journeyv1.Person{Email: "old@example.org"}))
		w.order(email, "a")
		w.pass(10 * time.Second)
		w.play("customer-a", "", &salesv1.CustomerChanged{CustomerId: "a", Person: &journeyv1.Person{Email: "new@example.org"}})
		// This one is from before addresses were kept.
		w.play(
			"message-m-b", "",
			&channelv1.MessageAccepted{MessageId: "m-b", LeadId: "l", CustomerId: "a", Channel: email},
			&channelv1.MessageSent{MessageId: "m-b", LeadId: "l", CustomerId: "a", Channel: email},
		)
		synctest.Wait()
		w.wantMessages(0, "m-b sent", "m-a sent old@example.org")

		w.toldErased("a")
		w.wantMessages(0, "m-b sent", "m-a sent")
	})
}

func TestWhereAMessageWentIsKnownThoughTheProcessEndedMeanwhile(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.set("lead-dispatch", flows.RealTime)
		w.play("view-a", "", view("a", &journeyv1.Person{Email: "old@example.org"}))
		crash := failure(func(_ string, events []eventlog.NewEvent) error {
			if events[0].Type == sendingTold {
				return eventlog.ErrUnavailable
			}
			return nil
		})
		w.before.Store(&crash)
		w.order(email, "a")
		w.pass(10 * time.Second)
		w.stop()
		w.before.Store(nil)
		w.play("customer-a", "", &salesv1.CustomerChanged{CustomerId: "a", Person: &journeyv1.Person{Email: "new@example.org"}})
		w.start()
		w.pass(time.Minute)
		w.wantMessages(0, "m-a sent old@example.org")
	})
}

// The channel's own table may have an address of somebody who was erased.
func TestNothingGoesToWhoWasErased(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.set("lead-dispatch", flows.RealTime)
		for _, customer := range []string{"a", "b", "c"} {
			w.play("view-"+customer, "", view(customer, &journeyv1.Person{Email: customer + "@example.org", Phone: "+31" + customer}))
		}
		w.order(calls, "c")
		w.pass(10 * time.Second)
		for _, customer := range []string{"a", "b", "c"} {
			w.erase(customer)
		}
		w.order(email, "a")
		w.order(calls, "b")
		w.pass(10 * time.Second)
		const erased = "the customer has been erased"
		got, err := w.take("t", "m-c", "eve")
		if err != nil || got.GetDetail() != erased || got.GetAddress() != "" {
			t.Errorf("taken: %v, %v", got, err)
		}
		synctest.Wait()
		w.wantMessages(0, "m-b refused "+erased, "m-a bounced "+erased, "m-c bounced "+erased)
		if got := w.left(w.settings.MailFolder); len(got) > 0 {
			t.Errorf("the folder holds %q", got)
		}
	})
}

// erase destroys a customer's key, and nobody is told.
func (w *world) erase(customer string) {
	w.t.Helper()
	if err := w.ring.Destroy(w.t.Context(), codec.KeyName("customer", customer), keyring.Erasure{By: "test", Reason: "for the test"}); err != nil {
		w.t.Fatal(err)
	}
}
