package flow_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/flow"
	"github.com/triangle-suite/triangle/services/internal/tracing"
)

func TestAParkedEventIsTold(t *testing.T) {
	for _, cadence := range []string{flows.RealTime, flows.Daily} {
		t.Run(cadence, func(t *testing.T) {
			inBubble(t, func(world *world) {
				w := watch(world)
				w.set(cadence)
				bad := true
				w.poison = func(request string) error {
					if bad && request == "bad" {
						return flow.Unprocessable(fmt.Errorf("secret"))
					}
					return nil
				}
				w.start()
				w.quiet()
				w.seen.Reset()
				first := w.produceIn(traceparent(1, true), "bad")
				w.produceIn(traceparent(2, true), "bad")
				w.produceIn(traceparent(3, true), "good")
				w.pass(25 * time.Hour)

				parked := w.named("park request-status")
				if len(parked) != 2 {
					t.Fatalf("%d events are told to be parked, want 2: %q", len(parked), names(w.seen.GetSpans()))
				}
				wantAttributes(t, parked[0], map[string]string{"messaging.message.id": first.String(), "triangle.outcome": "unprocessable", "triangle.attempts": "2"})
				wantAttributes(t, parked[1], map[string]string{"triangle.outcome": "waits behind a parked event of its key"})
				for i, s := range parked {
					if got, want := s.SpanContext.TraceID().String(), fmt.Sprintf("%032x", 0xa001+i); got != want {
						t.Errorf("the %d. event is told to be parked in trace %s, want its own, %s", i+1, got, want)
					}
				}
				if cadence == flows.RealTime {
					w.wantFailures(first, 2)
				}
				bad = false
				ctx, request := asking(t)
				if _, err := w.flows.Retry(ctx, tested, first.String(), "ada", "mended"); err != nil {
					t.Fatal(err)
				}
				w.pass(2 * time.Hour)
				retried := w.named("retry request-status")
				if len(retried) != 2 {
					t.Fatalf("%d events are told to be tried again, want 2", len(retried))
				}
				for i, s := range retried {
					if s.Parent.TraceID() != parked[i].SpanContext.TraceID() || len(s.Links) != 2 || s.Links[0].SpanContext.SpanID() != request.SpanID() {
						t.Errorf("the %d. event is tried again beneath %s, with the links %v: want its append, and that and the request", i+1, s.Parent.SpanID(), s.Links)
					}
				}
				for _, s := range w.seen.GetSpans() {
					if text := fmt.Sprint(s.Attributes, s.Status, s.Events); strings.Contains(text, "secret") {
						t.Errorf("%s tells the text of an error: %s", s.Name, text)
					}
				}
			})
		})
	}
}

// asking is a context in which somebody asks for something, who traces it.
func asking(t *testing.T) (context.Context, trace.SpanContext) {
	t.Helper()
	request := (tracing.Origin{TraceParent: traceparent(500, true)}).SpanContext()
	return trace.ContextWithRemoteSpanContext(t.Context(), request), request
}

// Who asks by a command traces nothing. What is done is told all the same, with a link
// to the trace that the request carries: every event has one.
func TestACutOverThatWasAskedForWithoutATraceIsTold(t *testing.T) {
	inBubble(t, func(world *world) {
		w := watch(world)
		w.start()
		w.quiet()
		unsampled := (tracing.Origin{TraceParent: traceparent(500, false)}).SpanContext()
		for cadence, asking := range map[string]context.Context{
			flows.RealTime: t.Context(), flows.Weekly: trace.ContextWithRemoteSpanContext(t.Context(), unsampled),
		} {
			w.seen.Reset()
			if _, err := w.flows.Set(asking, tested, cadence, "ada", ""); err != nil {
				t.Fatal(err)
			}
			w.pass(2 * time.Hour)
			if cut := w.one("cut over request-status"); cut.Parent.IsValid() || len(cut.Links) != 1 {
				t.Errorf("the cut-over is beneath %s and has %d links, want a root with one", cut.Parent.SpanID(), len(cut.Links))
			}
		}
	})
}

// wantFailures wants so many deliveries of an event that failed, and one that did not.
func (w watched) wantFailures(event uuid.UUID, want int) {
	w.t.Helper()
	failed, done := 0, 0
	for _, s := range w.named("process request-status") {
		switch {
		case valueOf(s, "messaging.message.id") != event.String():
		case s.Status.Code == codes.Error && valueOf(s, "error.type") == "unprocessable":
			failed++
		case s.Status.Code == codes.Unset:
			done++
		}
	}
	if failed != want || done != 1 {
		w.t.Errorf("%d deliveries of the event failed and %d did not, want %d and 1", failed, done, want)
	}
}

func TestACutOverIsTold(t *testing.T) {
	inBubble(t, func(world *world) {
		w := watch(world)
		w.start()
		w.produceIn(traceparent(1, true), "r")
		w.quiet()
		w.seen.Reset()
		ctx, request := asking(t)
		if _, err := w.flows.Set(ctx, tested, flows.RealTime, "ada", ""); err != nil {
			t.Fatal(err)
		}
		w.pass(2 * time.Hour)

		cut := w.one("cut over request-status")
		if cut.Parent.SpanID() != request.SpanID() || cut.Parent.TraceID() != request.TraceID() {
			t.Errorf("the cut-over is beneath %s, want who asked for it", cut.Parent.SpanID())
		}
		var told []string
		for _, e := range cut.Events {
			told = append(told, fmt.Sprint(e.Name, " ", value(e.Attributes, "triangle.epoch"), value(e.Attributes, "triangle.events"), value(e.Attributes, "triangle.cadence")))
		}
		if want := []string{"epoch ended 11", "epoch begun 2realtime"}; !slices.Equal(told, want) {
			t.Errorf("it tells %q, want %q", told, want)
		}
		wantBeneath(t, w.one("close epoch request-status"), cut)
		beneath := map[string]string{}
		for _, s := range w.named("send flow-{id}") {
			for _, parent := range []tracetest.SpanStub{cut, w.one("close epoch request-status")} {
				if s.Parent.SpanID() == parent.SpanContext.SpanID() {
					beneath[valueOf(s, "triangle.event.type")] = parent.Name
				}
			}
		}
		if beneath["flow.CadenceAdopted"] != cut.Name || beneath["flow.EpochClosed"] != "close epoch request-status" {
			t.Errorf("what is told of it is beneath %v", beneath)
		}
		window := w.windowOf(1)
		if window.SpanContext.TraceID() == cut.SpanContext.TraceID() || !slices.ContainsFunc(w.named("process request-status"), func(s tracetest.SpanStub) bool { return len(s.Links) == 1 }) {
			t.Error("the rest of the old epoch is not told as a window is")
		}
	})
}
