package marketing_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/triangle-suite/triangle/services/internal/eventlog/memory"
)

// Each decision is measured once: neither a cause that asks for none, nor one whose
// decision was made before a crash.
func TestDecisionsAreMeasured(t *testing.T) {
	w := newWorld(t, memory.New(memory.Options{}))
	registry := prometheus.NewRegistry()
	w.metrics = registry
	w.start()
	w.await("the flows to begin", func() bool { return w.app.Flows.Ready(t.Context()) == nil })
	w.define(sales("savings", "saving", 10000))
	w.contact("c1", "") // nobody knows whom for
	w.decided("c2", w.contact("c2", "anna"))
	w.decided("c3", w.contact("c3", "bob"))

	w.await("two decisions measured", func() bool {
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, f := range families {
			switch f.GetName() {
			case "triangle_decision_latency_seconds", "triangle_decision_duration_seconds":
				h := f.GetMetric()[0].GetHistogram()
				if h.GetSampleCount() > 2 || h.GetSampleSum() < 0 || h.GetSampleSum() > patience.Seconds() {
					t.Fatalf("%s is %v", f.GetName(), h)
				}
				if h.GetSampleCount() == 2 && h.GetSampleSum() > 0 {
					found++
				}
			}
		}
		return found == 2
	})
}
