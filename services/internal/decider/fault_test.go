package decider_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/eventlog/memory"
)

var errLost = fmt.Errorf("connection reset: %w", eventlog.ErrUnavailable)

// failing returns a hook that fails the first n times.
func failing(n int, with error) func(string, []eventlog.NewEvent) error {
	return func(string, []eventlog.NewEvent) error {
		if n--; n >= 0 {
			return with
		}
		return nil
	}
}

func TestAnAppendWhoseAnswerGotLostIsFound(t *testing.T) {
	s := newStreams(t, memory.Options{AfterAppend: failing(1, errLost)})
	outcome := mustHandle(t, s, call(t, "k1", ""), "loans")
	if !outcome.Repeated || outcome.State.Count != 1 || outcome.Position == (eventlog.Position{}) {
		t.Errorf("outcome %+v, want the answer that the stream has", outcome)
	}
	if n := len(events(t, s, stream)); n != 1 {
		t.Errorf("%d events, want 1", n)
	}
}

func TestAnAppendThatGotLostIsMadeAgain(t *testing.T) {
	s := newStreams(t, memory.Options{BeforeAppend: failing(2, errLost)})
	if outcome := mustHandle(t, s, call(t, "k1", ""), "loans"); outcome.Repeated || outcome.State.Count != 1 {
		t.Errorf("outcome %+v, want a first answer", outcome)
	}
}

func TestAStoreThatStaysAwayIsAnError(t *testing.T) {
	attempts := 0
	s := newStreams(t, memory.Options{BeforeAppend: func(string, []eventlog.NewEvent) error {
		attempts++
		return errLost
	}})
	if _, err := handle(s, call(t, "k1", ""), "loans"); !errors.Is(err, eventlog.ErrUnavailable) {
		t.Errorf("Handle: %v, want ErrUnavailable", err)
	}
	if attempts != 3 {
		t.Errorf("%d appends, want 3", attempts)
	}
}

// The process dies between the append and the answer; the caller asks again.
func TestARetryAfterACrashGetsTheFirstAnswer(t *testing.T) {
	ctx, crash := context.WithCancel(context.Background())
	s := newStreams(t, memory.Options{AfterAppend: func(string, []eventlog.NewEvent) error {
		crash()
		return context.Canceled
	}})
	_, err := decider.Handle(ctx, s, call(t, "k1", ""), stream, counting, show("loans"))
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("Handle: %v, want context.Canceled", err)
	}
	outcome := mustHandle(t, s, call(t, "k1", ""), "loans")
	if !outcome.Repeated || outcome.State.Count != 1 {
		t.Errorf("outcome %+v, want the first answer", outcome)
	}
}

// A lost append may also have lost the race: then the answer is decided anew.
func TestALostAppendThatLostTheRaceIsDecidedAnew(t *testing.T) {
	var s *decider.Streams
	first := true
	s = newStreams(t, memory.Options{BeforeAppend: func(_ string, appending []eventlog.NewEvent) error {
		if !first || isRival(appending) {
			return nil
		}
		first = false
		_, err := s.Log.Append(context.Background(), stream, eventlog.Any, rival(t, s, 1))
		return errors.Join(err, errLost)
	}})
	outcome := mustHandle(t, s, call(t, "k1", ""), "loans")
	if got := outcome.Events[0].(*channelv1.InterestShown).GetKind(); got != "1" || outcome.Repeated {
		t.Errorf("decided on a state of %s events, want 1", got)
	}
}

func TestAnErrorThatIsCertainIsNotTriedAgain(t *testing.T) {
	for _, certain := range []error{eventlog.ErrTombstoned, eventlog.ErrTooLarge, eventlog.ErrClosed} {
		attempts := 0
		s := newStreams(t, memory.Options{BeforeAppend: func(string, []eventlog.NewEvent) error {
			attempts++
			return certain
		}})
		if _, err := handle(s, call(t, "k1", ""), "loans"); !errors.Is(err, certain) || attempts != 1 {
			t.Errorf("Handle: %v after %d appends, want %v after 1", err, attempts, certain)
		}
	}
}

func TestARaceThatIsAlwaysLostEnds(t *testing.T) {
	s := newStreams(t, memory.Options{BeforeAppend: func(string, []eventlog.NewEvent) error { return eventlog.ErrWrongRevision }})
	if _, err := handle(s, call(t, "k1", ""), "loans"); !errors.Is(err, decider.ErrContended) {
		t.Errorf("Handle: %v, want ErrContended", err)
	}
}

func TestARaceEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	races := 0
	s := newStreams(t, memory.Options{BeforeAppend: func(string, []eventlog.NewEvent) error {
		if races++; races == 5 {
			cancel()
		}
		return eventlog.ErrWrongRevision
	}})
	_, err := decider.Handle(ctx, s, call(t, "k1", ""), stream, counting, show("loans"))
	if !errors.Is(err, context.Canceled) || races != 5 {
		t.Errorf("Handle: %v after %d races, want context.Canceled after 5", err, races)
	}
}

