package flow

import (
	"fmt"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// gauges tell what is so of each flow at the moment that they are asked. What is
// not known is left out: no data is no zero.
type gauges struct {
	rt *Runtime

	staleness, lag, parked, info *prometheus.Desc
	objective, share, budget     *prometheus.Desc
}

func newGauges(rt *Runtime) gauges {
	desc := func(name, help string, more ...string) *prometheus.Desc {
		return prometheus.NewDesc("triangle_flow_"+name, help, append([]string{"flow"}, more...), nil)
	}
	return gauges{
		rt:        rt,
		staleness: desc("staleness_seconds", "Age of the oldest event that the flow has not taken in, by flow; 0 when it is caught up."),
		lag:       desc("lag_events", "Events that wait to be taken in, by flow."),
		parked:    desc("parked_events", "Events that could not be taken in and are parked, by flow."),
		objective: desc("objective_staleness_seconds", "How stale the flow may be at its cadence, by flow; absent while it is paused."),
		share:     desc("objective_ratio", "Share of the time for which the flow is to be no staler than that, by flow."),
		budget:    desc("error_budget_left_ratio", "Share of the error budget of the last 28 days that is left, by flow, where this replica takes it in: 1 untouched, 0 spent, negative overspent."),
		info:      desc("info", "What the flow runs at; always 1.", "epoch", "cadence"),
	}
}

// Describe implements prometheus.Collector.
func (g gauges) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{g.staleness, g.lag, g.parked, g.info, g.objective, g.share, g.budget} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (g gauges) Collect(to chan<- prometheus.Metric) {
	now := time.Now().UTC()
	for name, in := range g.rt.intakes {
		tell := func(d *prometheus.Desc, value float64, more ...string) {
			to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, append([]string{name}, more...)...)
		}
		s := in.State()
		if s.Epoch == 0 {
			continue
		}
		tell(g.info, 1, strconv.FormatUint(s.Epoch, 10), s.Cadence)
		tell(g.parked, float64(s.Parked))
		if s.Known {
			tell(g.lag, float64(s.Lag))
		}
		if asOf, ok := g.rt.asOf(s, now); ok {
			tell(g.staleness, now.Sub(asOf).Seconds())
		}
		if o, ok := in.objective(s.Cadence); ok {
			tell(g.objective, o.Staleness.Seconds())
			tell(g.share, o.Share)
		}
		if left, ok := in.budgetLeft(); ok {
			tell(g.budget, left)
		}
	}
}

// register has the metrics of all flows seen, where there is somebody to see them.
func (rt *Runtime) register() error {
	if rt.Metrics == nil {
		return nil
	}
	for _, c := range append(rt.measures.collectors(), newGauges(rt)) {
		if err := rt.Metrics.Register(c); err != nil {
			return fmt.Errorf("register the flows' metrics: %w", err)
		}
	}
	return nil
}
