package flow_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/flow"
	"github.com/triangle-suite/triangle/services/internal/pgtest"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// richer is another build's tables: a column more, and a table more.
var richer = shape{
	schema: projection.Schema{Name: "seen", Version: 2, Tables: []string{
		`CREATE TABLE seen_request (request TEXT PRIMARY KEY, events BIGINT NOT NULL)`,
		`CREATE TABLE seen (
			event_id TEXT PRIMARY KEY, request TEXT NOT NULL, ordinal BIGINT NOT NULL, times BIGINT NOT NULL,
			place BIGINT NOT NULL)`,
		`CREATE INDEX seen_place ON seen (place)`,
	}},
	write: func(ctx context.Context, tx *projection.Tx, e codec.Event, request string) error {
		_, err := tx.Exec(ctx, `INSERT INTO seen_request (request, events) VALUES (?, 1) ON CONFLICT (request) DO UPDATE SET events = seen_request.events + 1`, request)
		if err == nil {
			_, err = tx.Exec(ctx, `INSERT INTO seen (event_id, request, ordinal, times, place)
				SELECT ?, request, events, 1, ? FROM seen_request WHERE request = ?
				ON CONFLICT (event_id) DO UPDATE SET times = seen.times + 1`, e.ID.String(), e.Position.Commit, request)
		}
		return err
	},
}

// produceWide produces events of many keys, whose streams so stay short.
func (w *world) produceWide(produced map[string][]string, n int) {
	for i := range n {
		key := name("wide", i%300)
		produced[key] = append(produced[key], w.produce(key).String())
	}
}

// restartAs ends the service and starts another build of it.
func (w *world) restartAs(s shape) {
	w.stop()
	w.shape = s
	w.start()
}

// wantFolded wants the tables to be of the world's shape, and to hold what a plain
// reading of the log up to the checkpoint makes, but for what is parked or was
// skipped.
func (w *world) wantFolded(when string) {
	w.t.Helper()
	ctx := w.t.Context()
	versions, err := projection.Versions(ctx, w.db)
	if err != nil || versions["seen"] != w.shape.schema.Version {
		w.t.Errorf("%s: the tables are of versions %v (%v), want version %d of seen", when, versions, err, w.shape.schema.Version)
		return
	}
	scratch, err := projection.Open(ctx, filepath.Join(w.t.TempDir(), "scratch.db"), "")
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() {
		if err := scratch.Drop(ctx); err != nil {
			w.t.Error(err)
		}
	}()
	if err := scratch.Create(ctx, w.shape.schema); err != nil {
		w.t.Fatal(err)
	}
	if err := scratch.Update(ctx, w.readPlainly); err != nil {
		w.t.Fatal(err)
	}
	differences, err := w.shape.schema.Diff(ctx, w.db, scratch, 3)
	if err != nil || differences.Rows > 0 {
		w.t.Errorf("%s: the tables differ from a plain reading of the log in %d rows (%v): %v", when, differences.Rows, err, differences.First)
	}
}

func (w *world) readPlainly(tx *projection.Tx) error {
	ctx := w.t.Context()
	var until eventlog.Position
	if err := w.db.QueryRow(ctx, `SELECT commit_position, prepare_position FROM flow_checkpoint`).Scan(&until.Commit, &until.Prepare); err != nil {
		return err
	}
	parked, skipped := parkedRows(w), (&schedule{world: w}).skipped()
	for e, err := range w.log.ReadAll(ctx, eventlog.Forward, &eventlog.Position{}, 0) {
		if err != nil {
			return err
		}
		if e.Type != "sales.RequestStatusChanged" || e.Position.Compare(until) > 0 || skipped[e.ID.String()] || slices.Contains(parked, e.ID.String()) {
			continue
		}
		event, err := w.streams.Codec.Decode(ctx, e)
		if err != nil {
			return err
		}
		if err := w.shape.write(ctx, tx, event, requestOf(event)); err != nil {
			return err
		}
	}
	return nil
}

// wantNothingBeside wants no tables beside to be left.
func (w *world) wantNothingBeside() {
	w.t.Helper()
	var noted int
	if err := w.db.QueryRow(w.t.Context(), `SELECT count(*) FROM flow_rebuild_beside`).Scan(&noted); err != nil || noted > 0 {
		w.t.Errorf("%d databases beside are noted (%v), want none", noted, err)
	}
	if w.db.Shared() {
		var schemas int
		if err := w.db.QueryRow(w.t.Context(), `SELECT count(*) FROM pg_namespace WHERE nspname LIKE ?`, w.schema+"\\_rebuild%").Scan(&schemas); err != nil || schemas > 0 {
			w.t.Errorf("%d schemas beside are left (%v), want none", schemas, err)
		}
		return
	}
	if left, err := filepath.Glob(w.where + "-rebuild*"); err != nil || len(left) > 0 {
		w.t.Errorf("left beside are %v (%v), want nothing", left, err)
	}
}

