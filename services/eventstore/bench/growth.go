package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/eventstore/bench/internal/sidebyside"
	"github.com/triangle-suite/triangle/services/internal/flow"
)

// measureGrowth compares what an event costs the processors in a read model of
// many customers with what it costs in one of few.
func measureGrowth(ctx context.Context, b *bench, tell func(sidebyside.Measure) error) error {
	m := sidebyside.Measure{Name: fmt.Sprintf("A read model that grows, %d events a round, %s", b.More, onSQLite), Unit: "µs of CPU per event, store and client included"}
	for _, customers := range b.Keys {
		grown, err := b.grow(ctx, customers)
		if err != nil {
			return err
		}
		m.Contenders = append(m.Contenders, sidebyside.Contender{Name: customersName(customers), Sync: syncSQLite, Run: grown})
		if customers != b.Keys[0] {
			m.Pairs = append(m.Pairs, sidebyside.Pair{Of: customersName(customers), To: customersName(b.Keys[0]), Goal: sidebyside.Goal{AtMost: 1.3}})
		}
	}
	return tell(m)
}

func customersName(n int) string { return fmt.Sprintf("%d customers", n) }

// grow makes a read model of so many customers, and returns what takes more
// orders in to it and tells what one of them cost.
func (b *bench) grow(ctx context.Context, customers int) (func(context.Context) (float64, error), error) {
	h, err := b.history(customers)
	if err != nil {
		return nil, err
	}
	c, closeAll, err := h.open(ctx, b.sqlite(), flows.RealTime)
	if err != nil {
		return nil, err
	}
	b.onClose(closeAll)
	if _, err := h.follow(ctx, c, customers); err != nil {
		return nil, err
	}
	return func(ctx context.Context) (float64, error) {
		spent, err := h.follow(ctx, c, b.More)
		return float64(spent.Microseconds()) / float64(b.More), err
	}, nil
}

// follow places orders while the service is away, and returns what it costs the
// processors to take them in.
func (h *history) follow(ctx context.Context, c *consumer, orders int) (spent time.Duration, err error) {
	if err := h.fill(ctx, orders); err != nil {
		return 0, err
	}
	want := uint64(h.orders.Load())
	before, err := cpuTime()
	if err != nil {
		return 0, err
	}
	stop := c.start(ctx)
	err = c.until(ctx, func(s flow.State) bool { return s.Taken == want })
	after, timeErr := cpuTime()
	if err := errors.Join(err, timeErr, stop()); err != nil {
		return 0, err
	}
	return after - before, c.check(ctx, h.orders.Load())
}

// cpuTime is what this process has used of the processors.
func cpuTime() (time.Duration, error) {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0, fmt.Errorf("ask for the time of the processors: %w", err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano()), nil
}
