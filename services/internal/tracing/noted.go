package tracing

import (
	"context"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Noted is the trace of the last partner that was asked beneath a context: which
// event a piece of work comes of is known only to who does it.
type Noted struct{ trace trace.SpanContext }

type notedKey struct{}

// Noting returns ctx, in which what Ask begins is noted.
func Noting(ctx context.Context) (context.Context, *Noted) {
	noted := &Noted{}
	return context.WithValue(ctx, notedKey{}, noted), noted
}

// Inject writes the trace, if there is one, into a message's metadata.
func (n *Noted) Inject(metadata map[string]string) {
	ctx := trace.ContextWithSpanContext(context.Background(), n.trace)
	propagation.TraceContext{}.Inject(ctx, propagation.MapCarrier(metadata))
}
