package control

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/control/migration"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

// ErrDeposed says that a stream has gone on since it was read: somebody else steers
// the flow, or the consumer has answered. What was to be written was decided on
// what is out of date: read the stream again, and decide again.
var ErrDeposed = errors.New("the stream has gone on since it was read; nothing was written")

// FollowMigration reads on in a flow's streams, from where the state ends; hours
// tells whether to read how fresh the flow was, which only some gates want. When it
// fails the state is still whole, and is gone on with later.
func (f *Flows) FollowMigration(ctx context.Context, s *migration.State, hours bool) error {
	err := f.FollowControl(ctx, s)
	if err == nil {
		err = f.followProgress(ctx, s)
	}
	if err == nil && hours {
		err = f.follow(ctx, flows.FreshnessStream(s.Flow), s.NextHour, s.ApplyHour)
	}
	return err
}

// FollowControl reads on where the operator itself writes, in the control stream and
// that of the shadow: all that changes by what it has just recorded. It fails as
// FollowMigration does.
func (f *Flows) FollowControl(ctx context.Context, s *migration.State) error {
	err := f.follow(ctx, flows.ControlStream(s.Flow), s.Next, s.Apply)
	if err == nil && s.Shadow != nil && !s.Shadow.StartedAt.IsZero() {
		err = f.follow(ctx, flows.ShadowStream(s.Flow, s.Shadow.ID), s.Shadow.Next, s.ApplyShadow)
	}
	return err
}

// follow reads a stream on. An event that nobody can read is handed on with its
// fault: it is not for the reader to pass over.
func (f *Flows) follow(ctx context.Context, stream string, from uint64, apply func(migration.Event)) error {
	for e, err := range f.log.ReadStream(ctx, stream, eventlog.Forward, from, 0) {
		if errors.Is(err, eventlog.ErrNoStream) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", stream, err)
		}
		seen, err := f.see(ctx, e)
		if err != nil {
			return fmt.Errorf("read %s: %w", stream, err)
		}
		apply(seen)
	}
	return nil
}

// followProgress reads the last word in the progress stream, whose older ones tell
// nothing more.
func (f *Flows) followProgress(ctx context.Context, s *migration.State) error {
	stream := flows.ProgressStream(s.Flow)
	for e, err := range f.log.ReadStream(ctx, stream, eventlog.Backward, math.MaxUint64, 1) {
		if errors.Is(err, eventlog.ErrNoStream) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", stream, err)
		}
		if e.Revision < s.NextProgress {
			return nil
		}
		seen, err := f.see(ctx, e)
		if err != nil {
			return fmt.Errorf("read %s: %w", stream, err)
		}
		s.ApplyProgress(seen)
	}
	return nil
}

func (f *Flows) see(ctx context.Context, e eventlog.Event) (migration.Event, error) {
	seen := migration.Event{ID: e.ID.String(), Type: e.Type, Revision: e.Revision, At: e.Created}
	decoded, err := f.codec.Decode(ctx, e)
	switch {
	case err == nil:
		seen.Message = decoded.Message
	case codec.IsFault(err):
		seen.Fault = err.Error()
	default:
		return seen, err
	}
	return seen, nil
}

// Record appends what the operator has decided on a state to the flow's control
// stream, provided that nobody has written there since. It fails with ErrDeposed
// when somebody has. The state itself is not changed: follow it on.
func (f *Flows) Record(ctx context.Context, s *migration.State, by string, m proto.Message) error {
	return f.appendAt(ctx, flows.ControlStream(s.Flow), s.Next, uuid.New(), s.Flow, by, m)
}

// RecordComparison sets a marker at which the flow and the shadow of the state are
// compared. It fails with ErrNoShadow and ErrDeposed.
func (f *Flows) RecordComparison(ctx context.Context, s *migration.State, by string) error {
	if s.Shadow == nil || s.Shadow.Ended {
		return fmt.Errorf("%s: %w", s.Flow, ErrNoShadow)
	}
	return f.appendAt(ctx, flows.ShadowStream(s.Flow, s.Shadow.ID), s.Shadow.Next, uuid.New(), s.Flow, by,
		&flowv1.MarkerSet{Purpose: "compare " + s.Flow + " with its shadow"})
}

// appendAt appends an event as the next one that was to be read.
func (f *Flows) appendAt(ctx context.Context, stream string, next uint64, id uuid.UUID, subject, by string, m proto.Message) error {
	expected := eventlog.NoStream
	if next > 0 {
		expected = eventlog.At(next - 1)
	}
	_, err := f.append(ctx, stream, expected, told{id: id, message: m, by: by, subject: subject})
	switch {
	case errors.Is(err, eventlog.ErrWrongRevision):
		return fmt.Errorf("%s: %w", stream, ErrDeposed)
	case err != nil:
		return fmt.Errorf("write to %s: %w", stream, err)
	}
	return nil
}
