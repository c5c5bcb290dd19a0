package control

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/control/migration"
)

const (
	// WatchEvery is how often whoever watches the flows says so.
	WatchEvery = 30 * time.Second
	// WatchTolerance is how long nothing may be said before the time counts as not
	// watched.
	WatchTolerance = 90 * time.Second

	beatsKept  = 100
	lapsesKept = 1000
)

// lapsesFrom is what the ids of lapses derive from.
var lapsesFrom = uuid.MustParse("5c7e2a36-0c8b-5b0e-9d3e-7f1f4a0f6c11")

// Watch is whoever watches the flows of a store: its heartbeats, and the lapses
// between those of all that ever did. It is not safe for concurrent use.
type Watch struct {
	// Until is when somebody watched last, by the store's time: the clocks of
	// migrations stand there. Lapses are when nobody did, oldest first.
	Until  time.Time
	Lapses []migration.Span

	flows     *Flows
	instance  string
	beat      migration.Event   // the last one
	gaps      []migration.Event // the first heartbeats after a lapse
	before    []time.Time       // those before each of gaps
	next      uint64
	nextLapse uint64
	bounded   bool
}

// Watch begins to watch, under the name of a replica.
func (f *Flows) Watch(instance string) *Watch { return &Watch{flows: f, instance: instance} }

// Beat says that the flows are watched, and records the lapse when nobody has said
// so for long. Nothing may be decided on clocks before it has succeeded. It fails
// with ErrDeposed when somebody else watches, too: who leads tries again.
func (w *Watch) Beat(ctx context.Context) error {
	if !w.bounded {
		err := errors.Join(w.flows.log.SetMaxCount(ctx, flows.OperatorStream, beatsKept), w.flows.log.SetMaxCount(ctx, flows.LapsesStream, lapsesKept))
		if err != nil {
			return err
		}
		w.bounded = true
	}
	if err := w.follow(ctx); err != nil {
		return err
	}
	beat := &flowv1.MigrationsWatched{Instance: w.instance}
	if err := w.flows.appendAt(ctx, flows.OperatorStream, w.next, uuid.New(), "", w.instance, beat); err != nil {
		return err
	}
	if err := w.follow(ctx); err != nil {
		return err
	}
	return w.recordLapses(ctx)
}

func (w *Watch) follow(ctx context.Context) error {
	if err := w.flows.follow(ctx, flows.OperatorStream, w.next, w.heard); err != nil {
		return err
	}
	return w.flows.follow(ctx, flows.LapsesStream, w.nextLapse, w.lapsed)
}

func (w *Watch) heard(e migration.Event) {
	if w.next > 0 && e.At.Sub(w.beat.At) > WatchTolerance {
		w.gaps, w.before = append(w.gaps, e), append(w.before, w.beat.At)
	}
	w.beat, w.next = e, e.Revision+1
}

func (w *Watch) lapsed(e migration.Event) {
	w.nextLapse = e.Revision + 1
	if m, ok := e.Message.(*flowv1.WatchLapsed); ok {
		w.Lapses = append(w.Lapses, migration.Span{From: m.GetFrom().AsTime(), Until: m.GetUntil().AsTime()})
		w.Lapses = w.Lapses[max(0, len(w.Lapses)-lapsesKept):]
	}
}

// recordLapses writes down the lapses that nobody has written down; until they
// are, the clocks stand where they stood.
func (w *Watch) recordLapses(ctx context.Context) error {
	for len(w.gaps) > 0 {
		gap := migration.Span{From: w.before[0], Until: w.gaps[0].At}
		if n := len(w.Lapses); n == 0 || w.Lapses[n-1].Until.Before(gap.Until) {
			id := uuid.NewSHA1(lapsesFrom, []byte(w.gaps[0].ID))
			m := &flowv1.WatchLapsed{From: timestamppb.New(gap.From), Until: timestamppb.New(gap.Until)}
			if err := w.flows.appendAt(ctx, flows.LapsesStream, w.nextLapse, id, "", w.instance, m); err != nil {
				return err
			}
			if err := w.flows.follow(ctx, flows.LapsesStream, w.nextLapse, w.lapsed); err != nil {
				return err
			}
		}
		w.gaps, w.before = w.gaps[1:], w.before[1:]
	}
	w.Until = w.beat.At
	return nil
}
