package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/eventstore/bench/internal/sidebyside"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/flow"
)

const (
	theGap    = "delivery gap"
	theAppend = "append, p99"
)

// measureCutOver moves a flow from weekly to real time while orders are placed,
// one after the other. The gap is the longest that an order behind the marker had
// to wait for its commit at the consumer, who has to take in what waits, close the
// epoch and begin the next one before. That none is lost and none counted twice is
// checked each time.
func measureCutOver(ctx context.Context, b *bench, tell func(sidebyside.Measure) error) error {
	h, err := b.history(1000)
	if err != nil {
		return err
	}
	databases, err := b.databases(ctx)
	if err != nil {
		return err
	}
	for _, database := range databases {
		m := sidebyside.Measure{
			Name: "Cut-over from weekly to real time under load, " + database.name, Unit: "ms",
			Pairs: []sidebyside.Pair{{Of: theGap, To: theAppend, Goal: sidebyside.Goal{AtMost: 10}}},
		}
		m.Contenders = twins(database, [2]string{theGap, theAppend}, func(ctx context.Context) ([2]float64, error) {
			moved, err := h.cutOver(ctx, database, b.Slice)
			return [2]float64{milliseconds(moved.gap), milliseconds(moved.append)}, err
		})
		if err := tell(m); err != nil {
			return err
		}
	}
	return nil
}

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1000 }

// twins are two contenders whose figures come of the same run: who is first in a
// round runs it for both.
func twins(on database, names [2]string, run func(context.Context) ([2]float64, error)) (both []sidebyside.Contender) {
	var left [2][]float64
	for i, name := range names {
		both = append(both, sidebyside.Contender{Name: name, Sync: on.sync, Absent: on.absent, Run: func(ctx context.Context) (float64, error) {
			if len(left[i]) == 0 {
				figures, err := run(ctx)
				if err != nil {
					return 0, err
				}
				left[0], left[1] = append(left[0], figures[0]), append(left[1], figures[1])
			}
			figure := left[i][0]
			left[i] = left[i][1:]
			return figure, nil
		}})
	}
	return both
}

// cadenceRequested is the type of the marker of a cut-over.
const cadenceRequested = "flow.CadenceRequested"

// moved is what came of a cut-over.
type moved struct{ gap, append time.Duration }

// placed is an order that was acknowledged.
type placed struct {
	position eventlog.Position
	at       time.Time
	took     time.Duration
}

// cutOver lets a new consumer, which is weekly, cut over in the middle of a
// slice.
func (h *history) cutOver(ctx context.Context, on database, slice time.Duration) (result moved, err error) {
	if err := h.request(ctx, flows.Weekly); err != nil {
		return moved{}, err
	}
	c, closeAll, err := h.open(ctx, on, flows.Weekly)
	if err != nil {
		return moved{}, err
	}
	defer func() { err = errors.Join(err, closeAll()) }()
	stop := c.start(ctx)
	defer func() { err = errors.Join(err, stop()) }()
	requested, err := h.flows.Get(ctx, theFlow)
	if err != nil {
		return moved{}, err
	}
	// It goes through the epochs of those before it, and then rests.
	if err := c.until(ctx, func(s flow.State) bool { return s.Epoch == requested.RequestedEpoch && s.Known }); err != nil {
		return moved{}, err
	}
	orders, marker, commits, err := h.underLoad(ctx, c, slice)
	if err != nil {
		return moved{}, err
	}
	return moved{gap: longestWait(orders, marker, commits), append: p99(orders)}, c.check(ctx, h.orders.Load())
}

// request asks for a cadence, unless it is the one that was asked for last.
func (h *history) request(ctx context.Context, cadence string) error {
	state, err := h.flows.Get(ctx, theFlow)
	if err != nil || state.Requested == cadence {
		return err
	}
	_, err = h.flows.Set(ctx, theFlow, cadence, "bench", "to measure a cut-over")
	return err
}

// underLoad places orders, asks for real time half-way, and returns the orders,
// where the marker is among them, and how far the consumer had come when.
func (h *history) underLoad(ctx context.Context, c *consumer, slice time.Duration) (orders []placed, marker eventlog.Position, commits []placed, err error) {
	var group errgroup.Group
	var done sync.WaitGroup
	watching, cancel := context.WithCancel(ctx)
	done.Go(func() { commits = c.watch(watching) })
	group.Go(func() (err error) {
		orders, err = h.placeFor(ctx, slice)
		return err
	})
	group.Go(func() error {
		<-time.After(slice / 2)
		return h.request(ctx, flows.RealTime)
	})
	err = group.Wait()
	if err == nil {
		last := orders[len(orders)-1].position
		err = c.until(ctx, func(s flow.State) bool { return s.Position.Compare(last) >= 0 })
	}
	cancel()
	done.Wait()
	if err == nil {
		marker, err = h.lastMarker(ctx)
	}
	return orders, marker, commits, err
}

// lastMarker returns where the cadence was asked for last.
func (h *history) lastMarker(ctx context.Context) (last eventlog.Position, err error) {
	for e, err := range h.log.ReadStream(ctx, flows.ControlStream(theFlow), eventlog.Forward, 0, 0) {
		if err != nil {
			return last, fmt.Errorf("look for the marker: %w", err)
		}
		if e.Type == cadenceRequested {
			last = e.Position
		}
	}
	return last, nil
}

// placeFor places orders one after the other until a slice is over.
func (h *history) placeFor(ctx context.Context, slice time.Duration) (orders []placed, err error) {
	for start := time.Now(); time.Since(start) < slice; {
		begin := time.Now()
		appended, err := h.place(ctx, 1)
		if err != nil {
			return nil, err
		}
		now := time.Now()
		orders = append(orders, placed{position: appended.Position, at: now, took: now.Sub(begin)})
	}
	return orders, nil
}

// watch notes how far the consumer has come when, until ctx ends.
func (c *consumer) watch(ctx context.Context) (commits []placed) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		if at := c.intake.State().Position; len(commits) == 0 || commits[len(commits)-1].position != at {
			commits = append(commits, placed{position: at, at: time.Now()})
		}
		<-tick.C
	}
	return append(commits, placed{position: c.intake.State().Position, at: time.Now()})
}

// longestWait is the longest time between an order behind the marker and the
// commit that had it.
func longestWait(orders []placed, marker eventlog.Position, commits []placed) (longest time.Duration) {
	for _, order := range orders {
		if order.position.Compare(marker) < 0 {
			continue
		}
		i, _ := slices.BinarySearchFunc(commits, order, func(c, o placed) int { return c.position.Compare(o.position) })
		if i < len(commits) {
			longest = max(longest, commits[i].at.Sub(order.at))
		}
	}
	return longest
}

// p99 is what 99 of 100 appends took at most.
func p99(orders []placed) time.Duration {
	took := make([]time.Duration, len(orders))
	for i, order := range orders {
		took[i] = order.took
	}
	return quantile(took, 99)
}

// quantile is what so many of 100 took at most.
func quantile(took []time.Duration, of int) time.Duration {
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return took[(len(took)*of-1)/100]
}

// open opens a consumer on a new database, and returns what closes and deletes
// it.
func (h *history) open(ctx context.Context, on database, cadence string) (*consumer, func() error, error) {
	where, schema, drop, err := on.open()
	if err != nil {
		return nil, nil, err
	}
	c, err := h.consumer(ctx, where, schema, cadence)
	if err != nil {
		return nil, nil, fmt.Errorf("open a consumer on %s: %w", on.name, err)
	}
	return c, func() error { return errors.Join(c.close(), drop(context.WithoutCancel(ctx))) }, nil
}
