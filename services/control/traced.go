package control

import (
	"context"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/proto"

	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/tracing"
)

// Traced returns the same, with a span for each control event that is appended.
// Without it, too, a control event carries the trace of the context in which it is
// appended, if there is one. Closing either closes both.
func (f *Flows) Traced(provider trace.TracerProvider) *Flows {
	other := *f
	other.tracer = tracing.New(provider)
	return &other
}

// append appends a control event, in the trace of ctx.
func (f *Flows) append(
	ctx context.Context, stream string, expected eventlog.Expected, m proto.Message, id uuid.UUID, md codec.Metadata,
) (eventlog.Appended, error) {
	ctx, span := f.tracer.Send(ctx, stream, tracing.Origin{})
	origin := tracing.OriginOf(ctx)
	md.TraceParent, md.TraceState = origin.TraceParent, origin.TraceState
	e, err := f.codec.Encode(ctx, m, id, md)
	if err != nil {
		span.End(err)
		return eventlog.Appended{}, err
	}
	events := []eventlog.NewEvent{e}
	appended, err := f.log.Append(ctx, stream, expected, events...)
	span.Sent(events, appended, err)
	return appended, err
}
