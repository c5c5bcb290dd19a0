package tracing

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

// Flow is what is taken in, and by whom.
type Flow struct {
	Name string
	// Group is the service, whose replicas take turns.
	Group string
	Epoch uint64 // 0: of none, or of one that is not known yet
}

func (f Flow) attributes() []attribute.KeyValue {
	if f.Epoch == 0 {
		return []attribute.KeyValue{keyFlow.String(f.Name)}
	}
	return []attribute.KeyValue{keyFlow.String(f.Name), keyEpoch.Int64(int64(f.Epoch))} //nolint:gosec // epochs count from 1
}

func (f Flow) processing() []attribute.KeyValue {
	return append(f.attributes(), system,
		semconv.MessagingOperationTypeProcess, semconv.MessagingOperationName("process"),
		semconv.MessagingDestinationSubscriptionName(f.Name), semconv.MessagingConsumerGroupName(f.Group))
}

// Process begins the span of an event's delivery in real time: beneath the append
// that it comes of, and with a link to that. An event without a valid trace begins one.
func (t *Tracer) Process(ctx context.Context, f Flow, e eventlog.Event, origin Origin) Span {
	if t == nil {
		return Span{}
	}
	return t.deliver(ctx, "process ", f, e, origin)
}

// Retry begins the span of a parked event's delivery, with a link to the request for
// it.
func (t *Tracer) Retry(ctx context.Context, f Flow, e eventlog.Event, origin, request Origin) Span {
	if t == nil {
		return Span{}
	}
	return t.deliver(ctx, "retry ", f, e, origin, request.link()...)
}

func (t *Tracer) deliver(ctx context.Context, operation string, f Flow, e eventlog.Event, origin Origin, links ...trace.Link) Span {
	_, s := t.begin(origin.in(ctx), operation+f.Name, trace.SpanKindConsumer, trace.WithLinks(append(links, origin.link()...)...))
	s.set(func() []attribute.KeyValue {
		all := append(f.processing(), destination(e.Stream, templateOf(e.Stream))[1:]...)
		return append(all, about(e.ID.String(), e.Type, e.Position)...)
	})
	return s
}

// link is none where the trace is broken.
func (o Origin) link(attributes ...attribute.KeyValue) []trace.Link {
	sc := o.SpanContext()
	if !sc.IsValid() {
		return nil
	}
	return []trace.Link{{SpanContext: sc, Attributes: attributes}}
}

// Project begins the span of a projection, beneath the delivery in ctx. Where no
// single event is delivered, there is none.
func (t *Tracer) Project(ctx context.Context, projection string) (context.Context, Span) {
	if t == nil || !trace.SpanFromContext(ctx).IsRecording() {
		return ctx, Span{}
	}
	return t.begin(ctx, "project "+projection, trace.SpanKindInternal, trace.WithAttributes(keyProjection.String(projection)))
}

// React begins the span of a reaction: beneath the delivery in ctx, or else in the
// trace of the cause, with a link to the window that it is taken in by.
func (t *Tracer) React(ctx context.Context, reaction string, cause Origin, window trace.SpanContext) (context.Context, Span) {
	if t == nil {
		return ctx, Span{}
	}
	options := []trace.SpanStartOption{trace.WithAttributes(keyReaction.String(reaction))}
	if !trace.SpanContextFromContext(ctx).IsValid() {
		ctx = cause.in(ctx)
		if window.IsValid() {
			options = append(options, trace.WithLinks(trace.Link{SpanContext: window}))
		}
	}
	return t.begin(ctx, "react "+reaction, trace.SpanKindInternal, options...)
}

// Declined tells that the reaction turned its cause away.
func (s Span) Declined() { s.outcome("declined") }

func (s Span) outcome(what string) {
	if s.IsRecording() {
		s.span.SetAttributes(keyOutcome.String(what))
	}
}

// Transaction tells of the transaction that an event was taken in by, with others or
// alone, as a span beneath the event's delivery.
func (t *Tracer) Transaction(delivery Span, database string, events int, begun, ended time.Time, err error) {
	if t == nil || !delivery.IsRecording() {
		return
	}
	_, s := t.begin(delivery.In(context.Background()), "transaction", trace.SpanKindClient, trace.WithTimestamp(begun),
		trace.WithAttributes(semconv.DBSystemNameKey.String(database)))
	if events > 1 {
		s.span.SetAttributes(semconv.DBOperationBatchSize(events))
	}
	if err != nil {
		s.span.SetAttributes(keyOutcome.String("rolled back"), semconv.ErrorTypeKey.String(kindOf(err)))
	}
	s.span.End(trace.WithTimestamp(ended))
}

// RolledBack tells that an event was not taken in, as another one of its transaction
// failed.
func (s Span) RolledBack() { s.outcome("rolled back") }

// Why an event is parked.
const (
	Unprocessable = "unprocessable"
	WaitsBehind   = "waits behind a parked event of its key"
)

// Park tells that an event is parked: beneath its delivery in ctx, or else in its own
// trace, with a link to the window.
func (t *Tracer) Park(ctx context.Context, f Flow, e eventlog.Event, origin Origin, window trace.SpanContext, why string, attempts int) {
	if t == nil {
		return
	}
	var options []trace.SpanStartOption
	if !trace.SpanContextFromContext(ctx).IsValid() {
		ctx = origin.in(ctx)
		if window.IsValid() {
			options = append(options, trace.WithLinks(trace.Link{SpanContext: window}))
		}
	}
	_, s := t.begin(ctx, "park "+f.Name, trace.SpanKindInternal, options...)
	s.set(func() []attribute.KeyValue {
		all := append(f.attributes(), about(e.ID.String(), e.Type, e.Position)...)
		return append(all, keyOutcome.String(why), keyAttempts.Int(attempts))
	})
	s.End(nil)
}
