package decider_test

import (
	"context"
	"errors"
	"testing"

	"google.golang.org/protobuf/proto"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/eventlog/memory"
)

// A dry command decides on the stream as it was, and appends nothing.
func TestADryCommandAppendsNothing(t *testing.T) {
	s := newStreams(t, memory.Options{})
	first := mustHandle(t, s, call(t, "k1", "jazz"), "jazz")
	mustHandle(t, s, call(t, "k2", "soul"), "soul")
	then := decider.Dry(context.Background(), first.Position)

	var seen int
	decide := func(state counter) ([]proto.Message, error) {
		seen = state.Count
		return show("rock")(state)
	}
	_, err := decider.Handle(then, s, call(t, "k3", "rock"), stream, counting, decide)
	if would, ok := errors.AsType[*decider.WouldAppend](err); !ok || would.Stream != stream {
		t.Errorf("got %v, want that it would append to %s", err, stream)
	}
	if seen != 1 {
		t.Errorf("it was decided on %d events, want the one of then", seen)
	}
	nothing, err := decider.Handle(then, s, call(t, "k3", "rock"), stream, counting, show())
	if err != nil || len(nothing.Events) > 0 {
		t.Errorf("got %v %v, want nothing decided", nothing, err)
	}
	if again, err := decider.Handle(then, s, call(t, "k1", "jazz"), stream, counting, show("jazz")); err != nil || !again.Repeated {
		t.Errorf("got %v %v, want the answer that is there", again, err)
	}
	origin := call(t, "k4", "blues")
	if _, err := decider.Ensure(then, s, origin, stream, origin.NewID("event"), &channelv1.InterestShown{ContactId: "c1"}); err == nil {
		t.Error("an event was ensured")
	}
	if n := len(events(t, s, stream)); n != 2 {
		t.Errorf("the stream has %d events, want the 2 from before", n)
	}
}
