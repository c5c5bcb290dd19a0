package decider

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

const (
	// maxAttempts is generous: every lost race is somebody else's won one.
	maxAttempts = 1000
	// maxLost bounds the appends of one command whose outcome got lost.
	maxLost = 3
)

// appendError is why an append failed, apart from why a read did.
type appendError struct{ cause error }

func (e appendError) Error() string { return e.cause.Error() }
func (e appendError) Unwrap() error { return e.cause }

// isLost tells that nobody knows whether the append took effect.
func (e appendError) isLost() bool {
	for _, certain := range []error{
		eventlog.ErrWrongRevision, eventlog.ErrTombstoned, eventlog.ErrTooLarge, eventlog.ErrClosed,
	} {
		if errors.Is(e.cause, certain) {
			return false
		}
	}
	return true
}

func (s *Streams) append(
	ctx context.Context, origin Origin, stream string, on Version, messages []proto.Message,
) (eventlog.Appended, []uuid.UUID, error) {
	ctx, span := s.Tracer.Send(ctx, stream, origin.Trace())
	events, ids, err := s.encode(ctx, origin, stream, messages)
	if err != nil {
		span.End(err)
		return eventlog.Appended{}, nil, err
	}
	appended, err := s.Log.Append(ctx, stream, on.expected(), events...)
	span.Sent(events, appended, err)
	if err != nil {
		return eventlog.Appended{}, nil, appendError{err}
	}
	return appended, ids, nil
}

func (s *Streams) encode(ctx context.Context, origin Origin, stream string, messages []proto.Message) ([]eventlog.NewEvent, []uuid.UUID, error) {
	md := origin.metadata(ctx, stream)
	events := make([]eventlog.NewEvent, len(messages))
	ids := make([]uuid.UUID, len(messages))
	for i, message := range messages {
		ids[i] = origin.eventID(stream, i)
		var err error
		if events[i], err = s.Codec.Encode(ctx, message, ids[i], md); err != nil {
			return nil, nil, err
		}
	}
	return events, ids, nil
}

// converge tries until the stream has taken the answer. Each attempt reads the
// stream first: that is how it finds out whether an append that got lost took
// effect, and who was first where a race was lost.
func converge(ctx context.Context, attempt func() error) error {
	var lost error
	losses := 0
	for range maxAttempts {
		err := attempt()
		var failed appendError
		switch {
		case err == nil:
			return nil
		case !errors.As(err, &failed):
			return withLost(err, lost)
		case failed.isLost():
			if losses++; losses >= maxLost || ctx.Err() != nil {
				return err
			}
			lost = err
		case !errors.Is(err, eventlog.ErrWrongRevision):
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return fmt.Errorf("%w: %d attempts", ErrContended, maxAttempts)
}

// withLost tells of an append whose outcome could not be found out.
func withLost(err, lost error) error {
	if lost == nil {
		return err
	}
	return fmt.Errorf("%w (after an append whose outcome is not known: %w)", err, lost)
}

// Ensured is where an event stands that Ensure has seen to.
type Ensured struct {
	Revision uint64
	Position eventlog.Position
	// Repeated tells that the event was there already.
	Repeated bool
}

// Ensure appends an event under an id that derives from what it is about, unless
// the stream has an event of this id: how control events follow from an outbox.
// It looks at ids only, so it writes to streams with types that it does not know.
func Ensure(
	ctx context.Context, s *Streams, origin Origin, stream string, id uuid.UUID, message proto.Message,
) (Ensured, error) {
	if err := origin.check(); err != nil {
		return Ensured{}, err
	}
	// It must be one that may be written, whether it is there or not.
	event, err := s.Codec.Encode(ctx, message, id, origin.metadata(ctx, stream))
	if err != nil {
		return Ensured{}, err
	}
	var ensured Ensured
	err = converge(ctx, func() error {
		ensured, err = s.ensureOnce(ctx, origin, stream, message, event)
		return err
	})
	if err != nil {
		return Ensured{}, fmt.Errorf("ensure %s in %s: %w", event.Type, stream, err)
	}
	return ensured, nil
}

func (s *Streams) ensureOnce(ctx context.Context, origin Origin, stream string, message proto.Message, event eventlog.NewEvent) (Ensured, error) {
	var version Version
	for there, err := range s.Log.ReadStream(ctx, stream, eventlog.Forward, 0, 0) {
		if errors.Is(err, eventlog.ErrNoStream) {
			break
		}
		if err != nil {
			return Ensured{}, fmt.Errorf("read %s: %w", stream, err)
		}
		if there.ID == event.ID {
			return Ensured{Revision: there.Revision, Position: there.Position, Repeated: true}, nil
		}
		version = Version{Exists: true, Revision: there.Revision}
	}
	appended, err := s.appendEnsured(ctx, origin, stream, version, message, event)
	return Ensured{Revision: appended.Revision, Position: appended.Position}, err
}

// appendEnsured appends the event; with a tracer, in the span of the append.
func (s *Streams) appendEnsured(
	ctx context.Context, origin Origin, stream string, on Version, message proto.Message, event eventlog.NewEvent,
) (appended eventlog.Appended, err error) {
	ctx, span := s.Tracer.Send(ctx, stream, origin.Trace())
	if s.Tracer.Installed() {
		if event, err = s.Codec.Encode(ctx, message, event.ID, origin.metadata(ctx, stream)); err != nil {
			span.End(err)
			return appended, err
		}
	}
	events := []eventlog.NewEvent{event}
	appended, err = s.Log.Append(ctx, stream, on.expected(), events...)
	span.Sent(events, appended, err)
	if err != nil {
		return eventlog.Appended{}, appendError{err}
	}
	return appended, nil
}
