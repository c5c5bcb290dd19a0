package metrics

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// State is what is so of a store at the moment that it is asked.
type State struct {
	// Position is the last event's, 0 when there is none.
	Position uint64
	// JournalBytes and IndexBytes are what the store takes on its disk.
	JournalBytes, IndexBytes uint64
	// Subscriptions is how many catch-up subscriptions are open. The one on $all that
	// is behind most has so many bytes of the journal to go.
	Subscriptions int
	Behind        uint64
	// What there is of persistent subscriptions, all of them together.
	Groups, Consumers, Waiting, InFlight, Retrying int
	Parked                                         int64
}

// gauge is one figure of a State.
type gauge struct {
	desc *prometheus.Desc
	of   func(State) float64
}

// states tells the State of a store whenever somebody asks.
type states struct {
	look   func() (State, error)
	gauges []gauge
}

// Watch has the store's State told. Where look fails, as in a store that is closing,
// nothing is told: no data is no zero.
func (m *Metrics) Watch(look func() (State, error)) {
	gauges := []gauge{
		{described("last_position", "Position of the last event, 0 when there is none."), func(s State) float64 { return float64(s.Position) }},
		{described("journal_bytes", "Bytes that the journal's files take on the disk."), func(s State) float64 { return float64(s.JournalBytes) }},
		{described("index_bytes", "Bytes that the index takes on the disk."), func(s State) float64 { return float64(s.IndexBytes) }},
		{described("subscriptions_open", "Catch-up subscriptions that are open."), func(s State) float64 { return float64(s.Subscriptions) }},
		{described("subscriptions_behind_bytes", "How much of the journal the subscription to $all that is behind most has not looked at."), func(s State) float64 { return float64(s.Behind) }},
		{described("persistent_subscriptions", "Persistent subscriptions that there are."), func(s State) float64 { return float64(s.Groups) }},
		{described("persistent_consumers", "Consumers that are connected to persistent subscriptions."), func(s State) float64 { return float64(s.Consumers) }},
		{described("persistent_events_waiting", "Events in memory that wait for a consumer of a persistent subscription."), func(s State) float64 { return float64(s.Waiting) }},
		{described("persistent_events_in_flight", "Events that consumers of persistent subscriptions have, and have not acknowledged."), func(s State) float64 { return float64(s.InFlight) }},
		{described("persistent_events_retrying", "Events that wait to be sent to a consumer of a persistent subscription again."), func(s State) float64 { return float64(s.Retrying) }},
		{described("persistent_events_parked", "Events that consumers of persistent subscriptions could not work with, and that are parked."), func(s State) float64 { return float64(s.Parked) }},
	}
	m.registry.MustRegister(states{look: look, gauges: slices.Clip(gauges)})
}

func described(name, help string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, nil, nil)
}

// Describe implements prometheus.Collector.
func (s states) Describe(to chan<- *prometheus.Desc) {
	for _, g := range s.gauges {
		to <- g.desc
	}
}

// Collect implements prometheus.Collector.
func (s states) Collect(to chan<- prometheus.Metric) {
	now, err := s.look()
	if err != nil {
		return
	}
	for _, g := range s.gauges {
		to <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, g.of(now))
	}
}
