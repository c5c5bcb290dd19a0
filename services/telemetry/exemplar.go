package telemetry

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
)

// Observe measures how long something took. The trace of ctx is the exemplar, where
// it is one that can be looked up.
func Observe(ctx context.Context, o prometheus.Observer, took time.Duration) {
	sc := trace.SpanContextFromContext(ctx)
	if e, ok := o.(prometheus.ExemplarObserver); ok && sc.IsSampled() {
		e.ObserveWithExemplar(took.Seconds(), prometheus.Labels{"trace_id": sc.TraceID().String()})
		return
	}
	o.Observe(took.Seconds())
}

// ObserveTraced is Observe for what belongs to the trace of an event. Most events
// belong to none that is sampled: that is seen from the last digit of their
// traceparent, without reading the rest.
func ObserveTraced(traceparent string, o prometheus.Observer, took time.Duration) {
	if last := len(traceparent) - 1; last < 0 || traceparent[last] == '0' {
		o.Observe(took.Seconds())
		return
	}
	Observe(Extract(context.Background(), traceparent, ""), o, took)
}
