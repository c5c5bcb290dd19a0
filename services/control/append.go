package control

import (
	"context"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/proto"

	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

// told is a control event that is to be appended: what it says, who says it, and what
// it is about.
type told struct {
	id          uuid.UUID
	message     proto.Message
	by, subject string
	at          time.Time // the zero time: now
}

// append appends a control event, within the trace of ctx: who takes it in goes on in
// that trace. Where ctx has a span, the append is one below it.
func (f *Flows) append(ctx context.Context, stream string, expected eventlog.Expected, t told) (appended eventlog.Appended, err error) {
	ctx, end := startSend(ctx, stream, t)
	defer func() { end(err) }()
	md := codec.Metadata{Source: "/triangle/control/" + t.by, Subject: t.subject, Time: t.at}
	if t.at.IsZero() {
		md.Time = time.Now().UTC()
	}
	md.TraceParent, md.TraceState = traceOf(ctx, t.id)
	e, err := f.codec.Encode(ctx, t.message, t.id, md)
	if err != nil {
		return eventlog.Appended{}, err
	}
	return f.log.Append(ctx, stream, expected, e)
}

// startSend starts the span of an append, with whatever the span of ctx was made with:
// where there is none, or it records nothing, so does this one.
func startSend(ctx context.Context, stream string, t told) (context.Context, func(error)) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return ctx, func(error) {}
	}
	tracer := parent.TracerProvider().Tracer("github.com/triangle-suite/triangle/services/control")
	ctx, span := tracer.Start(ctx, "send "+stream, trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(
		attribute.String("messaging.system", "eventstoredb"),
		attribute.String("messaging.operation.type", "send"),
		attribute.String("messaging.operation.name", "send"),
		attribute.String("messaging.destination.name", stream),
		attribute.String("messaging.message.id", t.id.String()),
		attribute.String("triangle.event.type", "flow."+string(t.message.ProtoReflect().Descriptor().Name())),
	))
	return ctx, func(err error) {
		if err != nil {
			span.SetStatus(codes.Error, err.Error())
		}
		span.End()
	}
}

// traceOf is the trace of ctx as an event's metadata carries it, else one that derives
// from the event's id: every event belongs to a trace, traced or not.
func traceOf(ctx context.Context, id uuid.UUID) (parent, state string) {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		ctx = trace.ContextWithSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{
			TraceID: trace.TraceID(id), SpanID: trace.SpanID(id[:8]),
		}))
	}
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier.Get("traceparent"), carrier.Get("tracestate")
}
