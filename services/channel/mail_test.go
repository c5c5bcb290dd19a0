package channel

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	"github.com/triangle-suite/triangle/services/channel/internal/outbound"
	"github.com/triangle-suite/triangle/services/channel/internal/outbound/mailtest"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

// to has e-mail go to a mail server of a test.
func to(server *mailtest.Server) func(*Settings) {
	return func(s *Settings) {
		s.MailFolder = ""
		s.Mail = &outbound.SMTP{Host: server.Host(), Port: server.Port(), From: "service@example.com", AnswerWithin: 100 * time.Millisecond}
	}
}

// CH-7: a mail server can't be asked. What may have left is told to be unknown, and
// is not sent again.
func TestAMailIsSentAtMostOnceWhereverTheProcessEnds(t *testing.T) {
	for name, lost := range moments {
		t.Run(name, func(t *testing.T) {
			server := mailtest.Start(t, nil)
			inBubbleWith(t, to(server), func(t *testing.T, w *world) {
				w.set("lead-dispatch", flows.RealTime)
				w.play("view-a", "", view("a", &journeyv1.Person{Email: "a@example.org"}))
				w.ends(lost.eventType, lost.after)
				want := "m-a sent a@example.org"
				if lost.eventType == sendingTold && !lost.after {
					want = "m-a unknown the channel was interrupted while it handed the message over"
				}
				w.wantMessages(0, "m-b refused the channel does not know the customer", want)
				if n := server.Total(); n != 1 {
					t.Errorf("%d mails arrived", n)
				}
			})
		})
	}
}

