package flow

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/timestamppb"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// An event that can't be taken in is parked, and with it whatever comes after it
// under its key, so that others go on and the order of a key is kept:
//
//	fails by its own fault, twice ──▶ parked, first of its key ──▶ retried ──▶ taken in
//	                                    ▲        │       ▲           │
//	                                    │        │       └─ fails ───┘
//	its key's first is taken in ────────┤        └─ skipped, with a reason ──▶ left out
//	or skipped, and this one fails      │
//	                                    │
//	comes behind a parked one ───────▶ waits ──▶ its key's first is gone ──▶ taken in
//
// A parked event counts as taken in when it is parked. What is parked is a
// function of the log and of the requests that have been followed.

// ErrParkedTooMany stops a flow: so many events can't all be to blame.
var ErrParkedTooMany = errors.New("the flow has parked as many events as it may, and stops; look at what they have in common (triangle flow parked list), and mend it")

var errWaits = errors.New("waits behind a parked event of its key")

// Bounds of what is told of parked events: an event of the store is at most a
// megabyte.
const (
	reasonBytes = 500
	parkedTold  = 500
)

// parkedEvent is a row of flow_parked.
type parkedEvent struct {
	id, key, kind string
	position      eventlog.Position
	at            time.Time
	attempts      uint64
	reason        string
}

const parkedColumns = `event_id, key, type, commit_position, prepare_position, parked_at, attempts, reason`

