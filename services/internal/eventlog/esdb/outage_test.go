package esdb_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/triangle-suite/triangle/services/eventstore/eventstoretest"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/eventlog/esdb"
)

const (
	// patience bounds what must happen some time.
	patience = time.Minute
	// deadline is what a call is given while the store is away, and grace how
	// much later it may return on a busy machine.
	deadline = 300 * time.Millisecond
	grace    = 5 * time.Second
	outages  = 5
)

// endings are the ways in which a store goes away.
var endings = map[string]func(*eventstoretest.Server){
	"stopped": (*eventstoretest.Server).Stop,
	"killed":  (*eventstoretest.Server).Kill,
}

func events(n int) []eventlog.NewEvent {
	result := make([]eventlog.NewEvent, n)
	for i := range result {
		result[i] = eventlog.NewEvent{ID: uuid.New(), Type: "channel.ContactStarted", Data: []byte(`{}`)}
	}
	return result
}

func TestTheLogOutlivesOutages(t *testing.T) {
	for name, end := range endings {
		t.Run(name, func(t *testing.T) {
			store := eventstoretest.Start(t, eventstoretest.OnDisk())
			log := open(t, store.ConnectionString())
			all := followAll(t, log)
			stream := followStream(t, log, "contact-1")
			var written []uuid.UUID
			for range outages {
				written = append(written, mustAppend(t, log, "contact-1", 20)...)
				end(store)
				wantUnavailable(t, log)
				store.Restart()
				written = append(written, mustAppend(t, log, "contact-1", 20)...)
			}
			all.wantExactly(written)
			stream.wantExactly(written)
		})
	}
}

// TestAnOutageThatNoCallMetIsSurvived lets the connection go while nothing uses
// it.
func TestAnOutageThatNoCallMetIsSurvived(t *testing.T) {
	for name, end := range endings {
		t.Run(name, func(t *testing.T) {
			store := eventstoretest.Start(t)
			log := open(t, store.ConnectionString())
			for range outages {
				mustAppend(t, log, "contact-1", 1)
				end(store)
				store.Restart()
				eventually(t, func(ctx context.Context) error { return log.Ping(ctx) })
				mustAppend(t, log, "contact-1", 1)
			}
		})
	}
}

func TestASubscriptionMayBeginBeforeTheStoreIsThere(t *testing.T) {
	store := eventstoretest.Start(t)
	store.Stop()
	log := open(t, store.ConnectionString())
	all := followAll(t, log)
	wantUnavailable(t, log)
	store.Restart()
	all.wantExactly(mustAppend(t, log, "contact-1", 3))
}

// TestWritersAndReadersInTheMidstOfOutagesLoseNothing kills the store under
// writers who do not know, when their answer is lost, whether they have written.
func TestWritersAndReadersInTheMidstOfOutagesLoseNothing(t *testing.T) {
	const writers = 4
	store := eventstoretest.Start(t, eventstoretest.OnDisk(), eventstoretest.WithoutIDCache())
	log := open(t, store.ConnectionString())
	all := followAll(t, log)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	stop := make(chan struct{})
	var group errgroup.Group
	counts := make([]int, writers)
	for writer := range writers {
		group.Go(func() (err error) {
			counts[writer], err = writeOn(ctx, log, fmt.Sprintf("contact-%d", writer), stop)
			return err
		})
	}
	for range outages {
		all.awaitMore(50)
		store.Kill()
		store.Restart()
	}
	all.awaitMore(50)
	close(stop)
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, count := range counts {
		total += count
	}
	all.awaitMore(total - len(all.got))
	for writer, count := range counts {
		stream := fmt.Sprintf("contact-%d", writer)
		ids := stored(t, log, stream)
		if len(ids) != count {
			t.Errorf("%s has %d events, %d were written", stream, len(ids), count)
		}
		if difference := cmp.Diff(ids, all.of(stream)); difference != "" {
			t.Errorf("%s was not delivered as it is (-stored +delivered):\n%s", stream, difference)
		}
	}
}

// TestNoCallInFlightIsStuckInAnOutage kills the store under many calls at once:
// the first to notice makes the client look for the store, and all others queue
// up behind that.
func TestNoCallInFlightIsStuckInAnOutage(t *testing.T) {
	const callers = 40
	bystanders := lookForBystanders(t)
	store := eventstoretest.Start(t)
	log := open(t, store.ConnectionString())
	for range outages {
		mustAppend(t, log, "contact-1", 1)
		var group errgroup.Group
		begun := make(chan struct{}, callers)
		for caller := range callers {
			group.Go(func() error { return callUntilFailure(t.Context(), log, caller, begun) })
		}
		for range callers {
			<-begun
		}
		store.Kill()
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
		awaitNoCallLeft(t, bystanders) // before the store is back: none is stuck in the client
		store.Restart()
	}
	mustAppend(t, log, "contact-1", 1)
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	awaitNothingLeft(t, bystanders)
}

// callUntilFailure appends or reads until a call fails, which must be for the
// store's absence, and in time. It tells begun of its first success.
func callUntilFailure(ctx context.Context, log *esdb.Log, caller int, begun chan<- struct{}) error {
	for calls := 0; ; calls++ {
		ctx, cancel := context.WithTimeout(ctx, deadline)
		began := time.Now()
		var err error
		if caller%2 == 0 {
			_, err = log.Append(ctx, fmt.Sprintf("contact-%d", caller), eventlog.Any, events(1)...)
		} else {
			for _, err = range log.ReadStream(ctx, "contact-1", eventlog.Forward, 0, 0) {
				continue
			}
		}
		cancel()
		if took := time.Since(began); took > deadline+grace {
			return fmt.Errorf("a call took %v: %w", took, err)
		}
		if calls == 0 {
			begun <- struct{}{}
		}
		switch {
		case err == nil:
		case errors.Is(err, eventlog.ErrUnavailable):
			return nil
		default:
			return err
		}
	}
}

