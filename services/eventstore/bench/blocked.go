package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/eventstore/bench/internal/sidebyside"
	"github.com/triangle-suite/triangle/services/internal/flow"
	"github.com/triangle-suite/triangle/services/internal/projection"
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

// blockedConsumer starts a consumer, and then has somebody else keep its
// database from being written.
func (b *bench) blockedConsumer(ctx context.Context, h *history) error {
	where := b.sqlite()
	path, schema, _, err := where.open()
	if err != nil {
		return err
	}
	where.open = func() (string, string, func(context.Context) error, error) {
		return path, schema, func(context.Context) error { return nil }, nil
	}
	c, closeAll, err := h.open(ctx, where, flows.RealTime)
	if err != nil {
		return err
	}
	b.onClose(closeAll)
	b.onClose(c.start(ctx))
	if err := c.until(ctx, func(s flow.State) bool { return s.Cadence != "" }); err != nil {
		return err
	}
	other, err := projection.Open(ctx, path, schema)
	if err != nil {
		return err
	}
	b.onClose(other.Close)
	blocked, ended := make(chan struct{}), make(chan error, 1)
	holding, release := context.WithCancel(ctx)
	go func() {
		ended <- other.UpdateQuietly(ctx, func(*projection.Tx) error {
			close(blocked)
			<-holding.Done()
			return nil
		})
	}()
	b.onClose(func() error {
		release()
		return <-ended
	})
	select {
	case <-blocked:
		return nil
	case err := <-ended:
		return errors.Join(errors.New("the database could not be blocked"), err)
	}
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
