package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/eventstore/bench/internal/sidebyside"
	"github.com/triangle-suite/triangle/services/internal/flow"
)

// measureRebuild compares how fast a read model of another version is rebuilt, and
// takes the place of the old one, with a loop that reads and decodes the same
// events and does nothing with them.
func measureRebuild(ctx context.Context, b *bench, tell func(sidebyside.Measure) error) error {
	h, err := b.filledHistory(ctx)
	if err != nil {
		return err
	}
	databases, err := b.databases(ctx)
	if err != nil {
		return err
	}
	m := sidebyside.Measure{Name: fmt.Sprintf("A read model of %d events rebuilt and swapped", b.Events), Unit: "events/s", Contenders: []sidebyside.Contender{h.scanning()}}
	for _, database := range databases {
		rebuilding := sidebyside.Contender{Name: database.name, Sync: database.sync, Absent: database.absent}
		if database.absent == "" {
			if rebuilding.Run, err = b.rebuilding(ctx, h, database); err != nil {
				return err
			}
		}
		m.Contenders = append(m.Contenders, rebuilding)
		m.Pairs = append(m.Pairs, sidebyside.Pair{Of: database.name, To: theScan, Goal: sidebyside.Goal{AtLeast: 0.7}})
	}
	return tell(m)
}

// rebuilding makes a read model of all that the store holds, and returns what
// starts the build of another version on it.
func (b *bench) rebuilding(ctx context.Context, h *history, on database) (func(context.Context) (float64, error), error) {
	where, schema, drop, err := on.open()
	if err != nil {
		return nil, err
	}
	b.onClose(func() error { return drop(context.WithoutCancel(ctx)) })
	orders, version := h.orders.Load(), 0
	// next runs the next version until the flow has come to a state.
	next := func(ctx context.Context, reached func(flow.State) bool) (took time.Duration, err error) {
		version++
		tables := facts
		tables.Version = version
		c, err := h.consumerOf(ctx, where, schema, flows.RealTime, tables)
		if err != nil {
			return 0, err
		}
		defer func() { err = errors.Join(err, c.close()) }()
		start := time.Now()
		stop := c.start(ctx)
		err = c.until(ctx, reached)
		took = time.Since(start)
		if err := errors.Join(err, stop()); err != nil {
			return 0, err
		}
		return took, c.check(ctx, orders)
	}
	if _, err := next(ctx, func(s flow.State) bool { return s.Taken == uint64(orders) }); err != nil {
		return nil, err
	}
	return func(ctx context.Context) (float64, error) {
		took, err := next(ctx, func(s flow.State) bool { return s.Cadence != "" })
		return float64(orders) / took.Seconds(), err
	}, nil
}
