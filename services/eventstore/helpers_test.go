package eventstore_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"

	"github.com/triangle-suite/triangle/services/eventstore/eventstoretest"
)

// patience bounds how long a test waits for what must happen.
const patience = time.Minute

// fixture is a store, a client of it, and what tests do with them.
type fixture struct {
	*testing.T
	store  *eventstoretest.Server
	client *esdb.Client
	ctx    context.Context
}

func newFixture(t *testing.T, options ...eventstoretest.Option) *fixture {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	store := eventstoretest.Start(t, options...)
	return &fixture{T: t, store: store, client: store.Client(t), ctx: ctx}
}

// restart starts the store again, with a new client: the first call of one that
// was there may meet the connection that is no more.
func (f *fixture) restart() {
	f.Helper()
	f.store.Restart()
	f.client = f.store.Client(f.T)
}

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// events makes n events with new ids.
func events(n int) []esdb.EventData {
	made := make([]esdb.EventData, n)
	for i := range made {
		made[i] = esdb.EventData{
			EventID: uuid.New(), EventType: "test.Happened", ContentType: esdb.ContentTypeJson,
			Data: fmt.Appendf(nil, `{"i":%d}`, i), Metadata: []byte(`{"m":1}`),
		}
	}
	return made
}

func typed(eventType string) esdb.EventData {
	e := events(1)[0]
	e.EventType = eventType
	return e
}

func (f *fixture) tryAppend(stream string, expected esdb.ExpectedRevision, events ...esdb.EventData) (*esdb.WriteResult, error) {
	return f.client.AppendToStream(f.ctx, stream, esdb.AppendToStreamOptions{ExpectedRevision: expected}, events...)
}

func (f *fixture) append(stream string, events ...esdb.EventData) *esdb.WriteResult {
	f.Helper()
	written, err := f.tryAppend(stream, esdb.Any{}, events...)
	f.must(err)
	return written
}

func (f *fixture) setMetadata(stream string, set func(*esdb.StreamMetadata)) {
	f.Helper()
	var metadata esdb.StreamMetadata
	set(&metadata)
	_, err := f.client.SetStreamMetadata(f.ctx, stream, esdb.AppendToStreamOptions{}, metadata)
	f.must(err)
}

// received drains a read.
func received(read *esdb.ReadStream, err error) ([]*esdb.ResolvedEvent, error) {
	if err != nil {
		return nil, err
	}
	defer read.Close()
	var all []*esdb.ResolvedEvent
	for {
		event, err := read.Recv()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		all = append(all, event)
	}
}

func (f *fixture) tryRead(stream string, options esdb.ReadStreamOptions) ([]*esdb.ResolvedEvent, error) {
	return received(f.client.ReadStream(f.ctx, stream, options, math.MaxUint64))
}

func (f *fixture) read(stream string, options esdb.ReadStreamOptions) []*esdb.ResolvedEvent {
	f.Helper()
	all, err := f.tryRead(stream, options)
	f.must(err)
	return all
}

func (f *fixture) readAll(options esdb.ReadAllOptions) []*esdb.ResolvedEvent {
	f.Helper()
	all, err := received(f.client.ReadAll(f.ctx, options, math.MaxUint64))
	f.must(err)
	return all
}

// revisions of what a read of the whole stream gives.
func (f *fixture) revisions(stream string) []uint64 {
	f.Helper()
	return revisionsOf(f.read(stream, esdb.ReadStreamOptions{}))
}

func revisionsOf(events []*esdb.ResolvedEvent) (revisions []uint64) {
	for _, e := range events {
		revisions = append(revisions, e.OriginalEvent().EventNumber)
	}
	return revisions
}

func idsOf(events []*esdb.ResolvedEvent) (ids []uuid.UUID) {
	for _, e := range events {
		ids = append(ids, e.OriginalEvent().EventID)
	}
	return ids
}

func idsSent(events []esdb.EventData) (ids []uuid.UUID) {
	for _, e := range events {
		ids = append(ids, e.EventID)
	}
	return ids
}

// codeOf returns what the client made of an error.
func codeOf(err error) esdb.ErrorCode {
	var failure *esdb.Error
	if errors.As(err, &failure) {
		return failure.Code()
	}
	return -1
}

func (f *fixture) wantCode(err error, want esdb.ErrorCode) {
	f.Helper()
	if got := codeOf(err); err == nil || got != want {
		f.Fatalf("failed with code %d (%v), want code %d", got, err, want)
	}
}

// follower receives a subscription's messages.
type follower struct {
	f   *fixture
	sub *esdb.Subscription
}

func (f *fixture) followAll(options esdb.SubscribeToAllOptions) *follower {
	f.Helper()
	sub, err := f.client.SubscribeToAll(f.ctx, options)
	f.must(err)
	return f.follow(sub)
}

func (f *fixture) followStream(stream string, from esdb.StreamPosition) *follower {
	f.Helper()
	sub, err := f.client.SubscribeToStream(f.ctx, stream, esdb.SubscribeToStreamOptions{From: from})
	f.must(err)
	return f.follow(sub)
}

func (f *fixture) follow(sub *esdb.Subscription) *follower {
	f.Cleanup(func() { _ = sub.Close() })
	return &follower{f, sub}
}

// next is the next message, which the end of the subscription is not.
func (w *follower) next() *esdb.SubscriptionEvent {
	w.f.Helper()
	message := w.sub.Recv()
	if message.SubscriptionDropped != nil {
		w.f.Fatalf("the subscription ended: %v", message.SubscriptionDropped.Error)
	}
	return message
}

// events are the next n events, whatever comes between them.
func (w *follower) events(n int) (all []*esdb.ResolvedEvent) {
	w.f.Helper()
	for len(all) < n {
		if message := w.next(); message.EventAppeared != nil {
			all = append(all, message.EventAppeared)
		}
	}
	return all
}

// catchUp is what comes before the subscription has caught up.
func (w *follower) catchUp() (all []*esdb.ResolvedEvent, checkpoints []esdb.Position) {
	w.f.Helper()
	for {
		switch message := w.next(); {
		case message.EventAppeared != nil:
			all = append(all, message.EventAppeared)
		case message.CheckPointReached != nil:
			checkpoints = append(checkpoints, *message.CheckPointReached)
		case message.CaughtUp != nil:
			return all, checkpoints
		}
	}
}
