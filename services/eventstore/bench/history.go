package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	"github.com/triangle-suite/triangle/contracts/flows"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/control"
	"github.com/triangle-suite/triangle/services/eventstore/bench/internal/peer"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/eventlog/esdb"
	"github.com/triangle-suite/triangle/services/internal/flow"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// The flow that is measured: CRM's facts of customers, as marketing takes them
// in.
const theFlow = "customer-facts"

const (
	onSQLite   = "SQLite"
	onPostgres = "PostgreSQL"

	syncSQLite   = "checkpoint with its rows: WAL, synchronous=NORMAL"
	syncPostgres = "checkpoint with its rows: fsync=on, synchronous_commit=on"
)

// history is a store in which CRM tells of its customers' orders, and what a
// service reaches it by.
type history struct {
	addr      string
	log       *esdb.Log
	streams   *decider.Streams
	flows     *control.Flows
	customers int
	orders    atomic.Int64 // so many were appended
	views     atomic.Int64 // the same
}

// history starts a store, on which nothing has happened to so many customers.
func (b *bench) history(customers int) (*history, error) {
	addr, err := b.startStore()
	if err != nil {
		return nil, err
	}
	return b.historyOn(addr, customers)
}

// historyOn is the same of a store that is there.
func (b *bench) historyOn(addr string, customers int) (*history, error) {
	log, err := connect(addr)
	if err != nil {
		return nil, err
	}
	b.onClose(log.Close)
	c, err := codec.New(nil) // an order is nothing personal
	if err != nil {
		return nil, err
	}
	steered, err := control.New(log)
	if err != nil {
		return nil, err
	}
	return &history{addr: addr, log: log, streams: &decider.Streams{Log: log, Codec: c}, flows: steered, customers: customers}, nil
}

func connect(addr string) (*esdb.Log, error) { return esdb.Open("esdb://" + addr + "?tls=false") }

// customer is whose turn it is. Customers take turns, in an order that is none of
// their ids.
func (h *history) customer(n int64) string {
	const stride = 7_368_787 // a prime, so that everybody has a turn
	return fmt.Sprintf("8d6f1c1e-5c0b-4f57-9b1d-%012d", n*stride%int64(h.customers))
}

// order is the next order.
func (h *history) order(ctx context.Context) (eventlog.NewEvent, error) {
	n := h.orders.Add(1) - 1
	customer, id := h.customer(n), uuid.New()
	return h.encode(ctx, id, customer, &salesv1.OrderPlaced{
		CustomerId: customer, OrderId: id.String(), OrderedOn: "2026-03-14", Quantity: uint32(n%3) + 1, AmountCents: 100 + n%90_000, Source: "import",
	})
}

// view is the next customer view that CRM tells.
func (h *history) view(ctx context.Context) (eventlog.NewEvent, error) {
	n := h.views.Add(1) - 1
	customer, orders := h.customer(n), n/int64(h.customers)+1
	return h.encode(ctx, uuid.New(), customer, &salesv1.CustomerViewChanged{
		CustomerId: customer, Consent: journeyv1.Consent_CONSENT_GRANTED, Orders: uint32(orders), SpentCents: 100 * orders,
	})
}

// encode makes an event that tells of a customer.
func (h *history) encode(ctx context.Context, id uuid.UUID, customer string, message proto.Message) (eventlog.NewEvent, error) {
	return h.streams.Codec.Encode(ctx, message, id, codec.Metadata{
		Source: codec.Source(flows.Sales), Subject: customer, Time: time.Now(), CorrelationID: id.String(), CausationID: id.String(),
		TraceParent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
	})
}

// place appends so many orders at once, to a stream of their own.
func (h *history) place(ctx context.Context, orders int) (eventlog.Appended, error) {
	return h.append(ctx, orders, h.order)
}

func (h *history) append(ctx context.Context, n int, next func(context.Context) (eventlog.NewEvent, error)) (eventlog.Appended, error) {
	events := make([]eventlog.NewEvent, n)
	for i := range events {
		var err error
		if events[i], err = next(ctx); err != nil {
			return eventlog.Appended{}, err
		}
	}
	return h.log.Append(ctx, "import-"+uuid.NewString(), eventlog.NoStream, events...)
}

// fill places so many orders, many at once.
func (h *history) fill(ctx context.Context, orders int) error {
	return h.fillWith(ctx, orders, h.order)
}

func (h *history) fillWith(ctx context.Context, events int, next func(context.Context) (eventlog.NewEvent, error)) error {
	var left atomic.Int64
	left.Store(int64(events))
	group, ctx := errgroup.WithContext(ctx)
	for range connections {
		group.Go(func() error {
			for {
				before := left.Add(-fillBatch) + fillBatch
				if before <= 0 {
					return nil
				}
				if _, err := h.append(ctx, int(min(before, fillBatch)), next); err != nil {
					return fmt.Errorf("fill the store: %w", err)
				}
			}
		})
	}
	return group.Wait()
}

