package tracing_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/fault"
	"github.com/triangle-suite/triangle/services/internal/tracing"
)

var sampled = tracing.Origin{TraceParent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", TraceState: "vendor=value"}

// twin reads a trace as OpenTelemetry's own propagator does.
func twin(o tracing.Origin) trace.SpanContext {
	carrier := propagation.MapCarrier{"traceparent": o.TraceParent, "tracestate": o.TraceState}
	return trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), carrier))
}

func wantAsTwin(t *testing.T, o tracing.Origin) {
	t.Helper()
	if got, want := o.SpanContext(), twin(o); !got.Equal(want) && (got.IsValid() || want.IsValid()) {
		t.Errorf("%q, %q is read as %v, want %v", o.TraceParent, o.TraceState, got, want)
	}
}

func TestATraceIsReadAsThePropagatorDoes(t *testing.T) {
	const whole = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	for name, header := range map[string]string{
		"whole": whole, "not sampled": whole[:54] + "0", "random": whole[:53] + "03", "reserved flags": whole[:53] + "09", "later flags": "cc" + whole[2:53] + "09",
		"later version": "01" + whole[2:], "later version with more": "cc" + whole[2:] + "-more", "later version with more, glued": "cc" + whole[2:] + "more",
		"no version": "ff" + whole[2:], "version 0 with more": whole + "-more", "upper case": strings.ToUpper(whole), "upper case version": "Cc" + whole[2:],
		"upper case flags": whole[:53] + "0A", "empty": "", "cut": whole[:40], "spaces": " " + whole, "zero span": strings.Replace(whole, "00f067aa0ba902b7", strings.Repeat("0", 16), 1),
		"zero trace": strings.Replace(whole, "4bf92f3577b34da6a3ce929d0e0e4736", strings.Repeat("0", 32), 1), "no hex": strings.Replace(whole, "4bf9", "4bfg", 1),
	} {
		t.Run(name, func(t *testing.T) { wantAsTwin(t, tracing.Origin{TraceParent: header}) })
	}
	for _, state := range []string{"", "a=b", "broken", "a=b,a=c", strings.Repeat("x", 600)} {
		wantAsTwin(t, tracing.Origin{TraceParent: whole, TraceState: state})
	}
	random := rand.New(rand.NewPCG(1, 2))
	const letters = "0123456789abcdefABCDEFg-"
	for range 20_000 {
		mutated := []byte(whole)
		for range random.IntN(3) {
			mutated[random.IntN(len(mutated))] = letters[random.IntN(len(letters))]
		}
		wantAsTwin(t, tracing.Origin{TraceParent: string(mutated)})
	}
}

func FuzzTraceParent(f *testing.F) {
	f.Add(sampled.TraceParent, sampled.TraceState)
	f.Fuzz(func(t *testing.T, parent, state string) {
		wantAsTwin(t, tracing.Origin{TraceParent: parent, TraceState: state})
	})
}

