package flow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/digest"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/projection"
	"github.com/triangle-suite/triangle/services/internal/tracing"
)

// taking is one transaction of an intake.
type taking struct {
	*Intake
	tx     *projection.Tx
	cp     checkpoint // where the transaction has come to
	chains chains     // of its epoch

	answered map[uuid.UUID]bool // causes that have been answered ahead
	noting   bool               // whether causes are noted, as there is a shadow

	posted bool    // whether it has put something into the outbox
	closed *uint64 // of the window that it has closed, how many events came

	spans   []tracing.Span // that end with the transaction
	request tracing.Origin // whose parked events are seen to
}

// take takes in one event of the log: a marker of the flow, an event of the
// flow's types, or one that the filter let through and that is passed over.
func (t *taking) take(ctx context.Context, i *incoming) error {
	e, ctx := i.Event, i.span.In(ctx)
	t.cp.position, t.cp.eventID, t.cp.asOf = e.Position, e.ID.String(), e.Created
	switch {
	case t.isOwnMarker(e):
		return t.takeMarker(ctx, e)
	case isActivation(e):
		return t.passActivation(ctx, e)
	case !t.carries(e):
		return nil
	case t.suspect.condemned(e.ID):
		return t.park(ctx, e, i.key, t.suspect.reason, t.suspect.faults)
	case i.err != nil:
		return i.err
	}
	behind, err := t.waitsBehind(ctx, i.key, e.Position)
	if err != nil {
		return err
	}
	if behind {
		return t.park(ctx, e, i.key, errWaits, 0)
	}
	if err := t.link(ctx, i.key, e.ID); err != nil {
		return err
	}
	return t.apply(ctx, i.event, i.key)
}

// decodeError tells apart what is wrong with an event and what is wrong with the
// reader: a key ring that lacks the key must stop the flow, not park it.
func decodeError(err error) error {
	for _, fault := range []error{codec.ErrUnknownType, codec.ErrMalformed, codec.ErrTampered} {
		if errors.Is(err, fault) {
			return Unprocessable(err)
		}
	}
	return err
}

func (t *taking) apply(ctx context.Context, event codec.Event, key string) error {
	if t.consumer.Project != nil {
		if err := t.project(ctx, event); err != nil {
			return fmt.Errorf("project: %w", err)
		}
	}
	for _, r := range t.consumer.Reactions {
		if !r.Takes(event) {
			continue
		}
		if err := t.react(ctx, r, event, key); err != nil {
			return fmt.Errorf("%s: %w", r.Name, err)
		}
	}
	return nil
}

func (t *taking) project(ctx context.Context, event codec.Event) error {
	ctx, span := t.tracer().Project(ctx, t.consumer.Schema.Name)
	err := t.consumer.Project(ctx, t.tx, event)
	span.End(err)
	return err
}

func (t *taking) cause(r Reaction, event codec.Event) Cause {
	return Cause{Event: event, Origin: decider.CauseOrigin(t.consumer.Flow.To, r.Name, event, time.Now().UTC())}
}

func (t *taking) react(ctx context.Context, r Reaction, event codec.Event, key string) error {
	late := r.Late.Do != RunLate && time.Since(event.Created) > r.Late.After
	if err := t.note(ctx, r, event, late); err != nil || t.answered[event.ID] {
		return err
	}
	switch {
	case late && r.Late.Do == ExpireLate:
		return t.decline(ctx, t.tx, r, t.cause(r, event), fmt.Sprintf("came %s after it happened", time.Since(event.Created).Round(time.Second)))
	case r.Late.Do == CollapseLate:
		if err := t.declineLate(ctx, r, key); err != nil {
			return err
		}
		if late {
			return t.keepLate(ctx, r, event, key)
		}
	}
	return t.answer(ctx, t.tx, r, t.cause(r, event))
}

// keepLate remembers a late cause until no later one of its key can replace it.
func (t *taking) keepLate(ctx context.Context, r Reaction, event codec.Event, key string) error {
	_, err := t.tx.Exec(ctx, `INSERT INTO flow_late (flow, reaction, key, commit_position, prepare_position, stream, revision) VALUES (?,?,?,?,?,?,?)`,
		t.cp.flow, r.Name, key, event.Position.Commit, event.Position.Prepare, event.Stream, event.Revision)
	return err
}

