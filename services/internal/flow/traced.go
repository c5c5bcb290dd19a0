package flow

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/trace"

	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/projection"
	"github.com/triangle-suite/triangle/services/internal/tracing"
)

// tracer is nil where tracing is not installed, and for a shadow: what that takes in
// reaches nobody, and would stand in a contact's trace a second time.
func (in *Intake) tracer() *tracing.Tracer {
	if in.dry {
		return nil
	}
	return in.streams.Tracer
}

// traced is what the flow is called in spans.
func (in *Intake) traced() tracing.Flow {
	return tracing.Flow{Name: in.consumer.Flow.Name, Group: string(in.consumer.Flow.To), Epoch: in.cp.epoch}
}

// originOf is the trace that an event carries; none where it can't be read.
func originOf(e codec.Event) tracing.Origin {
	return tracing.Origin{TraceParent: e.Metadata.TraceParent, TraceState: e.Metadata.TraceState}
}

// delivery is a batch that is being taken in, as traces tell it. nil: they don't.
type delivery struct {
	in    *Intake
	batch []*incoming
	begun time.Time
	// catchUp is the trace of a batch in real time that is too large for spans of its
	// events' own.
	catchUp *tracing.Batch
}

// beginDelivery begins the spans of a batch: in a window none, as only what has been
// taken in is linked there; in real time one for each event, or one for all.
func (in *Intake) beginDelivery(ctx context.Context, batch []*incoming) *delivery {
	tracer := in.tracer()
	if tracer == nil {
		return nil
	}
	d := &delivery{in: in, batch: batch}
	switch {
	case in.window != nil:
	case d.sampled() > tracing.ChunkLinks:
		d.catchUp = tracer.CatchUp(ctx, in.traced())
		in.window = d.catchUp
	default:
		for _, i := range batch {
			if in.carries(i.Event) {
				i.span = tracer.Process(ctx, in.traced(), i.Event, originOf(i.event))
			}
		}
	}
	return d
}

// sampled is how many events of the flow have a sampled trace, or none.
func (d *delivery) sampled() (n int) {
	if len(d.batch) <= tracing.ChunkLinks {
		return 0 // there can't be too many
	}
	for _, i := range d.batch {
		if sc := originOf(i.event).SpanContext(); d.in.carries(i.Event) && (!sc.IsValid() || sc.IsSampled()) {
			n++
		}
	}
	return n
}

// transacting notes when the transaction begins.
func (d *delivery) transacting() {
	if d != nil {
		d.begun = time.Now()
	}
}

// end ends the spans of the batch. An event that failed was the only one to do so:
// the others of its transaction were rolled back with it.
func (d *delivery) end(err error) {
	if d == nil {
		return
	}
	ended, database, events := time.Now(), d.in.db.System(), len(d.batch)
	for _, i := range d.batch {
		if !d.begun.IsZero() {
			d.in.tracer().Transaction(i.span, database, events, d.begun, ended, err)
		}
		switch {
		case err == nil:
			if d.in.window.IsRecording() && d.in.carries(i.Event) {
				d.in.window.Add(i.Event, originOf(i.event))
			}
			i.span.End(nil)
		case i.Event.ID == d.in.suspect.id:
			i.span.End(err)
		default:
			i.span.RolledBack()
			i.span.End(nil)
		}
		i.span = tracing.Span{} // it may be tried again
	}
	if d.catchUp != nil {
		d.catchUp.End(err)
		d.in.window = nil
	}
}

// answer has a reaction answer a cause.
func (in *Intake) answer(ctx context.Context, q projection.Querier, r Reaction, cause Cause) error {
	ctx, span := in.tracer().React(ctx, r.Name, originOf(cause.Event), in.window.Context())
	err := r.Answer(ctx, q, cause)
	span.End(err)
	return err
}

// decline has a reaction record that a cause gets no answer.
func (in *Intake) decline(ctx context.Context, q projection.Querier, r Reaction, cause Cause, reason string) error {
	ctx, span := in.tracer().React(ctx, r.Name, originOf(cause.Event), in.window.Context())
	span.Declined()
	err := r.Decline(ctx, q, cause, reason)
	span.End(err)
	return err
}

