package e2e

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/triangle-suite/triangle/e2e/observe"
	"github.com/triangle-suite/triangle/services/loopback"
)

// traced starts a Jaeger, and has what is started after it export its traces there.
func traced(t *testing.T) *observe.Jaeger {
	t.Helper()
	j := observe.StartJaeger(t, loopback.Address(t))
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+j.Collector)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "200") // milliseconds until what is there is sent
	return j
}

// A visitor whom CRM knows calls. What channel, sales and marketing do about it, in
// processes of their own and across the event store, is one trace in Jaeger: a tree with
// one root, in which each step stands below what it came of.
func TestTelemetryOneVisitorIsOneTrace(t *testing.T) {
	j := traced(t)
	s := up(t)
	s.call(200, "POST", "sales", "/v1/customers", body{"customer_number": "jane-1", "person": body{"given_name": "Jane"}, "source": "e2e"})
	id := "4bf92f3577b34da6a3ce929d0e0e4736"
	s.traceparent = "00-" + id + "-00f067aa0ba902b7-01"
	s.call(200, "POST", "channel", "/v1/contacts", body{
		"channel": "CHANNEL_CALL_CENTRE", "visitor_id": "phone", "wait": "10s", "claims": body{"customer_number": "jane-1"},
	})
	var spans observe.Trace
	below := map[string]string{
		"channel-support: send contact-{id}":                "",
		"sales-support: process contacts":                   "channel-support: send contact-{id}",
		"channel-support: process customer-view":            "",
		"channel-support: react identify-visitor":           "channel-support: process customer-view",
		"marketing-support: process contact-events":         "channel-support: send contact-{id}",
		"marketing-support: react decide-next-best-actions": "marketing-support: process contact-events",
		"marketing-support: send decisions-{id}":            "marketing-support: react decide-next-best-actions",
		"channel-support: process next-best-actions":        "marketing-support: send decisions-{id}",
	}
	defer func() {
		t.Logf("%d spans of %d kinds in one trace: %s", len(spans), len(spans.Operations()), strings.Join(spans.Operations(), ", "))
	}()
	s.await("the trace is whole", func() bool {
		spans = j.Trace(id)
		known := spans.Operations()
		for step := range below {
			if !slices.Contains(known, step) {
				return false
			}
		}
		return len(spans.Roots()) == 1
	})
	if root := spans.Roots()[0]; root.String() != "channel-support: POST /v1/contacts" {
		t.Errorf("its root is %s, want the call", root)
	}
	for _, span := range spans {
		if want := below[span.String()]; want != "" && spans[span.Parent()].String() != want {
			t.Errorf("%s stands below %s, want %s", span, spans[span.Parent()], want)
		}
	}
}

// A window is a trace of its own: a root that says how many events were taken in, and
// below it spans of 128 at most, which together make up all of them. (Which events, is in
// the spans' links, and this Jaeger does not show what those say.)
func TestTelemetryAWindowIsATraceInChunks(t *testing.T) {
	const flow, customers = "customer-facts", 300
	j := traced(t)
	s := up(t)
	s.triangle("flow", "set", flow, "--cadence", "0 0 2 * * 1", "--reason", "once a week")
	for range customers {
		s.register()
	}
	s.triangle("flow", "run", flow)
	var window observe.Trace
	s.await("the window's trace", func() bool {
		for _, spans := range j.Find("marketing-support", "window "+flow) {
			for _, span := range spans.Roots() {
				if span.Tags.Get("messaging.batch.message_count") == strconv.Itoa(customers) && len(spans) >= 4 {
					window = spans
				}
			}
		}
		return window != nil
	})
	var chunks []string
	for _, span := range window {
		if span.OperationName == "process "+flow {
			chunks = append(chunks, span.Tags.Get("messaging.batch.message_count"))
		}
	}
	slices.Sort(chunks)
	if !slices.Equal(chunks, []string{"128", "128", "44"}) {
		t.Errorf("its chunks have %v events, want 128, 128 and 44", chunks)
	}
}

// From a point of a graph to its trace: an example that Prometheus has of a slow
// delivery names a trace that Jaeger has.
func TestTelemetryLeadsFromAGraphToATrace(t *testing.T) {
	j := traced(t)
	s := up(t)
	p := observed(s)
	from := time.Now()
	s.await("an example that is a trace", func() bool {
		s.startsAContact(body{"customer_number": s.register()})
		for _, example := range p.Examples(`triangle_flow_delivery_duration_seconds_bucket{flow="contact-events"}`, from) {
			if slices.Contains(j.Trace(example["trace_id"]).Operations(), "marketing-support: process contact-events") {
				return true
			}
		}
		return false
	})
}
