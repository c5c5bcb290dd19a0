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

// The benchmarks run the store and a stub that stores nothing, side by side:
// on a busy machine only the ratio of the two says something.
const (
	benchPayload = 256
	benchClients = 4       // connections, shared by the writers
	benchStored  = 200_000 // events to catch up with
)

func benchEvents(n int) []esdb.EventData {
	batch := make([]esdb.EventData, n)
	for i := range batch {
		batch[i] = esdb.EventData{EventID: uuid.New(), EventType: "bench.Happened", ContentType: esdb.ContentTypeJson, Data: make([]byte, benchPayload)}
	}
	return batch
}

// BenchmarkAppend appends through EventStoreDB's client, durably.
func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 64} {
		for _, size := range []int{1, 100} {
			name := fmt.Sprintf("writers=%d/events=%d", writers, size)
			b.Run(name+"/store", func(b *testing.B) {
				store := eventstoretest.Start(b, eventstoretest.OnDisk())
				benchAppend(b, func() *esdb.Client { return store.Client(b) }, writers, size)
			})
			b.Run(name+"/stub", func(b *testing.B) { benchAppend(b, startStub(b, 0), writers, size) })
		}
	}
}

func benchAppend(b *testing.B, client func() *esdb.Client, writers, size int) {
	clients := make([]*esdb.Client, benchClients)
	for i := range clients {
		clients[i] = client()
	}
	var left atomic.Int64
	left.Store(int64(b.N))
	done := make(chan error, writers)
	b.ResetTimer()
	for i := range writers {
		go func() { done <- appendWhile(&left, clients[i%benchClients], fmt.Sprintf("s%d", i), size) }()
	}
	for range writers {
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "events/s")
}

func appendWhile(left *atomic.Int64, client *esdb.Client, stream string, size int) error {
	for left.Add(-1) >= 0 {
		if _, err := client.AppendToStream(context.Background(), stream, esdb.AppendToStreamOptions{}, benchEvents(size)...); err != nil {
			return err
		}
	}
	return nil
}

// BenchmarkCatchUp follows $all from the start through EventStoreDB's client.
func BenchmarkCatchUp(b *testing.B) {
	store := eventstoretest.Start(b, eventstoretest.OnDisk())
	client := store.Client(b)
	for i := 0; i < benchStored; i += 500 {
		if _, err := client.AppendToStream(context.Background(), fmt.Sprintf("s%d", i%5000), esdb.AppendToStreamOptions{}, benchEvents(500)...); err != nil {
			b.Fatal(err)
		}
	}
	filter := &esdb.SubscriptionFilter{Type: esdb.EventFilterType, Prefixes: []string{"bench.", "$marker"}}
	b.Run("all/store", func(b *testing.B) { benchCatchUp(b, client, nil) })
	b.Run("all/stub", func(b *testing.B) { benchCatchUp(b, startStub(b, benchStored)(), nil) })
	b.Run("filtered/store", func(b *testing.B) { benchCatchUp(b, client, filter) })
}

func benchCatchUp(b *testing.B, client *esdb.Client, filter *esdb.SubscriptionFilter) {
	b.ResetTimer()
	for n := 0; n < b.N; {
		sub, err := client.SubscribeToAll(context.Background(), esdb.SubscribeToAllOptions{From: esdb.Start{}, Filter: filter, MaxSearchWindow: 1000})
		if err != nil {
			b.Fatal(err)
		}
		for i := 0; i < benchStored && n < b.N; {
			message := sub.Recv()
			if message.SubscriptionDropped != nil {
				b.Fatal(message.SubscriptionDropped.Error)
			}
			if message.EventAppeared != nil {
				i++
				n++
			}
		}
		if err := sub.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkPersistentSubscription shares a stream among consumers, who
// acknowledge each event or many at a time.
func BenchmarkPersistentSubscription(b *testing.B) {
	for _, consumers := range []int{1, 4} {
		for _, size := range []int{1, 50} {
			b.Run(fmt.Sprintf("consumers=%d/acks=%d", consumers, size), func(b *testing.B) {
				store := eventstoretest.Start(b, eventstoretest.OnDisk())
				benchShare(b, store.Client(b), consumers, size)
			})
		}
	}
}

func benchShare(b *testing.B, client *esdb.Client, consumers, size int) {
	ctx := context.Background()
	for left := b.N; left > 0; left -= 500 {
		if _, err := client.AppendToStream(ctx, "s", esdb.AppendToStreamOptions{}, benchEvents(min(left, 500))...); err != nil {
			b.Fatal(err)
		}
	}
	settings := esdb.SubscriptionSettingsDefault()
	settings.ReadBatchSize = 200
	err := client.CreatePersistentSubscription(ctx, "s", "g", esdb.PersistentStreamSubscriptionOptions{StartFrom: esdb.Start{}, Settings: &settings})
	if err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	var left atomic.Int64
	left.Store(int64(b.N))
	done := make(chan struct{})
	for range consumers {
		sub, err := client.SubscribeToPersistentSubscription(ctx, "s", "g", esdb.SubscribeToPersistentSubscriptionOptions{BufferSize: uint32(4 * size)})
		if err != nil {
			b.Fatal(err)
		}
		defer func() { _ = sub.Close() }()
		go acknowledge(sub, size, &left, done)
	}
	<-done
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// acknowledge closes done when no event is left.
func acknowledge(sub *esdb.PersistentSubscription, size int, left *atomic.Int64, done chan<- struct{}) {
	var batch []*esdb.ResolvedEvent
	for message := sub.Recv(); message.EventAppeared != nil; message = sub.Recv() {
		batch = append(batch, message.EventAppeared.Event)
		now := left.Add(-1)
		if len(batch) == size || now == 0 {
			_ = sub.Ack(batch...) // fails when the benchmark is over
			batch = batch[:0]
		}
		if now == 0 {
			close(done)
		}
	}
}
