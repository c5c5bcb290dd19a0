package flow_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/flow"
	"github.com/triangle-suite/triangle/services/internal/pgtest"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// member is one of the replicas of a world's service.
type member struct {
	*world
	shape  shape
	frozen atomic.Pointer[chan struct{}] // while it is there the replica does not go on
	db     *projection.DB
	rt     *flow.Runtime
	end    context.CancelFunc
	done   chan error
	works  atomic.Int32 // how many pieces of work run in it
}

// newMember starts a replica on the world's database.
func (w *world) newMember(t *testing.T) *member {
	t.Helper()
	return w.newMemberOf(t, w.shape)
}

// newMemberOf starts a replica of a build that has tables of its own.
func (w *world) newMemberOf(t *testing.T, s shape) *member {
	t.Helper()
	m := &member{world: w, shape: s, done: make(chan error, 2)}
	var err error
	if m.db, err = projection.Open(t.Context(), w.where, "marketing"); err != nil {
		t.Fatal(err)
	}
	f, _ := flows.Find(tested)
	m.rt, err = flow.NewRuntime(t.Context(), flow.Options{
		DB: m.db, Streams: w.streams, Logger: slog.New(slog.DiscardHandler), Lease: w.lease, Heartbeat: 50 * time.Millisecond,
	}, flow.Consumer{Flow: f, Schema: s.schema, Project: m.project, Reactions: []flow.Reaction{w.reaction()}})
	if err != nil {
		t.Fatal(err)
	}
	var ctx context.Context
	ctx, m.end = context.WithCancel(context.Background())
	go func() { m.done <- m.rt.Run(ctx) }()
	go func() {
		m.done <- m.rt.WhileOwner(ctx, func(ctx context.Context) error {
			m.works.Add(1)
			defer m.works.Add(-1)
			<-ctx.Done()
			return nil
		})
	}()
	t.Cleanup(func() { m.stop(t) })
	return m
}

// stop stops the replica in good order.
func (m *member) stop(t *testing.T) {
	t.Helper()
	if m.end == nil {
		return
	}
	m.end()
	m.end = nil
	if err := errors.Join(<-m.done, <-m.done, m.db.Close()); err != nil {
		t.Error(err)
	}
}

// project freezes where it hurts most: in the middle of a transaction, with rows
// written.
func (m *member) project(ctx context.Context, tx *projection.Tx, e codec.Event) error {
	if err := m.projectAs(ctx, m.shape, tx, e); err != nil {
		return err
	}
	if frozen := m.frozen.Load(); frozen != nil {
		<-*frozen
	}
	return nil
}

// await waits for a condition, in real time.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			t.Fatal("waited in vain: ", what)
		case <-tick.C:
		}
	}
}

func replicated(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, pgtest.Database(t))
	w.lease = time.Second
	w.set(flows.RealTime)
	return w
}

// holder is the token of whoever owns the flows.
func (m *member) holder(t *testing.T) (token string) {
	t.Helper()
	if err := m.db.QueryRow(t.Context(), `SELECT token FROM flow_owner`).Scan(&token); err != nil {
		t.Fatal(err)
	}
	return token
}

// runOut has the lease of a holder run out.
func (m *member) runOut(t *testing.T, token string) {
	t.Helper()
	err := m.db.UpdateQuietly(t.Context(), func(tx *projection.Tx) error {
		_, err := tx.Exec(t.Context(), `UPDATE flow_owner SET until = 0 WHERE token = ?`, token)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// wantOnce waits until each event has been taken in, and wants it taken in and
// answered once.
func (m *member) wantOnce(t *testing.T, produced map[string][]string) {
	t.Helper()
	m.world.db = m.db
	await(t, "everything is taken in", func() bool {
		for key, ids := range produced {
			if len(m.taken()[key]) != len(ids) {
				return false
			}
		}
		return true
	})
	s := &schedule{world: m.world}
	for key, ids := range produced {
		if got := m.taken()[key]; !slices.Equal(got, ids) {
			t.Errorf("%s: taken in %v, produced %v", key, got, ids)
		}
		s.checkAnswers(key, ids)
	}
}

func (w *world) produceMany(produced map[string][]string, n int) {
	for i := range n {
		key := name("r", i%4)
		produced[key] = append(produced[key], w.produce(key).String())
	}
}

func owners(members []*member) (all []*member) {
	for _, m := range members {
		if m.rt.Owns() {
			all = append(all, m)
		}
	}
	return all
}

// Of two and of three replicas one takes in; all know how far it has come.
func TestOneReplicaTakesInAndAllKnow(t *testing.T) {
	for _, n := range []int{2, 3} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			w, produced := replicated(t), map[string][]string{}
			members := make([]*member, n)
			for i := range members {
				members[i] = w.newMember(t)
			}
			w.produceMany(produced, 20)
			for _, m := range members {
				m.wantOnce(t, produced)
				await(t, "the replica to know how far the flow is", func() bool {
					s := m.rt.Intake(tested).State()
					return s.Known && s.Taken == 20 && s.Lag == 0 && s.Cadence == flows.RealTime && s.Err == nil
				})
				if m.rt.Freshness(tested)[0].GetCadence() != flows.RealTime {
					t.Error("the replica does not know the cadence")
				}
			}
			if all := owners(members); len(all) != 1 || all[0].works.Load() != 1 {
				t.Errorf("%d replicas own the flows, want one, which works", len(all))
			}
			for _, m := range members {
				if !m.rt.Owns() && m.works.Load() != 0 {
					t.Error("a replica that does not own the flows works")
				}
			}
		})
	}
}

