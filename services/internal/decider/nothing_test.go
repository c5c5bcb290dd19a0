package decider_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/eventlog/memory"
)

// causeOf is the n-th event that a handler reacts to.
func causeOf(n byte) codec.Event {
	cause := codec.Event{Message: &channelv1.InterestShown{}}
	cause.ID, cause.Position = uuid.UUID{n}, eventlog.Position{Commit: uint64(n), Prepare: uint64(n)}
	return cause
}

func reaction(n byte) decider.Origin {
	return decider.CauseOrigin(flows.Sales, "follow", causeOf(n), noon)
}

// unlessShown shows a topic, unless one was shown before.
func unlessShown(topic string) func(counter) ([]proto.Message, error) {
	return func(state counter) ([]proto.Message, error) {
		if state.Count > 0 {
			return nil, nil
		}
		return show(topic)(state)
	}
}

func decide(t *testing.T, s *decider.Streams, origin decider.Origin, with func(counter) ([]proto.Message, error)) decider.Outcome[counter] {
	t.Helper()
	outcome, err := decider.Handle(context.Background(), s, origin, stream, counting, with)
	if err != nil {
		t.Fatal(err)
	}
	return outcome
}

func typesOf(t *testing.T, s *decider.Streams) (types []string) {
	t.Helper()
	for _, e := range events(t, s, stream) {
		types = append(types, e.Type)
	}
	return types
}

// A reaction's decision to do nothing is an answer: it is on record once, and
// stands whatever happens after it.
func TestAReactionThatDecidesNothingIsOnRecord(t *testing.T) {
	s := newStreams(t, memory.Options{})
	mustHandle(t, s, call(t, "k1", ""), "jazz")
	first := decide(t, s, reaction(1), unlessShown("soul"))
	if first.Repeated || len(first.Events) > 0 || len(first.IDs) > 0 || first.Position != (eventlog.Position{}) {
		t.Errorf("got %+v, want no events and nothing to wait for", first)
	}
	if want := (decider.Version{Exists: true, Revision: 1}); first.Version != want {
		t.Errorf("version %+v, want %+v", first.Version, want)
	}
	record := events(t, s, stream)[1]
	want := &flowv1.NothingDecided{Handler: "follow", CauseId: causeOf(1).ID.String()}
	if !proto.Equal(record.Message, want) {
		t.Errorf("the record says %v, want %v", record.Message, want)
	}
	md := record.Metadata
	if md.Origin != reaction(1).Key || md.CausationID != causeOf(1).ID.String() || md.CausePosition != causeOf(1).Position || md.Subject != stream {
		t.Errorf("the record has the metadata of no answer: %+v", md)
	}

	mustHandle(t, s, call(t, "k2", ""), "rock")
	again := decide(t, s, reaction(1), show("soul")) // by now there would be something to do
	if !again.Repeated || len(again.Events) > 0 || again.Position != (eventlog.Position{}) {
		t.Errorf("got %+v, want the first answer", again)
	}
	if !slices.Equal(again.State.Topics, []string{"jazz", "rock"}) || again.Version.Revision != 2 {
		t.Errorf("state %v at %+v, want the stream as it is, without the record", again.State.Topics, again.Version)
	}
	if got, want := typesOf(t, s), []string{"channel.InterestShown", "flow.NothingDecided", "channel.InterestShown"}; !slices.Equal(got, want) {
		t.Errorf("the stream has %v, want %v", got, want)
	}
}

// The record makes a stream, and nothing in it: whoever comes next finds the
// state of a stream without events.
func TestTheRecordOfNothingMakesNoState(t *testing.T) {
	s := newStreams(t, memory.Options{})
	decide(t, s, reaction(1), show())
	evolved := decider.Decider[int]{
		Initial: func() int { return 0 },
		Evolve:  func(n int, _ proto.Message) int { return n + 1 },
	}
	n, version, err := decider.Load(context.Background(), s, stream, evolved)
	if err != nil || n != 0 || version != (decider.Version{Exists: true}) {
		t.Errorf("got %d events at %+v (%v), want none at revision 0", n, version, err)
	}
	if made := decide(t, s, reaction(2), unlessShown("soul")); made.State.Count != 1 || made.Version.Revision != 1 {
		t.Errorf("got %+v, want a first event behind the record", made)
	}
}

// Neither a call nor a step on the way to an answer is an answer.
func TestOnlyAReactionsAnswerIsOnRecordAsNothing(t *testing.T) {
	s := newStreams(t, memory.Options{})
	mustHandle(t, s, call(t, "k1", ""), "jazz")
	for name, origin := range map[string]decider.Origin{"a call": call(t, "k2", ""), "a step": reaction(1).Step()} {
		outcome := decide(t, s, origin, unlessShown("soul"))
		if outcome.Repeated || outcome.Version.Revision != 0 {
			t.Errorf("%s that decides nothing comes to %+v", name, outcome)
		}
	}
	if n := len(events(t, s, stream)); n != 1 {
		t.Errorf("the stream has %d events, want the one from before", n)
	}
	if a, b := reaction(1).Step(), reaction(1); a.Key != b.Key || a.NewID("customer") != b.NewID("customer") {
		t.Error("a step is not found by its cause")
	}
}

// Whoever was first decides what there is to do, and an append that got lost is
// looked for.
func TestNothingIsDecidedOnTheStateThatItStandsOn(t *testing.T) {
	for name, fate := range map[string]struct {
		rival, lost bool
		want        []string
	}{
		"a rival is first":                  {rival: true, want: []string{"channel.InterestShown", "flow.NothingDecided"}},
		"the answer of the store gets lost": {lost: true, want: []string{"flow.NothingDecided"}},
	} {
		t.Run(name, func(t *testing.T) {
			var s *decider.Streams
			failed := false
			s = newStreams(t, memory.Options{
				BeforeAppend: func(_ string, appending []eventlog.NewEvent) error {
					if fate.rival && !failed && !isRival(appending) {
						failed = true
						_, err := s.Log.Append(context.Background(), stream, eventlog.Any, rival(t, s, 1))
						return err
					}
					return nil
				},
				AfterAppend: func(string, []eventlog.NewEvent) error {
					if fate.lost && !failed {
						failed = true
						return errLost
					}
					return nil
				},
			})
			with := show()
			if fate.rival {
				with = unlessShown("soul")
			}
			decide(t, s, reaction(1), with)
			if got := typesOf(t, s); !slices.Equal(got, fate.want) {
				t.Errorf("the stream has %v, want %v", got, fate.want)
			}
		})
	}
}

// A refusal is no decision: the cause may come again.
func TestARefusalIsNotOnRecord(t *testing.T) {
	s := newStreams(t, memory.Options{})
	refused := errors.New("not now")
	_, err := decider.Handle(context.Background(), s, reaction(1), stream, counting,
		func(counter) ([]proto.Message, error) { return nil, refused })
	if !errors.Is(err, refused) {
		t.Fatalf("got %v, want %v", err, refused)
	}
	if made := decide(t, s, reaction(1), show("soul")); made.Repeated || made.Version.Revision != 0 {
		t.Errorf("got %+v, want the first event of the stream", made)
	}
}
