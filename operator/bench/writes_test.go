package bench_test

import (
	"context"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

// All flows at once: a step takes a flow at most two writes, and a flow that stays
// where it is takes none, whatever its consumer tells all the time.
func TestAStepTakesAFlowAtMostTwoWrites(t *testing.T) {
	const n, moves = 20, 3
	w := newWorld(t, n)
	w.create(w.names)
	counter := w.operate()
	w.reached(0, n)
	for step := range moves {
		before := countsOf(w, counter)
		w.move(step)
		if told := countsOf(w, counter).since(before); told.sum() > 2*n {
			t.Errorf("a step of %d flows took %v writes, want two each at most: %v", n, told.sum(), told)
		}
	}
	before := countsOf(w, counter)
	for lag := range uint64(3) { // what the first look would write is written by the last
		w.check(w.players.Progress(t.Context(), moves, lag)) // of an epoch that is over
		w.looked(lag)
	}
	if told := countsOf(w, counter).since(before); told.sum() > 0 {
		t.Errorf("flows that stay where they are took writes: %v", told)
	}
}

// move has every flow go on from a step to the next one.
func (w *world) move(from int) {
	w.Helper()
	w.check(w.players.Progress(w.Context(), uint64(from)+1, 0))
	w.reached(from+1, len(w.names))
}

// looked waits until the operator has seen of every flow how many events wait.
func (w *world) looked(lag uint64) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for w.seen(float64(lag)) < len(w.names) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			w.Fatalf("waited for long, and the operator has not seen of every flow that %d events wait", lag)
		}
	}
}

func (w *world) seen(lag float64) (n int) {
	w.Helper()
	families, err := metrics.Registry.Gather()
	w.check(err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "triangle_operator_flow_lag_events" && label(m, "namespace") == w.namespace && m.GetGauge().GetValue() == lag {
				n++
			}
		}
	}
	return n
}