// declineLate turns away the late cause that waits under key, as a later one has
// come.
func (t *taking) declineLate(ctx context.Context, r Reaction, key string) error {
	late, err := t.lateCauses(ctx, `SELECT key, stream, revision FROM flow_late WHERE flow = ? AND reaction = ? AND key = ?`, t.cp.flow, r.Name, key)
	if err != nil {
		return err
	}
	for _, l := range late {
		if err := t.decline(ctx, t.tx, r, t.cause(r, l.event), "a later one of its key was answered instead"); err != nil {
			return err
		}
		if err := t.forgetLate(ctx, r, l.key); err != nil {
			return err
		}
	}
	return nil
}

// answerLate answers the late causes that no later one has replaced.
func (t *taking) answerLate(ctx context.Context) error {
	for _, r := range t.consumer.Reactions {
		if r.Late.Do != CollapseLate {
			continue
		}
		late, err := t.lateCauses(ctx, `SELECT key, stream, revision FROM flow_late WHERE flow = ? AND reaction = ? ORDER BY commit_position, prepare_position`, t.cp.flow, r.Name)
		if err != nil {
			return err
		}
		for _, l := range late {
			if err := t.answerOrDecline(ctx, r, l.event); err != nil {
				return fmt.Errorf("%s: answer a late cause: %w", r.Name, err)
			}
			if err := t.noteAnswered(ctx, r, l.event); err != nil {
				return err
			}
			if err := t.forgetLate(ctx, r, l.key); err != nil {
				return err
			}
		}
	}
	return nil
}

// answerOrDecline answers a late cause. One that can't be answered, by its own
// fault, is declined: its event has been taken in, so that it is too late to park
// it.
func (t *taking) answerOrDecline(ctx context.Context, r Reaction, event codec.Event) error {
	cause := t.cause(r, event)
	err := t.tx.Attempt(ctx, func() error { return t.answer(ctx, t.tx, r, cause) })
	if isOwnFault(err) {
		return t.decline(ctx, t.tx, r, cause, shorten(err))
	}
	return err
}

func (t *taking) forgetLate(ctx context.Context, r Reaction, key string) error {
	_, err := t.tx.Exec(ctx, `DELETE FROM flow_late WHERE flow = ? AND reaction = ? AND key = ?`, t.cp.flow, r.Name, key)
	return err
}

type lateCause struct {
	key      string
	stream   string
	revision uint64
	event    codec.Event
}

// lateCauses reads late causes again, from their streams.
func (t *taking) lateCauses(ctx context.Context, query string, args ...any) ([]lateCause, error) {
	rows, err := t.tx.Query(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("look for late causes: %w", err)
	}
	late, err := projection.Collect(rows, func(row projection.Scanner, l *lateCause) error {
		return row.Scan(&l.key, &l.stream, &l.revision)
	})
	if err != nil {
		return nil, fmt.Errorf("look for late causes: %w", err)
	}
	for i := range late {
		for e, err := range t.streams.Log.ReadStream(ctx, late[i].stream, eventlog.Forward, late[i].revision, 1) {
			if err != nil {
				return nil, fmt.Errorf("read a late cause again: %w", err)
			}
			if late[i].event, err = t.streams.Codec.Decode(ctx, e); err != nil {
				return nil, fmt.Errorf("read a late cause again: %w", err)
			}
		}
	}
	return late, nil
}

// takeMarker does what a marker of the flow means.
func (t *taking) takeMarker(ctx context.Context, e eventlog.Event) error {
	event, err := t.streams.Codec.Decode(ctx, e)
	if err != nil {
		return fmt.Errorf("read a control event: %w", err)
	}
	switch m := event.Message.(type) {
	case *flowv1.CadenceRequested:
		return t.cutOver(ctx, event, m)
	case *flowv1.WindowOpened:
		if m.GetEpoch() != t.cp.epoch {
			return nil // an epoch that has ended left it behind
		}
		return t.closeWindow(ctx, e, m.GetDue().AsTime())
	case *flowv1.WindowRequested:
		t.window.Asked(originOf(event))
		return t.closeWindow(ctx, e, e.Created)
	default:
		return nil
	}
}

