// Package migrate moves flows as InformationFlows want it: it reads what a flow's
// streams say, has plan.Next decide, does what it says, and tells the status. All
// that it does to a flow is an event on the flow's control stream, under the
// revision that it has read; all that it has to remember is there, too, so that
// whoever leads next goes on where the last one stopped.
package migrate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/operator/api/v1alpha1"
	"github.com/triangle-suite/triangle/operator/internal/plan"
	"github.com/triangle-suite/triangle/operator/internal/traces"
	"github.com/triangle-suite/triangle/services/control"
	"github.com/triangle-suite/triangle/services/control/migration"
)

const (
	// most is how many actions are done for a flow before others have their turn.
	most = 32
	// atLeast is how often a flow is looked at where nothing has been heard of it: a
	// hint may be lost.
	atLeast = 5 * time.Minute
)

// Flows carries out what InformationFlows want.
type Flows struct {
	// Client reads from a cache that has the InformationFlows indexed (see Index), and
	// writes. Reader reads past it.
	Client client.Client
	Reader client.Reader
	// Stores finds the event store of a namespace.
	Stores Stores
	// Instance is who this replica of the operator is.
	Instance string
	// Now is the time; only maintenance windows and what is to be looked at again go
	// by it. Ages go by the store's time.
	Now func() time.Time
	// Recorder tells Kubernetes events.
	Recorder events.EventRecorder

	// Traces shows what is done, as spans; nil: it is not shown.
	Traces trace.TracerProvider

	// Every is how often the operator says that it watches: control.WatchEvery.
	Every time.Duration

	environments registry
	attention    attention
	news         chan event.TypedGenericEvent[News]
	running      context.Context //nolint:containedctx // of the manager: what it starts ends with it
}

// Reconcile brings a flow on; without a name, it watches the environment of the
// namespace, which may have flows whose objects are no more.
func (r *Flows) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	if request.Name == "" {
		_, err := r.environment(ctx, request.Namespace)
		return reconcile.Result{}, ignoreNoEnvironment(err)
	}
	r.attention.look(request.NamespacedName)
	object := &v1alpha1.InformationFlow{}
	err := r.Client.Get(ctx, request.NamespacedName, object)
	if apierrors.IsNotFound(err) || err == nil && !object.DeletionTimestamp.IsZero() {
		r.attention.forget(request.NamespacedName)
		unshow(request.NamespacedName)
		return reconcile.Result{}, r.end(ctx, request.NamespacedName)
	}
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("read InformationFlow %s: %w", request.NamespacedName, err)
	}
	approvals, err := r.approvals(ctx, request.NamespacedName)
	if err != nil {
		return reconcile.Result{}, err
	}
	next, failure := r.advance(ctx, object, approvals)
	if len(next.Verdicts) == 0 {
		next.Verdicts = unheard(object, approvals)
	}
	show(request.NamespacedName, next.Figures)
	wait, err := r.tell(ctx, object, next.Status)
	err = errors.Join(err, r.pronounce(ctx, approvals, next.Verdicts))
	if apierrors.IsConflict(err) {
		return reconcile.Result{RequeueAfter: time.Second}, nil // the cache is behind, or another replica leads
	}
	if err = errors.Join(failure, err); err != nil {
		return reconcile.Result{}, err
	}
	again := r.again(next.LookAgain)
	if wait > 0 {
		again = min(again, wait)
	}
	return reconcile.Result{RequeueAfter: again}, nil
}

// again is in what time to look again.
func (r *Flows) again(at time.Time) time.Duration {
	if at.IsZero() {
		return atLeast
	}
	return min(max(at.Sub(r.Now()), time.Second), atLeast)
}

// advance does one thing after the other until there is nothing to be done, and
// returns the last plan. With an error it returns the plan whose action failed.
func (r *Flows) advance(ctx context.Context, object *v1alpha1.InformationFlow, approvals []v1alpha1.FlowApproval) (plan.Plan, error) {
	env, err := r.environment(ctx, object.Namespace)
	if err != nil {
		return r.unread(object, err.Error()), ignoreNoEnvironment(err)
	}
	if !env.known() {
		return r.unread(object, silent), nil
	}
	known, err := env.follow(object, r.Now())
	if err != nil {
		return plan.Plan{Status: plan.Refused(object, err), Figures: plan.Figures{Reachable: true}}, nil
	}
	state, spec := known.state, known.spec
	read := func(ctx context.Context) error { return env.flows.FollowMigration(ctx, state, spec.WantsHours()) }
	for range most {
		o := observe(ctx, env, state, read)
		if state.Plan == nil && o.Unreachable != "" { // who knows what was read of it
			return r.unread(object, silent), nil
		}
		o.Approvals = seen(approvals)
		known.reached(r.Traces)
		next := plan.Next(spec, o, r.Now())
		if next.Action.Kind == plan.Nothing {
			return next, nil
		}
		err := carryOut(ctx, env, known, next.Action)
		if errors.Is(err, control.ErrDeposed) {
			continue // somebody has written meanwhile: read that, and decide again
		}
		if err != nil {
			return next, fmt.Errorf("flow %s: %s: %w", spec.Flow.Name, next.Action.Kind, err)
		}
		r.warn(object, next.Action)
		// What the consumer tells all the time was just read.
		read = func(ctx context.Context) error { return env.flows.FollowControl(ctx, state) }
	}
	return plan.Plan{}, fmt.Errorf("flow %s: more than %d things to do in a row", spec.Flow.Name, most)
}

