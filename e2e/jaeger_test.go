package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// jaeger is a real one, that the suite's traces go to by OTLP.
type jaeger struct{ url string }

// traced starts a Jaeger, and has what is started after it export its traces there.
func traced(t *testing.T) jaeger {
	t.Helper()
	query, collector := freeAddress(t), freeAddress(t)
	args := []string{"--query.http-server.host-port=" + query, "--collector.otlp.grpc.host-port=" + collector}
	// What else it listens on is of no use here, and must not be in anybody's way.
	for _, port := range []string{
		"admin.http", "collector.grpc-server", "collector.http-server", "collector.otlp.http", "http-server", "query.grpc-server",
	} {
		args = append(args, "--"+port+".host-port="+freeAddress(t))
	}
	for _, port := range []string{"jaeger-binary", "jaeger-compact", "zipkin-compact"} {
		args = append(args, "--processor."+port+".server-host-port=127.0.0.1:0")
	}
	backEnd(t, "TRIANGLE_JAEGER", []string{"SPAN_STORAGE_TYPE=memory", "OTEL_TRACES_SAMPLER=always_off"}, args...)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+collector)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "200") // milliseconds until what is there is sent
	return jaeger{"http://" + query}
}

// jaegerSpan is a span as Jaeger's query API tells it.
type jaegerSpan struct {
	TraceID       string
	SpanID        string
	OperationName string
	ProcessID     string
	References    []struct{ TraceID, SpanID string }
	Tags          []struct {
		Key   string
		Value any
	}
	service string
}

func (s jaegerSpan) String() string { return s.service + ": " + s.OperationName }

// parent is the first that it names of its own trace. Jaeger says CHILD_OF of it, or
// FOLLOWS_FROM where the parent is linked, too.
func (s jaegerSpan) parent() string {
	for _, r := range s.References {
		if r.TraceID == s.TraceID {
			return r.SpanID
		}
	}
	return ""
}

func (s jaegerSpan) tag(key string) string {
	for _, t := range s.Tags {
		if t.Key == key {
			return fmt.Sprint(t.Value)
		}
	}
	return ""
}

type jaegerTrace struct {
	Spans     []jaegerSpan
	Processes map[string]struct{ ServiceName string }
}

// traces asks for traces; there may be none yet.
func (j jaeger) traces(t *testing.T, path string) (all []map[string]jaegerSpan) {
	t.Helper()
	var answer struct{ Data []jaegerTrace }
	if err := getJSON(t, j.url+path, &answer); err != nil {
		if strings.HasPrefix(err.Error(), strconv.Itoa(http.StatusNotFound)) {
			return nil
		}
		t.Fatal(err)
	}
	for _, trace := range answer.Data {
		spans := map[string]jaegerSpan{}
		for _, span := range trace.Spans {
			span.service = trace.Processes[span.ProcessID].ServiceName
			spans[span.SpanID] = span
		}
		all = append(all, spans)
	}
	return all
}

func (j jaeger) trace(t *testing.T, id string) map[string]jaegerSpan {
	t.Helper()
	for _, one := range j.traces(t, "/api/traces/"+id) {
		return one
	}
	return nil
}

// operations are the names of a trace's spans, each once.
func operations(spans map[string]jaegerSpan) (all []string) {
	for _, s := range spans {
		all = append(all, s.String())
	}
	slices.Sort(all)
	return slices.Compact(all)
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
	var spans map[string]jaegerSpan
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
		t.Logf("%d spans of %d kinds in one trace: %s", len(spans), len(operations(spans)), strings.Join(operations(spans), ", "))
	}()
	s.await("the trace is whole", func() bool {
		spans = j.trace(t, id)
		known := operations(spans)
		for step := range below {
			if !slices.Contains(known, step) {
				return false
			}
		}
		return len(jaegerRoots(spans)) == 1
	})
	if root := jaegerRoots(spans)[0]; root.String() != "channel-support: POST /v1/contacts" {
		t.Errorf("its root is %s, want the call", root)
	}
	for _, span := range spans {
		if want := below[span.String()]; want != "" && spans[span.parent()].String() != want {
			t.Errorf("%s stands below %s, want %s", span, spans[span.parent()], want)
		}
	}
}

// jaegerRoots are the spans whose parent is none of them.
func jaegerRoots(spans map[string]jaegerSpan) (all []jaegerSpan) {
	for _, s := range spans {
		if _, ok := spans[s.parent()]; !ok {
			all = append(all, s)
		}
	}
	return all
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
	var window map[string]jaegerSpan
	s.await("the window's trace", func() bool {
		found := j.traces(t, "/api/traces?"+url.Values{
			"service": {"marketing-support"}, "operation": {"window " + flow}, "lookback": {"1h"}, "limit": {"20"},
		}.Encode())
		for _, spans := range found {
			for _, span := range jaegerRoots(spans) {
				if span.tag("messaging.batch.message_count") == strconv.Itoa(customers) && len(spans) >= 4 {
					window = spans
				}
			}
		}
		return window != nil
	})
	var chunks []string
	for _, span := range window {
		if span.OperationName == "process "+flow {
			chunks = append(chunks, span.tag("messaging.batch.message_count"))
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
	p := observed(s, "")
	from := time.Now()
	s.await("an example that is a trace", func() bool {
		s.startsAContact(body{"customer_number": s.register()})
		var answer struct {
			Data []struct {
				Exemplars []struct{ Labels map[string]string }
			}
		}
		if err := p.get("/api/v1/query_exemplars", url.Values{
			"query": {`triangle_flow_delivery_duration_seconds_bucket{flow="contact-events"}`},
			"start": {from.Format(time.RFC3339)}, "end": {time.Now().Format(time.RFC3339)},
		}, &answer); err != nil {
			t.Fatal(err)
		}
		for _, series := range answer.Data {
			for _, example := range series.Exemplars {
				if slices.Contains(operations(j.trace(t, example.Labels["trace_id"])), "marketing-support: process contact-events") {
					return true
				}
			}
		}
		return false
	})
}