// Where tracing is not installed nothing is paid for it, not one allocation.
func TestATracerThatIsNotInstalledAllocatesNothing(t *testing.T) {
	var none *tracing.Tracer
	ctx, failed := context.Background(), errors.New("failed")
	event := eventlog.Event{NewEvent: eventlog.NewEvent{ID: uuid.New(), Type: "channel.ContactStarted"}, Stream: "contact-1"}
	events := []eventlog.NewEvent{event.NewEvent}
	flow := tracing.Flow{Name: "contacts", Group: "sales", Epoch: 1}
	for name, do := range map[string]func(){
		"an append":  func() { _, s := none.Send(ctx, "contact-1", sampled); s.Sent(events, eventlog.Appended{}, failed) },
		"a delivery": func() { s := none.Process(ctx, flow, event, sampled); s.In(ctx); s.RolledBack(); s.End(failed) },
		"a retry":    func() { s := none.Retry(ctx, flow, event, sampled, sampled); s.End(nil) },
		"a rebuild": func() {
			_, s := none.Work(ctx, tracing.Rebuild, flow, trace.SpanContext{})
			s.Of("x")
			s.Builds("x", 2)
			s.Outcome("x")
			s.End(nil)
		},
		"a cut-over": func() {
			_, s := none.Work(ctx, tracing.CutOver, flow, trace.SpanContext{})
			s.EpochEnded(1, 2, event)
			s.EpochBegun(2, "daily")
		},
		"projecting": func() { _, s := none.Project(ctx, "nba"); s.End(nil) },
		"a reaction": func() { _, s := none.React(ctx, "decide", sampled, trace.SpanContext{}); s.Declined(); s.End(nil) },
		"parking":    func() { none.Park(ctx, flow, event, sampled, trace.SpanContext{}, tracing.Unprocessable, 2) },
		"a window": func() {
			b := none.Window(ctx, flow)
			b.Add(event, sampled)
			b.Asked(sampled)
			b.In(ctx)
			b.Context()
			b.End(nil)
		},
		"a wait":      func() { _, s := none.Wait(ctx, "nba", time.Second); s.Waited(tracing.Came, sampled, nil) },
		"a partner":   func() { _, s := none.Ask(ctx, "mail", "1", sampled); s.End(nil) },
		"the trace":   func() { _ = sampledAlone.IsValid() },
		"transaction": func() { none.Transaction(tracing.Span{}, "sqlite", 2, time.Time{}, time.Time{}, nil) },
	} {
		if n := testing.AllocsPerRun(100, do); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// sampledAlone has no trace state, as nearly all.
var sampledAlone = tracing.Origin{TraceParent: sampled.TraceParent}

// seeing returns a tracer, and what it has told.
func seeing() (*tracing.Tracer, *tracetest.InMemoryExporter) {
	seen := tracetest.NewInMemoryExporter()
	return tracing.New(sdktrace.NewTracerProvider(sdktrace.WithSyncer(seen))), seen
}

func TestAStreamIsCalledByItsKind(t *testing.T) {
	for stream, want := range map[string]string{
		"contact-7f": "send contact-{id}", "decisions-7f-8a": "send decisions-{id}", "identity-email:ab": "send identity-{id}",
		"flow-contacts:3": "send flow-{id}", "environment": "send environment",
	} {
		tracer, seen := seeing()
		_, s := tracer.Send(context.Background(), stream, tracing.Origin{})
		s.End(nil)
		if got := seen.GetSpans()[0].Name; got != want {
			t.Errorf("an append to %s is called %q, want %q", stream, got, want)
		}
	}
}

func TestOfAnErrorOnlyTheKindIsTold(t *testing.T) {
	const secret = "anna@example.org"
	for name, tc := range map[string]struct {
		err    error
		kind   string
		status codes.Code
	}{
		"none":                 {nil, "", codes.Unset},
		"a race that is lost":  {fmt.Errorf("%s: %w", secret, eventlog.ErrWrongRevision), "wrong_revision", codes.Unset},
		"an end":               {context.Canceled, "canceled", codes.Unset},
		"a store that is away": {fmt.Errorf("%s: %w", secret, eventlog.ErrUnavailable), "store_unavailable", codes.Error},
		"a refusal":            {fault.Precondition(secret), "precondition", codes.Error},
		"a time-out":           {context.DeadlineExceeded, "timeout", codes.Error},
		"another one":          {errors.New(secret), "_OTHER", codes.Error},
	} {
		t.Run(name, func(t *testing.T) {
			tracer, seen := seeing()
			_, s := tracer.Ask(context.Background(), "mail", "m1", sampled)
			s.End(tc.err)
			got := seen.GetSpans()[0]
			if kind := kindOf(got.Attributes); kind != tc.kind || got.Status.Code != tc.status || strings.Contains(fmt.Sprint(got), secret) {
				t.Errorf("it tells %q, %v: %v", kind, got.Status, got)
			}
		})
	}
}

func kindOf(attributes []attribute.KeyValue) string {
	for _, kv := range attributes {
		if kv.Key == "error.type" {
			return kv.Value.AsString()
		}
	}
	return ""
}

// What somebody finds in a poison queue leads to the trace of the try.
func TestWhatAPartnerIsAskedIsNoted(t *testing.T) {
	tracer, seen := seeing()
	ctx, noted := tracing.Noting(context.Background())
	metadata := map[string]string{}
	noted.Inject(metadata)
	if len(metadata) > 0 {
		t.Errorf("before anybody is asked there is %v", metadata)
	}
	_, s := tracer.Ask(ctx, "mail", "m1", sampled)
	s.End(nil)
	noted.Inject(metadata)
	sc := seen.GetSpans()[0].SpanContext
	if want := fmt.Sprintf("00-%s-%s-01", sc.TraceID(), sc.SpanID()); metadata["traceparent"] != want {
		t.Errorf("the message carries %v, want %s", metadata, want)
	}
	if sc.TraceID() != sampled.SpanContext().TraceID() {
		t.Error("the partner is not asked in the trace of the event")
	}
}
