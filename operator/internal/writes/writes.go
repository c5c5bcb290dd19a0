// Package writes counts what is written to the Kubernetes API.
package writes

import (
	"net/http"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

// Counter counts requests that may change something, whether or not they are
// granted, by resource and verb.
type Counter struct{ *prometheus.CounterVec }

// New returns a counter that has counted nothing.
func New() Counter {
	return Counter{prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "triangle_operator_api_writes_total",
		Help: "Requests of the operator that may change something at the Kubernetes API, by resource (a subresource after a slash) and verb.",
	}, []string{"resource", "verb"})}
}

// Total is what this process has written; it is served at /metrics.
var Total = New()

func init() { metrics.Registry.MustRegister(Total) }

// Watch returns the same cluster for a client whose writes are to be counted.
func (c Counter) Watch(cluster *rest.Config) *rest.Config {
	watched := rest.CopyConfig(cluster)
	watched.Wrap(func(next http.RoundTripper) http.RoundTripper { return counting{next, c} })
	return watched
}

type counting struct {
	next http.RoundTripper
	c    Counter
}

var verbs = map[string]string{
	http.MethodPost: "create", http.MethodPut: "update", http.MethodPatch: "patch", http.MethodDelete: "delete",
}

// Verb is what Kubernetes calls a method that may change something.
func Verb(method string) (verb string, ok bool) {
	verb, ok = verbs[method]
	return verb, ok
}

// RoundTrip implements http.RoundTripper.
func (t counting) RoundTrip(r *http.Request) (*http.Response, error) {
	if verb, ok := Verb(r.Method); ok {
		t.c.WithLabelValues(Resource(r.URL.Path), verb).Inc()
	}
	return t.next.RoundTrip(r)
}

// Resource is what a path of the Kubernetes API is about, such as
// informationflows/status; empty for a path of another kind.
//
//	/api/<version>/…          of the core
//	/apis/<group>/<version>/… of all others, then
//	[namespaces/<namespace>/]<resource>[/<name>[/<subresource>]]
func Resource(path string) string {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	roots := map[string]int{"api": 2, "apis": 3}
	root := slices.IndexFunc(parts, func(p string) bool { return roots[p] > 0 }) // an address may have a path of its own before it
	if root < 0 {
		return ""
	}
	parts = parts[min(len(parts), root+roots[parts[root]]):]
	if len(parts) > 2 && parts[0] == "namespaces" {
		parts = parts[2:]
	}
	switch {
	case len(parts) == 0:
		return ""
	case len(parts) > 2:
		return parts[0] + "/" + parts[2]
	default:
		return parts[0]
	}
}
