package nba

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/triangle-suite/triangle/services/internal/flow"
	"github.com/triangle-suite/triangle/services/telemetry"
)

// Metrics measure decisions. The nil Metrics measure nothing.
type Metrics struct{ latency, duration prometheus.Histogram }

// NewMetrics returns metrics that a registerer has, where there is one. It fails when
// they are registered already.
func NewMetrics(registerer prometheus.Registerer) (*Metrics, error) {
	if registerer == nil {
		return nil, nil //nolint:nilnil // told above
	}
	m := &Metrics{
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "triangle_decision_latency_seconds", Help: "From when the store recorded a cause to when the decision about it was appended.",
			Buckets: []float64{.005, .01, .025, .05, .075, .1, .15, .25, .5, 1, 2.5, 5, 10, 60, 600, 3600},
		}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "triangle_decision_duration_seconds", Help: "How long it took to gather what a decision rests on, and to decide.",
			Buckets: []float64{.00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1},
		}),
	}
	for _, c := range []prometheus.Collector{m.latency, m.duration} {
		if err := registerer.Register(c); err != nil {
			return nil, fmt.Errorf("register the metrics of decisions: %w", err)
		}
	}
	return m, nil
}

// decided measures a decision that has been appended. Clocks differ.
func (m *Metrics) decided(cause flow.Cause, took time.Duration) {
	if m == nil {
		return
	}
	telemetry.ObserveTraced(cause.Metadata.TraceParent, m.duration, took)
	telemetry.ObserveTraced(cause.Metadata.TraceParent, m.latency, max(0, time.Since(cause.Created)))
}
