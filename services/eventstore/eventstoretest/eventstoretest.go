// Package eventstoretest gives a test a real event store in one line:
//
//	store := eventstoretest.Start(t)
//	client := store.Client(t)
//
// It runs in the test's process, on a free port of the loopback interface,
// with its data in memory unless OnDisk is given. It ends with the test.
package eventstoretest

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/triangle-suite/triangle/services/eventstore"
)

// stopTimeout bounds how long a store waits for calls under way.
const stopTimeout = 5 * time.Second

// Server is a store that a test runs. Stop, Kill and Restart are for the test's
// own goroutine.
type Server struct {
	t       testing.TB
	config  eventstore.Config
	user    string // of the connection string, with an @ behind it; empty when the store asks for none
	scheme  string // options of the connection string
	addr    string
	running *eventstore.Server
}

// Option changes how Start sets a store up.
type Option func(*Server)

// OnDisk keeps the data in a folder of the test's own.
func OnDisk() Option {
	return func(s *Server) { s.config.Data = eventstore.Folder(filepath.Join(s.t.TempDir(), "data")) }
}

// WithoutIDCache lets the store forget event ids at once, for tests of code
// that must not lean on the store to recognise a retry.
func WithoutIDCache() Option {
	return func(s *Server) { s.config.IDCache = eventstore.IDCacheOff }
}

// WithClock lets the store take its events' times from now.
func WithClock(now func() time.Time) Option {
	return func(s *Server) { s.config.Now = now }
}

// WithLimits lets the store bound requests as limits say.
func WithLimits(limits eventstore.Limits) Option {
	return func(s *Server) { s.config.Limits = limits }
}

// Start runs a store until the test ends. Errors of its own end the test.
func Start(t testing.TB, options ...Option) *Server {
	t.Helper()
	s := &Server{t: t, config: eventstore.Config{Addr: "127.0.0.1:0", Data: eventstore.Memory()}, scheme: "tls=false"}
	for _, option := range options {
		option(s)
	}
	s.start()
	t.Cleanup(s.Stop)
	return s
}

func (s *Server) start() {
	s.t.Helper()
	running, err := eventstore.Start(s.config)
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for deadline := time.Now().Add(stopTimeout); errors.Is(err, syscall.EADDRINUSE) && time.Now().Before(deadline); {
		// Between a stop and a start someone's outgoing connection may have
		// got the port; such connections are short.
		<-again.C
		running, err = eventstore.Start(s.config)
	}
	if err != nil {
		s.t.Fatalf("start the event store: %v", err)
	}
	s.running, s.addr = running, running.Addr()
	s.config.Addr = s.addr // so that a restart finds its clients
}

// Addr is the host and port that the store listens on, the same after a
// restart.
func (s *Server) Addr() string { return s.addr }

// ConnectionString is what EventStoreDB's client takes to reach the store.
func (s *Server) ConnectionString() string {
	return fmt.Sprintf("esdb://%s%s?%s", s.user, s.addr, s.scheme)
}

// Client returns a client of the store, which is closed when the test ends.
func (s *Server) Client(t testing.TB) *esdb.Client {
	t.Helper()
	config, err := esdb.ParseConnectionString(s.ConnectionString())
	if err != nil {
		t.Fatalf("parse the event store's connection string: %v", err)
	}
	config.Logger = esdb.NoopLogging()
	client, err := esdb.NewClient(config)
	if err != nil {
		t.Fatalf("make a client of the event store: %v", err)
	}
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Errorf("close the client of the event store: %v", err)
		}
	})
	return client
}

// Stop stops the store as a signal would: calls under way end, subscriptions
// are told. To stop a store that is stopped does nothing.
func (s *Server) Stop() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	s.end(func(running *eventstore.Server) error { return running.Stop(ctx) })
}

// Kill cuts all connections at once, as the end of the store's process would.
// Appends under way may or may not have been written; what was acknowledged is
// there after Restart.
func (s *Server) Kill() {
	s.t.Helper()
	s.end((*eventstore.Server).Kill)
}

func (s *Server) end(end func(*eventstore.Server) error) {
	s.t.Helper()
	if s.running == nil {
		return
	}
	if err := end(s.running); err != nil {
		s.t.Errorf("stop the event store: %v", err)
	}
	s.running = nil
}

// Restart starts the store again, with its data, on its port; it stops it
// first unless Stop or Kill did.
func (s *Server) Restart() {
	s.t.Helper()
	s.Stop()
	s.start()
}
