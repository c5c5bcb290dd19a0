package channel

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/types/known/durationpb"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/channel/internal/nba"
	"github.com/triangle-suite/triangle/services/internal/tracing"
)

func TestWhatComesOfWaitingIsCounted(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.stop()
		registry := prometheus.NewRegistry()
		w.metrics = registry
		w.start()
		synctest.Wait()
		began, err := w.api().StartContact(w.withKey("a"), &channelv1.StartContactRequest{Channel: website, CustomerId: "k"})
		if err != nil {
			t.Fatal(err)
		}
		id := began.GetContact().GetContactId()
		call := func(key string, wait time.Duration) {
			t.Helper()
			if _, err := w.api().RecordEvent(w.withKey(key), interest(id, wait)); err != nil {
				t.Fatal(err)
			}
		}
		call("b", time.Second)
		for _, cadence := range []string{flows.Weekly, flows.Paused} {
			if _, err := w.flows.Set(t.Context(), nba.Flow, cadence, "test", "for the test"); err != nil {
				t.Fatal(err)
			}
			<-time.After(time.Minute)
			synctest.Wait()
			call(cadence, time.Second)
		}
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		got, waited := map[string]float64{}, 0.0
		for _, f := range families {
			switch f.GetName() {
			case "triangle_next_best_actions_waits_total":
				for _, m := range f.GetMetric() {
					got[m.GetLabel()[0].GetValue()+" "+m.GetLabel()[1].GetValue()] = m.GetCounter().GetValue()
				}
			case "triangle_next_best_actions_wait_duration_seconds":
				waited = f.GetMetric()[0].GetHistogram().GetSampleSum()
			}
		}
		want := map[string]float64{
			"in_time ": 0, "late ": 2, "not_waited flow_not_real_time": 1, "not_waited flow_paused": 1,
			"not_waited flow_not_begun": 0, "not_waited nothing_to_decide": 0,
		}
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("waits (-want +got):\n%s", diff)
		}
		if waited != 1.15 {
			t.Errorf("calls waited for %vs, want 1.15s", waited)
		}
	})
}

// watch has the service trace from now on.
func (w *world) watch() *tracetest.InMemoryExporter {
	w.t.Helper()
	w.stop()
	seen := tracetest.NewInMemoryExporter()
	w.streams.Tracer = tracing.New(sdktrace.NewTracerProvider(sdktrace.WithSyncer(seen)))
	w.start()
	synctest.Wait()
	return seen
}

// call starts a contact within a trace, by who is patient for so long.
func (w *world) call(request *channelv1.StartContactRequest, patience time.Duration) (caller trace.SpanContext) {
	w.t.Helper()
	caller = (tracing.Origin{TraceParent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}).SpanContext()
	ctx, cancel := context.WithCancel(trace.ContextWithRemoteSpanContext(w.withKey("a"), caller))
	defer time.AfterFunc(patience, cancel).Stop()
	defer cancel()
	_, err := w.api().StartContact(ctx, request)
	if err != nil && ctx.Err() == nil {
		w.t.Fatal(err)
	}
	return caller
}

func TestAWaitTellsHowItEnded(t *testing.T) {
	decides := func(w *world) { w.hear(marketing(w, 10*time.Millisecond, always("p-1"))) }
	recognises := func(w *world) { w.hear(sales(w, 20*time.Millisecond)) }
	nobody := func(*world) {}
	customer := &channelv1.StartContactRequest{Channel: website, CustomerId: "k", Wait: durationpb.New(time.Second)}
	for name, tc := range map[string]struct {
		others   func(*world)
		request  *channelv1.StartContactRequest
		patience time.Duration // of the caller; 0: as long as it takes
		want     []string
	}{
		"nobody decides":    {nobody, customer, 0, []string{"wait next-best-actions: time was up of 1s after 1s"}},
		"marketing decides": {decides, customer, 0, []string{"wait next-best-actions: came of 1s after 10ms"}},
		"the customer is erased": {func(w *world) {
			time.AfterFunc(500*time.Millisecond, func() { w.tellErased("k") })
		}, customer, 0, []string{"wait next-best-actions: nothing will come of 1s after 500ms"}},
		"the caller goes": {nobody, customer, 300 * time.Millisecond, []string{"wait next-best-actions: canceled of 1s after 300ms"}},
		"nobody is recognised": {nobody, ada(), 0, []string{
			"wait next-best-actions: time was up of 150ms after 150ms", "wait customer-view: time was up of 0s after 0s",
		}},
		"a visitor is recognised, and the list is slow": {func(w *world) {
			w.adopted("contact-events", flows.Daily)
			recognises(w)
		}, ada(), 0, []string{"wait customer-view: came of 150ms after 20ms"}},
		"the caller goes before the visitor is recognised": {func(w *world) {
			w.adopted("contact-events", flows.Daily)
		}, ada(), 100 * time.Millisecond, []string{"wait customer-view: canceled of 150ms after 100ms"}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				seen := w.watch()
				tc.others(w)
				caller := w.call(tc.request, cmp.Or(tc.patience, time.Hour))
				var got []string
				for _, s := range seen.GetSpans() {
					if !strings.HasPrefix(s.Name, "wait ") {
						continue
					}
					got = append(got, waited(s))
					if s.Parent.SpanID() != caller.SpanID() || s.Status.Code != codes.Unset {
						t.Errorf("%s is beneath %s with status %v, want the caller, and none", s.Name, s.Parent.SpanID(), s.Status)
					}
				}
				if diff := gocmp.Diff(tc.want, got); diff != "" {
					t.Errorf("waits (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// waited is what the span of a wait tells.
func waited(s tracetest.SpanStub) string {
	told := map[attribute.Key]attribute.Value{}
	for _, kv := range s.Attributes {
		told[kv.Key] = kv.Value
	}
	budget := time.Duration(told["triangle.wait.budget_s"].AsFloat64() * float64(time.Second)).Round(time.Millisecond)
	return fmt.Sprintf("wait %s: %s of %s after %s", told["triangle.flow"].AsString(),
		told["triangle.outcome"].AsString()+told["error.type"].AsString(), budget, s.EndTime.Sub(s.StartTime))
}
