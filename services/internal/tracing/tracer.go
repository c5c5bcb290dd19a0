package tracing

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/fault"
)

// Tracer begins spans. It is safe for concurrent use; nil is one that is not
// installed.
type Tracer struct{ tracer trace.Tracer }

// New returns the tracer of a service.
func New(provider trace.TracerProvider) *Tracer {
	return &Tracer{provider.Tracer("triangle/services", trace.WithSchemaURL(semconv.SchemaURL))}
}

// Of returns the tracer that the span of ctx was made with; nil where that records
// nothing, or there is none.
func Of(ctx context.Context) *Tracer {
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return nil
	}
	return New(span.TracerProvider())
}

// Installed tells whether spans are begun at all.
func (t *Tracer) Installed() bool { return t != nil }

// Span is one that has begun. The zero Span is none, and does nothing.
type Span struct{ span trace.Span }

// begin begins a span beneath that of ctx.
func (t *Tracer) begin(ctx context.Context, name string, kind trace.SpanKind, options ...trace.SpanStartOption) (context.Context, Span) {
	ctx, span := t.tracer.Start(ctx, name, append(options, trace.WithSpanKind(kind))...)
	return ctx, Span{span}
}

// set adds attributes, which are only made where somebody records them.
func (s Span) set(attributes func() []attribute.KeyValue) {
	if s.span.IsRecording() {
		s.span.SetAttributes(attributes()...)
	}
}

// IsRecording tells whether the span is there, and is sampled.
func (s Span) IsRecording() bool { return s.span != nil && s.span.IsRecording() }

// In returns ctx with the span; ctx itself where there is none.
func (s Span) In(ctx context.Context) context.Context {
	if s.span == nil {
		return ctx
	}
	return trace.ContextWithSpan(ctx, s.span)
}

// Context returns what others go on from, or link to.
func (s Span) Context() trace.SpanContext {
	if s.span == nil {
		return trace.SpanContext{}
	}
	return s.span.SpanContext()
}

// End ends the span. Of an error it tells the kind. Somebody who was faster, and a
// process that is told to end, are no failures.
func (s Span) End(err error) {
	if s.span == nil {
		return
	}
	if err != nil && s.span.IsRecording() {
		kind := kindOf(err)
		s.span.SetAttributes(semconv.ErrorTypeKey.String(kind))
		if kind != wrongRevision && kind != canceled {
			s.span.SetStatus(codes.Error, kind)
		}
	}
	s.span.End()
}

// Kinds of errors that are told apart from others.
const (
	wrongRevision = "wrong_revision"
	canceled      = "canceled"
)

// kinds are those of errors that packages below this one return.
var kinds = []struct {
	is   error
	kind string
}{
	{eventlog.ErrWrongRevision, wrongRevision},
	{eventlog.ErrUnavailable, "store_unavailable"},
	{eventlog.ErrDenied, "store_denied"},
	{eventlog.ErrTombstoned, "stream_deleted"},
	{eventlog.ErrTooLarge, "append_too_large"},
	{eventlog.ErrClosed, "closed"},
	{context.Canceled, canceled},
	{context.DeadlineExceeded, "timeout"},
}

var faults = map[fault.Kind]string{
	fault.KindInvalid: "invalid", fault.KindNotFound: "not_found", fault.KindPrecondition: "precondition",
	fault.KindConflict: "conflict", fault.KindTooLarge: "too_large", fault.KindUnavailable: "unavailable",
}

// Kinded is an error that says itself of which kind it is, in one low-case word.
type Kinded interface {
	error
	ErrorKind() string
}

// kindOf returns the error.type of an error: one of few words, and never its text.
func kindOf(err error) string {
	if own, ok := errors.AsType[Kinded](err); ok {
		return own.ErrorKind()
	}
	if refused, ok := fault.Of(err); ok {
		return faults[refused.Kind]
	}
	for _, known := range kinds {
		if errors.Is(err, known.is) {
			return known.kind
		}
	}
	return semconv.ErrorTypeOther.Value.AsString()
}
