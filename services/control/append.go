package control

import (
	"context"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/proto"

	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/tracing"
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
func (f *Flows) append(ctx context.Context, stream string, expected eventlog.Expected, t told) (eventlog.Appended, error) {
	ctx, span := tracing.Of(ctx).Send(ctx, stream, tracing.Origin{})
	md := codec.Metadata{Source: "/triangle/control/" + t.by, Subject: t.subject, Time: t.at}
	if t.at.IsZero() {
		md.Time = time.Now().UTC()
	}
	origin := originOf(ctx, t.id)
	md.TraceParent, md.TraceState = origin.TraceParent, origin.TraceState
	e, err := f.codec.Encode(ctx, t.message, t.id, md)
	if err != nil {
		span.End(err)
		return eventlog.Appended{}, err
	}
	events := []eventlog.NewEvent{e}
	appended, err := f.log.Append(ctx, stream, expected, events...)
	span.Sent(events, appended, err)
	return appended, err
}

// originOf is the trace of ctx, else one that derives from the event's id: every event
// belongs to a trace, traced or not.
func originOf(ctx context.Context, id uuid.UUID) tracing.Origin {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		ctx = trace.ContextWithSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{
			TraceID: trace.TraceID(id), SpanID: trace.SpanID(id[:8]),
		}))
	}
	return tracing.OriginOf(ctx)
}
