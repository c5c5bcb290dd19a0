package watermillesdb_test

import (
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/triangle-suite/triangle/services/eventstore/eventstoretest"
	"github.com/triangle-suite/triangle/services/watermillesdb"
)

// A store that is killed while letters are written and read loses none, and
// breaks no order: what comes is at most one further than what has come before.
func TestNothingIsLostWhenTheStoreIsKilled(t *testing.T) {
	const letters, postmen, kills = 1500, 3, 3
	// Without the store's memory of ids: whatever is recognised, the publisher has.
	server := eventstoretest.Start(t, eventstoretest.OnDisk(), eventstoretest.WithoutIDCache())
	got := make(chan *message.Message)
	for range postmen {
		subscriber := newSubscriber(t, open(t, server), watermillesdb.SubscriberConfig{
			ConsumerGroup: "postmen", CheckpointEvery: 50 * time.Millisecond, Lease: time.Second, CloseTimeout: time.Second,
		})
		arriving, err := subscriber.Subscribe(t.Context(), "letters")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for letter := range arriving {
				select {
				case got <- letter:
				case <-letter.Context().Done():
				}
			}
		}()
	}
	var writing sync.WaitGroup
	defer writing.Wait()
	writing.Go(func() { write(t, newPublisher(t, open(t, server)), letters) })
	killAt, next := letters/(kills+1), 0
	patience := time.After(2 * time.Minute)
	for next < letters {
		select {
		case letter := <-got:
			n, err := strconv.Atoi(letter.UUID)
			if err != nil || n > next {
				t.Fatalf("letter %s came, and %d had not", letter.UUID, next)
			}
			next = max(next, n+1)
			letter.Ack()
		case <-patience:
			t.Fatalf("%d letters came, of %d", next, letters)
		}
		if next >= killAt && next < letters {
			server.Kill()
			server.Restart()
			killAt += letters / (kills + 1)
		}
	}
}

// write publishes letters one by one, each until it is told that it is there.
func write(t *testing.T, publisher *watermillesdb.Publisher, letters int) {
	for n := range letters {
		for publisher.Publish("letters", numbered(n, n+1)...) != nil {
			if t.Context().Err() != nil {
				return
			}
		}
	}
}
