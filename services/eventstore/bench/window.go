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

// ordersOfCustomer is how many orders of a customer are in a window.
const ordersOfCustomer = 5

// filledHistory starts a store that holds the events of a window.
func (b *bench) filledHistory(ctx context.Context) (*history, error) {
	h, err := b.history(max(1, b.Events/ordersOfCustomer))
	if err != nil {
		return nil, err
	}
	return h, h.fill(ctx, b.Events)
}

// measureWindow compares how fast a window that is due is taken in to a read
// model with how fast events come over the client at all.
func measureWindow(ctx context.Context, b *bench, tell func(sidebyside.Measure) error) error {
	h, err := b.filledHistory(ctx)
	if err != nil {
		return err
	}
	databases, err := b.databases(ctx)
	if err != nil {
		return err
	}
	stub, err := b.stubContender(ctx)
	if err != nil {
		return err
	}
	m := sidebyside.Measure{Name: fmt.Sprintf("A window of %d events into a read model", b.Events), Unit: "events/s", Contenders: []sidebyside.Contender{stub}}
	for _, database := range databases {
		m.Contenders = append(m.Contenders, sidebyside.Contender{Name: database.name, Sync: database.sync, Absent: database.absent, Run: func(ctx context.Context) (float64, error) {
			took, err := h.window(ctx, database)
			return float64(b.Events) / took.Seconds(), err
		}})
		m.Pairs = append(m.Pairs, sidebyside.Pair{Of: database.name, To: theStub, Goal: sidebyside.Goal{AtLeast: 0.5}})
	}
	return tell(m)
}

// stubContender catches up with as many events from a stub, through the client.
func (b *bench) stubContender(ctx context.Context) (sidebyside.Contender, error) {
	addr, err := b.startStub(ctx, b.Events)
	if err != nil {
		return sidebyside.Contender{}, err
	}
	clients, err := b.clients(addr, 1)
	if err != nil {
		return sidebyside.Contender{}, err
	}
	return sidebyside.Contender{Name: theStub, Run: func(ctx context.Context) (float64, error) {
		took, err := catchUp(ctx, clients[0], b.Events, nil)
		return float64(b.Events-1) / took.Seconds(), err
	}}, nil
}

// window lets a service take in a window with all that the store holds, and
// returns how long that took.
func (h *history) window(ctx context.Context, on database) (took time.Duration, err error) {
	c, closeAll, err := h.open(ctx, on, flows.Weekly)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, closeAll()) }()
	if err := c.miss(ctx); err != nil {
		return 0, err
	}
	orders := h.orders.Load()
	start := time.Now()
	stop := c.start(ctx)
	err = c.until(ctx, func(s flow.State) bool { return s.Taken == uint64(orders) })
	took = time.Since(start)
	if err := errors.Join(err, stop()); err != nil {
		return 0, err
	}
	return took, c.check(ctx, orders)
}

// miss makes the service one that has begun long ago and was away since, so that
// a window is due as soon as it is back.
func (c *consumer) miss(ctx context.Context) error {
	stop := c.start(ctx)
	err := c.until(ctx, func(s flow.State) bool { return s.Cadence != "" })
	if err := errors.Join(err, stop()); err != nil {
		return err
	}
	return c.db.Update(ctx, func(tx *projection.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE flow_checkpoint SET last_due = 0`)
		return err
	})
}
