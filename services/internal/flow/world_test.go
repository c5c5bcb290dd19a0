package flow_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/control"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/eventlog/memory"
	"github.com/triangle-suite/triangle/services/internal/flow"
	"github.com/triangle-suite/triangle/services/internal/pgtest"
	"github.com/triangle-suite/triangle/services/internal/postgres"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// The tests move request-status, which is daily by default, and play sales by
// appending its events. What marketing projects of them is one row per event:
// how often it was taken in, and as the how-manieth of its key.
const tested = "request-status"

var seen = projection.Schema{Name: "seen", Version: 1, Tables: []string{
	`CREATE TABLE seen (event_id TEXT PRIMARY KEY, request TEXT NOT NULL, ordinal BIGINT NOT NULL, times BIGINT NOT NULL)`,
}}

// shape is the tables that a build of marketing has, and what it writes into them.
type shape struct {
	schema projection.Schema
	write  func(ctx context.Context, tx *projection.Tx, e codec.Event, request string) error
}

var plain = shape{seen, func(ctx context.Context, tx *projection.Tx, e codec.Event, request string) error {
	_, err := tx.Exec(ctx, `INSERT INTO seen (event_id, request, ordinal, times)
		SELECT ?, ?, count(*), 1 FROM seen WHERE request = ?
		ON CONFLICT (event_id) DO UPDATE SET times = seen.times + 1`, e.ID.String(), request, request)
	return err
}}

// world is a store, a database, and a marketing service that can crash.
type world struct {
	t       *testing.T
	log     *memory.Log
	flows   *control.Flows
	streams *decider.Streams
	where   string // the database
	schema  string // in which its tables are
	db      *projection.DB
	rt      *flow.Runtime
	end     context.CancelFunc
	done    chan error

	shape   shape
	late    flow.LatePolicy
	poison  func(request string) error // what projecting an event of the request fails with
	parkMax uint64
	rotten  func(event uuid.UUID) error // what taking in this event fails with

	content func(answers int) bool // when the reaction has nothing to do, by the answers that there are
	muted   atomic.Bool            // the reaction answers nothing, as if it had

	most      int64        // how many transactions are enough; 0: any number
	began     atomic.Int64 // so many have
	heartbeat time.Duration
	lease     time.Duration // by the database's clock, which goes its own way in a bubble
	noTables  bool          // the service only reacts
	own       bool          // the flow is sales' own, back to itself
	types     []string      // that the build takes in; nil: the catalogue's
	freezable bool          // what the service reads of the log can be withheld
	ice       *ice          // by which it is

	storeAhead time.Duration // by how much the store's clock is ahead of the service's
	metrics    prometheus.Registerer

	projecting func(context.Context, *projection.Tx, codec.Event) error // instead of what the tests project
	takes      func(codec.Event) bool                                   // what the reaction takes; nil: all

	appendFault atomic.Pointer[func(stream string) error] // after an append took effect
}

