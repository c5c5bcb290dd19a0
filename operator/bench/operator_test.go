package bench_test

import (
	"flag"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	manyFlows = flag.Int("flows", 1000, "how many flows the benchmark has")
	rounds    = flag.Int("rounds", 4, "how many steps the benchmark times: one less than a migration has, and no more")
	idleFor   = flag.Duration("idle", time.Minute, "how long the benchmark looks at flows that stay where they are")
)

// BenchmarkOperator tells what very many flows take: memory, writes while they stay
// where they are, and, step by step, writes and time, beside a bare client that moves
// as many. Both have a store of their own and take turns.
func BenchmarkOperator(b *testing.B) {
	moves := min(*rounds, len(cadences)-2)
	for b.Loop() {
		led := newWorld(b, *manyFlows)
		led.operate()
		led.heap()
		led.idle()
		client := newBare(newWorld(b, *manyFlows))
		client.reached(0, *manyFlows)
		led.race(client, moves)
	}
}

// heap tells how much of it flows take, as there come to be more of them.
func (w *world) heap() {
	w.Helper()
	empty, done := heapInUse(), 0
	for _, n := range []int{len(w.names) / 4, len(w.names) / 2, len(w.names)} {
		w.create(w.names[done:n])
		w.reached(0, n)
		done = n
		w.Logf("heap of %d flows: %.1f KiB each", n, float64(heapInUse()-empty)/float64(n)/1024)
	}
}

func heapInUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// idle tells what is done for flows that stay where they are.
func (w *world) idle() {
	w.Helper()
	w.rest() // what has turned is told by then
	before, looks := w.written(), w.looks()
	select {
	case <-time.After(*idleFor):
	case <-w.Context().Done():
	}
	told := w.written().since(before)
	w.Logf("idle for %s: %v writes %v, %.2f looks a flow and minute", *idleFor, told.sum(), told,
		(w.looks()-looks)/float64(len(w.names))/idleFor.Minutes())
	if told.sum() > 0 {
		w.Errorf("flows that stay where they are took writes: %v", told)
	}
}

// rest is longer than the operator lets the news of a consumer gather.
func (w *world) rest() {
	select {
	case <-time.After(6 * time.Second):
	case <-w.Context().Done():
	}
}

// race has the operator and the bare client move all their flows, by turns.
func (w *world) race(client *bare, moves int) {
	w.Helper()
	var ours, theirs, ratios, told, looks []float64
	for step := range moves + 1 {
		w.rest()
		var own, bare time.Duration
		before, looked := w.written(), w.looks()
		run := []func(){
			func() { own = timed(func() { w.move(step) }) },
			func() { bare = timed(func() { client.move(step) }) },
		}
		if step%2 == 1 {
			slices.Reverse(run)
		}
		for _, r := range run {
			r()
		}
		n := float64(len(w.names))
		writes := w.written().since(before).sum() / n
		w.Logf("step %d: the operator %.2fs, the bare client %.2fs; %.3f writes and %.2f looks a flow", step+1, own.Seconds(), bare.Seconds(), writes, (w.looks()-looked)/n)
		if step == 0 {
			continue // to warm up
		}
		ours, theirs, ratios = append(ours, own.Seconds()), append(theirs, bare.Seconds()), append(ratios, own.Seconds()/bare.Seconds())
		told, looks = append(told, writes), append(looks, (w.looks()-looked)/n)
	}
	var table strings.Builder
	for _, line := range []struct {
		what   string
		values []float64
	}{
		{"a step of all flows, by the operator, s", ours},
		{"by a bare client, s", theirs},
		{"ratio (goal: 1.5 at most)", ratios},
		{"writes a flow and step (goal: 2 at most)", told},
		{"looks a flow and step", looks},
	} {
		fmt.Fprintf(&table, "\n%-42s %s", line.what, quartiles(line.values))
	}
	w.Log(table.String())
	if most := slices.Max(told); most > 2 {
		w.Errorf("a step took a flow %.2f writes, want 2 at most", most)
	}
}

func timed(do func()) time.Duration {
	from := time.Now()
	do()
	return time.Since(from)
}

// quartiles are the median of values, and the quartiles beside it.
func quartiles(values []float64) string {
	sorted := slices.Sorted(slices.Values(values))
	at := func(q float64) float64 {
		place := q * float64(len(sorted)-1)
		below := int(place)
		above := min(below+1, len(sorted)-1)
		return sorted[below] + (place-float64(below))*(sorted[above]-sorted[below])
	}
	return fmt.Sprintf("%.3f (%.3f – %.3f)", at(0.5), at(0.25), at(0.75))
}
