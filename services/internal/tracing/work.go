package tracing

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

// The kinds of a flow's own work, beside taking in events.
const (
	CutOver    = "cut over"    // an epoch ends, and the next one begins
	CloseEpoch = "close epoch" // what an epoch came to is read and told
	Audit      = "audit"
	Compare    = "compare" // a flow with its shadow
	Rebuild    = "rebuild" // tables beside
	Skip       = "skip"    // a parked event is left out
)

// Work begins the span of a flow's own work: in the trace of what asked for it, where
// that is sampled, or else in one of its own, with a link. Who asks is mostly a person,
// by a command that traces nothing: what is rare and changes how a flow runs is to be
// seen all the same.
func (t *Tracer) Work(ctx context.Context, work string, f Flow, asked trace.SpanContext) (context.Context, Span) {
	if t == nil {
		return ctx, Span{}
	}
	var options []trace.SpanStartOption
	switch {
	case asked.IsSampled():
		ctx = trace.ContextWithRemoteSpanContext(ctx, asked)
	case asked.IsValid():
		options = append(options, trace.WithLinks(trace.Link{SpanContext: asked}))
	}
	ctx, s := t.begin(ctx, work+" "+f.Name, trace.SpanKindInternal, options...)
	s.set(f.attributes)
	return ctx, s
}

// EpochEnded tells at which marker an epoch ended, and with how many events.
func (s Span) EpochEnded(epoch, events uint64, marker eventlog.Event) {
	if s.IsRecording() {
		s.span.AddEvent("epoch ended", trace.WithAttributes(keyEpoch.Int64(int64(epoch)), keyEvents.Int64(int64(events)), //nolint:gosec // both count from 0
			keyMarker.String(marker.ID.String())))
	}
}

// EpochBegun tells at which cadence the next epoch runs.
func (s Span) EpochBegun(epoch uint64, cadence string) {
	if s.IsRecording() {
		s.span.AddEvent("epoch begun", trace.WithAttributes(keyEpoch.Int64(int64(epoch)), keyCadence.String(cadence))) //nolint:gosec // epochs count from 1
	}
}

// Outcome tells what came of work, in a word or two of the program's own.
func (s Span) Outcome(what string) { s.outcome(what) }

// About tells which event it is about.
func (s Span) About(id, eventType string, at eventlog.Position) {
	if s.IsRecording() {
		s.span.SetAttributes(about(id, eventType, at)...)
	}
}

// Of tells which shadow it is about.
func (s Span) Of(shadow string) {
	if s.IsRecording() {
		s.span.SetAttributes(keyShadow.String(shadow))
	}
}

// Builds tells which tables are made, and of which version.
func (s Span) Builds(projection string, version int) {
	if s.IsRecording() {
		s.span.SetAttributes(keyProjection.String(projection), keyVersion.Int(version))
	}
}

// Wait begins the span of a call's wait for what a flow brings.
func (t *Tracer) Wait(ctx context.Context, flow string, budget time.Duration) (context.Context, Span) {
	if t == nil {
		return ctx, Span{}
	}
	ctx, s := t.begin(ctx, "wait "+flow, trace.SpanKindInternal)
	s.set(func() []attribute.KeyValue {
		return []attribute.KeyValue{keyFlow.String(flow), keyBudget.Float64(budget.Seconds())}
	})
	return ctx, s
}

// Why a wait is over.
const (
	Came    = "came"
	TimeUp  = "time was up"
	InVain  = "nothing will come"
	NotYet  = "not taken" // a partner: tried again later
	Refused = "refused"
)

// Waited ends the span of a wait, with a link to what came, if its trace is known. With
// an error it was broken off, and has no outcome.
func (s Span) Waited(outcome string, came Origin, err error) {
	if s.span == nil {
		return
	}
	if err == nil { // else nothing came of it
		s.outcome(outcome)
	}
	for _, link := range came.link() {
		s.span.AddLink(link)
	}
	s.End(err)
}

// Ask begins the span of handing a piece of work to an outside partner: in the trace
// of ctx, or else of the event that asked for it.
func (t *Tracer) Ask(ctx context.Context, partner, piece string, cause Origin) (context.Context, Span) {
	if t == nil {
		return ctx, Span{}
	}
	if !trace.SpanContextFromContext(ctx).IsValid() {
		ctx = cause.in(ctx)
	}
	ctx, s := t.begin(ctx, "ask "+partner, trace.SpanKindClient)
	if noted, ok := ctx.Value(notedKey{}).(*Noted); ok {
		noted.trace = s.Context()
	}
	s.set(func() []attribute.KeyValue {
		return []attribute.KeyValue{semconv.ServicePeerName(partner), keyPiece.String(piece)}
	})
	return ctx, s
}
