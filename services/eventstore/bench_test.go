package eventstore_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"

	"github.com/triangle-suite/triangle/services/eventstore/eventstoretest"
)

const benchPayload = 256

func benchEvents(n int) []esdb.EventData {
	batch := make([]esdb.EventData, n)
	for i := range batch {
		batch[i] = esdb.EventData{EventID: uuid.New(), EventType: "bench.Happened", ContentType: esdb.ContentTypeJson, Data: make([]byte, benchPayload)}
	}
	return batch
}

// benchClients are a few connections that writers share.
func benchClients(b *testing.B, store *eventstoretest.Server) []*esdb.Client {
	clients := make([]*esdb.Client, 4)
	for i := range clients {
		clients[i] = store.Client(b)
	}
	return clients
}

// BenchmarkAppend appends through EventStoreDB's client to a store on disk.
func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 16, 64} {
		for _, size := range []int{1, 100} {
			b.Run(fmt.Sprintf("writers=%d/events=%d", writers, size), func(b *testing.B) {
				store := eventstoretest.Start(b, eventstoretest.OnDisk())
				clients := benchClients(b, store)
				var left, writer atomic.Int64
				left.Store(int64(b.N))
				done := make(chan error, writers)
				b.ResetTimer()
				for range writers {
					go func() {
						i := writer.Add(1)
						stream := fmt.Sprintf("s%d", i)
						for left.Add(-1) >= 0 {
							if _, err := clients[i%4].AppendToStream(context.Background(), stream, esdb.AppendToStreamOptions{}, benchEvents(size)...); err != nil {
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
				b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "events/s")
			})
		}
	}
}

// BenchmarkCatchUp follows $all from the start through EventStoreDB's client.
func BenchmarkCatchUp(b *testing.B) {
	filters := map[string]*esdb.SubscriptionFilter{
		"all":      nil,
		"filtered": {Type: esdb.EventFilterType, Prefixes: []string{"bench.", "$marker"}},
	}
	const stored = 200_000
	store := eventstoretest.Start(b, eventstoretest.OnDisk())
	client := store.Client(b)
	for i := 0; i < stored; i += 500 {
		if _, err := client.AppendToStream(context.Background(), fmt.Sprintf("s%d", i%5000), esdb.AppendToStreamOptions{}, benchEvents(500)...); err != nil {
			b.Fatal(err)
		}
	}
	for name, filter := range filters {
		b.Run(name, func(b *testing.B) {
			for n := 0; n < b.N; {
				sub, err := client.SubscribeToAll(context.Background(), esdb.SubscribeToAllOptions{From: esdb.Start{}, Filter: filter})
				if err != nil {
					b.Fatal(err)
				}
				for i := 0; i < stored && n < b.N; {
					message := sub.Recv()
					if message.SubscriptionDropped != nil {
						b.Fatal(message.SubscriptionDropped.Error)
					}
					if message.EventAppeared != nil {
						i++
						n++
					}
				}
				_ = sub.Close()
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
