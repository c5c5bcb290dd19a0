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
)

// tell writes the status if something has come to differ, and under the
// resourceVersion that was read.
func (r *Flows) tell(ctx context.Context, object *v1alpha1.InformationFlow, wanted v1alpha1.InformationFlowStatus) error {
	wanted.Conditions = r.settled(wanted.Conditions, object.Status.Conditions)
	status, err := asStored(wanted)
	if err != nil || equality.Semantic.DeepEqual(object.Status, status) {
		return err
	}
	before := object.DeepCopy()
	object.Status = status
	return r.patch(ctx, object, before)
}

func (r *Flows) patch(ctx context.Context, object, before client.Object) error {
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := r.Client.Status().Patch(ctx, object, patch); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("tell the status of %s: %w", client.ObjectKeyFromObject(object), err)
	}
	return nil
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
func asStored(status v1alpha1.InformationFlowStatus) (stored v1alpha1.InformationFlowStatus, err error) {
	text, err := json.Marshal(status)
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
	status := *object.Status.DeepCopy()
	meta.SetStatusCondition(&status.Conditions, metav1.Condition{
		Type: v1alpha1.ConditionEventStoreReachable, Status: metav1.ConditionFalse, Reason: "Unreachable", Message: why,
		LastTransitionTime: metav1.NewTime(r.Now()), ObservedGeneration: object.Generation,
	})
	if meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady) == nil {
		meta.SetStatusCondition(&status.Conditions, metav1.Condition{
			Type: v1alpha1.ConditionReady, Status: metav1.ConditionUnknown, Reason: "Unreachable", Message: why,
			LastTransitionTime: metav1.NewTime(r.Now()), ObservedGeneration: object.Generation,
		})
	}
	return plan.Plan{Status: status, LookAgain: r.Now().Add(30 * time.Second)}
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
		failures = append(failures, r.patch(ctx, &approvals[i], before))
	}
	return errors.Join(failures...)
}