func TestAMailServerThatIsAwayIsWaitedForWhileOthersAreCalled(t *testing.T) {
	server := mailtest.Start(t, nil)
	inBubbleWith(t, to(server), func(t *testing.T, w *world) {
		w.set("lead-dispatch", flows.RealTime)
		w.play("view-a", "", view("a", &journeyv1.Person{Email: "a@example.org", Phone: "+311"}))
		w.play("view-b", "", view("b", &journeyv1.Person{Email: "b@example.org", Phone: "+312"}))
		server.Down()
		w.order(email, "a")
		w.pass(time.Minute)
		w.order(calls, "b")
		w.pass(time.Hour)
		w.wantMessages(0, "m-b sent +312", "m-a accepted")
		if err := w.service.workers[0].Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "mail server") {
			t.Errorf("the worker says %v", err)
		}
		if got := w.types("message-m-a"); !slices.Equal(got, []string{"MessageAccepted"}) {
			t.Errorf("what never left is told to be leaving: %q", got)
		}
		w.play("view-a", "", view("a", &journeyv1.Person{Email: "ada@example.org"}))
		server.Up()
		w.pass(time.Minute)
		w.wantMessages(email, "m-a sent ada@example.org")
		if len(server.Taken("a@example.org")) != 0 || len(server.Taken("ada@example.org")) != 1 {
			t.Error("the mail did not go to where the customer is now")
		}
		if err := w.service.workers[0].Ready(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestAMailThatIsNeverTakenComesBack(t *testing.T) {
	server := mailtest.Start(t, func(address string, _ int) mailtest.Fault {
		if strings.HasPrefix(address, "full") {
			return mailtest.MailLater
		}
		return mailtest.NoTime
	})
	inBubbleWith(t, to(server), func(t *testing.T, w *world) {
		w.set("lead-dispatch", flows.RealTime)
		w.play("view-a", "", view("a", &journeyv1.Person{Email: "a@example.org"}))
		w.play("view-b", "", view("b", &journeyv1.Person{Email: "full@example.org"}))
		w.order(email, "a", "b")
		w.pass(time.Hour)
		w.wantMessages(0, "m-b accepted", "m-a accepted")
		// It is tried more and more rarely: after 1, 3, 7, 15 and 31 minutes.
		if n := len(server.Struck("a@example.org")); n != 6 {
			t.Errorf("it was tried %d times within the hour", n)
		}
		if got := w.types("message-m-b"); !slices.Equal(got[:3], []string{"MessageAccepted", "DeliveryBegun", "DeliveryPostponed"}) || len(got) != 13 {
			t.Errorf("the stream: %q", got)
		}
		w.stop()
		w.pass(6 * 24 * time.Hour)
		w.start()
		w.pass(time.Minute / 2)
		w.wantMessages(0, "m-b accepted", "m-a accepted") // to try once is not to wait in vain
		w.pass(time.Hour)
		w.wantMessages(0,
			"m-b bounced it was not taken within 5 days: the mail server does not take the mail for now: 452 4.3.1",
			"m-a bounced it was not taken within 5 days: the mail server does not take the address for now: 450 4.2.0")
	})
}

// faulty makes a mail server go wrong by a seed, and the store as well. Each of the
// two draws for itself, as they take turns in no fixed order.
type faulty struct {
	mu     sync.Mutex
	random *rand.Rand
	left   int // of the store's failures
}

func (f *faulty) strike(string, int) mailtest.Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.random.IntN(2) == 0 {
		return mailtest.None
	}
	return mailtest.Fault(f.random.IntN(int(mailtest.Faults)))
}

func (f *faulty) fail(stream string, _ []eventlog.NewEvent) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.left == 0 || !strings.HasPrefix(stream, "message-") || f.random.IntN(4) != 0 {
		return nil
	}
	f.left--
	return eventlog.ErrUnavailable
}

// Whatever goes wrong with the mail server, the store and the process: a message
// that is told to be sent has arrived once, one that came back or was refused has
// not, and only of those that nobody can tell of some have.
func TestWhatIsToldOfAMailIsWhatArrived(t *testing.T) {
	const seeds, customers = 12, 12
	told := map[string]int{}
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			mail := &faulty{random: rand.New(rand.NewPCG(seed, 1))}
			store := failure((&faulty{random: rand.New(rand.NewPCG(seed, 2)), left: 40}).fail)
			server := mailtest.Start(t, mail.strike)
			inBubbleWith(t, to(server), func(t *testing.T, w *world) {
				w.set("lead-dispatch", flows.RealTime)
				at := &w.before
				if seed%2 == 1 {
					at = &w.after
				}
				at.Store(&store)
				for i := range customers {
					customer := fmt.Sprintf("%02d", i)
					w.play("view-"+customer, "", view(customer, &journeyv1.Person{Email: customer + "@example.org"}))
					w.order(email, customer)
				}
				for i := range 4 {
					w.pass(time.Duration(1+i*int(seed)) * time.Second)
					w.stop()
					w.start()
				}
				w.pass(2 * time.Hour)
				for _, m := range w.list(email) {
					address := strings.TrimPrefix(m.GetMessageId(), "m-") + "@example.org"
					checkTold(t, m, server.Struck(address), len(server.Taken(address)))
					told[m.GetState().String()]++
				}
			})
		})
	}
	for _, state := range []channelv1.MessageState{
		channelv1.MessageState_MESSAGE_STATE_SENT, channelv1.MessageState_MESSAGE_STATE_BOUNCED, channelv1.MessageState_MESSAGE_STATE_UNKNOWN,
	} {
		if told[state.String()] == 0 {
			t.Errorf("none of them is %s: the test shows nothing of it", state)
		}
	}
	t.Logf("of %d messages: %v", seeds*customers, told)
}

func checkTold(t *testing.T, m *channelv1.Message, struck []mailtest.Fault, arrived int) {
	t.Helper()
	ok := false
	switch m.GetState() {
	case channelv1.MessageState_MESSAGE_STATE_SENT:
		ok = arrived == 1
	case channelv1.MessageState_MESSAGE_STATE_BOUNCED:
		ok = arrived == 0
	case channelv1.MessageState_MESSAGE_STATE_UNKNOWN:
		ok = arrived <= 1
	}
	if !ok {
		t.Errorf("%s is %s (%s), and %d arrived; the server: %v", m.GetMessageId(), m.GetState(), m.GetDetail(), arrived, struck)
	}
}
