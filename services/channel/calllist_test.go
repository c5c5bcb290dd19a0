package channel

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/fault"
)

// waiting is the call centre's list, the longest waiting first.
func (w *world) waiting() (ids []string) {
	w.t.Helper()
	got, err := w.api().ListMessages(w.t.Context(), &channelv1.ListMessagesRequest{CallState: channelv1.CallState_CALL_STATE_WAITING})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, m := range got.GetMessages() {
		ids = append(ids, m.GetMessageId()+" "+m.GetAddress())
	}
	return ids
}

func (w *world) take(key, message, agent string) (*channelv1.Message, error) {
	got, err := w.api().TakeCall(w.withKey(key), &channelv1.TakeCallRequest{MessageId: message, AgentId: agent})
	return got.GetMessage(), err
}

func (w *world) endCall(key, message, agent string, result channelv1.CallResult) (*channelv1.Message, error) {
	got, err := w.api().EndCall(w.withKey(key), &channelv1.EndCallRequest{MessageId: message, AgentId: agent, Result: result})
	return got.GetMessage(), err
}

// callers have the customers stand on the list, each with a number.
func (w *world) callers(customers ...string) {
	w.t.Helper()
	w.set("lead-dispatch", flows.RealTime)
	for _, customer := range customers {
		w.play("view-"+customer, "", view(customer, &journeyv1.Person{Phone: "+31" + customer}))
	}
	w.order(calls, customers...)
	w.pass(time.Minute)
}

// CH-7: the call centre's messages are a work list.
func TestAgentsTakeCallsOffTheListAndTellWhatCameOfThem(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.callers("1", "2", "3")
		if got, want := w.waiting(), []string{"m-1 +311", "m-2 +312", "m-3 +313"}; !slices.Equal(got, want) {
			t.Fatalf("the list is %q, want %q", got, want)
		}
		taken, err := w.take("k1", "m-1", "eve")
		if err != nil || taken.GetAddress() != "+311" || taken.GetContent() != "Buy a bicycle" || taken.GetCallState() != channelv1.CallState_CALL_STATE_TAKEN {
			t.Errorf("eve was told %v, %v", taken, err)
		}
		if _, err := w.take("k2", "m-1", "bob"); reasonOf(err) != "CALL_TAKEN" {
			t.Errorf("bob was told %v", err)
		}
		if _, err := w.take("k3", "m-2", "bob"); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if got := w.waiting(); !slices.Equal(got, []string{"m-3 +313"}) {
			t.Errorf("the list is %q", got)
		}
		for range 2 { // a call that is repeated gets the first answer
			if m, err := w.endCall("k4", "m-1", "eve", channelv1.CallResult_CALL_RESULT_REACHED); err != nil || m.GetCallState() != channelv1.CallState_CALL_STATE_REACHED {
				t.Errorf("%v, %v", m, err)
			}
		}
		if m, err := w.endCall("k5", "m-2", "bob", channelv1.CallResult_CALL_RESULT_NOT_REACHED); err != nil || m.GetState() != channelv1.MessageState_MESSAGE_STATE_BOUNCED {
			t.Errorf("%v, %v", m, err)
		}
		if _, err := w.endCall("k6", "m-2", "bob", channelv1.CallResult_CALL_RESULT_REACHED); reasonOf(err) != "CALL_ENDED" {
			t.Errorf("told twice: %v", err)
		}
		if _, err := w.endCall("k7", "m-3", "eve", channelv1.CallResult_CALL_RESULT_REACHED); reasonOf(err) != "CALL_NOT_TAKEN" {
			t.Errorf("never taken: %v", err)
		}
		synctest.Wait()
		w.wantMessages(calls, "m-3 sent +313", "m-2 bounced the customer was not reached", "m-1 sent +311")
		for _, m := range w.list(calls) {
			want := map[string]channelv1.CallState{
				"m-1": channelv1.CallState_CALL_STATE_REACHED, "m-2": channelv1.CallState_CALL_STATE_NOT_REACHED, "m-3": channelv1.CallState_CALL_STATE_WAITING,
			}[m.GetMessageId()]
			if m.GetCallState() != want {
				t.Errorf("%s is %s, want %s", m.GetMessageId(), m.GetCallState(), want)
			}
		}
	})
}

func reasonOf(err error) string {
	f, ok := fault.Of(err)
	if !ok {
		return ""
	}
	return f.Reason
}

