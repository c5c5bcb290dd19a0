package flow_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/triangle-suite/triangle/contracts/flows"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/control"
	"github.com/triangle-suite/triangle/services/internal/codec"
)

// scraped is what a registry tells a Prometheus that asks for OpenMetrics, by series.
func scraped(t *testing.T, registry *prometheus.Registry) map[string]string {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil)
	// As Prometheus asks.
	request.Header.Set("Accept", "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2")
	answer := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true}).ServeHTTP(answer, request)
	if got := answer.Header().Get("Content-Type"); !strings.HasPrefix(got, "application/openmetrics-text") {
		t.Errorf("the metrics come as %s", got)
	}
	series := map[string]string{}
	for line := range strings.Lines(answer.Body.String()) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "} "); ok && !strings.HasPrefix(line, "#") {
			series[name+"}"] = value
		}
	}
	return series
}

// produceTraced produces an event that belongs to a trace.
func (w *world) produceTraced(request, traceparent string) {
	w.t.Helper()
	e, err := w.streams.Codec.Encode(w.t.Context(), &salesv1.RequestStatusChanged{RequestId: request}, uuid.New(),
		codec.Metadata{Source: codec.Source(flows.Sales), Time: time.Now(), TraceParent: traceparent})
	if err != nil {
		w.t.Fatal(err)
	}
	w.append("request-"+request, e)
}

// Each event's delivery points to its own trace, where that one is sampled.
func TestADeliveryPointsToItsEventsTrace(t *testing.T) {
	inBubble(t, func(w *world) {
		t := w.t
		registry := prometheus.NewRegistry()
		w.metrics = registry
		w.set(flows.RealTime)
		w.start()
		w.quiet()
		const sampled, ignored = "4bf92f3577b34da6a3ce929d0e0e4736", "0af7651916cd43dd8448eb211c80319c"
		w.produceTraced("a", "00-"+ignored+"-00f067aa0ba902b7-00")
		w.pass(time.Second)
		w.produceTraced("a", "00-"+sampled+"-00f067aa0ba902b7-01")
		w.pass(time.Second)
		var exemplars []string
		for series, value := range scraped(t, registry) {
			if _, exemplar, ok := strings.Cut(value, " # "); ok && strings.HasPrefix(series, `triangle_flow_delivery_duration_seconds_bucket{flow="`+tested) {
				exemplars = append(exemplars, exemplar)
			}
		}
		if len(exemplars) != 1 || !strings.HasPrefix(exemplars[0], `{trace_id="`+sampled+`"}`) {
			t.Errorf("exemplars %q", exemplars)
		}
	})
}

func TestWindowsAndCutOversAreMeasured(t *testing.T) {
	inBubble(t, func(w *world) {
		t := w.t
		registry := prometheus.NewRegistry()
		w.metrics = registry
		w.start()
		w.quiet()
		zero := scraped(t, registry)
		of := func(name string) string { return "triangle_flow_" + name + `{flow="` + tested + `"}` }
		if zero[of("cut_overs_total")] != "0.0" || zero[of("window_events_count")] != "0" {
			t.Errorf("before anything happened there are %q cut-overs and %q windows", zero[of("cut_overs_total")], zero[of("window_events_count")])
		}
		for range 3 {
			w.produce("a")
		}
		w.pass(25 * time.Hour) // the flow is daily
		w.produce("b")
		w.pass(24 * time.Hour)
		w.set(flows.RealTime)
		w.pass(time.Minute)
		w.produce("c")
		w.pass(time.Minute)
		got := scraped(t, registry)
		for name, want := range map[string]string{"window_events_count": "2", "window_events_sum": "4.0", "window_duration_seconds_count": "2", "cut_overs_total": "1.0", "delivery_duration_seconds_count": "5"} {
			if got[of(name)] != want {
				t.Errorf("%s is %q, want %s", name, got[of(name)], want)
			}
		}
		processed := `messaging_process_duration_seconds_count{error_type="",messaging_consumer_group_name="` + tested + `",messaging_operation_name="process",messaging_system="eventstoredb"}`
		if got[processed] == "" || got[processed] == "0" {
			t.Errorf("of %s there is %q", processed, got[processed])
		}
	})
}

// One row that only the flow has, and one answer that it never gave: both proofs say
// so, and an operator can be told.
func TestWhatProofsFindIsCounted(t *testing.T) {
	inBubble(t, func(w *world) {
		t := w.t
		registry := prometheus.NewRegistry()
		w.metrics = registry
		w.set(flows.RealTime)
		w.start()
		w.produce("a")
		w.produce("b")
		w.quiet()
		w.muted.Store(true)
		w.produce("c")
		w.quiet()
		planted{world: w}.exec(`DELETE FROM seen WHERE request = 'a'`)
		auditor{w}.audit(control.AuditOf{})
		got := scraped(t, registry)
		count := func(name string) string { return got["triangle_flow_parity_"+name] }
		if n := count(`proofs_total{by="audit",flow="` + tested + `",outcome="compared"}`); n != "1.0" {
			t.Errorf("audits: %q", n)
		}
		for kind, want := range map[string]string{"missing": "1.0", "rows": "1.0", "duplicated": "0.0", "reordered": "0.0", "parked": "0.0"} {
			if n := count(`discrepancies_total{flow="` + tested + `",kind="` + kind + `"}`); n != want {
				t.Errorf("%s: %q, want %s", kind, n, want)
			}
		}
	})
}

// However often a flow is moved, to whatever cadence, there are no more series.
func TestTheSeriesOfAFlowAreBounded(t *testing.T) {
	inBubble(t, func(w *world) {
		t := w.t
		registry := prometheus.NewRegistry()
		w.metrics = registry
		w.start()
		w.quiet()
		before := scraped(t, registry)
		for i, cadence := range []string{"daily", "hourly", flows.RealTime, "weekly", "17 3 * * 1", "18 4 * * 2", flows.Paused, flows.RealTime} {
			w.set(cadence)
			for range 5 {
				w.produce(uuid.NewString())
			}
			w.pass(time.Minute)
			info := 0
			after := scraped(t, registry)
			for series := range after {
				if strings.HasPrefix(series, "triangle_flow_info{") {
					info++
				}
				if held := regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-|flow-|request-[0-9a-f]`).FindString(series); held != "" {
					t.Errorf("a series holds %q: %s", held, series)
				}
			}
			if info != 1 || len(after) > len(before)+8 { // gauges that are not known yet come later
				t.Errorf("after %d moves there are %d series, %d of them info, and were %d", i+1, len(after), info, len(before))
			}
		}
	})
}
