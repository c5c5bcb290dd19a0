package faults_test

import (
	"os"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/triangle-suite/triangle/operator/api/v1alpha1"
)

// An object is deleted while the store is away. When it is back nobody manages the
// flow, which goes on as it ran: by an operator that has seen it, and by one that was
// not there.
func TestAFlowIsDeletedWhileTheStoreIsAway(t *testing.T) {
	t.Parallel()
	type absence struct {
		name            string
		before, between func(*world, *operator)
		every           string // how often it watches
	}
	tests := []absence{
		{"and the operator knows that", (*world).awaitDarkness, (*world).awaitNothing, "1s"},
		{"and the operator finds that out by it", (*world).awaitNothing, (*world).awaitDarkness, "1s"},
		{"and the operator is away, too", (*world).endOperator, (*world).awaitNothing, "1s"},
		{"and the operator is killed with it", (*world).awaitNothing, (*world).endOperator, "1s"},
	}
	if *full { // it takes a while until anybody looks again
		tests = append(tests, absence{"and is back before anybody else has missed it", (*world).awaitNothing, (*world).awaitFailure, "45s"})
	}
	for _, tc := range chosen(t, 40, tests) {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			o := w.operate("operator", "--no-leader-elect", "--watch-every", tc.every)
			w.create(w.migration())
			w.stands(v1alpha1.ConditionAwaitingApproval, metav1.ConditionTrue)
			w.store.Kill()
			tc.before(w, o)
			object := w.now()
			if err := w.client.Delete(t.Context(), object); err != nil {
				t.Fatal(err)
			}
			tc.between(w, o)
			w.store.Restart()
			if o.hasEnded() {
				o.start()
			}
			w.await("that nobody manages the flow", func() bool {
				state, err := w.flows.Get(t.Context(), flow)
				return err == nil && state.Manager == nil
			})
			if state, err := w.flows.Get(t.Context(), flow); err != nil || state.Cadence != "* * * * * *" || state.Epoch != 3 {
				t.Errorf("it goes on at %s in epoch %d (%v), want as it ran", state.Cadence, state.Epoch, err)
			}
			w.prober.account()
		})
	}
}

func (w *world) awaitNothing(*operator) {}

func (w *world) endOperator(o *operator) {
	w.Helper()
	o.kill()
}

// awaitFailure waits until the operator has tried in vain to record the end.
func (w *world) awaitFailure(o *operator) {
	w.Helper()
	w.await("a try in vain", func() bool {
		text, err := os.ReadFile(o.log)
		if err != nil {
			w.Fatal(err)
		}
		return strings.Contains(string(text), "Reconciler error") && strings.Contains(string(text), "read flow-"+flow)
	})
}

// awaitDarkness waits until the operator knows that the store is away, by what it says
// of another flow.
func (w *world) awaitDarkness(*operator) {
	w.Helper()
	w.looksAgain()
}