// Whoever objects between the sending and the call is not called.
func TestWhoObjectsIsTakenOffTheListInsteadOfCalled(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.callers("1")
		objects := view("1", &journeyv1.Person{Phone: "+311"})
		objects.Consent = journeyv1.Consent_CONSENT_WITHDRAWN
		w.play("view-1", "", objects)
		synctest.Wait()
		m, err := w.take("k", "m-1", "eve")
		if err != nil || m.GetState() != channelv1.MessageState_MESSAGE_STATE_BOUNCED || m.GetAddress() != "" {
			t.Errorf("eve was told %v, %v", m, err)
		}
		synctest.Wait()
		w.wantMessages(calls, "m-1 bounced the customer objects to being approached")
		if got := w.waiting(); len(got) != 0 {
			t.Errorf("the list is %q", got)
		}
	})
}

func TestACallIsOneAgentsHoweverManyAskAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.callers("1")
		var agents sync.WaitGroup
		var mu sync.Mutex
		won := 0
		for i := range 16 {
			agents.Go(func() {
				_, err := w.take(fmt.Sprint("k", i), "m-1", fmt.Sprint("agent ", i))
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					won++
				case reasonOf(err) != "CALL_TAKEN":
					t.Error(err)
				}
			})
		}
		agents.Wait()
		if won != 1 {
			t.Errorf("%d agents have the call", won)
		}
		if got := w.types("message-m-1"); !slices.Equal(got, []string{"MessageAccepted", "MessageSent", "CallTaken"}) {
			t.Errorf("the stream: %q", got)
		}
	})
}

// An agent calls the number of when the call is taken, and it is that one which is
// on record.
func TestACallGoesToTheNumberOfWhenItIsTaken(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.callers("1")
		renumber := func(number string) {
			w.play("customer-1", "", &salesv1.CustomerChanged{CustomerId: "1", Person: &journeyv1.Person{Phone: number}})
			synctest.Wait()
		}
		renumber("+319")
		w.wantMessages(calls, "m-1 sent +311") // nobody has called her
		if m, err := w.take("k", "m-1", "eve"); err != nil || m.GetAddress() != "+319" {
			t.Errorf("eve was told %v, %v", m, err)
		}
		renumber("+318")
		w.wantMessages(calls, "m-1 sent +319")
		if m, err := w.endCall("l", "m-1", "eve", channelv1.CallResult_CALL_RESULT_REACHED); err != nil || m.GetAddress() != "+319" {
			t.Errorf("%v, %v", m, err)
		}
	})
}

func (w *world) giveBack(key, message, agent, reason string) (*channelv1.Message, error) {
	got, err := w.api().GiveBackCall(w.withKey(key), &channelv1.GiveBackCallRequest{MessageId: message, AgentId: agent, Reason: reason})
	return got.GetMessage(), err
}

// CH-7: a call that its agent does not make is another one's, at its old place.
func TestACallThatIsGivenBackIsAnotherAgents(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.callers("1", "2")
		if _, err := w.take("k1", "m-1", "eve"); err != nil {
			t.Fatal(err)
		}
		if _, err := w.giveBack("k2", "m-1", "bob", "mine"); reasonOf(err) != "CALL_TAKEN" {
			t.Errorf("bob gives back what eve has: %v", err)
		}
		if _, err := w.giveBack("k3", "m-2", "eve", "no time"); reasonOf(err) != "CALL_NOT_TAKEN" {
			t.Errorf("eve gives back what nobody has: %v", err)
		}
		if _, err := w.giveBack("k4", "m-1", "eve", " "); err == nil {
			t.Error("eve gives it back and says nothing")
		}
		for _, key := range []string{"k5", "k5", "k6"} { // said again, with its key or another one, it is given back once
			m, err := w.giveBack(key, "m-1", "eve", "She speaks French only.")
			if err != nil || m.GetCallState() != channelv1.CallState_CALL_STATE_WAITING || m.GetAgentId() != "" {
				t.Errorf("%v, %v", m, err)
			}
		}
		synctest.Wait()
		if got := w.waiting(); !slices.Equal(got, []string{"m-1 +311", "m-2 +312"}) {
			t.Errorf("the list is %q", got)
		}
		if m, err := w.take("k7", "m-1", "bob"); err != nil || m.GetReturnedBecause() != "She speaks French only." || m.GetAgentId() != "bob" {
			t.Errorf("bob was told %v, %v", m, err)
		}
		if m, err := w.endCall("k8", "m-1", "bob", channelv1.CallResult_CALL_RESULT_REACHED); err != nil || m.GetCallState() != channelv1.CallState_CALL_STATE_REACHED {
			t.Errorf("%v, %v", m, err)
		}
		if _, err := w.giveBack("k9", "m-1", "bob", "too late"); reasonOf(err) != "CALL_ENDED" {
			t.Errorf("given back when it was over: %v", err)
		}
		if got := w.types("message-m-1"); !slices.Equal(got, []string{"MessageAccepted", "MessageSent", "CallTaken", "CallReturned", "CallTaken", "CallEnded"}) {
			t.Errorf("the stream: %q", got)
		}

		// The agent's words are the customer's, and go with them.
		if _, err := w.take("l1", "m-2", "eve"); err != nil {
			t.Fatal(err)
		}
		w.toldErased("2")
		if m, err := w.giveBack("l2", "m-2", "eve", "She asked to be forgotten."); err != nil || m.GetReturnedBecause() != "" {
			t.Errorf("%v, %v", m, err)
		}
		w.toldErased("1")
		for _, m := range w.list(calls) {
			if m.GetReturnedBecause() != "" || m.GetAddress() != "" {
				t.Errorf("who was erased is shown: %v", m)
			}
		}
	})
}

