package flow_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

// A cut-over to real time goes on with what has been read behind the marker: who
// waits for the first event of the new epoch does not wait for the log to be asked
// again.
func TestACutOverToRealTimeGoesOnReading(t *testing.T) {
	inBubble(t, func(w *world) {
		asked := &askedLog{Log: w.log}
		w.streams.Log = asked
		w.start()
		w.quiet()
		before := asked.times.Load()
		for i := range 10 {
			w.produce(name("r", i%3))
		}
		w.set(flows.RealTime)
		for i := range 5 {
			w.produce(name("r", i%3))
		}
		w.quiet()
		w.set(flows.RealTime)
		w.produce("r00")
		w.quiet()
		wantCount(w, 16, "after the cut-over")
		if n := asked.times.Load() - before; n != 1 {
			w.t.Errorf("the log was subscribed to %d times from the closed gate on, want once", n)
		}
		if state := w.rt.Intake(tested).State(); state.Window || state.Epoch != 2 {
			w.t.Errorf("the flow is in %+v, want epoch 2, and no window", state)
		}
		w.set(flows.Hourly)
		w.produce("r00")
		w.quiet()
		wantCount(w, 16, "behind the gate that is closed again")
	})
}

// askedLog counts how often it is subscribed to.
type askedLog struct {
	eventlog.Log

	times atomic.Int64
}

// SubscribeAll implements eventlog.Log.
func (l *askedLog) SubscribeAll(ctx context.Context, options eventlog.AllOptions) (eventlog.Subscription, error) {
	l.times.Add(1)
	return l.Log.SubscribeAll(ctx, options)
}
