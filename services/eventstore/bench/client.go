package main

import (
	"context"
	"fmt"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"

	"github.com/triangle-suite/triangle/services/eventstore"
	"github.com/triangle-suite/triangle/services/eventstore/bench/internal/peer"
	"github.com/triangle-suite/triangle/services/eventstore/bench/internal/sidebyside"
	"github.com/triangle-suite/triangle/services/eventstore/bench/internal/stub"
)

// connections are what writers share.
const connections = 4

// measureClient compares appends through EventStoreDB's client, over TCP.
func measureClient(ctx context.Context, b *bench, tell func(sidebyside.Measure) error) error {
	store, err := b.startStore()
	if err != nil {
		return err
	}
	stub, err := b.startStub(ctx, 0)
	if err != nil {
		return err
	}
	jetStream, err := b.jetStreamAppender(ctx, peer.Loopback)
	if err != nil {
		return err
	}
	for _, load := range []struct{ writers, events int }{{1, 1}, {manyWriters, 1}, {1, 100}, {16, 100}} {
		m := sidebyside.Measure{
			Name: fmt.Sprintf("Store through the client, writers: %d, events an append: %d", load.writers, load.events), Unit: "events/s",
			Pairs: []sidebyside.Pair{{Of: theStore, To: theStub, Goal: sidebyside.Goal{AtLeast: 0.85}}},
		}
		appenders, err := b.clientAppenders(load.writers, load.events, store, stub)
		if err != nil {
			return err
		}
		if load.events == 1 {
			appenders = append(appenders, jetStream)
			pair := sidebyside.Pair{Of: theStore, To: theJetStream}
			if load.writers == manyWriters {
				pair.Goal.AtLeast = 3
			}
			m.Pairs = append(m.Pairs, pair)
		}
		for _, a := range appenders {
			m.Contenders = append(m.Contenders, b.contender(a, load.writers))
		}
		if err := tell(m); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) clientAppenders(writers, events int, store, stub string) ([]appender, error) {
	all := []appender{{name: theStore, sync: syncStore, events: events}, {name: theStub, sync: syncRawLog + "; nothing is kept", events: events}}
	for i, addr := range []string{store, stub} {
		clients, err := b.clients(addr, min(writers, connections))
		if err != nil {
			return nil, err
		}
		// The store is the same for all loads, so each has streams of its own.
		all[i].append = clientAppend(clients, fmt.Sprintf("c%d-%d-", writers, events), writers, events)
	}
	return all, nil
}

// startStore starts a store and returns its address.
func (b *bench) startStore() (string, error) {
	dir, err := b.folder("store")
	if err != nil {
		return "", err
	}
	server, err := eventstore.Start(eventstore.Config{Addr: "127.0.0.1:0", Data: eventstore.Folder(dir)})
	if err != nil {
		return "", err
	}
	b.onClose(server.Kill) // nobody waits for anything any more
	return server.Addr(), nil
}

// startStub starts a stub that serves so many events and returns its address.
func (b *bench) startStub(ctx context.Context, events int) (string, error) {
	dir, err := b.folder("stub")
	if err != nil {
		return "", err
	}
	s, err := stub.Start(ctx, dir, events)
	if err != nil {
		return "", err
	}
	b.onClose(s.Close)
	return s.Addr(), nil
}

// clients makes n clients, each with a connection of its own.
func (b *bench) clients(addr string, n int) (clients []*esdb.Client, err error) {
	config, err := esdb.ParseConnectionString("esdb://" + addr + "?tls=false")
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", addr, err)
	}
	config.Logger = esdb.NoopLogging()
	for range n {
		client, err := esdb.NewClient(config)
		if err != nil {
			return nil, fmt.Errorf("connect to %s: %w", addr, err)
		}
		b.onClose(client.Close)
		clients = append(clients, client)
	}
	return clients, nil
}

// clientAppend appends so many events at a time to streams whose names begin
// with prefix.
func clientAppend(clients []*esdb.Client, prefix string, writers, events int) func(context.Context, int) error {
	places := cursors(prefix, writers)
	return func(ctx context.Context, writer int) error {
		name, last := places[writer].next(events)
		options := esdb.AppendToStreamOptions{ExpectedRevision: esdb.NoStream{}}
		if last >= 0 {
			options.ExpectedRevision = esdb.Revision(uint64(last))
		}
		batch := make([]esdb.EventData, events)
		for i := range batch {
			batch[i] = esdb.EventData{EventID: uuid.New(), EventType: "bench.Happened", ContentType: esdb.ContentTypeJson, Data: peer.Payload}
		}
		_, err := clients[writer%len(clients)].AppendToStream(ctx, name, options, batch...)
		return err
	}
}
