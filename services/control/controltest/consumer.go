// Package controltest runs a real consumer of a flow, sound or at fault, for tests
// of who steers flows: the runtime that services have, on a database of its own,
// with tables that count what was taken in.
//
//	w := controltest.Start(t, controltest.Options{Fault: controltest.LosesRows})
//	w.Produce(1000)
//	w.Flows.Begin(ctx, controltest.Flow, 2, "realtime", "test", "to see")
package controltest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/triangle-suite/triangle/contracts/flows"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/control"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/eventlog/esdb"
	"github.com/triangle-suite/triangle/services/internal/eventlog/memory"
	"github.com/triangle-suite/triangle/services/internal/flow"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// Flow is the flow that is consumed: daily by the catalogue.
const Flow = "request-status"

// Fault is what is wrong with a consumer.
type Fault int

// The faults. Each spoils one event, or one window, of so many as Options.Every
// says.
const (
	// Sound is a consumer at no fault.
	Sound Fault = iota
	// LosesRows leaves an event's row out.
	LosesRows
	// DoublesRows takes an event in twice.
	DoublesRows
	// SwapsRows writes an event down as if it had come before the one before it.
	SwapsRows
	// LiesAboutWindows says of a window that it took in one event more.
	LiesAboutWindows
)

// String names the fault.
func (f Fault) String() string {
	return [...]string{"sound", "loses rows", "doubles rows", "swaps rows", "lies about windows"}[f]
}

// Options say what is run.
type Options struct {
	// Store is the connection string of the store; empty: one in memory, whose clock
	// is time.Now, as within a bubble of testing/synctest.
	Store string
	// Fault is what is wrong with the consumer, once in so many events as Every says;
	// 1000 when it is 0.
	Fault Fault
	Every int64
}

// Consumer is a consumer that runs until the test ends.
type Consumer struct {
	// Flows steers the flows of its store.
	Flows *control.Flows

	t       testing.TB
	options Options
	streams *decider.Streams
	written atomic.Int64
	mended  atomic.Bool
	taken   sync.Map // the ids of the events that were projected
}

var seen = projection.Schema{Name: "seen", Version: 1, Tables: []string{
	`CREATE TABLE seen (event_id TEXT PRIMARY KEY, request TEXT NOT NULL, ordinal BIGINT NOT NULL, times BIGINT NOT NULL)`,
}}

// Start runs a consumer.
func Start(t testing.TB, options Options) *Consumer {
	t.Helper()
	if options.Every == 0 {
		options.Every = 1000
	}
	var log eventlog.Log = memory.New(memory.Options{})
	if options.Store != "" {
		opened, err := esdb.Open(options.Store)
		if err != nil {
			t.Fatal(err)
		}
		log = opened
	}
	c, err := codec.New(nil) // nothing here is personal
	if err != nil {
		t.Fatal(err)
	}
	w := &Consumer{t: t, options: options, streams: &decider.Streams{Log: log, Codec: c}}
	if w.Flows, err = control.New(log); err != nil {
		t.Fatal(err)
	}
	end := w.run(t)
	t.Cleanup(func() {
		end()
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// run runs the consumer, and returns what ends it.
func (w *Consumer) run(t testing.TB) (end func()) {
	t.Helper()
	db, err := projection.Open(t.Context(), filepath.Join(t.TempDir(), "consumer.db"), "marketing")
	if err != nil {
		t.Fatal(err)
	}
	f, _ := flows.Find(Flow)
	told := &decider.Streams{Log: liar{w.streams.Log, w}, Codec: w.streams.Codec}
	runtime, err := flow.NewRuntime(t.Context(), flow.Options{
		DB: db, Streams: told, Logger: slog.New(slog.DiscardHandler), Heartbeat: time.Second, Lease: 24 * time.Hour,
	}, flow.Consumer{Flow: f, Schema: seen, Project: w.project})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- runtime.Run(ctx) }()
	return func() {
		stop()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("the consumer ended with %v", err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Mend ends the fault, of what is taken in from now on.
func (w *Consumer) Mend() { w.mended.Store(true) }

// Produce appends n events of the flow, of ten keys.
func (w *Consumer) Produce(n int) {
	w.t.Helper()
	for i := range n {
		request := fmt.Sprintf("r%d", i%10)
		e, err := w.streams.Codec.Encode(w.t.Context(), &salesv1.RequestStatusChanged{
			RequestId: request, Kind: journeyv1.RequestKind_REQUEST_KIND_COMPLAINT, Status: journeyv1.RequestStatus_REQUEST_STATUS_OPEN,
		}, uuid.New(), codec.Metadata{Source: codec.Source(flows.Sales), Time: time.Now()})
		if err != nil {
			w.t.Fatal(err)
		}
		if _, err := w.streams.Log.Append(w.t.Context(), "request-"+request, eventlog.Any, e); err != nil {
			w.t.Fatal(err)
		}
	}
}

// spoils tells whether it is this event that is spoilt: one in so many, and only when
// it is taken in. When it is folded again, for an audit, it is as it should be.
func (w *Consumer) spoils(id uuid.UUID) bool {
	if _, again := w.taken.LoadOrStore(id, true); again || w.mended.Load() {
		return false
	}
	return w.written.Add(1)%w.options.Every == 0
}

// project writes an event down.
func (w *Consumer) project(ctx context.Context, tx *projection.Tx, e codec.Event) error {
	request, ok := e.Message.(*salesv1.RequestStatusChanged)
	if !ok {
		return fmt.Errorf("%s is not of this flow", e.Type)
	}
	times, back := 1, 0
	if w.spoils(e.ID) {
		switch w.options.Fault {
		case LosesRows:
			return nil
		case DoublesRows:
			times = 2
		case SwapsRows:
			back = 1
		}
	}
	_, err := tx.Exec(ctx, `INSERT INTO seen (event_id, request, ordinal, times)
		SELECT ?, ?, count(*) - ?, ? FROM seen WHERE request = ?`, e.ID.String(), request.GetRequestId(), back, times, request.GetRequestId())
	return err
}

// liar is the store as the consumer sees it. Of what the consumer says of its windows
// it lets through what is not so.
type liar struct {
	eventlog.Log

	w *Consumer
}

// Append implements eventlog.Log.
func (l liar) Append(ctx context.Context, stream string, expected eventlog.Expected, events ...eventlog.NewEvent) (eventlog.Appended, error) {
	for i, e := range events {
		if e.Type == "flow.WindowClosed" && l.w.options.Fault == LiesAboutWindows && !l.w.mended.Load() {
			events[i].Data = []byte(strings.Replace(string(e.Data), `"count":"`, `"count":"1`, 1))
		}
	}
	return l.Log.Append(ctx, stream, expected, events...)
}
