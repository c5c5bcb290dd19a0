package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/triangle-suite/triangle/services/eventstore/bench/internal/sidebyside"
)

const (
	// liveSubscribers are those who must not feel that another one stalls.
	liveSubscribers = 3
	liveWriters     = 4
	liveBatch       = 10
)

// measureStalled compares two stores that are alike, but that one has a
// subscriber who does not read, on the connection of those who do. It is behind
// from the first moment, by all that the store was filled with, and falls
// further behind with each round.
func measureStalled(ctx context.Context, b *bench, tell func(sidebyside.Measure) error) error {
	const beside, without = "beside a stalled one", "without it"
	m := sidebyside.Measure{
		Name: fmt.Sprintf("%d subscribers to $all while %d writers append", liveSubscribers, liveWriters), Unit: "events/s delivered",
		Pairs: []sidebyside.Pair{{Of: beside, To: without, Goal: sidebyside.Goal{AtLeast: 0.95}}},
	}
	for _, name := range []string{beside, without} {
		client, err := b.filledStore(ctx)
		if err != nil {
			return err
		}
		if name == beside {
			stalled, err := client.SubscribeToAll(ctx, esdb.SubscribeToAllOptions{From: esdb.Start{}})
			if err != nil {
				return fmt.Errorf("subscribe to $all: %w", err)
			}
			b.onClose(stalled.Close)
		}
		live, err := b.follow(ctx, client)
		if err != nil {
			return err
		}
		m.Contenders = append(m.Contenders, sidebyside.Contender{Name: name, Sync: syncStore, Run: live.slice(b.Slice)})
	}
	return tell(m)
}

// audience are the live subscribers of a store and those who write to it.
type audience struct {
	appendSome func(ctx context.Context, writer int) error

	mu       sync.Mutex
	changed  *sync.Cond
	received [liveSubscribers]int
	appended int
	err      error // why a subscription ended
}

// follow has live subscribers on a connection of client from now on.
func (b *bench) follow(ctx context.Context, client *esdb.Client) (*audience, error) {
	a := &audience{appendSome: clientAppend([]*esdb.Client{client}, "live", liveWriters, liveBatch)}
	a.changed = sync.NewCond(&a.mu)
	for i := range liveSubscribers {
		subscription, err := client.SubscribeToAll(ctx, esdb.SubscribeToAllOptions{From: esdb.End{}})
		if err != nil {
			return nil, fmt.Errorf("subscribe to $all: %w", err)
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			a.receive(i, subscription)
		}()
		b.onClose(func() error {
			err := subscription.Close()
			<-ended
			return err
		})
	}
	return a, nil
}

func (a *audience) receive(i int, subscription *esdb.Subscription) {
	for {
		message := subscription.Recv()
		a.mu.Lock()
		if message.SubscriptionDropped != nil {
			a.err = errors.Join(errors.New("a live subscription ended"), message.SubscriptionDropped.Error)
		}
		if message.EventAppeared != nil {
			a.received[i]++
		}
		done := a.err != nil
		if done || a.received[i] == a.appended { // else nobody can be waiting for it
			a.changed.Broadcast()
		}
		a.mu.Unlock()
		if done {
			return
		}
	}
}

// slice appends for a slice, and measures until all subscribers have all of it.
func (a *audience) slice(slice time.Duration) func(context.Context) (float64, error) {
	return func(ctx context.Context) (float64, error) {
		start := time.Now()
		appends, _, err := appendFor(ctx, slice, liveWriters, a.appendSome)
		if err != nil {
			return 0, err
		}
		events := appends * liveBatch
		if err := a.wait(ctx, events); err != nil {
			return 0, err
		}
		return float64(events*liveSubscribers) / time.Since(start).Seconds(), nil
	}
}

// wait returns when all subscribers have so many more events.
func (a *audience) wait(ctx context.Context, events int) error {
	stop := context.AfterFunc(ctx, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.changed.Broadcast()
	})
	defer stop()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.appended += events
	for a.err == nil && ctx.Err() == nil && !a.complete() {
		a.changed.Wait()
	}
	return errors.Join(a.err, ctx.Err())
}

func (a *audience) complete() bool {
	for _, received := range a.received {
		if received < a.appended {
			return false
		}
	}
	return true
}