// observe reads on in the flow's streams.
func observe(parent context.Context, env *environment, state *migration.State, read func(context.Context) error) plan.Observation {
	ctx, cancel := context.WithTimeout(parent, storeTimeout)
	defer cancel()
	if o := env.observation(); o.Unreachable != "" {
		o.Migration = state
		return o
	}
	if err := read(ctx); err != nil {
		log.FromContext(parent).Error(err, "the flow's streams can't be read")
		env.lost()
	}
	o := env.observation()
	o.Migration = state
	return o
}

// carryOut does what a plan says.
func carryOut(parent context.Context, env *environment, known *followed, do plan.Action) (err error) {
	ctx, end := traces.Begin(parent, string(do.Kind), trace.WithAttributes(attribute.String("triangle.flow", known.state.Flow)))
	defer func() { end(err) }()
	state := known.state
	switch do.Kind {
	case plan.Compare:
		return env.flows.RecordComparison(ctx, state, plan.Operator)
	case plan.JudgeParity:
		judged, err := env.flows.JudgeParity(ctx, state, do.Step)
		if err != nil {
			return err
		}
		return env.flows.Record(ctx, state, plan.Operator, judged)
	}
	err = env.flows.Record(ctx, state, plan.Operator, do.Event)
	if m, ok := do.Event.(*flowv1.CadenceRequested); ok && err == nil {
		known.step = traces.BeginStep(ctx, state.Flow, m.GetStep(), m.GetEpoch())
	}
	return err
}

// warn tells in the cluster what somebody should hear of who does not look. All that
// goes as it should is in the status, with its history, and in the flow's stream: an
// event of Kubernetes is one more write at its API.
func (r *Flows) warn(object *v1alpha1.InformationFlow, done plan.Action) {
	switch m := done.Event.(type) {
	case *flowv1.CadenceRequested:
		if m.GetMove() == flowv1.CadenceMove_CADENCE_MOVE_ROLLBACK {
			r.Recorder.Eventf(object, nil, corev1.EventTypeWarning, "RolledBack", "Migrate",
				"back to step %s (%s): %s", m.GetStep(), m.GetCadence(), m.GetReason())
		}
	case *flowv1.MigrationHeld:
		r.Recorder.Eventf(object, nil, corev1.EventTypeWarning, "Held", "Migrate", "%s", m.GetDetail())
	}
}

// approvals returns those that name an InformationFlow, oldest first.
func (r *Flows) approvals(ctx context.Context, flow types.NamespacedName) ([]v1alpha1.FlowApproval, error) {
	var all v1alpha1.FlowApprovalList
	if err := r.Client.List(ctx, &all, client.InNamespace(flow.Namespace), client.MatchingFields{byFlow: flow.Name}); err != nil {
		return nil, fmt.Errorf("list the approvals of %s: %w", flow, err)
	}
	slices.SortFunc(all.Items, func(a, b v1alpha1.FlowApproval) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), strings.Compare(a.Name, b.Name))
	})
	return all.Items, nil
}

func seen(approvals []v1alpha1.FlowApproval) (all []plan.ApprovalSeen) {
	for _, a := range approvals {
		all = append(all, plan.ApprovalSeen{Name: a.Name, UID: string(a.UID), Step: a.Spec.Step, PlanHash: a.Spec.PlanHash, By: a.Spec.ApprovedBy})
	}
	return all
}

// unheard is said of approvals of a flow that can't be moved, and that nothing was
// said of before: nobody is left to wonder.
func unheard(object *v1alpha1.InformationFlow, approvals []v1alpha1.FlowApproval) (all []plan.Verdict) {
	for _, a := range approvals {
		if a.Status.Verdict == "" {
			all = append(all, plan.Verdict{
				Name: a.Name, UID: string(a.UID), Verdict: v1alpha1.ApprovalWaiting,
				Message: "InformationFlow " + object.Name + " can't be moved yet: its conditions say why",
			})
		}
	}
	return all
}
