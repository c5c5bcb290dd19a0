package sales_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/triangle-suite/triangle/contracts/flows"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/control"
	"github.com/triangle-suite/triangle/services/eventstore/eventstoretest"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/config"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/eventlog/esdb"
	"github.com/triangle-suite/triangle/services/internal/eventlog/memory"
	"github.com/triangle-suite/triangle/services/internal/host"
	"github.com/triangle-suite/triangle/services/internal/host/hosttest"
	"github.com/triangle-suite/triangle/services/internal/keyring"
	"github.com/triangle-suite/triangle/services/internal/pgtest"
	"github.com/triangle-suite/triangle/services/internal/projection"
	"github.com/triangle-suite/triangle/services/sales"
)

// patience is how long a test waits for what must come. It is generous: a test
// that passes never waits for it.
const patience = 60 * time.Second

// world is a store, a database, and a sales service that can be stopped and
// started again. The other services are played by appending their events.
type world struct {
	t          testing.TB
	log        eventlog.Log
	ring       *keyring.MemoryRing
	streams    *decider.Streams
	dbPath     string
	backOffice string

	// refuse, when set, fails an append before it takes effect, lose after.
	refuse, lose atomic.Pointer[func(stream string) error]

	db     *projection.DB
	client salesv1.SalesServiceClient
	rest   string
	end    func()
}

// newWorld returns a world over a log in memory.
func newWorld(t testing.TB) *world {
	w := &world{}
	hook := func(fault *atomic.Pointer[func(string) error]) func(string, []eventlog.NewEvent) error {
		return func(stream string, _ []eventlog.NewEvent) error {
			if f := fault.Load(); f != nil {
				return (*f)(stream)
			}
			return nil
		}
	}
	return w.on(t, memory.New(memory.Options{BeforeAppend: hook(&w.refuse), AfterAppend: hook(&w.lose)}))
}

// newStoreWorld returns a world over a real store, which forgets event ids at
// once: nothing may lean on it to recognise a retry.
func newStoreWorld(t testing.TB) (*world, *eventstoretest.Server) {
	store := eventstoretest.Start(t, eventstoretest.OnDisk(), eventstoretest.WithoutIDCache())
	log, err := esdb.Open(store.ConnectionString())
	if err != nil {
		t.Fatal(err)
	}
	return (&world{}).on(t, log), store
}

func (w *world) on(t testing.TB, log eventlog.Log) *world {
	t.Helper()
	w.t, w.log, w.ring, w.dbPath = t, log, keyring.Memory(), pgtest.Somewhere(t)
	c, err := codec.New(w.ring)
	if err != nil {
		t.Fatal(err)
	}
	w.streams = &decider.Streams{Log: log, Codec: c}
	t.Cleanup(func() {
		w.stop()
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// start starts the service, as its main does.
func (w *world) start() *world {
	w.t.Helper()
	var err error
	w.db, err = projection.Open(context.Background(), w.dbPath, "sales")
	w.must(err)
	app, err := sales.New(context.Background(), host.Parts{
		DB: w.db, Streams: w.streams, Ring: w.ring, Logger: slog.New(slog.DiscardHandler),
		Origins: host.Origins(w.ring, flows.Sales, time.Now),
	}, &sales.Settings{BackOffice: config.URL(w.backOffice)})
	w.must(err)
	running := hosttest.Serve(w.t, "sales", app.Serving())
	w.client, w.rest = salesv1.NewSalesServiceClient(running.Conn), running.URL
	w.end = func() {
		running.Stop()
		w.must(w.db.Close())
	}
	return w
}

// stop ends the service, if it runs.
func (w *world) stop() {
	w.t.Helper()
	if w.end != nil {
		end := w.end
		w.end = nil
		end()
	}
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// key is a context that carries an idempotency key.
func (w *world) key(key string) context.Context {
	return metadata.AppendToOutgoingContext(w.t.Context(), "idempotency-key", key)
}

// tell appends events as another service does: again, while it can't know whether
// they are on record.
func (w *world) tell(from flows.Service, stream string, messages ...proto.Message) {
	w.t.Helper()
	events := make([]eventlog.NewEvent, len(messages))
	for i, m := range messages {
		var err error
		events[i], err = w.streams.Codec.Encode(w.t.Context(), m, uuid.New(), codec.Metadata{
			Source: codec.Source(from), Time: time.Now(), CorrelationID: "call of " + stream,
			TraceParent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
		})
		w.must(err)
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for begun := time.Now(); ; <-tick.C {
		_, err := w.log.Append(w.t.Context(), stream, eventlog.Any, events...)
		if !errors.Is(err, eventlog.ErrUnavailable) || time.Since(begun) > patience {
			w.must(err)
			return
		}
	}
}

// read returns the events of a stream.
func (w *world) read(stream string) []codec.Event {
	w.t.Helper()
	return hosttest.Events(w.t, w.streams, stream)
}

// types returns the types of a stream's events, shortened.
func (w *world) types(stream string) (types []string) {
	for _, e := range w.read(stream) {
		_, name, _ := strings.Cut(e.Type, ".")
		types = append(types, name)
	}
	return types
}

// everything returns all events of sales in the log, in their order.
func (w *world) everything(types ...string) (events []codec.Event) {
	w.t.Helper()
	for raw, err := range w.log.ReadAll(w.t.Context(), eventlog.Forward, &eventlog.Position{}, 0) {
		w.must(err)
		if !slices.Contains(types, raw.Type) {
			continue
		}
		e, err := w.streams.Codec.Decode(w.t.Context(), raw)
		w.must(err)
		events = append(events, e)
	}
	return events
}

// await waits until a condition holds.
func (w *world) await(what string, holds func() bool) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	ok, err := w.db.Await(ctx, func(context.Context, projection.Querier) (bool, error) { return holds(), nil })
	w.must(err)
	if !ok {
		w.t.Fatalf("waited in vain: %s", what)
	}
}

// awaitTypes waits until a stream has these events.
func (w *world) awaitTypes(stream string, want ...string) {
	w.t.Helper()
	w.await(stream+" has "+strings.Join(want, ", "), func() bool { return slices.Equal(w.types(stream), want) })
}

// set moves a flow to a cadence, and waits until it has moved.
func (w *world) set(flow, cadence string) {
	w.t.Helper()
	steering, err := control.New(w.log)
	w.must(err)
	_, err = steering.Set(w.t.Context(), flow, cadence, "test", "for the test")
	w.must(err)
	w.await(flow+" is "+cadence, func() bool {
		state, err := steering.Get(w.t.Context(), flow)
		w.must(err)
		return state.Settled()
	})
}

// count counts the rows of a table that meet a condition.
func (w *world) count(table, where string, args ...any) (n int) {
	w.t.Helper()
	w.must(w.db.QueryRow(w.t.Context(), `SELECT count(*) FROM `+table+` WHERE `+where, args...).Scan(&n))
	return n
}
