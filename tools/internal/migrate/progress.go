package migrate

import (
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/triangle-suite/triangle/operator/api/v1alpha1"
)

// Stage is how far a migration is with a step.
type Stage string

// The stages.
const (
	Done    Stage = "done"
	Current Stage = "current"
	Next    Stage = "next"
	Later   Stage = "later"
)

// Progress is how far a migration is.
type Progress struct {
	// Flow is the flow, as the cluster has it.
	Flow *v1alpha1.InformationFlow
	// Stages are those of the spec's steps.
	Stages []Stage
	// Current and Next are indexes of steps; -1 where there is none.
	Current, Next int
}

// ProgressOf reads a flow's status against its spec. A flow that runs at a cadence
// that no step has has all its steps before it.
func ProgressOf(flow *v1alpha1.InformationFlow) Progress {
	p := Progress{Flow: flow, Current: -1, Next: -1}
	steps := flow.Spec.Migration.Steps
	for i := range steps {
		if steps[i].Name == flow.Status.CurrentStep {
			p.Current = i
		}
	}
	if p.Current+1 < len(steps) {
		p.Next = p.Current + 1
	}
	for i := range steps {
		p.Stages = append(p.Stages, stage(i, p.Current))
	}
	return p
}

func stage(i, current int) Stage {
	switch {
	case i < current:
		return Done
	case i == current:
		return Current
	case i == current+1:
		return Next
	}
	return Later
}

// Seen tells whether the operator has looked at the spec as it is now.
func (p Progress) Seen() bool {
	return p.Flow.Status.ObservedGeneration == p.Flow.Generation && p.Flow.Status.PlanHash != ""
}

// Is tells whether a condition is true.
func (p Progress) Is(condition string) bool {
	return meta.IsStatusConditionTrue(p.Flow.Status.Conditions, condition)
}

// Condition returns a condition; nil where there is none.
func (p Progress) Condition(name string) *metav1.Condition {
	return meta.FindStatusCondition(p.Flow.Status.Conditions, name)
}

// Awaited returns the step that waits for somebody's word; nil when none does.
func (p Progress) Awaited() *v1alpha1.Step {
	if p.Next < 0 || !p.Is(v1alpha1.ConditionAwaitingApproval) {
		return nil
	}
	return &p.Flow.Spec.Migration.Steps[p.Next]
}

// Summary says in a few words how it stands: of what is the case, that which a reader
// has to know first.
func (p Progress) Summary() string {
	awaited := p.Awaited()
	switch {
	case !p.Seen():
		return "not looked at yet"
	case p.Is(v1alpha1.ConditionStalled):
		return "stalled: " + p.Condition(v1alpha1.ConditionStalled).Reason
	case meta.IsStatusConditionFalse(p.Flow.Status.Conditions, v1alpha1.ConditionEventStoreReachable):
		return "the store can't be reached"
	case p.Flow.Spec.State == v1alpha1.FlowPaused || p.Flow.Annotations[v1alpha1.AnnotationPause] != "":
		return "paused"
	case p.Is(v1alpha1.ConditionReconciling):
		return "moves"
	case p.Is(v1alpha1.ConditionRolledBack):
		return "rolled back"
	case awaited != nil:
		return "waits for approval of " + awaited.Name
	case p.Is(v1alpha1.ConditionMigrationComplete):
		return "complete"
	}
	return "goes on"
}
