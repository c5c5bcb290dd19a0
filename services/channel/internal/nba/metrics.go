package nba

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/telemetry"
)

// What came of waiting for a list.
const (
	inTime    = "in_time"
	late      = "late"
	notWaited = "not_waited"
)

// Why there was no list to wait for, or none any more. Of a list that came in time,
// or late, there is no more to say.
const (
	whyNotBegun    = "flow_not_begun"
	whyPaused      = "flow_paused"
	whyNotRealTime = "flow_not_real_time"
	whyVoid        = "nothing_to_decide"
)

// Metrics measure what comes of waiting for lists. The nil Metrics measure nothing.
type Metrics struct {
	waits    *prometheus.CounterVec
	duration prometheus.Histogram
}

// NewMetrics returns metrics that a registerer has, where there is one. It fails when
// they are registered already.
func NewMetrics(registerer prometheus.Registerer) (*Metrics, error) {
	if registerer == nil {
		return nil, nil //nolint:nilnil // told above
	}
	m := &Metrics{
		waits: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "triangle_next_best_actions_waits_total",
			Help: "Calls that could wait for the list that they lead to, by what came of it, and why they did not wait.",
		}, []string{"outcome", "reason"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "triangle_next_best_actions_wait_duration_seconds",
			Help:    "How long calls waited for their list, those among them whose time was up.",
			Buckets: []float64{.005, .01, .025, .05, .075, .1, .125, .15, .2, .25, .5, 1, 2.5, 5, 10},
		}),
	}
	m.waits.WithLabelValues(inTime, "")
	m.waits.WithLabelValues(late, "")
	for _, why := range []string{whyNotBegun, whyPaused, whyNotRealTime, whyVoid} {
		m.waits.WithLabelValues(notWaited, why)
	}
	for _, c := range []prometheus.Collector{m.waits, m.duration} {
		if err := registerer.Register(c); err != nil {
			return nil, fmt.Errorf("register the metrics of lists: %w", err)
		}
	}
	return m, nil
}

// waited measures a call that has waited until its list came, or time was up.
func (m *Metrics) waited(ctx context.Context, outcome string, took time.Duration) {
	if m == nil {
		return
	}
	m.waits.WithLabelValues(outcome, "").Inc()
	telemetry.Observe(ctx, m.duration, took)
}

// passed counts a call that had nothing to wait for.
func (m *Metrics) passed(why string) {
	if m != nil {
		m.waits.WithLabelValues(notWaited, why).Inc()
	}
}

// whyOf is why a flow that is not in real time is not waited for.
func whyOf(cadence string) string {
	switch cadence {
	case "":
		return whyNotBegun
	case flows.Paused:
		return whyPaused
	default:
		return whyNotRealTime
	}
}