// closeWindow ends a window at its marker. In real time, and while the flow is
// paused, there is none.
func (t *taking) closeWindow(ctx context.Context, e eventlog.Event, due time.Time) error {
	if cadence, err := flows.ParseCadence(t.cp.cadence); err != nil || !cadence.IsPeriodic() {
		return err
	}
	if err := t.answerLate(ctx); err != nil {
		return err
	}
	closed := &flowv1.WindowClosed{Flow: t.cp.flow, Epoch: t.cp.epoch, MarkerId: e.ID.String(), Count: t.cp.window, Position: wire(e.Position)}
	t.closed = &closed.Count
	t.cp.window = 0
	if due.After(t.cp.lastDue) {
		t.cp.lastDue = due
	}
	return t.post(ctx, epochStream(t.cp.flow, t.cp.epoch), "window-closed:"+e.ID.String(), closed)
}

// cutOver ends the epoch at the marker that asks for the next one. Requests for
// an epoch that has been are out of date.
func (t *taking) cutOver(ctx context.Context, e codec.Event, m *flowv1.CadenceRequested) error {
	if m.GetEpoch() <= t.cp.epoch {
		return nil
	}
	ctx, span := t.beginCutOver(ctx, e)
	if err := t.answerLate(ctx); err != nil {
		return err
	}
	if err := t.endEpoch(ctx, e.Position); err != nil {
		return err
	}
	if err := t.chains.write(ctx, t.tx); err != nil {
		return err
	}
	span.EpochEnded(t.cp.epoch, t.cp.taken, e.Event)
	t.ended = endedEpoch{t.cp.epoch, span.Context()}
	t.cp.epoch, t.cp.taken, t.cp.window, t.cp.digest = m.GetEpoch(), 0, 0, digest.Sum{}
	t.chains = newChains(t.cp.flow, t.cp.epoch, &t.recent)
	t.cp.lastDue = e.Created
	// Who asks checks the cadence; one that can't be read leaves the old one.
	if _, err := flows.ParseCadence(m.GetCadence()); err == nil {
		t.cp.cadence = m.GetCadence()
	}
	span.EpochBegun(t.cp.epoch, t.cp.cadence)
	adopted := &flowv1.CadenceAdopted{Flow: t.cp.flow, Epoch: t.cp.epoch, Cadence: t.cp.cadence, Position: wire(e.Position)}
	return t.post(ctx, flows.ControlStream(t.cp.flow), fmt.Sprintf("cadence-adopted:%d", t.cp.epoch), adopted)
}

// post puts a control event into the outbox. Its id derives from the flow and
// from what it tells, so that it is told once.
func (t *taking) post(ctx context.Context, stream, what string, m proto.Message) error {
	if isOwn(t.consumer.Flow) {
		return nil
	}
	return t.postAlways(ctx, stream, what, m)
}

// postAlways posts for a flow that stays within its service too: somebody asked.
func (t *taking) postAlways(ctx context.Context, stream, what string, m proto.Message) error {
	if t.dry {
		return nil
	}
	t.posted = true
	return t.postControl(ctx, t.tx, stream, what, m)
}

// postControl posts in a transaction that may be another one than an intake's.
func (in *Intake) postControl(ctx context.Context, tx *projection.Tx, stream, what string, m proto.Message) error {
	c := newControl(in.consumer.Flow, stream, what, m, time.Now().UTC())
	in.traces.keep(ctx, c.id)
	return postOutbox(ctx, tx, c)
}

func wire(p eventlog.Position) *flowv1.Position {
	return &flowv1.Position{Commit: p.Commit, Prepare: p.Prepare}
}

// setWindowMarker appends the marker of the window that is due, once, and
// returns its id.
func (in *Intake) setWindowMarker(ctx context.Context, due time.Time) (uuid.UUID, error) {
	opened := &flowv1.WindowOpened{Flow: in.cp.flow, Epoch: in.cp.epoch, Due: timestamppb.New(due)}
	what := fmt.Sprintf("window-opened:%d:%d", in.cp.epoch, due.Unix())
	stream := epochStream(in.cp.flow, in.cp.epoch)
	if in.dry {
		stream = in.parity.Load().stream
		what = stream + ":" + what // the flow may have a window then, too
	}
	c := newControl(in.consumer.Flow, stream, what, opened, time.Now().UTC())
	if _, err := c.ensure(ctx, in.streams); err != nil {
		return uuid.Nil, fmt.Errorf("set the marker of a window: %w", err)
	}
	return c.id, nil
}
