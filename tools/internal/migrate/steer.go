package migrate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/triangle-suite/triangle/operator/api/v1alpha1"
)

// Errors of requests that can't be meant.
var (
	// ErrPaused says that a migration is paused already.
	ErrPaused = errors.New("the migration is paused already")
	// ErrNotPaused says that there is nothing to resume.
	ErrNotPaused = errors.New("the migration is not paused")
	// ErrPausedBySpec says that the spec holds the migration.
	ErrPausedBySpec = errors.New("the migration is paused by its spec: set spec.state to Active where the spec is kept")
	// ErrAsked says that the same was asked for, and not followed yet.
	ErrAsked = errors.New("that was asked for, and the operator has not followed it yet")
	// ErrFirstStep says that there is no step to go back to.
	ErrFirstStep = errors.New("there is no step before this one to go back to; triangle migrate pause holds it here")
	// ErrNothingToRetry says that nothing has gone wrong.
	ErrNothingToRetry = errors.New("nothing was rolled back, aborted or held: there is nothing to try again")
)

// Request is what somebody asks of a flow's migration.
type Request struct {
	annotation string
	check      func(Progress) error
	withdraw   bool // takes the annotation away rather than setting it
}

// The requests.
var (
	// Pause holds the migration; the flow goes on running at its present step.
	Pause = Request{annotation: v1alpha1.AnnotationPause, check: checkPause}
	// Resume lets a migration go on that somebody has paused.
	Resume = Request{annotation: v1alpha1.AnnotationPause, check: checkResume, withdraw: true}
	// Abort has the flow go back to the step before, and stay there.
	Abort = Request{annotation: v1alpha1.AnnotationAbort, check: checkAbort}
	// Retry has a migration tried again after a rollback, an abort, or a hold.
	Retry = Request{annotation: v1alpha1.AnnotationRetry, check: checkRetry}
)

// Ask asks something of a flow's migration, and returns the flow as it is then. It
// refuses what can't be meant as the flow stands. Who asks is who the API server says
// it is.
func (c *Cluster) Ask(ctx context.Context, r Request, name string, at time.Time) (*v1alpha1.InformationFlow, error) {
	var flow *v1alpha1.InformationFlow
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() (err error) {
		if flow, err = c.Flow(ctx, name); err != nil {
			return err
		}
		if err := r.check(ProgressOf(flow)); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return c.write(ctx, r, flow, at)
	})
	if err != nil {
		return nil, err
	}
	return flow, nil
}

// write changes the annotation of the flow that was looked at, and of no later one.
func (c *Cluster) write(ctx context.Context, r Request, flow *v1alpha1.InformationFlow, at time.Time) error {
	before := flow.DeepCopy()
	if r.withdraw {
		delete(flow.Annotations, r.annotation)
	} else {
		who, err := c.Whoami(ctx)
		if err != nil {
			return err
		}
		if flow.Annotations == nil {
			flow.Annotations = map[string]string{}
		}
		flow.Annotations[r.annotation] = token(at, who)
	}
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	err := c.client.Patch(ctx, flow, patch)
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("%q: %w any more: somebody has deleted it just now", before.Name, ErrNoFlow)
	}
	return c.explain(err)
}

// token tells one request from another: two of one second are two.
func token(at time.Time, who string) string {
	return at.UTC().Format("2006-01-02T15:04:05.000Z07:00") + " " + who
}

// Asked returns when something was asked, and by whom; the text as it is where it
// does not say.
func Asked(token string) string {
	at, who, named := strings.Cut(token, " ")
	if !named {
		return "at " + at
	}
	return "at " + at + " by " + who
}

func checkPause(p Progress) error {
	if by := p.Flow.Annotations[v1alpha1.AnnotationPause]; by != "" {
		return fmt.Errorf("%w, %s; triangle migrate resume %s lets it go on", ErrPaused, Asked(by), p.Flow.Name)
	}
	if p.Flow.Spec.State == v1alpha1.FlowPaused {
		return ErrPausedBySpec
	}
	return nil
}

func checkResume(p Progress) error {
	if _, paused := p.Flow.Annotations[v1alpha1.AnnotationPause]; paused {
		return nil
	}
	if p.Flow.Spec.State == v1alpha1.FlowPaused {
		return ErrPausedBySpec
	}
	return fmt.Errorf("%w: %s", ErrNotPaused, p.Summary())
}

func checkAbort(p Progress) error {
	switch asked := p.Flow.Annotations[v1alpha1.AnnotationAbort]; {
	case !p.Seen():
		return ErrNotSeen
	case asked != "" && asked != p.Flow.Status.HandledAbort:
		return fmt.Errorf("%w: %s", ErrAsked, Asked(asked))
	case p.Current <= 0 && !p.Is(v1alpha1.ConditionReconciling):
		return ErrFirstStep
	}
	return nil
}

func checkRetry(p Progress) error {
	switch asked := p.Flow.Annotations[v1alpha1.AnnotationRetry]; {
	case !p.Seen():
		return ErrNotSeen
	case asked != "" && asked != p.Flow.Status.HandledRetry:
		return fmt.Errorf("%w: %s", ErrAsked, Asked(asked))
	case !held(p):
		return fmt.Errorf("%w: %s", ErrNothingToRetry, p.Summary())
	}
	return nil
}

// held tells whether a migration stays where it is until somebody says otherwise.
func held(p Progress) bool {
	steps := p.Flow.Spec.Migration.Steps
	target := p.Flow.Status.TargetStep
	return p.Is(v1alpha1.ConditionRolledBack) || p.Is(v1alpha1.ConditionStalled) ||
		target != "" && target != steps[len(steps)-1].Name
}
