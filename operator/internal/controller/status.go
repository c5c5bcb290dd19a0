package controller

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/operator/api/v1alpha1"
	"github.com/triangle-suite/triangle/operator/internal/rollout"
	"github.com/triangle-suite/triangle/operator/internal/status"
	"github.com/triangle-suite/triangle/services/control"
)

// patchStatus writes the status if something has come to differ.
func (s *step) patchStatus(ctx context.Context) error {
	if equality.Semantic.DeepEqual(s.before.Status, s.t.Status) {
		return nil
	}
	return status.Patch(ctx, s.Client, s.t, s.before)
}

func (s *step) condition(kind string, status metav1.ConditionStatus, reason, message string) {
	meta.SetStatusCondition(&s.t.Status.Conditions, metav1.Condition{
		Type: kind, Status: status, Reason: reason, Message: message, ObservedGeneration: s.t.Generation,
	})
}

// abnormal sets a condition that is there only while it is true.
func (s *step) abnormal(kind, reason string, messages []string) {
	if len(messages) == 0 {
		meta.RemoveStatusCondition(&s.t.Status.Conditions, kind)
		return
	}
	s.condition(kind, metav1.ConditionTrue, reason, strings.Join(messages, ". "))
}

// stall tells that nothing goes on until somebody changes something. What serves
// goes on serving.
func (s *step) stall(reason, message string) error {
	s.again = s.idle()
	if !meta.IsStatusConditionTrue(s.t.Status.Conditions, v1alpha1.ConditionStalled) {
		s.Recorder.Eventf(s.t, nil, corev1.EventTypeWarning, reason, "Reconcile", "%s", message)
	}
	s.abnormal(v1alpha1.ConditionReconciling, "", nil)
	s.condition(v1alpha1.ConditionStalled, metav1.ConditionTrue, reason, message)
	if meta.FindStatusCondition(s.t.Status.Conditions, v1alpha1.ConditionReady) == nil {
		s.condition(v1alpha1.ConditionReady, metav1.ConditionFalse, reason, message)
	}
	return nil
}

// unreachable tells that the store can't be read. All else stays as it was told last.
func (s *step) unreachable() {
	s.condition(v1alpha1.ConditionEventStoreReachable, metav1.ConditionFalse, "Unreachable",
		"the event store does not answer: nothing is rolled out or taken back until it does")
	if meta.FindStatusCondition(s.t.Status.Conditions, v1alpha1.ConditionReady) == nil {
		s.condition(v1alpha1.ConditionReady, metav1.ConditionFalse, "Unreachable", "the event store does not answer yet")
	}
}

// setStatus tells how the environment stands.
func (s *step) setStatus() {
	s.condition(v1alpha1.ConditionEventStoreReachable, metav1.ConditionTrue, "Reachable", "the event store answers")
	var stalled, moving, unready []string
	var reason, movingReason string
	for _, w := range s.plan.Waits {
		switch {
		case w.Stalled:
			stalled, reason = append(stalled, w.Message), w.Reason
		case w.Reason != rollout.ReasonNotReady:
			moving, movingReason = append(moving, w.Message), w.Reason
		}
	}
	s.abnormal(v1alpha1.ConditionStalled, reason, stalled)
	s.abnormal(v1alpha1.ConditionReconciling, movingReason, moving)
	for _, seen := range s.seen.Services {
		if !seen.Ready {
			unready = append(unready, seen.Name)
		}
	}
	if len(unready) > 0 {
		s.condition(v1alpha1.ConditionReady, metav1.ConditionFalse, rollout.ReasonNotReady, strings.Join(unready, ", ")+" not ready")
	} else {
		s.condition(v1alpha1.ConditionReady, metav1.ConditionTrue, "Serving", "all services serve")
	}
	if waiting := s.waiting(); waiting != "" {
		s.condition(v1alpha1.ConditionTypesActive, metav1.ConditionFalse, "NotRead", waiting)
	} else {
		s.condition(v1alpha1.ConditionTypesActive, metav1.ConditionTrue, "AllActive", "every event type of the services may be written")
	}
	s.t.Status.EnvironmentID = s.suite.Environment
	s.setServices()
}

// waiting names the types that nobody may write yet, and who can't read them.
func (s *step) waiting() string {
	var all []string
	for _, t := range s.types {
		if t.Activation == nil {
			all = append(all, strings.TrimSuffix(t.Schema+" is not written yet: "+strings.Join(t.Missing, "; "), ": "))
		}
	}
	return strings.Join(all, ". ")
}

func (s *step) setServices() {
	var all []v1alpha1.ServiceStatus
	for _, seen := range s.seen.Services {
		status := v1alpha1.ServiceStatus{
			Name: seen.Name, Image: seen.Record.Image, GoodImage: seen.Record.Good,
			ReadyReplicas: s.live[flows.Service(seen.Name)].ready,
		}
		for _, f := range seen.Record.Failed {
			status.Failed = append(status.Failed, v1alpha1.FailedImage{Image: f.Image, At: metav1.NewTime(f.At.Truncate(time.Second)), Reason: f.Reason})
		}
		all = append(all, status)
	}
	s.t.Status.Services = all
}

// announceEvent tells in the cluster what was told to the stream.
func (s *step) announceEvent(told control.Rolling) {
	kind, reason, note := corev1.EventTypeNormal, "", ""
	switch m := told.(type) {
	case *flowv1.RolloutBegan:
		reason, note = "RolloutBegan", fmt.Sprintf("%s goes over to %s", m.GetService(), m.GetImage())
	case *flowv1.RolloutServing:
		reason, note = "RolloutServing", fmt.Sprintf("%s is ready with %s, and is watched", m.GetService(), m.GetImage())
	case *flowv1.RolloutReturned:
		kind, reason = corev1.EventTypeWarning, "RolloutReturned"
		note = fmt.Sprintf("%s goes back from %s to %s: %s", m.GetService(), m.GetImage(), m.GetGoodImage(), m.GetReason())
	case *flowv1.RolloutEnded:
		reason, note = "RolloutEnded", fmt.Sprintf("%s with %s is good", m.GetService(), m.GetImage())
		if m.GetOutcome() != flowv1.RolloutOutcome_ROLLOUT_OUTCOME_GOOD {
			kind, note = corev1.EventTypeWarning, fmt.Sprintf("the rollout of %s to %s has ended: %s", m.GetService(), m.GetImage(), m.GetReason())
		}
	}
	s.Recorder.Eventf(s.t, nil, kind, reason, "Rollout", "%s", note)
}

// checkNamespace lets one Triangle be in a namespace: the one that was there first.
func (s *step) checkNamespace(ctx context.Context) (stop bool, err error) {
	var all v1alpha1.TriangleList
	if err := s.Reader.List(ctx, &all, client.InNamespace(s.t.Namespace)); err != nil {
		return true, fmt.Errorf("list the Triangles of the namespace: %w", err)
	}
	first := first(all.Items)
	if first.Name == s.t.Name {
		return false, nil
	}
	return true, s.stall("AnotherTriangle", fmt.Sprintf(
		"the namespace %s has the Triangle %s already: delete one of the two, or make this one in a namespace of its own", s.t.Namespace, first.Name))
}
