package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/triangle-suite/triangle/services/eventstore/bench/internal/sidebyside"
)

const (
	fillBatch      = 500
	watermillBatch = 1000
)

// measureCatchUp compares how fast a new subscriber takes in what is there.
func measureCatchUp(ctx context.Context, b *bench, tell func(sidebyside.Measure) error) error {
	store, err := b.filledStore(ctx)
	if err != nil {
		return err
	}
	stubAddr, err := b.startStub(ctx, b.Stored)
	if err != nil {
		return err
	}
	stub, err := b.clients(stubAddr, 1)
	if err != nil {
		return err
	}
	w, absent, err := b.watermill(ctx, connections)
	if err != nil {
		return err
	}
	if absent == "" {
		if err := w.Fill(ctx, b.Stored, fillBatch); err != nil {
			return err
		}
	}
	const theFiltered = "store, filtered by type"
	filter := &esdb.SubscriptionFilter{Type: esdb.EventFilterType, Prefixes: []string{"bench.", "$marker"}}
	return tell(sidebyside.Measure{
		Name: fmt.Sprintf("Catch-up on $all through the client, %d events", b.Stored), Unit: "events/s",
		Contenders: []sidebyside.Contender{
			{Name: theStore, Run: b.catchingUp(store, nil)},
			{Name: theFiltered, Run: b.catchingUp(store, filter)},
			{Name: theStub, Run: b.catchingUp(stub[0], nil)},
			{Name: theWatermill, Sync: fmt.Sprintf("checkpoint of each batch of %d, fsync=on", watermillBatch), Absent: absent, Run: func(ctx context.Context) (float64, error) {
				took, err := w.CatchUp(ctx, b.Stored, watermillBatch)
				return float64(b.Stored-1) / took.Seconds(), err
			}},
		},
		Pairs: []sidebyside.Pair{
			{Of: theStore, To: theStub, Goal: sidebyside.Goal{AtLeast: 0.8}},
			{Of: theStore, To: theWatermill, Goal: sidebyside.Goal{AtLeast: 1.2}},
			{Of: theFiltered, To: theStub},
		},
	})
}

// filledStore starts a store, has it hold as many events as are to be caught
// up with, and returns a client of it.
func (b *bench) filledStore(ctx context.Context) (*esdb.Client, error) {
	addr, err := b.startStore()
	if err != nil {
		return nil, err
	}
	clients, err := b.clients(addr, 1)
	if err != nil {
		return nil, err
	}
	for left := b.Stored; left > 0; left -= fillBatch {
		// An append of so many events each, to a stream of its own.
		if err := clientAppend(clients, fmt.Sprintf("fill%d-", left), 1, min(left, fillBatch))(ctx, 0); err != nil {
			return nil, err
		}
	}
	return clients[0], nil
}

func (b *bench) catchingUp(client *esdb.Client, filter *esdb.SubscriptionFilter) func(context.Context) (float64, error) {
	return func(ctx context.Context) (float64, error) {
		took, err := catchUp(ctx, client, b.Stored, filter)
		return float64(b.Stored-1) / took.Seconds(), err
	}
}

// catchUp takes in so many events from the start and returns how long that
// took, from the first event on.
func catchUp(ctx context.Context, client *esdb.Client, events int, filter *esdb.SubscriptionFilter) (took time.Duration, err error) {
	subscription, err := client.SubscribeToAll(ctx, esdb.SubscribeToAllOptions{From: esdb.Start{}, Filter: filter, MaxSearchWindow: 1000})
	if err != nil {
		return 0, fmt.Errorf("subscribe to $all: %w", err)
	}
	defer func() { err = errors.Join(err, subscription.Close()) }()
	var start time.Time
	for i := 0; i < events; {
		message := subscription.Recv()
		if message.SubscriptionDropped != nil {
			return 0, fmt.Errorf("subscribe to $all: ended after %d events: %w", i, message.SubscriptionDropped.Error)
		}
		if message.EventAppeared == nil {
			continue
		}
		if i++; i == 1 {
			start = time.Now()
		}
	}
	return time.Since(start), nil
}