func newWorld(t *testing.T, where string) *world {
	t.Helper()
	w := &world{
		t: t, where: where, schema: "marketing", shape: plain,
		lease:  24 * time.Hour, // in most stories days pass
		poison: func(string) error { return nil }, rotten: func(uuid.UUID) error { return nil },
	}
	w.log = memory.New(memory.Options{Now: func() time.Time { return time.Now().Add(w.storeAhead) }, AfterAppend: func(stream string, _ []eventlog.NewEvent) error {
		if fault := w.appendFault.Load(); fault != nil {
			return (*fault)(stream)
		}
		return nil
	}})
	c, err := codec.New(nil) // nothing here is personal
	if err != nil {
		t.Fatal(err)
	}
	w.streams = &decider.Streams{Log: w.log, Codec: c}
	if w.flows, err = control.New(w.log); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		w.stop()
		if err := w.log.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// start starts the service on its database.
func (w *world) start() {
	w.t.Helper()
	var err error
	if w.db, err = projection.Open(w.t.Context(), w.where, w.schema); err != nil {
		w.t.Fatal(err)
	}
	if w.most > 0 {
		w.db.Hook(projection.Hooks{Begin: w.noteWork})
	}
	w.rt = w.newRuntime(w.db)
	var ctx context.Context
	ctx, w.end = context.WithCancel(context.Background())
	rt, done := w.rt, make(chan error, 1) // not the world's own: another may take its place
	w.done = done
	go func() { done <- rt.Run(ctx) }()
}

// noteWork begins no more transactions for a service that goes on and on; pass ends
// the story.
func (w *world) noteWork(context.Context) error {
	if w.began.Add(1) > w.most {
		return errRestless
	}
	return nil
}

var errRestless = errors.New("the service does not come to rest")

func (w *world) newRuntime(db *projection.DB) *flow.Runtime {
	w.t.Helper()
	f, _ := flows.Find(tested)
	if w.own {
		f = flow.Own(flows.Sales, f.Types, f.Key)
	}
	if w.types != nil {
		f.Types = w.types
	}
	project := w.project
	if w.noTables {
		project = nil
	}
	streams := *w.streams
	if w.freezable {
		w.ice = newIce(streams.Log)
		streams.Log = w.ice
	}
	rt, err := flow.NewRuntime(w.t.Context(), flow.Options{
		DB: db, Streams: &streams, Logger: slog.New(slog.DiscardHandler), ParkMax: w.parkMax, Heartbeat: w.heartbeat, Lease: w.lease, Metrics: w.metrics,
	}, flow.Consumer{Flow: f, Schema: w.shape.schema, Project: project, Reactions: []flow.Reaction{w.reaction()}, Answers: flow.InOrderOfKeys})
	if err != nil {
		w.t.Fatal(err)
	}
	return rt
}

// anew gives the service a new, empty database from the next start on.
func (w *world) anew() {
	w.schema += "_anew"
	if !postgres.IsURL(w.where) {
		w.where += ".anew"
	}
}

// stop ends the service; whatever it was about to do is not done.
func (w *world) stop() {
	if w.end == nil {
		return
	}
	w.end()
	if err := <-w.done; err != nil && !errors.Is(err, context.Canceled) {
		w.t.Errorf("the runtime ended with %v", err)
	}
	if err := w.db.Close(); err != nil {
		w.t.Error(err)
	}
	w.end = nil
}

func (w *world) project(ctx context.Context, tx *projection.Tx, e codec.Event) error {
	if w.projecting != nil {
		return w.projecting(ctx, tx, e)
	}
	return w.projectAs(ctx, w.shape, tx, e)
}

func (w *world) projectAs(ctx context.Context, s shape, tx *projection.Tx, e codec.Event) error {
	request := requestOf(e)
	// What fails has written: nothing of it may stay.
	return errors.Join(s.write(ctx, tx, e, request), w.poison(request), w.rotten(e.ID))
}

// requestOf returns the request that an event is about.
func requestOf(e codec.Event) string {
	return e.Message.(interface{ GetRequestId() string }).GetRequestId()
}

// reaction answers each event with one of its own, in the stream of its request.
func (w *world) reaction() flow.Reaction {
	answer := func(text string) func(context.Context, flow.Cause) error {
		return func(ctx context.Context, cause flow.Cause) error {
			request := requestOf(cause.Event)
			_, err := decider.Handle(ctx, w.streams, cause.Origin, "answers-"+request, answers, func(before int) ([]proto.Message, error) {
				if w.content != nil && w.content(before) {
					return nil, nil
				}
				return []proto.Message{&flowv1.MarkerSet{Purpose: text + cause.ID.String()}}, nil
			})
			return err
		}
	}
	return flow.Reaction{
		Name:  "test-answer",
		Takes: func(e codec.Event) bool { return w.takes == nil || w.takes(e) },
		Late:  w.late,
		Answer: func(ctx context.Context, _ projection.Querier, cause flow.Cause) error {
			if err := w.rotten(cause.ID); err != nil || w.muted.Load() {
				return err
			}
			return answer("answer to ")(ctx, cause)
		},
		Decline: func(ctx context.Context, _ projection.Querier, cause flow.Cause, reason string) error {
			return answer("none ("+reason+") to ")(ctx, cause)
		},
	}
}

var answers = decider.Decider[int]{
	Initial: func() int { return 0 },
	Evolve:  func(n int, _ proto.Message) int { return n + 1 },
}

// produce appends one event of sales, and returns its id.
func (w *world) produce(request string) uuid.UUID {
	w.t.Helper()
	id := uuid.New()
	w.produceAs(id, request)
	return id
}

func (w *world) produceAs(id uuid.UUID, request string) {
	w.t.Helper()
	w.write(id, "request-"+request, &salesv1.RequestStatusChanged{
		RequestId: request, Kind: journeyv1.RequestKind_REQUEST_KIND_COMPLAINT, Status: journeyv1.RequestStatus_REQUEST_STATUS_OPEN,
	})
}

func (w *world) write(id uuid.UUID, stream string, m proto.Message) {
	w.t.Helper()
	e, err := w.streams.Codec.Encode(w.t.Context(), m, id, codec.Metadata{Source: codec.Source(flows.Sales), Time: time.Now()})
	if err != nil {
		w.t.Fatal(err)
	}
	w.append(stream, e)
}

func (w *world) append(stream string, e eventlog.NewEvent) {
	w.t.Helper()
	if _, err := w.log.Append(w.t.Context(), stream, eventlog.Any, e); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) set(cadence string) {
	w.t.Helper()
	if _, err := w.flows.Set(w.t.Context(), tested, cadence, "test", "for the test"); err != nil {
		w.t.Fatal(err)
	}
}

// quiet waits until nothing goes on any more, short of time passing.
func (w *world) quiet() { synctest.Wait() }

// pass lets time pass.
func (w *world) pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
	if n := w.began.Load(); w.most > 0 && n > w.most {
		w.t.Fatalf("%v: it has begun %d transactions", errRestless, n)
	}
}

