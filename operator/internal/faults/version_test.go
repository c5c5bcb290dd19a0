package faults_test

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/triangle-suite/triangle/operator/api/v1alpha1"
)

// An operator of an older version, to which a word of a newer one is unknown: it
// holds, says which version to run, and writes nothing, whatever is wanted of it
// meanwhile. The newer one goes on where it was.
func TestAnOlderOperatorHolds(t *testing.T) {
	t.Parallel()
	// What is unknown to it comes to it as another word.
	tests := []struct{ name, word, comes string }{
		{"at an event", "flow.ApprovalAwaited", "flow.ApprovalWaivedX"},
		{"at a value in an event", "CADENCE_MOVE_FORWARD", "CADENCE_MOVE_SIDEWAY"},
	}
	for _, tc := range chosen(t, 30, tests) {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			newer := w.operate("newer")
			w.create(w.migration())
			w.stands(v1alpha1.ConditionAwaitingApproval, metav1.ConditionTrue)
			newer.stop()
			said := w.journal.count()

			w.toOperator.translate(tc.word, tc.comes)
			older := w.operate("older")
			w.stands(v1alpha1.ConditionStalled, metav1.ConditionTrue)
			stalled, ready := w.condition(v1alpha1.ConditionStalled), w.condition(v1alpha1.ConditionReady)
			if !strings.Contains(stalled.Message, "run the version of the operator") || !strings.Contains(stalled.Message, "flow-"+flow+"@") {
				t.Errorf("it says %+v, want what to run, and for what", stalled)
			}
			if ready.Status != metav1.ConditionFalse || ready.Reason != "NotUnderstood" {
				t.Errorf("ready is %+v", ready)
			}
			w.approve()
			w.looksAgain()
			if n := w.journal.count(); n != said {
				t.Errorf("it has said %d things of what it does not understand", n-said)
			}
			older.stop()

			w.toOperator.translate("", "")
			w.operate("newer-again")
			w.arrives()
			if c := w.condition(v1alpha1.ConditionStalled); c.Status == metav1.ConditionTrue {
				t.Errorf("it is %+v still", c)
			}
		})
	}
}
