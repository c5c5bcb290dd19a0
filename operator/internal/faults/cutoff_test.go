package faults_test

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/triangle-suite/triangle/operator/api/v1alpha1"
)

// The store is cut off from the operator, from the consumer, from both: connections
// end, or stand and nothing arrives. While it is, nobody does anything to the flow,
// and no clock runs: two hours, in which the approval was to be given within one.
// When it is back all goes on.
func TestTheStoreIsCutOff(t *testing.T) {
	t.Parallel()
	type cut struct {
		name  string
		links func(*world) []*link
		how   func(*link)
	}
	operator := func(w *world) []*link { return []*link{w.toOperator} }
	consumer := func(w *world) []*link { return []*link{w.toConsumer} }
	both := func(w *world) []*link { return []*link{w.toOperator, w.toConsumer} }
	for _, tc := range chosen(t, 20, []cut{
		{"from the operator, whose connections end", operator, (*link).drop},
		{"from the operator, whose connections swallow all", operator, (*link).swallow},
		{"from the consumer, whose connections end", consumer, (*link).drop},
		{"from the consumer, whose connections swallow all", consumer, (*link).swallow},
		{"from both, whose connections end", both, (*link).drop},
		{"from both, whose connections swallow all", both, (*link).swallow},
	}) {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			o := w.operate("operator")
			w.create(w.migration())
			w.stands(v1alpha1.ConditionAwaitingApproval, metav1.ConditionTrue)
			cut := tc.links(w)
			for _, l := range cut {
				tc.how(l)
			}
			mend := func() {
				for _, l := range cut {
					l.mend()
				}
			}
			if cut[0] == w.toOperator {
				w.blind(o, mend)
			} else {
				w.deaf()
				mend()
			}
			w.arrives()
		})
	}
}

// blind is what an operator does, and says, that can't see the store until that is
// mended.
func (w *world) blind(o *operator, mend func()) {
	w.Helper()
	w.stands(v1alpha1.ConditionEventStoreReachable, metav1.ConditionFalse)
	const sentence = "the event store does not answer: all clocks stand still, and nothing is rolled back, until it does"
	if told := w.condition(v1alpha1.ConditionEventStoreReachable).Message; told != sentence {
		w.Errorf("it says %q, want %q", told, sentence)
	}
	if ready := w.condition(v1alpha1.ConditionReady); ready.Status != metav1.ConditionTrue {
		w.Errorf("ready is %+v, though the flow runs as it is to", ready)
	}
	said, written := w.journal.count(), len(o.writes.of("informationflows/facts"))
	w.clock.advance(2 * time.Hour)
	w.note()
	w.looksAgain()
	if n := w.journal.count(); n != said {
		w.Errorf("%d things were said of the flow meanwhile", n-said)
	}
	if more := o.writes.of("informationflows/facts")[written:]; len(more) > 0 {
		w.Errorf("it has written %v meanwhile", more)
	}

	mend()
	w.stands(v1alpha1.ConditionEventStoreReachable, metav1.ConditionTrue)
	w.reach(point{kind: "WatchLapsed"})
	w.heartbeats(2)
	w.note()
	w.heartbeats(2)
	if c := w.condition(v1alpha1.ConditionAwaitingApproval); c.Status != metav1.ConditionTrue || len(w.journal.of("MigrationHeld")) > 0 {
		w.Errorf("the time in which nobody watched counts: %+v", c)
	}
	w.approve()
}

// heartbeats waits for so many more of the operator.
func (w *world) heartbeats(n int) {
	w.Helper()
	before := len(w.journal.of("MigrationsWatched"))
	w.await("heartbeats", func() bool { return len(w.journal.of("MigrationsWatched")) >= before+n })
}

// looksAgain waits until the operator has looked at a flow since: one that is made
// now, and gets to know that nothing is known of it.
func (w *world) looksAgain() {
	w.Helper()
	other := w.migration()
	other.Name, other.Spec.Flow = "other", "request-status"
	w.create(other)
	w.await("a word on another flow", func() bool {
		if err := w.client.Get(w.Context(), client.ObjectKeyFromObject(other), other); err != nil {
			w.Fatal(err)
		}
		return len(other.Status.Conditions) > 0
	})
}

// deaf is a consumer that does not hear of the next step: the operator waits for it,
// and takes nothing back.
func (w *world) deaf() {
	w.Helper()
	w.approve()
	w.reach(point{"CadenceRequested", "4"})
	w.await("word of the cut-over", func() bool { return w.condition(v1alpha1.ConditionReady).Reason == "CuttingOver" })
	w.heartbeats(3)
	if reachable := w.condition(v1alpha1.ConditionEventStoreReachable); reachable.Status != metav1.ConditionTrue {
		w.Errorf("the operator reaches the store, and says %+v", reachable)
	}
	if s := w.now().Status; s.Epoch != 3 || s.CurrentStep != "often" {
		w.Errorf("it says that the flow is %+v", s)
	}
}