// beginWindow begins the trace of a window. It is not that of what is done for each
// event, so that it is no part of a context.
func (in *Intake) beginWindow(ctx context.Context) {
	in.window = in.tracer().Window(ctx, in.traced())
}

func (in *Intake) endWindow(err error) {
	in.window.End(err)
	in.window = nil
}

// tellParked tells that an event has been parked, which may be one that can't be read.
func (t *taking) tellParked(ctx context.Context, e eventlog.Event, reason error, attempts int) {
	tracer := t.tracer()
	if tracer == nil {
		return
	}
	md, _ := codec.DecodeMetadata(e.Metadata) // what can't be read has no trace
	why := tracing.Unprocessable
	if errors.Is(reason, errWaits) {
		why = tracing.WaitsBehind
	}
	tracer.Park(ctx, t.traced(), e, tracing.Origin{TraceParent: md.TraceParent, TraceState: md.TraceState}, t.window.Context(), why, attempts)
}

// beginWork begins the span of work beside the intake, whose checkpoint is not its own
// to look at.
func (in *Intake) beginWork(ctx context.Context, work string, epoch uint64, asked trace.SpanContext) (context.Context, tracing.Span) {
	f := tracing.Flow{Name: in.consumer.Flow.Name, Group: string(in.consumer.Flow.To), Epoch: epoch}
	return in.tracer().Work(ctx, work, f, asked)
}

// tellSkipped tells that a parked event is left out, in the trace of who asked for it.
func (t *taking) tellSkipped(ctx context.Context, p parkedEvent) {
	_, span := t.tracer().Work(ctx, tracing.Skip, t.traced(), t.request.SpanContext())
	span.About(p.id, p.kind, p.position)
	t.endWith(span)
}

// beginRebuilds begins the span of each projection that is rebuilt. That is of no
// epoch: it folds all of them.
func (rt *Runtime) beginRebuilds(ctx context.Context, foreign []*Intake) (spans []tracing.Span) {
	for _, in := range foreign {
		_, span := in.beginWork(ctx, tracing.Rebuild, 0, trace.SpanContext{})
		span.Builds(in.consumer.Schema.Name, in.consumer.Schema.Version)
		spans = append(spans, span)
	}
	return spans
}

// beginCutOver begins the span of a cut-over, in the trace of who asked for it.
func (t *taking) beginCutOver(ctx context.Context, asked codec.Event) (context.Context, tracing.Span) {
	ctx, span := t.tracer().Work(ctx, tracing.CutOver, t.traced(), originOf(asked).SpanContext())
	t.endWith(span)
	return ctx, span
}

// endWith ends a span when the transaction has ended, and as that did.
func (t *taking) endWith(span tracing.Span) {
	if t.tracer().Installed() {
		t.spans = append(t.spans, span)
	}
}

func endAll(spans []tracing.Span, err error) {
	for _, span := range spans {
		span.End(err)
	}
}

// ended is the trace in which an epoch ended.
type endedEpoch struct {
	epoch uint64
	trace trace.SpanContext
}

// of returns the trace in which that epoch ended, if it did while this process ran.
func (e endedEpoch) of(epoch uint64) trace.SpanContext {
	if e.epoch != epoch {
		return trace.SpanContext{}
	}
	return e.trace
}

// postedMax bounds what is remembered of control events that wait in the outbox.
const postedMax = 1000

// postedTraces remembers in which trace control events were put into the outbox, for
// as long as the process lives: after that they begin traces of their own.
type postedTraces struct {
	mu  sync.Mutex
	all map[uuid.UUID]trace.SpanContext
}

// keep remembers the trace of ctx for a control event.
func (p *postedTraces) keep(ctx context.Context, id uuid.UUID) {
	sc := trace.SpanContextFromContext(ctx)
	if p == nil || !sc.IsSampled() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all == nil || len(p.all) >= postedMax {
		p.all = map[uuid.UUID]trace.SpanContext{}
	}
	p.all[id] = sc
}

// in returns ctx in the trace of a control event, which is forgotten.
func (p *postedTraces) in(ctx context.Context, id uuid.UUID) context.Context {
	p.mu.Lock()
	defer p.mu.Unlock()
	sc, ok := p.all[id]
	if !ok {
		return ctx
	}
	delete(p.all, id)
	return trace.ContextWithRemoteSpanContext(ctx, sc)
}