func TestACallThatItsAgentForgetsGoesBackToTheList(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.callers("1", "2")
		w.pass(time.Hour) // for which nobody wants them: that is no matter
		for _, message := range []string{"m-1", "m-2"} {
			if _, err := w.take("take-"+message, message, "eve"); err != nil {
				t.Fatal(err)
			}
		}
		w.pass(29 * time.Minute)
		if _, err := w.endCall("k1", "m-2", "eve", channelv1.CallResult_CALL_RESULT_REACHED); err != nil {
			t.Error(err)
		}
		if got := w.waiting(); len(got) > 0 {
			t.Errorf("too early: %q", got)
		}
		w.pass(2 * time.Minute)
		if got := w.waiting(); !slices.Equal(got, []string{"m-1 +311"}) {
			t.Errorf("the list is %q", got)
		}
		events := w.events("message-m-1")
		took, returned := events[len(events)-2], events[len(events)-1]
		if returned.Metadata.CausationID != took.ID.String() || returned.Metadata.CorrelationID != took.Metadata.CorrelationID {
			t.Errorf("it does not tell its cause: %+v", returned.Metadata)
		}
		at := returned.Message.(*channelv1.CallReturned).GetReturnedAt().AsTime() //nolint:forcetypeassert // a test
		if want := took.Metadata.Time.Add(30 * time.Minute); !at.Equal(want) {
			t.Errorf("it came back at %s, want %s", at, want)
		}
		_, err := w.endCall("k2", "m-1", "eve", channelv1.CallResult_CALL_RESULT_REACHED)
		if f, ok := fault.Of(err); !ok || f.Reason != "CALL_NOT_TAKEN" || f.Message != "the call has gone back to the list: take it again first" {
			t.Errorf("eve ends it after all: %v", err)
		}

		// Whoever takes it next has as much time, and may come to forget it, too.
		if m, err := w.take("k3", "m-1", "bob"); err != nil || m.GetReturnedBecause() != "its agent did not end it in time" {
			t.Errorf("bob was told %v, %v", m, err)
		}
		w.pass(29 * time.Minute)
		if got := w.waiting(); len(got) > 0 {
			t.Errorf("bob has it: %q", got)
		}
		w.pass(2 * time.Minute)
		if _, err := w.take("k4", "m-1", "eve"); err != nil {
			t.Error(err)
		}
		w.stop()
		<-time.After(10 * time.Hour)
		w.start()
		w.pass(31 * time.Minute) // the clock is watched first
		if got := w.waiting(); !slices.Equal(got, []string{"m-1 +311"}) {
			t.Errorf("the list is %q", got)
		}
		var left int
		if err := w.db.QueryRow(t.Context(), `SELECT count(*) FROM message_on_list`).Scan(&left); err != nil || left != 1 {
			t.Errorf("%d calls are kept as on the list, %v", left, err)
		}
	})
}

func TestACallThatIsEndedInTheVeryMomentIsEnded(t *testing.T) {
	set := func(s *Settings) { s.CallTimeOut = "2h" }
	inBubbleWith(t, set, func(t *testing.T, w *world) {
		w.callers("1")
		w.pass(time.Hour)
		if _, err := w.take("k1", "m-1", "eve"); err != nil {
			t.Fatal(err)
		}
		var told atomic.Bool
		end := failure(func(_ string, events []eventlog.NewEvent) error {
			if events[0].Type != "channel.CallReturned" || told.Swap(true) {
				return nil
			}
			_, err := w.endCall("k2", "m-1", "eve", channelv1.CallResult_CALL_RESULT_REACHED)
			return err
		})
		w.before.Store(&end)
		w.pass(119 * time.Minute)
		if told.Load() {
			t.Error("too early")
		}
		w.pass(2 * time.Minute)
		if got := w.types("message-m-1"); !told.Load() || !slices.Equal(got, []string{"MessageAccepted", "MessageSent", "CallTaken", "CallEnded"}) {
			t.Errorf("the stream: %q", got)
		}
	})
}