// loadParked returns parked events in the order of the log.
func loadParked(ctx context.Context, q projection.Querier, where string, args ...any) ([]parkedEvent, error) {
	rows, err := q.Query(ctx, `SELECT `+parkedColumns+` FROM flow_parked WHERE `+where+` ORDER BY commit_position, prepare_position`, args...)
	if err != nil {
		return nil, fmt.Errorf("look for parked events: %w", err)
	}
	all, err := projection.Collect(rows, func(row projection.Scanner, p *parkedEvent) error {
		var at int64
		err := row.Scan(&p.id, &p.key, &p.kind, &p.position.Commit, &p.position.Prepare, &at, &p.attempts, &p.reason)
		p.at = time.Unix(0, at).UTC()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look for parked events: %w", err)
	}
	return all, nil
}

// waitsBehind tells whether an event of key that stands before the position is
// parked, so that the one at the position waits.
func (t *taking) waitsBehind(ctx context.Context, key string, at eventlog.Position) (bool, error) {
	if t.cp.parked == 0 {
		return false, nil
	}
	first, err := loadParked(ctx, t.tx, `flow = ? AND key = ?`, t.cp.flow, key)
	return len(first) > 0 && first[0].position.Compare(at) < 0, err
}

// park puts an event aside. It counts as taken in.
func (t *taking) park(ctx context.Context, e eventlog.Event, key string, reason error, attempts int) error {
	if t.cp.parked >= t.parkMax {
		return fmt.Errorf("%d parked: %w", t.cp.parked, ErrParkedTooMany)
	}
	if err := t.link(ctx, key, e.ID); err != nil {
		return err
	}
	text := shorten(reason)
	// The store is no deduplicator. A second copy of a parked event is the same
	// event, and one row stands for both.
	result, err := t.tx.Exec(ctx, `INSERT INTO flow_parked (flow, `+parkedColumns+`) VALUES (?,?,?,?,?,?,?,?,?) ON CONFLICT (flow, event_id) DO NOTHING`,
		t.cp.flow, e.ID.String(), key, e.Type, e.Position.Commit, e.Position.Prepare, time.Now().UnixNano(), attempts, text)
	if err != nil {
		return fmt.Errorf("park an event: %w", err)
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return err
	}
	t.cp.parked++
	t.tellParked(ctx, e, reason, attempts)
	parked := &flowv1.EventParked{Flow: t.cp.flow, EventId: e.ID.String(), Key: key, Reason: text, Type: e.Type, Position: wire(e.Position)}
	return t.post(ctx, epochStream(t.cp.flow, t.cp.epoch), "parked:"+e.ID.String(), parked)
}

// shorten bounds the text of an error.
func shorten(reason error) string {
	text := strings.ToValidUTF8(reason.Error(), "�")
	if len(text) <= reasonBytes {
		return text
	}
	cut := reasonBytes
	for !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}

// unpark forgets a parked event, which is taken in or skipped in this
// transaction.
func (t *taking) unpark(ctx context.Context, p parkedEvent) error {
	if _, err := t.tx.Exec(ctx, `DELETE FROM flow_parked WHERE flow = ? AND event_id = ?`, t.cp.flow, p.id); err != nil {
		return fmt.Errorf("forget a parked event: %w", err)
	}
	t.cp.parked--
	return nil
}

// release takes in parked events of one key, in order, until one of them fails
// by its own fault: it stays parked, with the others behind it. It returns how
// many were taken in.
func (t *taking) release(ctx context.Context, queue []parkedEvent) (released int, why string, err error) {
	for _, p := range queue {
		err := t.tx.Attempt(ctx, func() error { return t.retry(ctx, p) })
		if isOwnFault(err) {
			why = shorten(err)
			_, err = t.tx.Exec(ctx, `UPDATE flow_parked SET attempts = attempts + 1, reason = ? WHERE flow = ? AND event_id = ?`, why, t.cp.flow, p.id)
			return released, why, err
		}
		if err != nil {
			return released, "", fmt.Errorf("take in the parked %s %s: %w", p.kind, p.id, err)
		}
		if err := t.unpark(ctx, p); err != nil {
			return released, "", err
		}
		released++
	}
	return released, "", nil
}

// retry takes in a parked event, which is read again from the log.
func (t *taking) retry(ctx context.Context, p parkedEvent) error {
	event, err := t.readParked(ctx, p)
	if err != nil {
		return err
	}
	// An event that could not be read was parked under its stream, as its key was
	// not known.
	key := keyOf(t.consumer.Flow, event)
	if key != p.key {
		behind, err := t.waitsBehind(ctx, key, p.position)
		if err != nil {
			return err
		}
		if behind {
			return Unprocessable(fmt.Errorf("it can be read now, and comes after a parked event of its key %q: see to that one first", key))
		}
	}
	span := t.tracer().Retry(ctx, t.traced(), event.Event, originOf(event), t.request)
	err = t.apply(span.In(ctx), event, key)
	span.End(err)
	return err
}

func (t *taking) readParked(ctx context.Context, p parkedEvent) (codec.Event, error) {
	for e, err := range t.streams.Log.ReadAll(ctx, eventlog.Forward, &p.position, 1) {
		if err != nil {
			return codec.Event{}, fmt.Errorf("read a parked event again: %w", err)
		}
		if e.ID.String() != p.id || e.Position != p.position {
			break
		}
		event, err := t.streams.Codec.Decode(ctx, e)
		return event, decodeError(err)
	}
	return codec.Event{}, Unprocessable(errors.New("the event store has the event no more; it can only be skipped"))
}

// tellParked returns what is parked, as progress tells it.
func (rt *Runtime) tellParked(ctx context.Context, flow string, now State) ([]*flowv1.ParkedEvent, error) {
	if now.Parked == 0 {
		return nil, nil
	}
	all, err := loadParked(ctx, rt.DB, `flow = ?`, flow)
	if err != nil {
		return nil, err
	}
	first := map[string]string{}
	told := make([]*flowv1.ParkedEvent, 0, len(all))
	for _, p := range all[:min(len(all), parkedTold)] {
		e := &flowv1.ParkedEvent{
			EventId: p.id, Type: p.kind, Key: p.key, Position: wire(p.position),
			ParkedAt: timestamppb.New(p.at), Attempts: p.attempts, Reason: p.reason, WaitsFor: first[p.key],
		}
		if e.GetWaitsFor() == "" {
			first[p.key] = p.id
		}
		told = append(told, e)
	}
	return told, nil
}