// The newer build's tables come to where the flow is, and not to the end of the
// log, which is behind a closed gate. Nothing is answered again. Then the build is
// rolled back, and has its own tables.
func TestTablesOfAnotherVersionAreRebuiltUpToTheCheckpoint(t *testing.T) {
	inBubble(t, func(w *world) {
		o := operator{w}
		w.set(flows.RealTime)
		bad := map[string]bool{"bad": true, "worse": true}
		w.poison = func(request string) error {
			if bad[request] {
				return flow.Unprocessable(errors.New("bad"))
			}
			return nil
		}
		w.start()
		skipped := w.produce("worse")
		produced := map[string][]string{"bad": nil}
		for range 3 {
			w.produceWide(produced, 400)
			w.produce("bad")
		}
		w.pass(5 * time.Second)
		if got := o.skip(skipped); !strings.HasSuffix(got, "was skipped") {
			t.Fatalf("the answer to skip is %q", got)
		}
		w.set(flows.Daily)
		w.pass(5 * time.Second)
		w.produceWide(produced, 100)
		for _, s := range []shape{richer, plain, richer} {
			w.restartAs(s)
			w.quiet()
			wantCount(w, 1200, "behind the closed gate")
			w.wantFolded(fmt.Sprintf("behind the closed gate, with version %d", s.schema.Version))
			w.wantNothingBeside()
			if err := w.rt.Available(); err != nil {
				t.Errorf("calls can't be answered: %v", err)
			}
		}
		if _, err := w.flows.RunWindow(w.t.Context(), tested, "test", "now"); err != nil {
			t.Fatal(err)
		}
		w.pass(time.Second)
		wantCount(w, 1300, "after the window")
		w.wantFolded("after the window")
		for key, ids := range produced {
			(&schedule{world: w}).checkAnswers(key, ids)
		}
	})
}

// A flow that had no tables, and has some now, has them filled.
func TestTablesThatAreNewAreFilledWithWhatHasBeenTakenIn(t *testing.T) {
	inBubble(t, func(w *world) {
		w.set(flows.RealTime)
		unnamed := shape{write: func(context.Context, *projection.Tx, codec.Event, string) error { return nil }}
		w.shape = unnamed
		w.start()
		w.produceWide(map[string][]string{}, 20)
		w.pass(time.Second)
		w.restartAs(richer)
		w.pass(time.Second)
		wantCount(w, 20, "in tables that are new")
		w.wantFolded("in tables that are new")
	})
}

var errObstacle = errors.New("the service was ended")

// A service that ends at whatever moment of a rebuild goes on with it, or begins
// again, and comes to the same.
func TestARebuildSurvivesACrashAtAnyStep(t *testing.T) {
	for seed := range seeds(4) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			story := func(w *world) { crashWhileRebuilding(w, rand.New(rand.NewPCG(seed, 1))) }
			if seed == 0 { // it takes longer on PostgreSQL
				inBubble(t, story)
				return
			}
			inBubbleOn(t, pgtest.Databases()["SQLite"], story)
		})
	}
}

func crashWhileRebuilding(w *world, random *rand.Rand) {
	produced := map[string][]string{}
	w.set(flows.RealTime)
	w.start()
	w.produceWide(produced, 1001+random.IntN(200))
	w.pass(5 * time.Second)
	var left atomic.Int64 // events until the crash
	to := []shape{richer, plain}
	for i := range 6 {
		w.stop()
		w.shape = w.crashing(to[i/3], &left)
		left.Store(1 + random.Int64N(1500))
		w.start()
		if random.IntN(2) == 0 {
			w.produceWide(produced, 100)
		}
		w.pass(time.Duration(random.IntN(3)) * time.Second)
	}
	for _, s := range []shape{plain, richer} {
		w.restartAs(s)
		w.produceWide(produced, 10)
		w.pass(5 * time.Second)
		w.wantFolded("in the end")
		w.wantNothingBeside()
	}
	for key, ids := range produced {
		if got := w.taken()[key]; !slices.Equal(got, ids) {
			w.t.Errorf("%s: %d events are taken in, produced %d", key, len(got), len(ids))
		}
		(&schedule{world: w}).checkAnswers(key, ids)
	}
}

