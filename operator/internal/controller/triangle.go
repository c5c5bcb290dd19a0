// Package controller brings what is in the cluster to what the specs want. It is a
// thin shell: what an environment consists of says internal/workload, how its
// services come to their images internal/rollout, and both are pure.
package controller

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/trace"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/triangle-suite/triangle/operator/api/v1alpha1"
	"github.com/triangle-suite/triangle/operator/internal/rollout"
	"github.com/triangle-suite/triangle/operator/internal/traces"
	"github.com/triangle-suite/triangle/operator/internal/workload"
	"github.com/triangle-suite/triangle/services/control"
)

// Triangles brings environments to what their specs want.
type Triangles struct {
	// Client writes, and Reader reads past the cache: an object's resourceVersion is
	// to be the one that was there when the decision was made.
	Client client.Client
	Reader client.Reader
	// Recorder tells in the cluster what is done.
	Recorder events.EventRecorder
	// Now is the clock.
	Now func() time.Time
	// Poll is how often the streams are looked at while something goes on, and Idle
	// how often while nothing does; 0: 5 s, and 1 min.
	Poll, Idle time.Duration
	// May fails when nothing may be written to event stores, as another replica leads;
	// nil: always.
	May func() error
	// Traces shows what is done, as spans; nil: it is not shown.
	Traces trace.TracerProvider

	stores stores
}

// The waits between two looks at the streams.
const (
	defaultPoll = 5 * time.Second
	defaultIdle = time.Minute
	// storeTimeout bounds how long a look at the store may take.
	storeTimeout = 10 * time.Second
)

// SetupWithManager has a manager run the controller.
func (r *Triangles) SetupWithManager(manager ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(manager).
		// Its own words in the status are no reason to look again.
		For(&v1alpha1.Triangle{}, builder.WithPredicates(predicate.Or(
			predicate.GenerationChangedPredicate{}, predicate.AnnotationChangedPredicate{},
		))).
		Owns(&appsv1.StatefulSet{}).Owns(&appsv1.Deployment{}).Owns(&batchv1.Job{}).
		Owns(&corev1.Service{}).Owns(&corev1.ServiceAccount{}).
		Owns(&autoscalingv2.HorizontalPodAutoscaler{}).Owns(&policyv1.PodDisruptionBudget{}).
		Complete(traces.Of(r.Traces, "Triangle", r))
}

// Reconcile takes the next step for one environment.
func (r *Triangles) Reconcile(ctx context.Context, request ctrl.Request) (result ctrl.Result, err error) {
	t := &v1alpha1.Triangle{}
	if err := r.Reader.Get(ctx, request.NamespacedName, t); err != nil {
		if apierrors.IsNotFound(err) {
			return result, r.stores.drop(request.NamespacedName)
		}
		return result, err
	}
	if t.DeletionTimestamp != nil { // what it owns goes with it
		return result, nil
	}
	step := &step{Triangles: r, t: t, before: t.DeepCopy()}
	defer func() { err = errors.Join(err, step.patchStatus(ctx)) }()
	err = step.take(ctx)
	if apierrors.IsConflict(err) || errors.Is(err, control.ErrOvertaken) {
		return ctrl.Result{RequeueAfter: r.poll()}, nil // it was decided on what is no more: look again
	}
	return ctrl.Result{RequeueAfter: step.again}, err
}

func (r *Triangles) poll() time.Duration {
	if r.Poll > 0 {
		return r.Poll
	}
	return defaultPoll
}

func (r *Triangles) idle() time.Duration {
	if r.Idle > 0 {
		return r.Idle
	}
	return defaultIdle
}

// step is one look at an environment, and what follows.
type step struct {
	*Triangles
	t      *v1alpha1.Triangle
	before *v1alpha1.Triangle // as it was read

	live  live
	store *store
	suite control.Suite
	types []control.Type
	seen  rollout.Observation
	plan  rollout.Plan
	again time.Duration
}

