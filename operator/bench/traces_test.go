package bench_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// A step of a migration is one trace: the look that asks for it, the control event,
// whose traceparent is that of the append, and the step itself, up to the consumer's
// adoption. A flow that stays where it is has no span, however often it is looked at.
func TestAStepIsOneTrace(t *testing.T) {
	w := newWorld(t, 1)
	spans := tracetest.NewInMemoryExporter()
	w.traces = sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	w.create(w.names)
	w.operate()
	w.reached(0, 1)
	w.move(0)

	var step tracetest.SpanStub
	w.await("the step is shown", func() (shown bool) {
		step, shown = named(spans.GetSpans(), "step "+stepName(1))
		return shown
	})
	cadence := w.want(spans, step.SpanContext.TraceID(), "request a cadence")
	look := w.want(spans, step.SpanContext.TraceID(), "reconcile InformationFlow")
	if cadence.Parent.SpanID() != look.SpanContext.SpanID() || step.Parent.SpanID() != cadence.SpanContext.SpanID() {
		t.Errorf("the step is below %s, the request below %s, want the one below the other, below the look", step.Parent.SpanID(), cadence.Parent.SpanID())
	}
	send := below(spans, cadence.SpanContext.SpanID(), "send flow-{id}")
	if send.SpanKind != trace.SpanKindProducer {
		t.Errorf("below the request there is no producer of the control event: %v", spans.GetSpans())
	}
	sc := send.SpanContext
	if got, want := w.traceparent("flow-"+w.names[0], "flow.CadenceRequested"), fmt.Sprintf("00-%s-%s-01", sc.TraceID(), sc.SpanID()); got != want {
		t.Errorf("the control event has the trace %s, want that of its append, %s", got, want)
	}
	w.await("the status was written, in a trace", func() bool {
		_, shown := named(spans.GetSpans(), "patch informationflows/status")
		return shown
	})

	w.looked(1) // what is left of the step
	before := len(spans.GetSpans())
	for lag := range uint64(3) {
		w.looked(lag)
	}
	if after := spans.GetSpans(); len(after) > before {
		t.Errorf("a flow that stays where it is has %d spans: %v", len(after)-before, after[before:])
	}
}

// looked has the operator look at the flow, for what its consumer tells of an epoch
// that is over.
func (w *world) looked(lag uint64) {
	w.Helper()
	w.check(w.players.Progress(w.Context(), 1, lag))
	w.await("the operator has looked", func() bool {
		return strings.Contains(w.scrape(), fmt.Sprintf("triangle_operator_flow_lag_events{flow=%q,namespace=%q} %d\n", w.names[0], w.namespace, lag))
	})
}

func named(all tracetest.SpanStubs, name string) (tracetest.SpanStub, bool) {
	i := slices.IndexFunc(all, func(s tracetest.SpanStub) bool { return s.Name == name })
	if i < 0 {
		return tracetest.SpanStub{}, false
	}
	return all[i], true
}

// want is the span of a trace that has a name.
func (w *world) want(spans *tracetest.InMemoryExporter, of trace.TraceID, name string) tracetest.SpanStub {
	w.Helper()
	all := slices.DeleteFunc(spans.GetSpans(), func(s tracetest.SpanStub) bool { return s.SpanContext.TraceID() != of })
	found, ok := named(all, name)
	if !ok {
		w.Fatalf("the trace of the step has no span %q: %v", name, all)
	}
	return found
}

// below is the span of a name that is a part of another one.
func below(spans *tracetest.InMemoryExporter, parent trace.SpanID, name string) tracetest.SpanStub {
	parts := slices.DeleteFunc(spans.GetSpans(), func(s tracetest.SpanStub) bool { return s.Parent.SpanID() != parent })
	found, _ := named(parts, name)
	return found
}

// traceparent is that of the last event of a type in a stream.
func (w *world) traceparent(stream, kind string) (last string) {
	w.Helper()
	config, err := esdb.ParseConnectionString(w.store)
	w.check(err)
	config.Logger = esdb.NoopLogging()
	client, err := esdb.NewClient(config)
	w.check(err)
	defer func() { w.check(client.Close()) }()
	events, err := client.ReadStream(w.Context(), stream, esdb.ReadStreamOptions{}, 1000)
	w.check(err)
	defer events.Close()
	for {
		e, err := events.Recv()
		if errors.Is(err, io.EOF) {
			return last
		}
		w.check(err)
		var metadata struct{ TraceParent string }
		if e.Event.EventType == kind {
			w.check(json.Unmarshal(e.Event.UserMetadata, &metadata))
			last = metadata.TraceParent
		}
	}
}