// crashing is a shape whose process ends when so many events have been written.
func (w *world) crashing(s shape, left *atomic.Int64) shape {
	whole := s.write
	s.write = func(ctx context.Context, tx *projection.Tx, e codec.Event, request string) error {
		if left.Add(-1) == 0 {
			w.end() // stop, which waits for it, comes later
			return errObstacle
		}
		return whole(ctx, tx, e, request)
	}
	return s
}

// A swap that fails half-way leaves the old tables as they were, and whatever is
// beside is of use to the next attempt.
func TestASwapThatFailsChangesNothing(t *testing.T) {
	inBubble(t, func(w *world) {
		w.set(flows.RealTime)
		w.start()
		w.produceWide(map[string][]string{}, 50)
		w.pass(time.Second)
		// The new version's first table can't be put in its place: the old ones have
		// been dropped by then.
		w.define(`CREATE TABLE seen_request (in_the_way INTEGER)`)
		w.stop()
		var written atomic.Int64
		w.shape = richer
		w.shape.write = func(ctx context.Context, tx *projection.Tx, e codec.Event, request string) error {
			written.Add(1)
			return richer.write(ctx, tx, e, request)
		}
		w.start()
		w.pass(5 * time.Second)
		if err := w.rt.Ready(w.t.Context()); err == nil || !strings.Contains(err.Error(), "seen_request") {
			t.Errorf("readiness says %v, want what is in the way", err)
		}
		if err := w.rt.Available(); err == nil || strings.Contains(err.Error(), "seen_request") {
			t.Errorf("callers are told %v", err)
		}
		w.shape = plain
		w.wantFolded("after a swap that failed")
		w.shape = richer
		w.define(`DROP TABLE seen_request`)
		w.pass(5 * time.Second)
		w.wantFolded("after the swap")
		wantCount(w, 50, "after the swap")
		if n := written.Load(); n != 50 {
			t.Errorf("%d events were projected, want 50, each once", n)
		}
		if err := errors.Join(w.rt.Ready(w.t.Context()), w.rt.Available()); err != nil {
			t.Error(err)
		}
	})
}

// What a process that ended between the swap and its end has left is removed.
func TestTablesBesideThatAreLeftAreRemoved(t *testing.T) {
	inBubble(t, func(w *world) {
		w.start()
		w.quiet()
		beside, err := w.db.Beside(w.t.Context(), "rebuild_seen_v7")
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(beside.Create(w.t.Context(), richer.schema), beside.Close()); err != nil {
			t.Fatal(err)
		}
		w.define(`INSERT INTO flow_rebuild_beside (name) VALUES ('rebuild_seen_v7')`)
		w.restartAs(plain)
		w.quiet()
		w.wantNothingBeside()
	})
}

// A build that has lost its flow's own history cannot fold it from the log.
func TestTheRuntimesOwnTablesAreNotRebuilt(t *testing.T) {
	inBubble(t, func(w *world) {
		w.start()
		w.quiet()
		w.define(`UPDATE projections SET version = version + 1 WHERE name = 'flow'`)
		f, _ := flows.Find(tested)
		_, err := flow.NewRuntime(w.t.Context(), flow.Options{DB: w.db, Streams: w.streams, Logger: slog.New(slog.DiscardHandler)}, flow.Consumer{Flow: f, Schema: seen, Project: w.project})
		if !errors.Is(err, projection.ErrSchema) {
			t.Errorf("the error is %v, want ErrSchema", err)
		}
	})
}