// taken returns the ids of the events taken in, in order per request, and fails
// the test when one was taken in twice.
func (w *world) taken() map[string][]string {
	w.t.Helper()
	rows, err := w.db.Query(w.t.Context(), `SELECT event_id, request, times FROM seen ORDER BY request, ordinal`)
	if err != nil {
		w.t.Fatal(err)
	}
	type row struct {
		id, request string
		times       int
	}
	all, err := projection.Collect(rows, func(rows projection.Scanner, r *row) error {
		return rows.Scan(&r.id, &r.request, &r.times)
	})
	if err != nil {
		w.t.Fatal(err)
	}
	taken := map[string][]string{}
	for _, r := range all {
		if r.times != 1 {
			w.t.Errorf("event %s was taken in %d times", r.id, r.times)
		}
		taken[r.request] = append(taken[r.request], r.id)
	}
	return taken
}

func (w *world) count() (n int) {
	w.t.Helper()
	for _, ids := range w.taken() {
		n += len(ids)
	}
	return n
}

// answered returns what the reaction wrote for a request.
func (w *world) answered(request string) (texts []string) {
	w.t.Helper()
	for e, err := range w.log.ReadStream(w.t.Context(), "answers-"+request, eventlog.Forward, 0, 0) {
		if errors.Is(err, eventlog.ErrNoStream) {
			return nil
		}
		if err != nil {
			w.t.Fatal(err)
		}
		decoded, err := w.streams.Codec.Decode(w.t.Context(), e)
		if err != nil {
			w.t.Fatal(err)
		}
		texts = append(texts, decoded.Message.(*flowv1.MarkerSet).GetPurpose())
	}
	return texts
}

// history tells the flow's control events, a line each.
func (w *world) history() (lines []string) {
	w.t.Helper()
	entries, err := w.flows.History(w.t.Context(), tested)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range entries {
		lines = append(lines, e.String())
	}
	return lines
}

func (w *world) freshness() (staleness time.Duration) {
	w.t.Helper()
	all := w.rt.Freshness(tested)
	if len(all) != 1 {
		w.t.Fatalf("got the freshness of %d flows, want 1", len(all))
	}
	return all[0].GetStaleness().AsDuration()
}

// databases are those that a story is told on. The race detector makes SQLite,
// which is Go, ten times slower: under it stories are told on SQLite alone, and few
// of each kind; make test tells all of them without it, too.
func databases() iter.Seq2[string, func(testing.TB) string] {
	return func(yield func(string, func(testing.TB) string) bool) {
		for name, database := range pgtest.Databases() {
			if (!underRace || name == "SQLite") && !yield(name, database) {
				return
			}
		}
	}
}

// seeds is how many of many seeds are played.
func seeds(many uint64) uint64 {
	switch {
	case underRace:
		return max(1, many/10)
	case testing.Short():
		return max(1, many/5)
	default:
		return many
	}
}

// inBubble tells a story on each kind of database, beside other stories: each
// has a database and a clock of its own.
func inBubble(t *testing.T, story func(w *world)) {
	t.Helper()
	t.Parallel()
	for name, database := range databases() {
		t.Run(name, func(t *testing.T) { inBubbleOn(t, database, story) })
	}
}

// inBubbleOn makes the database outside of the bubble: a server goes on when the
// test has ended.
func inBubbleOn(t *testing.T, database func(testing.TB) string, story func(w *world)) {
	t.Helper()
	t.Parallel()
	where := database(t)
	synctest.Test(t, func(t *testing.T) { story(newWorld(t, where)) })
}

func TestMain(m *testing.M) { os.Exit(pgtest.Run(m)) }

func wantCount(w *world, want int, when string) {
	w.t.Helper()
	if got := w.count(); got != want {
		w.t.Errorf("%s: %d events are taken in, want %d", when, got, want)
	}
}

func name(prefix string, i int) string { return fmt.Sprintf("%s%02d", prefix, i) }

// runSecond runs the world's runtime beside the one that runs already.
func (w *world) runSecond() {
	ctx, end := context.WithCancel(context.Background())
	done := make(chan error, 1)
	rt := w.rt
	w.end, w.done = end, done
	go func() { done <- rt.Run(ctx) }()
}
