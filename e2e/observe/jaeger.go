package observe

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"testing"

	"github.com/triangle-suite/triangle/services/loopback"
)

// Jaeger is a real one, that keeps what it is sent in memory.
type Jaeger struct {
	// Collector is where it takes traces by OTLP over gRPC, as host and port.
	Collector string

	t   testing.TB
	url string
}

// StartJaeger starts one whose collector listens at an address of this machine.
func StartJaeger(t testing.TB, collector string) *Jaeger {
	t.Helper()
	query := loopback.Address(t)
	args := []string{"--query.http-server.host-port=" + query, "--collector.otlp.grpc.host-port=" + collector}
	// What else it listens on is of no use here, and must not be in anybody's way.
	for _, port := range []string{
		"admin.http", "collector.grpc-server", "collector.http-server", "collector.otlp.http", "http-server", "query.grpc-server",
	} {
		args = append(args, "--"+port+".host-port="+loopback.Address(t))
	}
	for _, port := range []string{"jaeger-binary", "jaeger-compact", "zipkin-compact"} {
		args = append(args, "--processor."+port+".server-host-port="+net.JoinHostPort("127.0.0.1", "0"))
	}
	start(t, "TRIANGLE_JAEGER", []string{"SPAN_STORAGE_TYPE=memory", "OTEL_TRACES_SAMPLER=always_off"}, args...)
	awaitReady(t, "http://"+query+"/api/services")
	return &Jaeger{collector, t, "http://" + query}
}

// Span is one as Jaeger's query API tells it.
type Span struct {
	TraceID       string
	SpanID        string
	OperationName string
	ProcessID     string
	References    []struct{ TraceID, SpanID string }
	Tags          tags
	// Service is whose it is, and Process what else is known of that one.
	Service string `json:"-"`
	Process tags   `json:"-"`
}

type tags []struct {
	Key   string
	Value any
}

// Get is the value of a tag; empty: there is none.
func (all tags) Get(key string) string {
	for _, t := range all {
		if t.Key == key {
			return fmt.Sprint(t.Value)
		}
	}
	return ""
}

// String is its service and its operation, as in "sales-support: process contacts".
func (s Span) String() string { return s.Service + ": " + s.OperationName }

// Parent is the first span that it names of its own trace. Jaeger says CHILD_OF of it,
// or FOLLOWS_FROM where the parent is linked, too.
func (s Span) Parent() string {
	for _, r := range s.References {
		if r.TraceID == s.TraceID {
			return r.SpanID
		}
	}
	return ""
}

// Trace is what is known of one, by the ids of its spans.
type Trace map[string]Span

// Operations are the names of its spans, each once.
func (t Trace) Operations() (all []string) {
	for _, s := range t {
		all = append(all, s.String())
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Roots are the spans whose parent is none of them.
func (t Trace) Roots() (all []Span) {
	for _, s := range t {
		if _, ok := t[s.Parent()]; !ok {
			all = append(all, s)
		}
	}
	return all
}

// Trace is the one of an id, as far as it is known; there may be nothing of it yet.
func (j *Jaeger) Trace(id string) Trace {
	j.t.Helper()
	for _, one := range j.traces("/api/traces/" + id) {
		return one
	}
	return nil
}

// Find returns traces of the last hour, 20 at most, in which a service does something.
func (j *Jaeger) Find(service, operation string) []Trace {
	j.t.Helper()
	return j.traces("/api/traces?" + url.Values{
		"service": {service}, "operation": {operation}, "lookback": {"1h"}, "limit": {"20"},
	}.Encode())
}

func (j *Jaeger) traces(path string) (all []Trace) {
	j.t.Helper()
	var answer struct {
		Data []struct {
			Spans     []Span
			Processes map[string]struct {
				ServiceName string
				Tags        tags
			}
		}
	}
	if err := ask(j.t.Context(), http.MethodGet, j.url+path, &answer); err != nil && !missing(err) {
		j.t.Fatal(err)
	}
	for _, trace := range answer.Data {
		spans := Trace{}
		for _, span := range trace.Spans {
			process := trace.Processes[span.ProcessID]
			span.Service, span.Process = process.ServiceName, process.Tags
			spans[span.SpanID] = span
		}
		all = append(all, spans)
	}
	return all
}