func TestEnsureWritesAnEventOnce(t *testing.T) {
	ctx := context.Background()
	s := newStreams(t, memory.Options{AfterAppend: failing(1, errLost)})
	if _, err := s.Log.Append(ctx, "flow-contacts", eventlog.NoStream, foreign); err != nil && !errors.Is(err, errLost) {
		t.Fatal(err)
	}
	origin := decider.Origin{Key: "outbox:1", Service: "sales", Time: noon}
	closed := &flowv1.EpochClosed{Flow: "contacts", Epoch: 1}
	id := origin.NewID("epoch-closed")

	first, err := decider.Ensure(ctx, s, origin, "flow-contacts", id, closed)
	if err != nil || first.Repeated || first.Revision != 1 || first.Position == (eventlog.Position{}) {
		t.Fatalf("the first time: %+v, %v", first, err)
	}
	again, err := decider.Ensure(ctx, s, origin, "flow-contacts", id, closed)
	want := first
	want.Repeated = true
	if err != nil || again != want {
		t.Errorf("again: %+v, %v; want %+v", again, err, want)
	}
	other, err := decider.Ensure(ctx, s, origin, "flow-contacts", origin.NewID("another"), closed)
	if err != nil || other.Repeated || other.Revision != 2 {
		t.Errorf("another id: %+v, %v", other, err)
	}
}

func TestEnsureFindsAnAppendWhoseAnswerGotLost(t *testing.T) {
	s := newStreams(t, memory.Options{AfterAppend: failing(1, errLost)})
	origin := decider.Origin{Key: "outbox:1", Service: "sales", Time: noon}
	got, err := decider.Ensure(context.Background(), s, origin, "flow-contacts", uuid.Max, &flowv1.MarkerSet{Purpose: "p"})
	if err != nil || !got.Repeated || got.Revision != 0 {
		t.Errorf("Ensure: %+v, %v", got, err)
	}
	if n := len(events(t, s, "flow-contacts")); n != 1 {
		t.Errorf("%d events, want 1", n)
	}
}

// Whatever is lost, and however often a command is sent: each origin has its
// events in the stream once, decided on the state at that place.
func TestEachOriginIsAnsweredOnceWhateverFails(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		fate := rapid.SampledFrom([]string{"", "", "before", "after", "rival"})
		rivals := 0
		var s *decider.Streams
		s = newStreams(t, memory.Options{
			BeforeAppend: func(_ string, appending []eventlog.NewEvent) error {
				if isRival(appending) {
					return nil
				}
				switch fate.Draw(rt, "fate before") {
				case "before":
					return errLost
				case "rival":
					rivals++
					_, err := s.Log.Append(context.Background(), stream, eventlog.Any, rival(t, s, rivals))
					return err
				}
				return nil
			},
			AfterAppend: func(_ string, appending []eventlog.NewEvent) error {
				if !isRival(appending) && fate.Draw(rt, "fate after") == "after" {
					return errLost
				}
				return nil
			},
		})
		answered := map[string]decider.Outcome[counter]{}
		for range rapid.IntRange(1, 12).Draw(rt, "commands") {
			key := rapid.SampledFrom([]string{"k1", "k2", "k3", "k4"}).Draw(rt, "key")
			outcome, err := handle(s, call(t, key, ""), key, key)
			if err != nil {
				if !errors.Is(err, errLost) {
					rt.Fatalf("%s: %v", key, err)
				}
				continue // the caller will try again, or not
			}
			first, again := answered[key]
			if again && (!outcome.Repeated || !sameEvents(first.Events, outcome.Events) || first.Position != outcome.Position) {
				rt.Fatalf("%s was answered %v, then %v", key, first, outcome)
			}
			answered[key] = outcome
		}
		checkLog(t, rt, s, answered)
	})
}

func sameEvents(a, b []proto.Message) bool {
	for i := range a {
		if len(a) != len(b) || !proto.Equal(a[i], b[i]) {
			return false
		}
	}
	return len(a) == len(b)
}

func checkLog(t *testing.T, rt *rapid.T, s *decider.Streams, answered map[string]decider.Outcome[counter]) {
	if _, version, err := decider.Load(context.Background(), s, stream, counting); err != nil || !version.Exists {
		if err != nil || len(answered) > 0 {
			rt.Fatalf("Load: %+v, %v", version, err)
		}
		return
	}
	count := map[string]int{}
	for i, event := range events(t, s, stream) {
		shown := event.Message.(*channelv1.InterestShown)
		count[shown.GetTopic()]++
		if shown.GetTopic() != "rival" && shown.GetKind() != fmt.Sprint(i) {
			rt.Fatalf("event %d was decided on a state of %s events", i, shown.GetKind())
		}
	}
	for key, n := range count {
		if key != "rival" && n != 2 {
			rt.Fatalf("%s has %d events, want 2", key, n)
		}
	}
	for key := range answered {
		if count[key] != 2 {
			rt.Fatalf("%s was answered, and has %d events", key, count[key])
		}
	}
}
