package decider

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/fault"
	"github.com/triangle-suite/triangle/services/internal/tracing"
)

// Decider is the pure core of a capability.
type Decider[S any] struct {
	// Initial is the state of a stream without events. It is called for each
	// fold, so that no two share a map.
	Initial func() S
	// Evolve records an event. It never decides, and it never fails.
	Evolve func(S, proto.Message) S
}

// Streams is where commands are handled: the event log, and the codec of what
// stands in it.
type Streams struct {
	Log   eventlog.Log
	Codec *codec.Codec
	// Tracer tells of each append, and of what goes with the streams; nil: tracing is
	// not installed.
	Tracer *tracing.Tracer
}

// Version is how far a stream has come. That a stream exists does not tell that
// what it is about does: its state does.
type Version struct {
	Exists   bool
	Revision uint64 // of its last event, where it exists
}

// expected is what an append expects that was decided on this version.
func (v Version) expected() eventlog.Expected {
	if !v.Exists {
		return eventlog.NoStream
	}
	return eventlog.At(v.Revision)
}

// Outcome is what came of a command.
type Outcome[S any] struct {
	// State is the stream's state, the answer included. For a repeated command it
	// may include what came after the answer.
	State S
	// Version is the stream's version that State stands for.
	Version Version
	// Events is the answer, and IDs are its ids. A command may have decided
	// nothing: then there are none, on record or not.
	Events []proto.Message
	IDs    []uuid.UUID
	// Position is that of the answer's last event, to wait for; the zero Position
	// when nothing was decided.
	Position eventlog.Position
	// Repeated tells that the answer was there already, if only the record that
	// there was nothing to do.
	Repeated bool
}

// Errors of a Handle and an Ensure. A refusal of a command is a *fault.Error.
var (
	// ErrKeyReused tells that the idempotency key came before, with another
	// request. It is found beneath a fault.
	ErrKeyReused = errors.New("the idempotency key belongs to another request")
	// ErrContended tells that others were first, again and again.
	ErrContended = errors.New("the stream is written to by too many at once")
)

// Handle has a command decided on a stream, and returns its answer: the first
// one that was given to its origin. Whatever decide refuses, Handle returns.
//
// decide is called again when the stream changed meanwhile. It must neither
// change the state nor look at anything but its arguments.
//
// Where a reaction decides nothing, that is its answer, and goes on record: see
// Origin.Handler. A call that decides nothing writes nothing.
//
// An unknown event type in the stream fails the command: who does not understand
// the past must not decide on it.
func Handle[S any](
	ctx context.Context, s *Streams, origin Origin, stream string, d Decider[S], decide func(S) ([]proto.Message, error),
) (Outcome[S], error) {
	if err := origin.check(); err != nil {
		return Outcome[S]{}, err
	}
	var outcome Outcome[S]
	err := converge(ctx, func() error {
		var err error
		outcome, err = handleOnce(ctx, s, origin, stream, d, decide)
		return err
	})
	if err != nil {
		return Outcome[S]{}, fmt.Errorf("handle a command on %s: %w", stream, err)
	}
	return outcome, nil
}

func handleOnce[S any](
	ctx context.Context, s *Streams, origin Origin, stream string, d Decider[S], decide func(S) ([]proto.Message, error),
) (Outcome[S], error) {
	h, err := read(ctx, s, stream, d, origin.Key)
	if err != nil {
		return Outcome[S]{}, err
	}
	if len(h.own) > 0 {
		return repeated(h, origin)
	}
	messages, err := decide(h.state)
	if err != nil {
		return Outcome[S]{}, err
	}
	outcome := Outcome[S]{State: h.state, Version: h.version}
	if len(messages) == 0 {
		outcome.Version, err = s.recordNothing(ctx, origin, stream, h.version)
		return outcome, err
	}
	appended, ids, err := s.append(ctx, origin, stream, h.version, messages)
	if err != nil {
		return Outcome[S]{}, err
	}
	for _, message := range messages {
		outcome.State = d.Evolve(outcome.State, message)
	}
	outcome.Version = Version{Exists: true, Revision: appended.Revision}
	outcome.Events, outcome.IDs, outcome.Position = messages, ids, appended.Position
	return outcome, nil
}

// repeated is the answer that was given before.
func repeated[S any](h history[S], origin Origin) (Outcome[S], error) {
	outcome := Outcome[S]{State: h.state, Version: h.version, Repeated: true}
	for _, event := range h.own {
		if event.Metadata.RequestDigest != origin.Digest {
			return Outcome[S]{}, fault.Precondition("the idempotency key was used before, for another request").
				WithReason("IDEMPOTENCY_KEY_REUSED").Because(ErrKeyReused)
		}
		if isNothing(event.Message) {
			continue
		}
		outcome.Events = append(outcome.Events, event.Message)
		outcome.IDs = append(outcome.IDs, event.ID)
		outcome.Position = event.Position
	}
	return outcome, nil
}

// Load folds a stream.
func Load[S any](ctx context.Context, s *Streams, stream string, d Decider[S]) (S, Version, error) {
	h, err := read(ctx, s, stream, d, "")
	return h.state, h.version, err
}

// history is a stream that was read and folded.
type history[S any] struct {
	state   S
	version Version
	own     []codec.Event // the answer to the origin, where it was given
}

func read[S any](ctx context.Context, s *Streams, stream string, d Decider[S], origin string) (history[S], error) {
	h := history[S]{state: d.Initial()}
	for raw, err := range s.Log.ReadStream(ctx, stream, eventlog.Forward, 0, 0) {
		if errors.Is(err, eventlog.ErrNoStream) {
			return h, nil
		}
		if err != nil {
			return h, fmt.Errorf("read %s: %w", stream, err)
		}
		event, err := s.Codec.Decode(ctx, raw)
		if errors.Is(err, codec.ErrUnknownType) {
			return h, fmt.Errorf("%w; no command is decided on a stream that this build can't read: run one that can", err)
		}
		if err != nil {
			return h, err
		}
		if !isNothing(event.Message) {
			h.state = d.Evolve(h.state, event.Message)
		}
		h.version = Version{Exists: true, Revision: event.Revision}
		if origin != "" && event.Metadata.Origin == origin {
			h.own = append(h.own, event)
		}
	}
	return h, nil
}
