package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/eventstore/bench/internal/sidebyside"
	"github.com/triangle-suite/triangle/services/internal/flow"
	"github.com/triangle-suite/triangle/services/internal/projection"
	"github.com/triangle-suite/triangle/services/internal/serve"
)

// measureConsumers compares two stores whose events services take in, in real
// time: in one of them another service's database is blocked, for good, so that
// it takes nothing in and falls further behind with each round.
func measureConsumers(ctx context.Context, b *bench, tell func(sidebyside.Measure) error) error {
	const beside, without = "beside a blocked one", "without it"
	m := sidebyside.Measure{
		Name: fmt.Sprintf("%d consumers in real time while %d writers append, %s", liveSubscribers, liveWriters, onSQLite), Unit: "events/s taken in",
		Pairs: []sidebyside.Pair{{Of: beside, To: without, Goal: sidebyside.Goal{AtLeast: 0.95}}},
	}
	for _, name := range []string{beside, without} {
		h, err := b.history(1000)
		if err != nil {
			return err
		}
		if name == beside {
			if err := b.blockedConsumer(ctx, h); err != nil {
				return err
			}
		}
		var live []*consumer
		for range liveSubscribers {
			c, err := b.running(ctx, h)
			if err != nil {
				return err
			}
			live = append(live, c)
		}
		m.Contenders = append(m.Contenders, sidebyside.Contender{Name: name, Sync: syncSQLite, Run: func(ctx context.Context) (float64, error) {
			return h.takenBy(ctx, live, b.Slice)
		}})
	}
	return tell(m)
}

// running starts a consumer, which ends with the measure.
func (b *bench) running(ctx context.Context, h *history) (*consumer, error) {
	c, closeAll, err := h.open(ctx, b.sqlite(), flows.RealTime)
	if err != nil {
		return nil, err
	}
	b.onClose(closeAll)
	b.onClose(c.start(ctx))
	return c, c.until(ctx, func(s flow.State) bool { return s.Cadence != "" })
}

// blockedConsumer starts a consumer whose database cannot be written. It is a
// process of its own, as another service is.
func (b *bench) blockedConsumer(ctx context.Context, h *history) error {
	dir, err := b.folder("blocked")
	if err != nil {
		return err
	}
	_, err = b.startPart(ctx, roleBlocked, "TRIANGLE_EVENTSTORE="+h.addr, "TRIANGLE_DATABASE="+filepath.Join(dir, "facts.db"))
	return err
}

// beBlocked takes the flow in from a store, until somebody else keeps the database
// from being written, for good.
func beBlocked(ctx context.Context, addr, where string, say func(serve.Addresses)) (err error) {
	var b bench
	defer func() { err = errors.Join(err, b.close(0)) }()
	h, err := b.historyOn(addr, 1)
	if err != nil {
		return err
	}
	c, err := h.consumer(ctx, where, "marketing", flows.RealTime)
	if err != nil {
		return err
	}
	b.onClose(c.close)
	b.onClose(c.start(ctx))
	if err := c.until(ctx, func(s flow.State) bool { return s.Cadence != "" }); err != nil {
		return err
	}
	other, err := projection.Open(ctx, where, "marketing")
	if err != nil {
		return err
	}
	b.onClose(other.Close)
	return other.UpdateQuietly(context.WithoutCancel(ctx), func(*projection.Tx) error {
		say(serve.Addresses{})
		<-ctx.Done()
		return nil
	})
}

// takenBy appends for a slice, and measures until all consumers have all of it.
func (h *history) takenBy(ctx context.Context, live []*consumer, slice time.Duration) (float64, error) {
	start := time.Now()
	appends, _, err := appendFor(ctx, slice, liveWriters, func(ctx context.Context, _ int) error {
		_, err := h.place(ctx, liveBatch)
		return err
	})
	if err != nil {
		return 0, err
	}
	orders := h.orders.Load()
	for _, c := range live {
		if err := c.until(ctx, func(s flow.State) bool { return s.Taken == uint64(orders) }); err != nil {
			return 0, err
		}
	}
	took := time.Since(start)
	for _, c := range live {
		if err := c.check(ctx, orders); err != nil {
			return 0, err
		}
	}
	return float64(appends*liveBatch*len(live)) / took.Seconds(), nil
}