// writeOn appends events to stream one by one until stop, each until it is
// written, and returns how many.
func writeOn(ctx context.Context, log *esdb.Log, stream string, stop <-chan struct{}) (int, error) {
	expected := eventlog.NoStream
	for written := 0; ; written++ {
		select {
		case <-stop:
			return written, nil
		default:
		}
		if err := writeOne(ctx, log, stream, expected, events(1)[0]); err != nil {
			return written, err
		}
		expected = eventlog.At(uint64(written))
	}
}

// writeOne appends an event until it is there. After an append that failed, a
// wrong revision says that it had taken effect.
func writeOne(
	ctx context.Context, log *esdb.Log, stream string, expected eventlog.Expected, event eventlog.NewEvent,
) error {
	for tried := false; ; tried = true {
		_, err := log.Append(ctx, stream, expected, event)
		switch {
		case err == nil, tried && errors.Is(err, eventlog.ErrWrongRevision):
			return nil
		case ctx.Err() != nil, !errors.Is(err, eventlog.ErrUnavailable):
			return err
		}
	}
}

// mustAppend appends n events one by one, each at the first attempt.
func mustAppend(t *testing.T, log *esdb.Log, stream string, n int) []uuid.UUID {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var written []uuid.UUID
	for _, event := range events(n) {
		if _, err := log.Append(ctx, stream, eventlog.Any, event); err != nil {
			t.Fatalf("append: %v", err)
		}
		written = append(written, event.ID)
	}
	return written
}

// wantUnavailable fails the test unless all calls, made at once, fail in time.
func wantUnavailable(t *testing.T, log *esdb.Log) {
	t.Helper()
	calls := map[string]func(context.Context) error{
		"append": func(ctx context.Context) error {
			_, err := log.Append(ctx, "never", eventlog.Any, events(1)...)
			return err
		},
		"read a stream": func(ctx context.Context) error {
			for _, err := range log.ReadStream(ctx, "contact-1", eventlog.Forward, 0, 0) {
				return err
			}
			return nil
		},
		"read $all": func(ctx context.Context) error {
			for _, err := range log.ReadAll(ctx, eventlog.Backward, nil, 1) {
				return err
			}
			return nil
		},
		"set the max count": func(ctx context.Context) error { return log.SetMaxCount(ctx, "never", 1) },
		"ping":              log.Ping,
	}
	var running sync.WaitGroup
	for name, call := range calls {
		running.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), deadline)
			defer cancel()
			began := time.Now()
			if err := call(ctx); !errors.Is(err, eventlog.ErrUnavailable) {
				t.Errorf("%s while the store is away: %v, want ErrUnavailable", name, err)
			}
			if took := time.Since(began); took > deadline+grace {
				t.Errorf("%s took %v", name, took)
			}
		})
	}
	running.Wait()
}

// eventually calls until a call succeeds.
func eventually(t *testing.T, call func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		err := call(ctx)
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
	}
}

// follower collects what a subscription delivers.
type follower struct {
	t            *testing.T
	subscription eventlog.Subscription
	got          []eventlog.Event
}

func followAll(t *testing.T, log *esdb.Log) *follower {
	t.Helper()
	subscription, err := log.SubscribeAll(t.Context(), eventlog.AllOptions{
		Filter: eventlog.Filter{TypePrefixes: []string{"channel."}},
	})
	return follow(t, subscription, err)
}

func followStream(t *testing.T, log *esdb.Log, stream string) *follower {
	t.Helper()
	subscription, err := log.SubscribeStream(t.Context(), stream, eventlog.StreamOptions{})
	return follow(t, subscription, err)
}

func follow(t *testing.T, subscription eventlog.Subscription, err error) *follower {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(subscription.Close)
	return &follower{t: t, subscription: subscription}
}

// awaitMore reads n events more.
func (f *follower) awaitMore(n int) {
	f.t.Helper()
	late := time.After(patience)
	for n > 0 {
		select {
		case message, open := <-f.subscription.Messages():
			if !open {
				f.t.Fatalf("the subscription has ended: %v", f.subscription.Err())
			}
			if message.Kind == eventlog.KindEvent {
				f.got = append(f.got, message.Event)
				n--
			}
		case <-late:
			f.t.Fatalf("%d events have come, %d more are missing", len(f.got), n)
		}
	}
}

// wantExactly fails the test unless these events come, each once and in order.
func (f *follower) wantExactly(want []uuid.UUID) {
	f.t.Helper()
	f.awaitMore(len(want) - len(f.got))
	for i, event := range f.got {
		if event.ID != want[i] {
			f.t.Fatalf("event %d is %s, want %s", i, event.ID, want[i])
		}
	}
}

// of returns the ids of what has come of stream, in the order of coming.
func (f *follower) of(stream string) []uuid.UUID {
	var ids []uuid.UUID
	for _, event := range f.got {
		if event.Stream == stream {
			ids = append(ids, event.ID)
		}
	}
	return ids
}

// stored returns the ids of stream's events.
func stored(t *testing.T, log *esdb.Log, stream string) []uuid.UUID {
	t.Helper()
	var ids []uuid.UUID
	for event, err := range log.ReadStream(t.Context(), stream, eventlog.Forward, 0, 0) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, event.ID)
	}
	return ids
}
