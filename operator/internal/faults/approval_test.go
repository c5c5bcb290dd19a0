package faults_test

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/triangle-suite/triangle/operator/api/v1alpha1"
)

// Approvals that count for nothing say so, and why: of a flow that there is not, of
// another one than waits, though its plan and step are the same, and of one that is
// refused.
func TestApprovalsOfOtherFlowsCountForNothing(t *testing.T) {
	w := newWorld(t)
	w.operate("operator")
	nobody := w.approval("of-nobody", v1alpha1.FlowApprovalSpec{Flow: "typo", Step: "realtime", PlanHash: "1234"})
	w.verdict(nobody, v1alpha1.ApprovalForeign, "there is no InformationFlow typo")

	w.create(w.migration())
	w.stands(v1alpha1.ConditionAwaitingApproval, metav1.ConditionTrue)
	plan := w.now().Status.PlanHash
	for _, tc := range []struct {
		name, flow string
		want       v1alpha1.Verdict
		why        string
	}{
		{"other", "request-status", v1alpha1.ApprovalWaiting, "the flow does not wait for it yet"},
		{"refused", "no-such-flow", v1alpha1.ApprovalWaiting, "InformationFlow refused can't be moved yet"},
	} {
		other := w.migration()
		other.Name, other.Spec.Flow = tc.name, tc.flow
		w.create(other)
		w.verdict(w.approval("of-"+tc.name, v1alpha1.FlowApprovalSpec{Flow: tc.name, Step: "realtime", PlanHash: plan}), tc.want, tc.why)
	}
	if n := len(w.journal.of("ApprovalCounted")); n != 0 {
		t.Errorf("%d approvals of other flows have counted", n)
	}
	w.approve()
	w.arrives()
}

// verdict waits for what is said of an approval.
func (w *world) verdict(approval *v1alpha1.FlowApproval, want v1alpha1.Verdict, why string) {
	w.Helper()
	w.await("a verdict on "+approval.Name, func() bool {
		if err := w.client.Get(w.Context(), client.ObjectKeyFromObject(approval), approval); err != nil {
			w.Fatal(err)
		}
		return approval.Status.Verdict != ""
	})
	if s := approval.Status; s.Verdict != want || !strings.Contains(s.Message, why) {
		w.Errorf("the verdict is %+v, want %s and %q", s, want, why)
	}
}