// take takes the step: each part is small, and the first that can't go on says so.
func (s *step) take(ctx context.Context) error {
	s.again = s.idle()
	s.t.Status.ObservedGeneration = s.t.Generation
	spec, err := s.rolloutSpec()
	if err != nil {
		return s.stall("BadSpec", err.Error())
	}
	if stop, err := s.checkNamespace(ctx); stop || err != nil {
		return err
	}
	if err := checkSecrets(ctx, s.Reader, s.t); err != nil {
		if missing := (secretError{}); errors.As(err, &missing) {
			return s.stall("MissingSecret", missing.message)
		}
		return err
	}
	s.store, err = s.connect(ctx, s.t)
	if errors.Is(err, errConnectionString) || errors.Is(err, errCertificates) {
		return s.stall("BadConnection", err.Error())
	}
	if err != nil {
		return err
	}
	if s.live, err = s.look(ctx); err != nil {
		return err
	}
	if err := s.observe(ctx); err != nil {
		return s.without(ctx, err)
	}
	s.plan = rollout.Next(spec, s.seen, s.Now())
	if s.plan.Tell != nil {
		return s.tell(ctx)
	}
	if err := s.activate(ctx); err != nil {
		return err
	}
	if err := s.applyAll(ctx, s.t, s.facts()); err != nil {
		return s.refused(err)
	}
	s.setStatus()
	s.again = s.next()
	return nil
}

// tell appends the plan's event. What follows from it is the next step's.
func (s *step) tell(ctx context.Context) (err error) {
	told, ok := s.plan.Tell.(control.Rolling)
	if !ok {
		return errors.New("the plan tells of no service")
	}
	ctx, end := traces.Begin(ctx, "roll out "+told.GetService())
	defer func() { end(err) }()
	if err := s.store.TellRollout(ctx, s.suite, told, workload.FieldOwner); err != nil {
		return err
	}
	s.announceEvent(told)
	s.again = time.Millisecond
	return nil
}

// activate says that the types may be written which every replica reads. It is done
// between rollouts alone: while an image is watched the way back stays open.
func (s *step) activate(ctx context.Context) error {
	if !s.plan.Settled {
		return nil
	}
	for i, t := range s.types {
		if t.Activation != nil || len(t.Missing) > 0 {
			continue
		}
		activated, err := s.activateType(ctx, t.Schema)
		if errors.Is(err, control.ErrNotRead) {
			continue // a replica has come meanwhile
		}
		if err != nil {
			return err
		}
		s.types[i] = activated
		s.Recorder.Eventf(s.t, nil, corev1.EventTypeNormal, "TypeActivated", "Activate", "%s may be written from now on", t.Schema)
	}
	return nil
}

func (s *step) activateType(ctx context.Context, schema string) (activated control.Type, err error) {
	ctx, end := traces.Begin(ctx, "activate "+schema)
	defer func() { end(err) }()
	return s.store.Activate(ctx, schema, workload.FieldOwner, "every replica of every service reads it")
}

// without goes on as far as that is possible while the store can't be read: what
// serves goes on serving, drift is corrected, and nothing else happens.
func (s *step) without(ctx context.Context, cause error) error {
	if errors.Is(cause, control.ErrNotKnown) {
		return s.stall("UnknownEvent", "the event store has events that this operator does not know: a newer one wrote them; run that one ("+cause.Error()+")")
	}
	if status := apierrors.APIStatus(nil); errors.As(cause, &status) || ctx.Err() != nil {
		return cause // it is not the store that does not answer
	}
	s.store.since = time.Time{}
	s.again = s.poll()
	if err := s.applyAll(ctx, s.t, workload.Facts{Serve: s.live.images()}); err != nil {
		return s.refused(err)
	}
	s.unreachable()
	return nil
}

// refused tells of what the cluster, or the spec, does not let be applied.
func (s *step) refused(err error) error {
	switch {
	case apierrors.IsInvalid(err):
		return s.stall("Refused", err.Error()+"; undo what somebody has changed there, or mend the spec")
	case apierrors.IsForbidden(err), errors.Is(err, workload.ErrNameTooLong):
		return s.stall("Refused", err.Error())
	default:
		return err
	}
}

// next is when to look again.
func (s *step) next() time.Duration {
	if s.plan.Settled && len(s.plan.Waits) == 0 && s.waiting() == "" {
		return s.idle()
	}
	again := s.poll()
	if at := s.plan.Again; !at.IsZero() {
		again = min(again, max(time.Millisecond, at.Sub(s.Now())))
	}
	return again
}
