package eventstore_test

import (
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/triangle-suite/triangle/services/eventstore/eventstoretest"
)

// BenchmarkAppend appends over gRPC, client and store in one process, and tells the
// processor's time of both together. It is what an append's measures, of which package
// metrics has a benchmark, are a share of.
func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 64} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			client := eventstoretest.Start(b).Client(b)
			b.ReportAllocs()
			b.SetParallelism(writers)
			var writer atomic.Int64
			before := usedTime(b)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				name := fmt.Sprintf("s%d", writer.Add(1))
				for pb.Next() {
					if _, err := client.AppendToStream(b.Context(), name, esdb.AppendToStreamOptions{}, events(1)...); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.ReportMetric(float64(usedTime(b)-before)/float64(b.N), "cpu-ns/append")
		})
	}
}

// usedTime is what the process has used of the processor.
func usedTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