// facts are the tables that the flow is taken in to: a row for each customer.
var facts = projection.Schema{Name: "facts", Version: 1, Tables: []string{
	`CREATE TABLE facts (customer_id TEXT PRIMARY KEY, orders BIGINT NOT NULL, spent_cents BIGINT NOT NULL) WITHOUT ROWID`,
	`CREATE INDEX facts_spent ON facts (spent_cents, customer_id)`,
}}

func projectFacts(ctx context.Context, tx *projection.Tx, e codec.Event) error {
	order, ok := e.Message.(*salesv1.OrderPlaced)
	if !ok {
		return fmt.Errorf("%s is no order", e.Type)
	}
	return tx.Write(ctx, `INSERT INTO facts (customer_id, orders, spent_cents) VALUES (?, 1, ?)
		ON CONFLICT (customer_id) DO UPDATE SET orders = facts.orders + 1, spent_cents = facts.spent_cents + excluded.spent_cents`,
		order.GetCustomerId(), order.GetAmountCents())
}

// consumer is a service that takes the flow in.
type consumer struct {
	log    *esdb.Log
	db     *projection.DB
	rt     *flow.Runtime
	intake *flow.Intake
}

// consumer gives a service its database, at where, and its connection.
func (h *history) consumer(ctx context.Context, where, schema, cadence string) (*consumer, error) {
	return h.consumerOf(ctx, where, schema, cadence, facts)
}

// consumerOf is the same for a build whose tables may be of another version.
func (h *history) consumerOf(ctx context.Context, where, schema, cadence string, tables projection.Schema) (*consumer, error) {
	log, err := connect(h.addr)
	if err != nil {
		return nil, err
	}
	db, err := projection.Open(ctx, where, schema)
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	f, _ := flows.Find(theFlow)
	f.Cadence = cadence
	c := &consumer{log: log, db: db}
	c.rt, err = flow.NewRuntime(ctx, flow.Options{DB: db, Streams: &decider.Streams{Log: log, Codec: h.streams.Codec}, Logger: slog.New(slog.DiscardHandler)},
		flow.Consumer{Flow: f, Schema: tables, Project: projectFacts})
	if err != nil {
		return nil, errors.Join(err, c.close())
	}
	c.intake = c.rt.Intake(theFlow)
	return c, nil
}

func (c *consumer) close() error { return errors.Join(c.db.Close(), c.log.Close()) }

// start has the service work until stop is called.
func (c *consumer) start(ctx context.Context) (stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- c.rt.Run(ctx) }()
	return func() error {
		cancel()
		return <-ended
	}
}

// lookEvery is how often a service is looked at that is at work.
const lookEvery = 200 * time.Microsecond

// until waits for a state of the flow.
func (c *consumer) until(ctx context.Context, reached func(flow.State) bool) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		state := c.intake.State()
		if reached(state) {
			return nil
		}
		if state.Err != nil {
			return fmt.Errorf("take in %s: %w", theFlow, state.Err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// check fails unless each of so many orders is in the tables, once.
func (c *consumer) check(ctx context.Context, orders int64) error {
	var counted int64
	if err := c.db.QueryRow(ctx, `SELECT CAST(coalesce(sum(orders), 0) AS BIGINT) FROM facts`).Scan(&counted); err != nil {
		return fmt.Errorf("count the orders: %w", err)
	}
	if counted != orders {
		return fmt.Errorf("the tables count %d orders, and %d were placed", counted, orders)
	}
	return nil
}

// database is where a service keeps its tables. Each has a new one.
type database struct {
	name   string
	sync   string
	absent string
	// open returns a new database, and what deletes it.
	open func() (where, schema string, drop func(context.Context) error, err error)
}

// sqlite is a file for each database.
func (b *bench) sqlite() database {
	return database{name: onSQLite, sync: syncSQLite, open: func() (string, string, func(context.Context) error, error) {
		dir, err := b.folder("sqlite")
		return filepath.Join(dir, "facts.db"), "marketing", func(context.Context) error { return os.RemoveAll(dir) }, err
	}}
}

// databases are both kinds.
func (b *bench) databases(ctx context.Context) ([]database, error) {
	server, absent, err := b.startPostgres(ctx)
	if err != nil {
		return nil, err
	}
	made := 0
	return []database{b.sqlite(), {name: onPostgres, sync: syncPostgres, absent: absent, open: func() (string, string, func(context.Context) error, error) {
		made++
		schema := fmt.Sprintf("marketing%d", made)
		return server.URL(), schema, func(ctx context.Context) error { return drop(ctx, server, schema) }, nil
	}}}, nil
}

func drop(ctx context.Context, server *peer.Postgres, schema string) error {
	pool, err := server.Pool(ctx, 1)
	if err != nil {
		return err
	}
	defer pool.Close()
	_, err = pool.Exec(ctx, `DROP SCHEMA `+schema+` CASCADE`)
	return err
}
