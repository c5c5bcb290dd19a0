package main

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/triangle-suite/triangle/services/eventstore/bench/internal/peer"
	"github.com/triangle-suite/triangle/services/eventstore/bench/internal/sidebyside"
	"github.com/triangle-suite/triangle/services/eventstore/internal/storage"
	"github.com/triangle-suite/triangle/services/eventstore/internal/stream"
)

// Names of contenders that several measures have, and what they have on the
// disk when they answer.
const (
	theStore     = "store"
	theRawLog    = "raw log"
	thePebble    = "pebble"
	theJetStream = "JetStream"
	theWatermill = "watermill-sql"
	theStub      = "stub"

	syncStore     = "synced, shared by who waits"
	syncRawLog    = "fdatasync, shared by who waits; preallocated file"
	syncPebble    = "Sync"
	syncJetStream = "sync=always"
	syncWatermill = "fsync=on, synchronous_commit=on"
)

const manyWriters = 64

// idCache is the store's own setting.
const idCache = 1 << 16

// measureProcess compares appends of one event, in one process as far as the
// peer allows.
func measureProcess(ctx context.Context, b *bench, tell func(sidebyside.Measure) error) error {
	appenders, err := b.processAppenders(ctx)
	if err != nil {
		return err
	}
	for _, writers := range []int{1, manyWriters} {
		m := sidebyside.Measure{
			Name: fmt.Sprintf("Store in process, writers: %d", writers), Unit: "events/s",
			Pairs: []sidebyside.Pair{
				{Of: theStore, To: theRawLog},
				{Of: theStore, To: thePebble},
				{Of: theStore, To: theJetStream},
				{Of: theStore, To: theWatermill},
			},
		}
		if writers == manyWriters {
			for i, goal := range []float64{0.6, 1, 20, 6} {
				m.Pairs[i].Goal.AtLeast = goal
			}
		}
		for _, a := range appenders {
			m.Contenders = append(m.Contenders, b.contender(a, writers))
		}
		if err := tell(m); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) processAppenders(ctx context.Context) (all []appender, err error) {
	for _, open := range []func(context.Context) (appender, error){
		b.storeAppender, b.rawLogAppender, b.pebbleAppender, b.jetStreamInProcess, b.watermillAppender,
	} {
		a, err := open(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, a)
	}
	return all, nil
}

func (b *bench) storeAppender(context.Context) (appender, error) {
	dir, err := b.folder("store")
	if err != nil {
		return appender{}, err
	}
	store, err := storage.Open(dir, storage.Options{IDCache: idCache})
	if err != nil {
		return appender{}, err
	}
	b.onClose(store.Close)
	return appender{name: theStore, sync: syncStore, events: 1, append: storeAppend(store, "s", manyWriters, 1)}, nil
}

// storeAppend appends so many events at a time to streams whose names begin
// with prefix.
func storeAppend(store *storage.Store, prefix string, writers, events int) func(context.Context, int) error {
	places := cursors(prefix, writers)
	return func(ctx context.Context, writer int) error {
		name, last := places[writer].next(events)
		batch := make([]storage.NewEvent, events)
		for i := range batch {
			batch[i] = storage.NewEvent{ID: uuid.New(), Type: "bench.Happened", JSON: true, Data: peer.Payload}
		}
		_, err := store.Append(ctx, name, stream.Expected(last), batch)
		return err
	}
}

func (b *bench) rawLogAppender(context.Context) (appender, error) {
	dir, err := b.folder("raw")
	if err != nil {
		return appender{}, err
	}
	log, err := peer.OpenRawLog(dir)
	if err != nil {
		return appender{}, err
	}
	b.onClose(log.Close)
	return appender{name: theRawLog, sync: syncRawLog, events: 1, append: func(context.Context, int) error { return log.Append(peer.Payload) }}, nil
}

func (b *bench) pebbleAppender(context.Context) (appender, error) {
	dir, err := b.folder("pebble")
	if err != nil {
		return appender{}, err
	}
	db, err := peer.OpenPebble(dir, manyWriters)
	if err != nil {
		return appender{}, err
	}
	b.onClose(db.Close)
	return appender{name: thePebble, sync: syncPebble, events: 1, append: func(_ context.Context, writer int) error { return db.Append(writer) }}, nil
}

func (b *bench) jetStreamInProcess(ctx context.Context) (appender, error) {
	return b.jetStreamAppender(ctx, peer.InProcess)
}

func (b *bench) jetStreamAppender(ctx context.Context, via peer.Via) (appender, error) {
	dir, err := b.folder("jetstream")
	if err != nil {
		return appender{}, err
	}
	j, err := peer.StartJetStream(ctx, dir, via, connections)
	if err != nil {
		return appender{}, err
	}
	b.onClose(j.Close)
	return appender{name: theJetStream, sync: syncJetStream, events: 1, append: j.Append}, nil
}

func (b *bench) watermillAppender(ctx context.Context) (appender, error) {
	w, absent, err := b.watermill(ctx, manyWriters)
	return appender{
		name: theWatermill, sync: syncWatermill, absent: absent, events: 1,
		append: func(ctx context.Context, _ int) error { return w.Append(ctx, 1) },
	}, err
}
