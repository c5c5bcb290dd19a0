package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/eventstore/bench/internal/sidebyside"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

const theScan = "scan and decode"

// measureScan measures what taking in can't be faster than: a loop that reads
// the flow's events and decodes them, and does nothing with them.
func measureScan(ctx context.Context, b *bench, tell func(sidebyside.Measure) error) error {
	h, err := b.filledHistory(ctx)
	if err != nil {
		return err
	}
	stub, err := b.stubContender(ctx)
	if err != nil {
		return err
	}
	return tell(sidebyside.Measure{
		Name: fmt.Sprintf("A bare loop that scans and decodes %d events", b.Events), Unit: "events/s",
		Contenders: []sidebyside.Contender{h.scanning(), stub},
		Pairs:      []sidebyside.Pair{{Of: theScan, To: theStub}},
	})
}

// scanning is the loop, over all that the store holds.
func (h *history) scanning() sidebyside.Contender {
	return sidebyside.Contender{Name: theScan, Run: func(ctx context.Context) (float64, error) {
		orders := h.orders.Load()
		start := time.Now()
		err := h.scan(ctx, orders)
		return float64(orders) / time.Since(start).Seconds(), err
	}}
}

func (h *history) scan(ctx context.Context, orders int64) error {
	f, _ := flows.Find(theFlow)
	sub, err := h.log.SubscribeAll(ctx, eventlog.AllOptions{Filter: eventlog.Filter{TypePrefixes: f.Types}})
	if err != nil {
		return err
	}
	defer sub.Close()
	for m := range sub.Messages() {
		if m.Kind != eventlog.KindEvent {
			continue
		}
		if _, err := h.streams.Codec.Decode(ctx, m.Event); err != nil {
			return err
		}
		if orders--; orders == 0 {
			return nil
		}
	}
	return errors.Join(errors.New("the subscription ended early"), sub.Err())
}