// A parked event that is taken in while the tables beside have passed it by is in
// them when they are swapped.
func TestAParkedEventThatIsReleasedDuringARebuildIsNotLost(t *testing.T) {
	w := newWorld(t, pgtest.Database(t))
	w.lease = time.Second
	w.set(flows.RealTime)
	var bad atomic.Bool
	bad.Store(true)
	w.poison = func(request string) error {
		if request == "bad" && bad.Load() {
			return flow.Unprocessable(errors.New("bad"))
		}
		return nil
	}
	produced := map[string][]string{}
	first := w.newMemberOf(t, plain)
	for range 3 {
		produced["bad"] = append(produced["bad"], w.produce("bad").String())
		w.produceWide(produced, 500)
	}
	await(t, "three events to be parked", func() bool {
		return first.rt.Intake(tested).State().Parked == 3 && first.rt.Intake(tested).State().Taken == 1503
	})

	held, reached := make(chan struct{}), make(chan struct{})
	var n atomic.Int64
	slow := richer
	slow.write = func(ctx context.Context, tx *projection.Tx, e codec.Event, request string) error {
		if n.Add(1) == 1200 { // in the second batch
			close(reached)
			<-held
		}
		return richer.write(ctx, tx, e, request)
	}
	second := w.newMemberOf(t, slow)
	<-reached
	if err := second.rt.Ready(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "rebuilding seen, ") {
		t.Errorf("readiness says %v, want how far it has come", err)
	}
	if second.rt.Available() == nil || first.rt.Available() != nil {
		t.Errorf("the new build answers %v, the old one %v; want the old one to answer", second.rt.Available(), first.rt.Available())
	}
	bad.Store(false)
	if _, err := w.flows.Retry(t.Context(), tested, produced["bad"][0], "ada", "mended"); err != nil {
		t.Fatal(err)
	}
	await(t, "the parked events to be taken in", func() bool { return first.rt.Intake(tested).State().Parked == 0 })
	w.produceWide(produced, 50)
	produced["bad"] = append(produced["bad"], w.produce("bad").String())
	close(held)
	await(t, "the new build to own", second.rt.Owns)
	second.wantOnce(t, produced)
	w.shape = richer
	w.wantFolded("after the swap")
}

func (w *world) define(statement string) {
	w.t.Helper()
	err := w.db.Update(w.t.Context(), func(tx *projection.Tx) error {
		_, err := tx.Exec(w.t.Context(), statement)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// Of two builds on one database the one that started last has its tables, and the
// other one neither answers nor writes.
func TestTheBuildThatStartedLastHasItsTables(t *testing.T) {
	w, produced := replicated(t), map[string][]string{}
	old := []*member{w.newMemberOf(t, plain), w.newMemberOf(t, plain)}
	w.produceWide(produced, 300)
	for _, m := range old {
		m.wantOnce(t, produced)
	}
	newer := w.newMemberOf(t, richer)
	w.produceWide(produced, 300)
	await(t, "the newer build to own", newer.rt.Owns)
	newer.wantOnce(t, produced)
	for _, m := range old {
		await(t, "the older build to say that it is replaced", func() bool { return errors.Is(m.rt.Available(), flow.ErrReplaced) && !m.rt.Owns() })
		if err := m.rt.Ready(t.Context()); !errors.Is(err, projection.ErrSchema) {
			t.Errorf("readiness says %v, want ErrSchema", err)
		}
	}
	w.produceWide(produced, 100)
	newer.wantOnce(t, produced)
	newer.wantShape(t, richer)

	// Rolled back, while the newer one lives.
	back := w.newMemberOf(t, plain)
	await(t, "the older build to own again", func() bool { return back.rt.Owns() || old[0].rt.Owns() || old[1].rt.Owns() })
	await(t, "the newer build to be replaced", func() bool { return errors.Is(newer.rt.Available(), flow.ErrReplaced) })
	for _, m := range []*member{old[0], old[1], back} {
		await(t, "all of the older build to answer", func() bool { return m.rt.Available() == nil })
	}
	w.produceWide(produced, 100)
	back.wantOnce(t, produced)
	back.wantShape(t, plain)

	// Gone, so that the newer one, which has waited, comes back by itself.
	for _, m := range []*member{old[0], old[1], back} {
		m.stop(t)
	}
	await(t, "the newer build to own", newer.rt.Owns)
	w.produceWide(produced, 100)
	newer.wantOnce(t, produced)
	newer.wantShape(t, richer)
}

func (m *member) wantShape(t *testing.T, s shape) {
	t.Helper()
	m.world.db, m.world.shape = m.db, s
	m.wantFolded(fmt.Sprintf("with version %d", s.schema.Version))
}

// Rollouts forth and back, with events all the time and sessions that are cut off,
// lose nothing and answer nothing twice.
func TestRolloutsForthAndBackLoseNothing(t *testing.T) {
	for seed := range uint64(2) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 2))
			w, produced := replicated(t), map[string][]string{}
			shapes := []shape{plain, richer}
			last := w.newMemberOf(t, plain)
			for i := range 4 {
				w.produceWide(produced, 200)
				next := w.newMemberOf(t, shapes[(i+1)%2])
				for range 1 + random.IntN(3) {
					w.produceWide(produced, 100)
					if random.IntN(2) == 0 {
						pgtest.Exec(t, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'triangle %'`)
					}
				}
				if random.IntN(2) == 0 {
					last.stop(t) // it may be about to rebuild itself
				}
				await(t, "the next build to own", next.rt.Owns)
				last.stop(t)
				last = next
			}
			last.wantOnce(t, produced)
			last.wantShape(t, plain)
		})
	}
}
