package migrate

import (
	"context"
	"errors"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/operator/api/v1alpha1"
	"github.com/triangle-suite/triangle/operator/internal/plan"
	"github.com/triangle-suite/triangle/operator/internal/traces"
	"github.com/triangle-suite/triangle/services/control"
	"github.com/triangle-suite/triangle/services/control/migration"
)

// end records that an InformationFlow is no more: its flow goes on as it runs, and
// anybody may set it. Approvals that name it are told. No finalizer holds the object
// for it: what is missed here is found by sweep.
func (r *Flows) end(ctx context.Context, name types.NamespacedName) error {
	approvals, err := r.approvals(ctx, name)
	if err != nil {
		return err
	}
	var foreign []plan.Verdict
	for _, a := range approvals {
		foreign = append(foreign, plan.Verdict{
			Name: a.Name, UID: string(a.UID), Verdict: v1alpha1.ApprovalForeign, Message: "there is no InformationFlow " + name.Name,
		})
	}
	if err := r.pronounce(ctx, approvals, foreign); err != nil && !apierrors.IsConflict(err) {
		return err
	}
	env, err := r.environment(ctx, name.Namespace)
	if err != nil {
		return ignoreNoEnvironment(err)
	}
	state := env.forget(name.Name)
	if state == nil {
		return nil // nobody has looked at it; a sweep does
	}
	err = endPlan(ctx, env, state, name, "InformationFlow "+name.String()+" was deleted")
	if err != nil {
		env.lost() // a sweep looks after it, when the store is heard again
	}
	return err
}

// sweep ends the plans of objects that have gone while nobody looked.
func (r *Flows) sweep(ctx context.Context, namespace string, env *environment) error {
	var failures []error
	for _, flow := range env.announced() {
		failures = append(failures, r.sweepFlow(ctx, namespace, env, flow))
	}
	return errors.Join(failures...)
}

func (r *Flows) sweepFlow(ctx context.Context, namespace string, env *environment, flow flows.Flow) error {
	state := migration.New(flow)
	if err := env.flows.FollowMigration(ctx, state, false); err != nil {
		return fmt.Errorf("look who manages %s: %w", flow.Name, err)
	}
	if state.Plan == nil {
		return nil
	}
	name, ok := nameOf(state.Plan.GetObject())
	if !ok || name.Namespace != namespace {
		return nil // of another environment's operator: somebody has to see to it
	}
	object := &v1alpha1.InformationFlow{}
	switch err := r.Reader.Get(ctx, name, object); {
	case apierrors.IsNotFound(err), err == nil && string(object.UID) != state.Plan.GetObjectUid():
		return endPlan(ctx, env, state, name, "InformationFlow "+name.String()+" is no more")
	case err != nil:
		return fmt.Errorf("look for InformationFlow %s: %w", name, err)
	}
	return nil
}

// endPlan records the end of the plan that the object of that name had for the flow
// of a state.
func endPlan(ctx context.Context, env *environment, state *migration.State, name types.NamespacedName, reason string) error {
	uid := state.Plan.GetObjectUid()
	for {
		if err := env.flows.FollowMigration(ctx, state, false); err != nil {
			return err
		}
		by := state.Plan
		if by == nil || by.GetObject() != name.String() || by.GetObjectUid() != uid || state.Unknown != "" {
			return nil
		}
		ctx, end := traces.Begin(ctx, string(plan.End), trace.WithAttributes(attribute.String("triangle.flow", state.Flow)))
		err := env.flows.Record(ctx, state, plan.Operator, plan.Released(state, reason))
		end(err)
		if !errors.Is(err, control.ErrDeposed) {
			return err
		}
	}
}
