package telemetry

import (
	"context"
	"crypto/rand"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Propagator carries trace context as W3C's traceparent and tracestate.
var Propagator propagation.TextMapPropagator = propagation.TraceContext{}

// Inject returns the trace context of ctx as an event's metadata carries it.
// traceparent is always a valid one: where ctx has no trace a new one begins.
func Inject(ctx context.Context) (traceparent, tracestate string) {
	carrier := propagation.MapCarrier{}
	Propagator.Inject(Ensure(ctx), carrier)
	return carrier.Get("traceparent"), carrier.Get("tracestate")
}

// Extract returns ctx with the trace that an event's metadata carries. A
// traceparent that is not valid leaves ctx as it is.
func Extract(ctx context.Context, traceparent, tracestate string) context.Context {
	carrier := propagation.MapCarrier{"traceparent": traceparent, "tracestate": tracestate}
	return Propagator.Extract(ctx, carrier)
}

// Ensure returns ctx with a trace: the one that it has, or else a new one,
// which nobody samples.
func Ensure(ctx context.Context) context.Context {
	if trace.SpanContextFromContext(ctx).IsValid() {
		return ctx
	}
	var id trace.TraceID
	var span trace.SpanID
	_, _ = rand.Read(id[:]) // never fails
	_, _ = rand.Read(span[:])
	return trace.ContextWithSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{TraceID: id, SpanID: span}))
}
