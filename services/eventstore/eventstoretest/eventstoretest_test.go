package eventstoretest_test

import (
	"context"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"

	"github.com/triangle-suite/triangle/services/eventstore/eventstoretest"
)

func event() esdb.EventData {
	return esdb.EventData{EventID: uuid.New(), EventType: "test.Happened", ContentType: esdb.ContentTypeJson, Data: []byte(`{"a":1}`)}
}

func TestDataOutlivesAStop(t *testing.T) {
	endings := map[string]func(*eventstoretest.Server){
		"restarted": (*eventstoretest.Server).Restart,
		"killed":    func(s *eventstoretest.Server) { s.Kill(); s.Restart() },
	}
	places := map[string][]eventstoretest.Option{"memory": nil, "disk": {eventstoretest.OnDisk()}}
	for ending, end := range endings {
		for place, options := range places {
			t.Run(ending+" in "+place, func(t *testing.T) {
				store := eventstoretest.Start(t, options...)
				client := store.Client(t)
				want := event()
				if _, err := client.AppendToStream(context.Background(), "s", esdb.AppendToStreamOptions{}, want); err != nil {
					t.Fatal(err)
				}
				addr := store.Addr()
				end(store)
				if store.Addr() != addr {
					t.Fatalf("the address changed from %s to %s", addr, store.Addr())
				}
				read, err := store.Client(t).ReadStream(context.Background(), "s", esdb.ReadStreamOptions{}, 10)
				if err != nil {
					t.Fatal(err)
				}
				defer read.Close()
				got, err := read.Recv()
				if err != nil {
					t.Fatal(err)
				}
				if got.Event.EventID != want.EventID {
					t.Fatalf("read event %v, appended %v", got.Event.EventID, want.EventID)
				}
			})
		}
	}
}

func TestSubscribesToAllFiltered(t *testing.T) {
	client := eventstoretest.Start(t).Client(t)
	ctx := t.Context()
	sub, err := client.SubscribeToAll(ctx, esdb.SubscribeToAllOptions{
		From: esdb.Start{}, Filter: &esdb.SubscriptionFilter{Type: esdb.EventFilterType, Prefixes: []string{"test."}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sub.Close() }()
	want := event()
	if _, err := client.AppendToStream(ctx, "s", esdb.AppendToStreamOptions{}, want); err != nil {
		t.Fatal(err)
	}
	for {
		message := sub.Recv()
		if message.SubscriptionDropped != nil {
			t.Fatal(message.SubscriptionDropped.Error)
		}
		if message.EventAppeared != nil {
			if got := message.EventAppeared.Event.EventID; got != want.EventID {
				t.Fatalf("received event %v, appended %v", got, want.EventID)
			}
			return
		}
	}
}
