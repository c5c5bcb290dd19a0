package flow_test

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/triangle-suite/triangle/contracts/flows"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/tracing"
)

// watched is a world whose spans are seen.
type watched struct {
	*world
	seen *tracetest.InMemoryExporter
}

// watch has the world trace, as the environment has a service trace by default.
func watch(w *world) watched {
	seen := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(seen))
	w.heartbeat = time.Hour // days pass
	w.streams.Tracer = tracing.New(provider)
	return watched{w, seen}
}

// trace is the i-th of the traces that the events of a test come from.
func traceparent(i int, sampled bool) string {
	flags := 0
	if sampled {
		flags = 1
	}
	return fmt.Sprintf("00-%032x-%016x-%02x", 0xa000+i, 0xb000+i, flags)
}

// produceIn appends an event of sales that carries a trace, sound or not.
func (w watched) produceIn(traceparent, request string) uuid.UUID {
	w.t.Helper()
	id := uuid.New()
	e, err := w.streams.Codec.Encode(w.t.Context(), &salesv1.RequestStatusChanged{
		RequestId: request, Kind: journeyv1.RequestKind_REQUEST_KIND_COMPLAINT, Status: journeyv1.RequestStatus_REQUEST_STATUS_OPEN,
	}, id, codec.Metadata{Source: codec.Source(flows.Sales), Time: time.Now(), TraceParent: traceparent})
	if err != nil {
		w.t.Fatal(err)
	}
	w.append("request-"+request, e)
	return id
}

// named returns the spans of a name, in the order in which they ended.
func (w watched) named(name string) (found tracetest.SpanStubs) {
	for _, s := range w.seen.GetSpans() {
		if s.Name == name {
			found = append(found, s)
		}
	}
	return found
}

// one returns the only span of a name.
func (w watched) one(name string) tracetest.SpanStub {
	w.t.Helper()
	found := w.named(name)
	if len(found) != 1 {
		w.t.Fatalf("there are %d spans %q, want one; there are %q", len(found), name, names(w.seen.GetSpans()))
	}
	return found[0]
}

func names(spans tracetest.SpanStubs) (all []string) {
	for _, s := range spans {
		all = append(all, s.Name)
	}
	return all
}

func value(attributes []attribute.KeyValue, key string) string {
	for _, kv := range attributes {
		if string(kv.Key) == key {
			return kv.Value.String()
		}
	}
	return ""
}

func wantAttributes(t *testing.T, s tracetest.SpanStub, want map[string]string) {
	t.Helper()
	for key, value := range want {
		if got := valueOf(s, key); got != value {
			t.Errorf("%s: %s is %q, want %q", s.Name, key, got, value)
		}
	}
}

func valueOf(s tracetest.SpanStub, key string) string { return value(s.Attributes, key) }

// wantBeneath wants a span to be a child of another one.
func wantBeneath(t *testing.T, s, parent tracetest.SpanStub) {
	t.Helper()
	if s.Parent.SpanID() != parent.SpanContext.SpanID() || s.SpanContext.TraceID() != parent.SpanContext.TraceID() {
		t.Errorf("%s is not beneath %s", s.Name, parent.Name)
	}
}

func TestInRealTimeAnEventsTraceGoesOn(t *testing.T) {
	for name, tc := range map[string]struct {
		noTables bool
		beneath  map[string]string // by span, its parent
	}{
		"the reaction answers in the transaction": {false, map[string]string{
			"project seen": "process request-status", "react test-answer": "process request-status",
			"send answers-{id}": "react test-answer", "transaction": "process request-status",
		}},
		"the reaction answers ahead of it": {true, map[string]string{
			"react test-answer": "process request-status", "send answers-{id}": "react test-answer", "transaction": "process request-status",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(world *world) {
				w := watch(world)
				w.noTables = tc.noTables
				w.set(flows.RealTime)
				w.start()
				w.quiet()
				w.seen.Reset()
				id := w.produceIn(traceparent(1, true), "r")
				w.quiet()

				process := w.one("process request-status")
				if got := process.Parent.SpanID().String(); got != "000000000000b001" || process.SpanKind != trace.SpanKindConsumer {
					t.Errorf("the delivery is a %s beneath %s", process.SpanKind, got)
				}
				if len(process.Links) != 1 || process.Links[0].SpanContext.SpanID() != process.Parent.SpanID() {
					t.Errorf("the delivery links %v, want its append", process.Links)
				}
				wantAttributes(t, process, map[string]string{
					"messaging.system": "eventstoredb", "messaging.operation.type": "process", "messaging.operation.name": "process",
					"messaging.message.id": id.String(), "messaging.destination.name": "request-r", "messaging.destination.template": "request-{id}",
					"messaging.destination.subscription.name": tested, "messaging.consumer.group.name": "marketing", "messaging.batch.message_count": "",
					"triangle.flow": tested, "triangle.epoch": "2", "triangle.event.type": "sales.RequestStatusChanged",
				})
				if valueOf(process, "triangle.event.position.commit") == "" {
					t.Error("the delivery does not tell where its event stands")
				}
				for child, parent := range tc.beneath {
					wantBeneath(t, w.one(child), w.one(parent))
				}
				if got, want := len(w.seen.GetSpans()), len(tc.beneath)+1; got != want {
					t.Errorf("there are %d spans, want %d: %q", got, want, names(w.seen.GetSpans()))
				}
				w.wantCarried("answers-r", w.one("send answers-{id}"))
			})
		})
	}
}

