package migrate

import (
	"context"
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/triangle-suite/triangle/operator/api/v1alpha1"
)

// Errors of Approve.
var (
	// ErrNotSeen says that the operator has not looked at the flow as it is now.
	ErrNotSeen = errors.New("the operator has not looked at it as it is now: try again in a moment, or see whether the operator runs")
	// ErrNothingWaits says that no step waits for anybody's word.
	ErrNothingWaits = errors.New("no step waits for an approval")
	// ErrOtherStep says that another step waits.
	ErrOtherStep = errors.New("another step waits for an approval")
)

// Approve gives the word of who asks that the step that waits may begin, and returns
// it as it stands in the cluster. A step is named to make sure that it is the one
// that waits; it may be left empty.
func (c *Cluster) Approve(ctx context.Context, name, step, reason string) (*v1alpha1.FlowApproval, error) {
	flow, err := c.Flow(ctx, name)
	if err != nil {
		return nil, err
	}
	awaited, err := awaited(ProgressOf(flow), step)
	if err != nil {
		return nil, err
	}
	who, err := c.Whoami(ctx)
	if err != nil {
		return nil, err
	}
	approval := &v1alpha1.FlowApproval{
		ObjectMeta: metav1.ObjectMeta{Namespace: c.Namespace, GenerateName: flow.Name + "-" + awaited.Name + "-"},
		Spec: v1alpha1.FlowApprovalSpec{
			Flow: flow.Name, Step: awaited.Name, PlanHash: flow.Status.PlanHash, ApprovedBy: who, Reason: reason,
		},
	}
	if err := c.client.Create(ctx, approval); err != nil {
		return nil, c.explain(err)
	}
	return approval, nil
}

func awaited(p Progress, wanted string) (*v1alpha1.Step, error) {
	name := p.Flow.Name
	step := p.Awaited()
	switch {
	case !p.Seen():
		return nil, fmt.Errorf("%s: %w", name, ErrNotSeen)
	case step == nil:
		return nil, fmt.Errorf("%s: %w: it is at %s (%s)%s", name, ErrNothingWaits, dash(p.Flow.Status.CurrentStep), p.Summary(), laterApproval(p))
	case wanted != "" && wanted != step.Name:
		return nil, fmt.Errorf("%s: %w: %s, not %s", name, ErrOtherStep, step.Name, wanted)
	}
	return step, nil
}

// laterApproval says which step will wait.
func laterApproval(p Progress) string {
	steps := p.Flow.Spec.Migration.Steps
	for i := range steps {
		if i > p.Current && steps[i].Approval != nil {
			return fmt.Sprintf("; %s will wait for one when its turn comes", steps[i].Name)
		}
	}
	return ""
}

func dash(text string) string {
	if text == "" {
		return "no step"
	}
	return text
}