// Behind a closed gate every replica knows what waits.
func TestAReplicaThatStandsByCountsWhatWaits(t *testing.T) {
	w := replicated(t)
	w.set(flows.Daily)
	members := []*member{w.newMember(t), w.newMember(t)}
	w.produceMany(map[string][]string{}, 7)
	for _, m := range members {
		await(t, "seven events wait", func() bool {
			s := m.rt.Intake(tested).State()
			return s.Known && s.Lag == 7 && !s.Oldest.IsZero()
		})
		if m.rt.Freshness(tested)[0].GetStaleness().AsDuration() <= 0 {
			t.Error("with events waiting the replica calls its data fresh")
		}
	}
	if _, err := w.flows.RunWindow(t.Context(), tested, "test", "now"); err != nil {
		t.Fatal(err)
	}
	for _, m := range members {
		await(t, "none waits", func() bool {
			s := m.rt.Intake(tested).State()
			return s.Lag == 0 && s.Oldest.IsZero() && s.Position.Commit > 0
		})
	}
}

// An owner that stops in good order hands over at once, not when its lease runs
// out.
func TestAnOwnerThatStopsHandsOverAtOnce(t *testing.T) {
	w, produced := replicated(t), map[string][]string{}
	w.lease = 20 * time.Second
	members := []*member{w.newMember(t), w.newMember(t)}
	w.produceMany(produced, 10)
	members[0].wantOnce(t, produced)
	first := owners(members)[0]
	second := members[1-slices.Index(members, first)]
	began := time.Now()
	first.stop(t)
	w.produceMany(produced, 10)
	second.wantOnce(t, produced)
	if took := time.Since(began); took > w.lease/2 {
		t.Errorf("it took %s to hand over", took)
	}
}

// An owner that is stuck in the middle of a transaction is replaced, and when it
// goes on it can't commit. (That processes that are stopped and killed are
// replaced is shown from outside.)
func TestAnOwnerThatIsStuckIsReplacedAndCannotWrite(t *testing.T) {
	w, produced := replicated(t), map[string][]string{}
	first := w.newMember(t)
	await(t, "an owner", first.rt.Owns)
	w.produceMany(produced, 10)
	first.wantOnce(t, produced)
	second := w.newMember(t)

	frozen := make(chan struct{})
	first.frozen.Store(&frozen)
	w.produceMany(produced, 10)
	began, holder := time.Now(), first.holder(t)
	await(t, "another owner", func() bool {
		second.runOut(t, holder) // a frozen owner renews nothing
		return second.rt.Owns()
	})
	second.wantOnce(t, produced)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %s to take over", took)
	}
	first.frozen.Store(nil)
	close(frozen)
	await(t, "the one that froze to see that it was replaced", func() bool { return !first.rt.Owns() && first.works.Load() == 0 })
	w.produceMany(produced, 10)
	for _, m := range []*member{first, second} {
		m.wantOnce(t, produced)
	}
	await(t, "the one that froze to follow", func() bool {
		s := first.rt.Intake(tested).State()
		return s.Taken == 30 && s.Err == nil
	})
}

// A server that ends its sessions, as at a restart, stops nothing for good.
func TestSessionsThatAreCutOffLoseNothing(t *testing.T) {
	w, produced := replicated(t), map[string][]string{}
	members := []*member{w.newMember(t), w.newMember(t)}
	for range 10 {
		w.produceMany(produced, 10)
		pgtest.Exec(t, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'triangle marketing'`)
	}
	for _, m := range members {
		m.wantOnce(t, produced)
		await(t, "the replica to know how far the flow is", func() bool {
			s := m.rt.Intake(tested).State()
			return s.Taken == 100 && s.Lag == 0 && s.Err == nil
		})
	}
}