// wantCarried wants the only event of a stream to carry the trace of the span that
// tells of its append.
func (w watched) wantCarried(stream string, send tracetest.SpanStub) {
	w.t.Helper()
	for e, err := range w.log.ReadStream(w.t.Context(), stream, 0, 0, 0) {
		if err != nil {
			w.t.Fatal(err)
		}
		md, err := codec.DecodeMetadata(e.Metadata)
		if err != nil {
			w.t.Fatal(err)
		}
		sc := send.SpanContext
		if want := fmt.Sprintf("00-%s-%s-01", sc.TraceID(), sc.SpanID()); md.TraceParent != want || md.SpanID != sc.SpanID().String() {
			w.t.Errorf("the event carries %s, and its append is %s", md.TraceParent, want)
		}
		wantAttributes(w.t, send, map[string]string{"messaging.message.id": e.ID.String(), "triangle.event.type": e.Type})
	}
}

func TestAWindowIsATraceOfItsOwn(t *testing.T) {
	inBubble(t, func(world *world) {
		w := watch(world)
		w.set(flows.Weekly)
		w.start()
		w.quiet()
		const events = 300
		ids := map[string]string{} // by event, its trace
		for i := range events {
			id := w.produceIn(traceparent(i, true), name("r", i))
			ids[id.String()] = fmt.Sprintf("%032x", 0xa000+i)
		}
		w.quiet()
		w.seen.Reset()
		w.pass(8 * 24 * time.Hour)

		window := w.windowOf(events)
		if window.Parent.IsValid() || len(window.Links) > 0 {
			t.Errorf("the window is beneath %s and links %d spans, want a root without any", window.Parent.SpanID(), len(window.Links))
		}
		w.wantChunks(window, ids, 128, 128, 44)

		reacted := w.named("react test-answer")
		if len(reacted) != events {
			t.Fatalf("%d causes are answered, want %d", len(reacted), events)
		}
		for _, r := range reacted {
			if r.SpanContext.TraceID() == window.SpanContext.TraceID() {
				t.Fatal("an answer is told in the trace of its window, and not of its cause")
			}
			if len(r.Links) != 1 || r.Links[0].SpanContext.SpanID() != window.SpanContext.SpanID() {
				t.Errorf("an answer links %v, want the window", r.Links)
			}
		}
		if n := len(w.named("process request-status")); n != 3 {
			t.Errorf("%d deliveries are told, want one for each chunk", n)
		}
		wantBeneath(t, w.named("send flow-{id}")[0], w.named("window request-status")[0])
	})
}

// windowOf returns the window that took in so many events.
func (w watched) windowOf(events int) tracetest.SpanStub {
	w.t.Helper()
	for _, s := range w.named("window request-status") {
		if valueOf(s, "messaging.batch.message_count") == fmt.Sprint(events) {
			return s
		}
	}
	w.t.Fatalf("no window took in %d events: %v", events, w.named("window request-status"))
	return tracetest.SpanStub{}
}

// wantChunks wants chunks of these sizes beneath a batch, and each event linked once.
func (w watched) wantChunks(batch tracetest.SpanStub, ids map[string]string, sizes ...int) {
	w.t.Helper()
	var got []int
	linked := map[string]bool{}
	for _, chunk := range w.named("process request-status") {
		if chunk.Parent.SpanID() != batch.SpanContext.SpanID() {
			continue
		}
		got = append(got, len(chunk.Links))
		if n := valueOf(chunk, "messaging.batch.message_count"); n != fmt.Sprint(len(chunk.Links)) || chunk.DroppedLinks > 0 {
			w.t.Errorf("a chunk of %d links counts %s events, and dropped %d links", len(chunk.Links), n, chunk.DroppedLinks)
		}
		for _, l := range chunk.Links {
			id := value(l.Attributes, "messaging.message.id")
			if linked[id] || l.SpanContext.TraceID().String() != ids[id] || value(l.Attributes, "triangle.event.position.commit") == "" {
				w.t.Errorf("event %s is linked wrongly: %v", id, l)
			}
			linked[id] = true
		}
	}
	if !slices.Equal(got, sizes) || len(linked) != len(ids) {
		w.t.Errorf("the chunks have %d links, %d events in all; want %d, %d", got, len(linked), sizes, len(ids))
	}
}

