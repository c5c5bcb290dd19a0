package migrate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/triangle-suite/triangle/operator/api/v1alpha1"
	"github.com/triangle-suite/triangle/operator/internal/plan"
	"github.com/triangle-suite/triangle/operator/internal/status"
)

// tell writes the status if something has come to differ. It waits for a moment, as
// one transition often leads to the next, and both are told by one write then: it
// returns in what time to come back. Who has just applied another spec, or wiped the
// status, is told at once.
//
// So a step of a flow takes two writes: one when it has begun, with what let it begin
// (gates that have passed, an approval that counts), and one when it is reached; or
// a single one where the cut-over takes no longer than that moment. Whatever it has
// to wait for between the two steps, such as a gate that turns before another one or
// somebody's word, is a transition of its own, and one more.
func (r *Flows) tell(ctx context.Context, object *v1alpha1.InformationFlow, wanted v1alpha1.InformationFlowStatus) (again time.Duration, err error) {
	wanted.Conditions = r.settled(wanted.Conditions, object.Status.Conditions)
	told, err := asStored(wanted)
	if err != nil {
		return 0, err
	}
	name, turned := client.ObjectKeyFromObject(object), !equality.Semantic.DeepEqual(object.Status, told)
	left := r.attention.untold(name, turned)
	isNew := object.Status.ObservedGeneration != told.ObservedGeneration || len(object.Status.Conditions) == 0
	if !turned || left > 0 && !isNew {
		return left, nil
	}
	before := object.DeepCopy()
	object.Status = told
	err = status.Patch(ctx, r.Client, object, before)
	if err == nil {
		r.attention.untold(name, false)
	}
	return 0, err
}

// settled gives each condition of which no event tells when it turned the time that
// it had, or the present one when it has just turned.
func (r *Flows) settled(wanted, before []metav1.Condition) []metav1.Condition {
	wanted = slices.Clone(wanted)
	for i, c := range wanted {
		if !c.LastTransitionTime.IsZero() {
			continue
		}
		wanted[i].LastTransitionTime = metav1.NewTime(r.Now())
		if old := meta.FindStatusCondition(before, c.Type); old != nil && old.Status == c.Status {
			wanted[i].LastTransitionTime = old.LastTransitionTime
		}
	}
	slices.SortFunc(wanted, func(a, b metav1.Condition) int { return strings.Compare(a.Type, b.Type) })
	return wanted
}

// asStored is a status as it comes back from the API server, which keeps times to
// the second.
func asStored(wanted v1alpha1.InformationFlowStatus) (stored v1alpha1.InformationFlowStatus, err error) {
	text, err := json.Marshal(wanted)
	if err == nil {
		err = json.Unmarshal(text, &stored)
	}
	if err != nil {
		return stored, fmt.Errorf("a status as it is stored: %w", err)
	}
	return stored, nil
}

// unread is the status while nothing can be known: what was known last stands, and
// why no more is.
func (r *Flows) unread(object *v1alpha1.InformationFlow, why string) plan.Plan {
	last := *object.Status.DeepCopy()
	meta.SetStatusCondition(&last.Conditions, metav1.Condition{
		Type: v1alpha1.ConditionEventStoreReachable, Status: metav1.ConditionFalse, Reason: "Unreachable", Message: why,
		LastTransitionTime: metav1.NewTime(r.Now()), ObservedGeneration: object.Generation,
	})
	if meta.FindStatusCondition(last.Conditions, v1alpha1.ConditionReady) == nil {
		meta.SetStatusCondition(&last.Conditions, metav1.Condition{
			Type: v1alpha1.ConditionReady, Status: metav1.ConditionUnknown, Reason: "Unreachable", Message: why,
			LastTransitionTime: metav1.NewTime(r.Now()), ObservedGeneration: object.Generation,
		})
	}
	return plan.Plan{Status: last, LookAgain: r.Now().Add(30 * time.Second)}
}

// pronounce says of each approval what becomes of it.
func (r *Flows) pronounce(ctx context.Context, approvals []v1alpha1.FlowApproval, verdicts []plan.Verdict) error {
	var failures []error
	for _, v := range verdicts {
		i := slices.IndexFunc(approvals, func(a v1alpha1.FlowApproval) bool { return a.UID == types.UID(v.UID) })
		wanted := v1alpha1.FlowApprovalStatus{Verdict: v.Verdict, Message: v.Message}
		if i < 0 || approvals[i].Status == wanted {
			continue
		}
		before := approvals[i].DeepCopy()
		approvals[i].Status = wanted
		failures = append(failures, status.Patch(ctx, r.Client, &approvals[i], before))
	}
	return errors.Join(failures...)
}
