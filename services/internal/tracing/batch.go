package tracing

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

// ChunkLinks is how many links a span holds: those of more are cut off.
const ChunkLinks = 128

// Batch is the trace of events that are taken in together: a root of its own, and
// beneath it chunks, each with a link to each of its events. It is made of what has
// been committed, so that an event that is tried again is linked once. A Batch that is
// nil is none.
type Batch struct {
	tracer *Tracer
	flow   Flow
	root   Span
	events int
	links  []trace.Link // of the chunk that is not full yet
	since  time.Time    // when its first event was there
}

// Window begins the trace of a window, or of what is left of an epoch: up to a marker.
func (t *Tracer) Window(ctx context.Context, f Flow) *Batch { return t.batch(ctx, "window ", f) }

// CatchUp begins the trace of what a flow in real time catches up with.
func (t *Tracer) CatchUp(ctx context.Context, f Flow) *Batch { return t.batch(ctx, "catch up ", f) }

func (t *Tracer) batch(ctx context.Context, operation string, f Flow) *Batch {
	if t == nil {
		return nil
	}
	_, root := t.begin(ctx, operation+f.Name, trace.SpanKindInternal, trace.WithNewRoot())
	root.set(f.attributes)
	return &Batch{tracer: t, flow: f, root: root, since: time.Now()}
}

// In returns ctx in the batch's trace, for what belongs to it as a whole.
func (b *Batch) In(ctx context.Context) context.Context {
	if b == nil {
		return ctx
	}
	return b.root.In(ctx)
}

// Context is what others link to.
func (b *Batch) Context() trace.SpanContext {
	if b == nil {
		return trace.SpanContext{}
	}
	return b.root.Context()
}

// IsRecording tells whether it is worth while to Add.
func (b *Batch) IsRecording() bool { return b != nil && b.root.IsRecording() }

// Add links an event that has been taken in.
func (b *Batch) Add(e eventlog.Event, origin Origin) {
	if !b.IsRecording() {
		return
	}
	if len(b.links) == 0 {
		b.links = make([]trace.Link, 0, ChunkLinks)
	}
	// The link is there even where the event has no trace: it names the event.
	b.links = append(b.links, trace.Link{SpanContext: origin.SpanContext(), Attributes: about(e.ID.String(), e.Type, e.Position)})
	b.events++
	if len(b.links) == ChunkLinks {
		b.flush()
	}
}

func (b *Batch) flush() {
	_, s := b.tracer.begin(b.root.In(context.Background()), "process "+b.flow.Name, trace.SpanKindConsumer,
		trace.WithTimestamp(b.since), trace.WithLinks(b.links...))
	s.set(func() []attribute.KeyValue {
		return append(b.flow.processing(), semconv.MessagingBatchMessageCount(len(b.links)))
	})
	s.End(nil)
	b.links, b.since = nil, time.Now()
}

// Asked links the request that the window was asked for by, which may be none.
func (b *Batch) Asked(request Origin) {
	if b.IsRecording() && request.IsValid() {
		b.root.span.AddLink(trace.Link{SpanContext: request.SpanContext()})
	}
}

// End ends the trace. With an error the window was broken off, and what comes next is
// another trace.
func (b *Batch) End(err error) {
	if b == nil {
		return
	}
	if len(b.links) > 0 {
		b.flush()
	}
	b.root.set(func() []attribute.KeyValue {
		return []attribute.KeyValue{semconv.MessagingBatchMessageCount(b.events)}
	})
	b.root.End(err)
}
