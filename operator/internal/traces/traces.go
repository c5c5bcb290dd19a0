// Package traces shows what the operator does as spans: one for each reconcile that
// does something, and below it what it does.
//
//	reconcile InformationFlow          from when the object was looked at
//	├─ request a cadence               what a plan says is to be done
//	│  └─ send flow-request-status     the control event, which carries the trace on
//	├─ patch informationflows/status   each write at the Kubernetes API
//	└─ step daily                      from the request to the consumer's adoption
//
// Most looks find nothing to do. So a reconcile's span starts, at the time when the
// look began, with the first thing that is done: a control event, a write at the API,
// or an error. A look that does nothing has no span, however often it is taken.
package traces

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// Scope is the name that the operator's spans are made under.
const Scope = "github.com/triangle-suite/triangle/operator"

// Of returns the reconciler of a kind with spans of what it does; with a nil provider,
// as traces are off, the reconciler itself.
func Of(provider trace.TracerProvider, kind string, next reconcile.Reconciler) reconcile.Reconciler {
	if provider == nil {
		return next
	}
	tracer := provider.Tracer(Scope)
	return reconcile.Func(func(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
		l := &look{tracer: tracer, kind: kind, request: request, began: time.Now(), id: string(controller.ReconcileIDFromContext(ctx))}
		result, err := next.Reconcile(context.WithValue(ctx, key{}, l), request)
		l.end(ctx, result, err)
		return result, err
	})
}

type key struct{}

// look is one reconcile. What it does may be done by several goroutines.
type look struct {
	tracer  trace.Tracer
	kind    string
	request reconcile.Request
	began   time.Time
	id      string // in the lines of its log

	mu   sync.Mutex
	span trace.Span // nil: nothing has been done yet
}

// start returns the look's span, which starts when it is first asked for.
func (l *look) start(ctx context.Context) trace.Span {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.span == nil {
		_, l.span = l.tracer.Start(ctx, "reconcile "+l.kind, trace.WithTimestamp(l.began), trace.WithAttributes(
			attribute.String("triangle.object.kind", l.kind),
			attribute.String("triangle.object.name", l.request.Name),
			attribute.String("k8s.namespace.name", l.request.Namespace),
		))
		recent.note(l.id, l.span.SpanContext())
	}
	return l.span
}

func (l *look) end(ctx context.Context, result reconcile.Result, err error) {
	l.mu.Lock()
	idle := l.span == nil
	l.mu.Unlock()
	if idle && err == nil {
		return
	}
	span := l.start(ctx)
	switch {
	case err != nil:
		span.SetAttributes(attribute.String("triangle.reconcile.result", "failed"))
		span.SetStatus(codes.Error, err.Error())
	case result.RequeueAfter > 0:
		span.SetAttributes(attribute.String("triangle.reconcile.result", "looks again"), attribute.Float64("triangle.reconcile.again", result.RequeueAfter.Seconds()))
	default:
		span.SetAttributes(attribute.String("triangle.reconcile.result", "done"))
	}
	span.End()
}

// Begin starts the span of something that is done within a reconcile, and returns
// what ends it. Outside of one, and where traces are off, nothing is started.
func Begin(ctx context.Context, name string, options ...trace.SpanStartOption) (context.Context, func(error)) {
	l, ok := ctx.Value(key{}).(*look)
	if !ok {
		return ctx, func(error) {}
	}
	within := l.start(ctx)
	if trace.SpanContextFromContext(ctx).IsValid() { // something else that is being done
		within = trace.SpanFromContext(ctx)
	}
	ctx, span := l.tracer.Start(trace.ContextWithSpan(ctx, within), name, options...)
	return ctx, func(err error) {
		if err != nil {
			span.SetStatus(codes.Error, err.Error())
		}
		span.End()
	}
}

// Step is a step of a migration that has begun and is not reached yet. The zero Step
// is none.
type Step struct {
	// Name is the step's, and Epoch the one that was asked for.
	Name  string
	Epoch uint64

	flow  string
	began time.Time
	asked trace.SpanContext
}

// BeginStep notes that the reconcile of ctx has asked for the epoch of a step.
func BeginStep(ctx context.Context, flow, name string, epoch uint64) Step {
	return Step{Name: name, Epoch: epoch, flow: flow, began: time.Now(), asked: trace.SpanContextFromContext(ctx)}
}

// Reached shows a step as a span, which ends now, in the trace of the reconcile that
// began it. A step that another replica has begun, or this one before it was started
// anew, shows in the control events alone.
func (s Step) Reached(provider trace.TracerProvider) {
	if provider == nil || !s.asked.IsValid() {
		return
	}
	ctx := trace.ContextWithRemoteSpanContext(context.Background(), s.asked)
	_, span := provider.Tracer(Scope).Start(ctx, "step "+s.Name, trace.WithTimestamp(s.began), trace.WithAttributes(
		attribute.String("triangle.flow", s.flow), attribute.Int64("triangle.flow.epoch", int64(s.Epoch)), //nolint:gosec // epochs are counted one by one
	))
	span.End()
}