// What waits when a flow comes into real time is told as one batch: a trace for each
// event would be thousands of spans at once.
func TestWhatIsCaughtUpWithInRealTimeIsLinked(t *testing.T) {
	inBubble(t, func(world *world) {
		w := watch(world)
		w.noTables = true // its batches are large
		w.set(flows.RealTime)
		w.start()
		w.quiet()
		w.stop()
		const events = 400
		for i := range events {
			w.produceIn(traceparent(i, true), name("r", i))
		}
		w.seen.Reset()
		// The first answer takes a second, in which the rest comes: of the first batch and
		// that, one at least is more than a chunk.
		var begun atomic.Bool
		w.takes = func(codec.Event) bool {
			if !begun.Swap(true) {
				<-time.After(time.Second)
			}
			return true
		}
		w.start()
		w.pass(time.Minute)
		linked, own := 0, 0
		for _, s := range w.named("process request-status") {
			if n := len(s.Links); valueOf(s, "messaging.batch.message_count") != "" {
				linked += n
			} else {
				own++
			}
		}
		if linked+own != events || linked == 0 || len(w.named("catch up request-status")) == 0 {
			t.Errorf("%d events are linked, and %d have deliveries of their own; want some linked, and %d in all", linked, own, events)
		}
	})
}

func TestNothingIsToldOfATraceThatIsNotSampled(t *testing.T) {
	inBubble(t, func(world *world) {
		w := watch(world)
		w.set(flows.RealTime)
		w.start()
		w.quiet()
		w.seen.Reset()
		w.produceIn(traceparent(1, false), "r")
		w.quiet()
		wantCount(w.world, 1, "in real time")
		if got := names(w.seen.GetSpans()); len(got) > 0 {
			t.Errorf("there are spans %q", got)
		}
		w.wantTraced("answers-r", fmt.Sprintf("00-%032x-", 0xa001), "-00")
	})
}

// wantTraced wants the events of a stream to carry a trace that begins and ends so.
func (w watched) wantTraced(stream, prefix, suffix string) (carried string) {
	w.t.Helper()
	for e, err := range w.log.ReadStream(w.t.Context(), stream, 0, 0, 0) {
		if err != nil {
			w.t.Fatal(err)
		}
		md, err := codec.DecodeMetadata(e.Metadata)
		if err != nil || !strings.HasPrefix(md.TraceParent, prefix) || !strings.HasSuffix(md.TraceParent, suffix) {
			w.t.Errorf("an event carries %q (%v)", md.TraceParent, err)
		}
		carried = md.TraceParent
	}
	return carried
}

func TestABrokenTraceBeginsANewOne(t *testing.T) {
	for name, broken := range map[string]string{
		"none": "", "cut off": "00-4bf92f3577b34da6a3ce929d0e0e4736", "no hex": "00-zzf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
		"all zero": "00-00000000000000000000000000000000-0000000000000000-01", "long": strings.Repeat("00-", 1000), "not ASCII": "00-ä",
	} {
		for _, installed := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, installed %t", name, installed), func(t *testing.T) {
				inBubble(t, func(world *world) {
					w := watch(world)
					if !installed {
						w.streams.Tracer = nil
					}
					w.set(flows.RealTime)
					w.start()
					w.quiet()
					w.seen.Reset()
					w.produceIn(broken, "r")
					w.quiet()
					wantCount(w.world, 1, "in real time")
					carried := w.wantTraced("answers-r", "00-", "")
					if sc := (tracing.Origin{TraceParent: carried}).SpanContext(); !sc.IsValid() || sc.IsSampled() != installed {
						t.Errorf("the answer carries %q", carried)
					}
					if !installed {
						return
					}
					process := w.one("process request-status")
					if process.Parent.IsValid() || len(process.Links) > 0 {
						t.Errorf("the delivery is beneath %s and has %d links, want a new trace", process.Parent.SpanID(), len(process.Links))
					}
					wantBeneath(t, w.one("react test-answer"), process)
				})
			})
		}
	}
}
