package flow

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// meter follows the log for as long as the service runs, on every replica and
// whatever the gates do, so that it is known what waits for each flow:
//
//	log ──▶ meter ──▶ backlog ◀── checkpoint: the intake's own, or what a replica
//	                    │         that stands by reads of the owner's
//	                    └──▶ Lag, Oldest
//
// It is one subscription for all flows. It begins at the smallest checkpoint;
// behind a gate that has been closed for long that is far back, and until it has
// come to the end of the log nothing is known.
func (rt *Runtime) meter(ctx context.Context) error {
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = 20*time.Millisecond, 2*time.Second
	var last string
	for {
		err := rt.tail(ctx, wait.Reset)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it ended because it was told to
		}
		if err.Error() != last {
			last = err.Error()
			rt.Logger.Warn("what waits for the flows is not known", "reason", last)
		}
		if !sleep(ctx, wait.NextBackOff()) {
			return nil
		}
	}
}

// tail meters until something goes wrong, and then leaves nothing known.
func (rt *Runtime) tail(ctx context.Context, live func()) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	after, err := rt.smallestCheckpoint(ctx)
	if err != nil {
		return err
	}
	sub, err := rt.Streams.Log.SubscribeAll(ctx, eventlog.AllOptions{After: after, Filter: rt.carried()})
	if err != nil {
		return fmt.Errorf("meter the log: %w", err)
	}
	defer sub.Close()
	defer rt.eachBacklog(func(_ *Intake, b *backlog) { *b = backlog{until: b.until} })
	for m := range sub.Messages() {
		switch m.Kind {
		case eventlog.KindEvent:
			rt.eachBacklog(func(in *Intake, b *backlog) {
				if in.types[m.Event.Type] {
					b.add(m.Event)
				}
			})
		case eventlog.KindCaughtUp:
			live()
			rt.eachBacklog(func(_ *Intake, b *backlog) { b.known = true })
		}
	}
	return fmt.Errorf("meter the log: %w", sub.Err())
}

func (rt *Runtime) eachBacklog(do func(*Intake, *backlog)) {
	for _, in := range rt.intakes {
		in.mu.Lock()
		do(in, &in.waiting)
		in.mu.Unlock()
	}
}

// carried chooses the types of all flows.
func (rt *Runtime) carried() eventlog.Filter {
	types := map[string]bool{}
	for _, in := range rt.intakes {
		maps.Copy(types, in.types)
	}
	return eventlog.Filter{TypePrefixes: slices.Sorted(maps.Keys(types))}
}

// smallestCheckpoint returns where the flow stands that has come least far: at the
// beginning, as long as there is one that has not begun.
func (rt *Runtime) smallestCheckpoint(ctx context.Context) (smallest eventlog.Position, err error) {
	rows, err := rt.DB.Query(ctx, `SELECT flow, commit_position, prepare_position FROM flow_checkpoint`)
	if err != nil {
		return smallest, fmt.Errorf("look how far the flows have come: %w", err)
	}
	type row struct {
		flow     string
		position eventlog.Position
	}
	all, err := projection.Collect(rows, func(rows projection.Scanner, r *row) error {
		return rows.Scan(&r.flow, &r.position.Commit, &r.position.Prepare)
	})
	if err != nil {
		return smallest, fmt.Errorf("look how far the flows have come: %w", err)
	}
	come := map[string]eventlog.Position{}
	for _, r := range all {
		come[r.flow] = r.position
	}
	var positions []eventlog.Position
	rt.eachBacklog(func(in *Intake, b *backlog) {
		b.drop(come[in.consumer.Flow.Name])
		positions = append(positions, come[in.consumer.Flow.Name])
	})
	if len(positions) == 0 {
		return smallest, nil
	}
	return slices.MinFunc(positions, eventlog.Position.Compare), nil
}
