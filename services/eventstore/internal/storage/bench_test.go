package storage

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/google/uuid"

	"github.com/triangle-suite/triangle/services/eventstore/internal/stream"
)

// BenchmarkAppend appends in process, durably, beside pebble alone, which
// neither orders nor checks what it writes.
func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 64} {
		b.Run(fmt.Sprintf("writers=%d/store", writers), func(b *testing.B) {
			store, err := Open(b.TempDir(), Options{IDCache: 1 << 16})
			if err != nil {
				b.Fatal(err)
			}
			benchWriters(b, writers, func(writer, n int) error {
				_, err := store.Append(context.Background(), fmt.Sprintf("s%d", writer), stream.Expected(n-1),
					[]NewEvent{{ID: uuid.New(), Type: "bench.Happened", Data: make([]byte, 256)}})
				return err
			})
			if err := store.Close(); err != nil {
				b.Fatal(err)
			}
		})
		b.Run(fmt.Sprintf("writers=%d/pebble", writers), func(b *testing.B) {
			db, err := pebble.Open(b.TempDir(), &pebble.Options{MemTableSize: memTableSize, Logger: newFaults(slog.New(slog.DiscardHandler))})
			if err != nil {
				b.Fatal(err)
			}
			benchWriters(b, writers, func(writer, n int) error {
				return db.Set(indexKey(fmt.Sprintf("s%d", writer), int64(n)), make([]byte, 256), pebble.Sync)
			})
			if err := db.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

func benchWriters(b *testing.B, writers int, write func(writer, n int) error) {
	var left atomic.Int64
	left.Store(int64(b.N))
	done := make(chan error, writers)
	b.ReportAllocs()
	b.ResetTimer()
	before := processorTime(b)
	for i := range writers {
		go func() {
			for n := 0; left.Add(-1) >= 0; n++ {
				if err := write(i, n); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range writers {
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(processorTime(b)-before)/float64(b.N), "cpu-ns/event")
}

// processorTime is what the process has used, which others on the machine
// disturb less than the time that passes.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
