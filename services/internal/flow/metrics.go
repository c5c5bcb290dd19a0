package flow

import (
	"fmt"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/triangle-suite/triangle/services/internal/deadline"
)

// deliveryBuckets reach from real time to two weeks.
var deliveryBuckets = []float64{
	.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800,
	3600, 3 * 3600, 6 * 3600, 12 * 3600, 24 * 3600, 2 * 24 * 3600, 7 * 24 * 3600, 14 * 24 * 3600,
}

func newDelivery() *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "triangle_flow_delivery_duration_seconds",
		Help:    "From when the store recorded an event to when the transaction that took it in was committed, by flow.",
		Buckets: deliveryBuckets,
	}, []string{"flow"})
}

// noteDelivery measures how long the events of a batch that is committed took.
func (in *Intake) noteDelivery(batch []*incoming) {
	now := time.Now()
	var oldest time.Time
	for _, i := range batch {
		e := i.Event
		if !in.types[e.Type] {
			continue
		}
		in.delivery.Observe(max(0, now.Sub(e.Created)).Seconds()) // clocks differ
		oldest = deadline.Earlier(oldest, e.Created)
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.taken = deadline.Earlier(in.taken, oldest)
}

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
	for _, c := range []prometheus.Collector{rt.delivery, newGauges(rt)} {
		if err := rt.Metrics.Register(c); err != nil {
			return fmt.Errorf("register the flows' metrics: %w", err)
		}
	}
	return nil
}
