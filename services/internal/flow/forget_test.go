package flow_test

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/triangle-suite/triangle/contracts/flows"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/eventlog/memory"
	"github.com/triangle-suite/triangle/services/internal/flow"
	"github.com/triangle-suite/triangle/services/internal/job"
	"github.com/triangle-suite/triangle/services/internal/keyring"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// book is a flow whose table holds names in clear. Its next transaction can be held
// where it begins, when its events are decoded, or where it commits.
type book struct {
	testing.TB
	ring            *keyring.MemoryRing
	streams         *decider.Streams
	db              *projection.DB
	rt              *flow.Runtime
	begin, commit   atomic.Bool
	reached, goesOn chan struct{}
}

func newBook(t testing.TB, where string) *book {
	b := &book{TB: t, ring: keyring.Memory(), reached: make(chan struct{}), goesOn: make(chan struct{})}
	c, err := codec.New(b.ring)
	b.must(err)
	b.streams = &decider.Streams{Log: memory.New(memory.Options{}), Codec: c}
	b.db, err = projection.Open(t.Context(), where, "book")
	b.must(err)
	own := flow.Own(flows.Sales, []string{"sales.CustomerChanged"}, []string{"customer_id"})
	hold := func(when *atomic.Bool) func(context.Context) error {
		return func(ctx context.Context) error {
			if job.Of(ctx) == "flow "+own.Name && when.CompareAndSwap(true, false) {
				close(b.reached)
				<-b.goesOn
			}
			return nil
		}
	}
	b.db.Hook(projection.Hooks{Begin: hold(&b.begin), Commit: hold(&b.commit)})
	b.rt, err = flow.NewRuntime(t.Context(), flow.Options{DB: b.db, Streams: b.streams, Logger: slog.New(slog.DiscardHandler)}, flow.Consumer{
		Flow: own,
		Schema: projection.Schema{
			Name: "book", Version: 1, Tables: []string{`CREATE TABLE book (id TEXT PRIMARY KEY, name TEXT NOT NULL)`},
			Sealed: []projection.Sealed{{Table: "book", Column: "name", Subject: "customer", Of: "id"}},
		},
		Project: func(ctx context.Context, tx *projection.Tx, e codec.Event) error {
			m, _ := e.Message.(*salesv1.CustomerChanged)
			return tx.Write(ctx, `INSERT INTO book (id, name) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET name = excluded.name`, m.GetCustomerId(), m.GetPerson().GetSurname())
		},
	})
	b.must(err)
	running, end := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.rt.Run(running) }()
	t.Cleanup(func() {
		end()
		b.must(<-ended)
		b.must(b.db.Close())
	})
	return b
}

func (b *book) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func (b *book) write(id, name string) {
	b.Helper()
	e, err := b.streams.Codec.Encode(b.Context(), &salesv1.CustomerChanged{CustomerId: id, Person: &journeyv1.Person{Surname: name}}, uuid.New(),
		codec.Metadata{Source: codec.Source(flows.Sales), Time: time.Now()})
	b.must(err)
	_, err = b.streams.Log.Append(b.Context(), "customer-"+id, eventlog.Any, e)
	b.must(err)
}

// await waits until a customer is in the book under a name.
func (b *book) await(id, name string) {
	b.Helper()
	ctx, end := context.WithTimeout(b.Context(), time.Minute)
	defer end()
	ok, err := b.db.Await(ctx, func(ctx context.Context, q projection.Querier) (is bool, err error) {
		err = q.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM book WHERE id = ? AND name = ?)`, id, name).Scan(&is)
		return is, err
	})
	b.must(err)
	if !ok {
		b.Fatalf("%s does not come to be called %q", id, name)
	}
}

// erase destroys a key, and begins to empty the book of whom it was. What it comes to
// is told when it has.
func (b *book) erase(id string) <-chan error {
	b.Helper()
	b.must(b.ring.Destroy(b.Context(), "customer:"+id, keyring.Erasure{By: "test"}))
	done := make(chan error, 1)
	go func() { done <- b.rt.Forget(b.Context(), "customer", id) }()
	return done
}

// What was decoded before an erasure, and is projected after it, comes empty.
func TestWhatIsOnItsWayDuringAnErasureArrivesEmpty(t *testing.T) {
	for name, database := range databases() {
		t.Run(name, func(t *testing.T) {
			b := newBook(t, database(t))
			b.write("ann", "Doe")
			b.await("ann", "Doe")
			b.begin.Store(true)
			b.write("ann", "Roe")
			<-b.reached
			b.must(<-b.erase("ann"))
			b.await("ann", "")
			close(b.goesOn)
			b.write("bert", "Coe") // it comes behind
			b.await("bert", "Coe")
			b.await("ann", "")
		})
	}
}

// What was projected before an erasure, and is committed after it began, is emptied.
func TestAnErasureWaitsForWhatIsBeingCommitted(t *testing.T) {
	for name, database := range databases() {
		t.Run(name, func(t *testing.T) {
			b := newBook(t, database(t))
			b.write("bert", "Coe")
			b.await("bert", "Coe")
			b.commit.Store(true)
			b.write("ann", "Doe")
			<-b.reached
			done := b.erase("ann")
			select {
			case err := <-done:
				t.Errorf("it is done (%v) before what was under way is committed", err)
			case <-time.After(200 * time.Millisecond):
			}
			close(b.goesOn)
			b.await("ann", "")
		})
	}
}
