package run

import (
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

// Traces are installed where OpenTelemetry's own variables ask for them, and nowhere
// else; one that can't be followed stops the start in one line.
func TestTracesAreInstalledOnlyWhereAskedFor(t *testing.T) {
	tests := map[string]struct {
		env       map[string]string
		installed bool
		fails     string
	}{
		"nothing is said":              {nil, false, ""},
		"a collector":                  {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, true, ""},
		"a collector, but no traces":   {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none"}, false, ""},
		"an exporter that there isn't": {map[string]string{"OTEL_TRACES_EXPORTER": "zipkin"}, false, "OTEL_TRACES_EXPORTER"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			for key, value := range tc.env {
				t.Setenv(key, value)
			}
			var s Settings
			observed, err := s.Observe(t.Context())
			if tc.fails != "" {
				if err == nil || !strings.Contains(err.Error(), tc.fails) || strings.Contains(err.Error(), "\n") {
					t.Errorf("it fails with %v, want one line about %s", err, tc.fails)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if installed := s.Traces != nil; installed != tc.installed {
				t.Errorf("traces are installed: %t, want %t", installed, tc.installed)
			}
			if tells := tells(t, "triangle_telemetry_spans_total"); tc.installed && !tells {
				t.Error("nobody is told what becomes of the spans")
			}
			if err := observed.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// tells looks for a metric in what the operator serves at /metrics.
func tells(t *testing.T, name string) bool {
	t.Helper()
	families, err := metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(families, func(f *dto.MetricFamily) bool { return f.GetName() == name })
}
