package metrics

import (
	"syscall"
	"testing"
	"time"
)

// BenchmarkMeasures is all that measuring adds to an append: its time, what it is told
// of alone or with others in a group, and the call's end. Beside BenchmarkAppend of
// package storage, which leaves out gRPC and the client, it says what share that is.
func BenchmarkMeasures(b *testing.B) {
	const group = 16
	for name, measure := range map[string]func(m *Metrics, n int){
		"append in a group of 1": func(m *Metrics, _ int) { m.Synced(1, 1, 400, time.Millisecond) },
		"append in a group of 16": func(m *Metrics, n int) {
			if n%group == 0 {
				m.Synced(group, group, group*400, time.Millisecond)
			}
		},
	} {
		b.Run(name, func(b *testing.B) {
			m := New()
			b.ReportAllocs()
			n, before := 0, processorTime(b)
			for b.Loop() {
				n++
				began := time.Now()
				m.Appended(time.Since(began), nil)
				measure(m, n)
				m.ended("/event_store.client.streams.Streams/Append", nil)
			}
			b.ReportMetric(float64(processorTime(b)-before)/float64(n), "cpu-ns/append")
		})
	}
}

// processorTime is what the process has used, which others on the machine disturb less
// than the time that passes.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// What is measured on the way of an append takes no memory of its own.
func TestMeasuringAnAppendAllocatesNothing(t *testing.T) {
	m := New()
	m.ended("/event_store.client.streams.Streams/Append", nil) // the first one makes the series
	n := testing.AllocsPerRun(100, func() {
		m.Appended(time.Millisecond, nil)
		m.Synced(1, 1, 400, time.Millisecond)
		m.ended("/event_store.client.streams.Streams/Append", nil)
	})
	if n != 0 {
		t.Errorf("%v allocations for an append", n)
	}
}
