package faults_test

import (
	"slices"
	"testing"
)

// Who leads dies, or stands still until another one leads, at whatever point of a
// migration: the other one goes on, and nothing is done twice. The one that stood
// still can write nothing when it goes on, and ends.
func TestALeaderFailsWhileAFlowIsMoved(t *testing.T) {
	t.Parallel()
	for salt, failure := range []struct {
		name string
		fail func(*world, *operator)
	}{{"is killed", (*world).killLeader}, {"stands still", (*world).freezeLeader}} {
		for _, p := range chosen(t, uint64(10+salt), points) {
			t.Run(failure.name+" at "+p.String(), func(t *testing.T) {
				w := newWorld(t)
				leads := w.operate("first", "--leader-elect")
				first := w.awaitLeader("")
				w.operate("second", "--leader-elect")
				w.create(w.migration())
				w.approve()
				w.reach(p)
				failure.fail(w, leads)
				w.arrives()
				if all := w.journal.instances(); len(all) != 2 || all[0] != first || all[1] != w.leader() {
					t.Errorf("%v have watched the flows, want the first leader, %s, and then the second", all, first)
				}
			})
		}
	}
}

// killLeader kills the leader, of which the other one hears by its silence.
func (w *world) killLeader(leads *operator) {
	before := w.leader()
	leads.kill()
	w.awaitLeader(before)
}

// freezeLeader has the leader stand still until another one leads and does its work;
// then it goes on.
func (w *world) freezeLeader(leads *operator) {
	before := w.leader()
	leads.freeze()
	next := w.awaitLeader(before)
	w.await("the next leader's work", func() bool { return slices.Contains(w.journal.instances(), next) })
	written := leads.writes.of("")
	leads.thaw()
	w.await("the end of who led", leads.hasEnded)
	if leads.err == nil {
		w.Error("who led ended as if all were well")
	}
	if after := leads.writes.of(""); len(after) > len(written) {
		w.Errorf("who led has written %v since", after[len(written):])
	}
}
