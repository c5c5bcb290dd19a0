package eventstore_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/triangle-suite/triangle/services/eventstore/eventstoretest"
)

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
		if _, err := client.AppendToStream(ctx, "s", esdb.AppendToStreamOptions{}, events(min(left, 500))...); err != nil {
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
