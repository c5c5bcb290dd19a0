package tracing

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

// Send begins the span of an append. Where ctx has no trace it goes on in that of
// origin, and where there is none either it begins one. What is appended carries the
// trace of the context that is returned.
func (t *Tracer) Send(ctx context.Context, stream string, origin Origin) (context.Context, Span) {
	if t == nil {
		return ctx, Span{}
	}
	if !trace.SpanContextFromContext(ctx).IsValid() {
		ctx = origin.in(ctx)
	}
	template := templateOf(stream)
	ctx, s := t.begin(ctx, "send "+template, trace.SpanKindProducer)
	s.set(func() []attribute.KeyValue {
		return append(destination(stream, template), semconv.MessagingOperationTypeSend, semconv.MessagingOperationName("send"))
	})
	return ctx, s
}

// Sent ends the span of an append of these events.
func (s Span) Sent(events []eventlog.NewEvent, appended eventlog.Appended, err error) {
	if s.span == nil {
		return
	}
	s.set(func() []attribute.KeyValue {
		if len(events) == 1 {
			return about(events[0].ID.String(), events[0].Type, appended.Position)
		}
		return []attribute.KeyValue{semconv.MessagingBatchMessageCount(len(events))}
	})
	s.End(err)
}
