package flow

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/services/internal/deadline"
	"github.com/triangle-suite/triangle/services/telemetry"
)

// deliveryBuckets reach from real time to two weeks.
var deliveryBuckets = []float64{
	.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800,
	3600, 3 * 3600, 6 * 3600, 12 * 3600, 24 * 3600, 2 * 24 * 3600, 7 * 24 * 3600, 14 * 24 * 3600,
}

// measures are what the flows of a service measure of what they do.
type measures struct {
	delivery, process            *prometheus.HistogramVec
	windowDuration, windowEvents *prometheus.HistogramVec
	cutOvers                     *prometheus.CounterVec
	proofs, discrepancies        *prometheus.CounterVec
}

func newMeasures() measures {
	histogram := func(name, help string, buckets []float64) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "triangle_flow_" + name, Help: help, Buckets: buckets}, []string{"flow"})
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "triangle_flow_" + name, Help: help}, append([]string{"flow"}, labels...))
	}
	return measures{
		delivery: histogram("delivery_duration_seconds", "From when the store recorded an event to when the transaction that took it in was committed, by flow.", deliveryBuckets),
		// Named by OpenTelemetry's conventions for messaging.
		process: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "messaging_process_duration_seconds", Help: "How long it took to take in a batch of events, by flow: one event when it is quiet, many in a window.",
			Buckets:     telemetry.MessagingBuckets,
			ConstLabels: prometheus.Labels{"messaging_system": telemetry.MessagingSystem, "messaging_operation_name": "process"},
		}, []string{"messaging_consumer_group_name", "error_type"}),
		windowDuration: histogram("window_duration_seconds", "How long windows took, from when the gate opened to when the marker was taken in, by flow.",
			[]float64{.01, .05, .1, .5, 1, 5, 10, 30, 60, 300, 900, 3600, 4 * 3600, 12 * 3600}),
		windowEvents:  histogram("window_events", "How many events windows brought, by flow.", []float64{0, 1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7}),
		cutOvers:      counter("cut_overs_total", "Epochs that have ended for the next one, by flow."),
		proofs:        counter("parity_proofs_total", "Audits, and comparisons with a shadow, by flow and by what came of them.", "by", "outcome"),
		discrepancies: counter("parity_discrepancies_total", "What audits and comparisons with a shadow found, by flow and kind; what is found again is counted again.", "kind"),
	}
}

func (m measures) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.delivery, m.process, m.windowDuration, m.windowEvents, m.cutOvers, m.proofs, m.discrepancies}
}

// The kinds of discrepancies. Those of an audit are events and answers; a shadow
// tells rows, causes and parked events that only one of the two has.
const (
	kindMissing     = "missing"
	kindDuplicated  = "duplicated"
	kindReordered   = "reordered"
	kindUnexplained = "unexplained"
	kindParked      = "parked"
	kindRows        = "rows"
	kindCauses      = "causes"
)

// measured is what one flow measures. The nil measured measures nothing: a shadow
// delivers nothing to anybody.
type measured struct {
	measures

	flow     string
	delivery prometheus.Observer
	taken    prometheus.Observer
}

// of makes the series of a flow, so that a rate is 0 before anything happened and
// not absent.
func (m measures) of(flow string) *measured {
	one := &measured{measures: m, flow: flow, delivery: m.delivery.WithLabelValues(flow), taken: m.process.WithLabelValues(flow, "")}
	m.windowDuration.WithLabelValues(flow)
	m.windowEvents.WithLabelValues(flow)
	m.cutOvers.WithLabelValues(flow)
	for _, kind := range []string{kindMissing, kindDuplicated, kindReordered, kindUnexplained, kindParked, kindRows, kindCauses} {
		m.discrepancies.WithLabelValues(flow, kind)
	}
	return one
}

// delivered measures one event's way.
func (m *measured) delivered(took time.Duration, traceparent string) {
	if m != nil {
		telemetry.ObserveTraced(traceparent, m.delivery, took)
	}
}

// processed measures a batch.
func (m *measured) processed(took time.Duration, err error) {
	switch {
	case m == nil:
	case err == nil:
		m.taken.Observe(took.Seconds())
	default:
		m.process.WithLabelValues(m.flow, failureOf(err)).Observe(took.Seconds())
	}
}

// failureOf tells apart whose fault it was that a batch was not taken in.
func failureOf(err error) string {
	if isOwnFault(err) {
		return "unprocessable"
	}
	return "unavailable"
}

func (m *measured) window(took time.Duration, events uint64) {
	if m == nil {
		return
	}
	m.windowDuration.WithLabelValues(m.flow).Observe(took.Seconds())
	m.windowEvents.WithLabelValues(m.flow).Observe(float64(events))
}

func (m *measured) cutOver() {
	if m != nil {
		m.cutOvers.WithLabelValues(m.flow).Inc()
	}
}

func (m *measured) found(kind string, n uint64) {
	m.discrepancies.WithLabelValues(m.flow, kind).Add(float64(n))
}

// audited counts what an audit has found.
func (m *measured) audited(a *flowv1.AuditCompleted) {
	outcome := map[flowv1.AuditOutcome]string{
		flowv1.AuditOutcome_AUDIT_OUTCOME_COMPARED:     "compared",
		flowv1.AuditOutcome_AUDIT_OUTCOME_NOT_TAKEN_IN: "not_taken_in",
		flowv1.AuditOutcome_AUDIT_OUTCOME_REFUSED:      "refused",
	}[a.GetOutcome()]
	m.proofs.WithLabelValues(m.flow, "audit", outcome).Inc()
	for _, v := range a.GetVersions() {
		m.found(kindMissing, v.GetMissing())
		m.found(kindDuplicated, v.GetTwice())
		m.found(kindReordered, v.GetOutOfOrder())
		m.found(kindUnexplained, v.GetUnexplained())
		m.found(kindParked, v.GetParked())
	}
	for _, r := range a.GetReactions() {
		m.found(kindMissing, r.GetMissing())
		m.found(kindDuplicated, r.GetTwice())
		m.found(kindReordered, r.GetOutOfOrder())
	}
	m.found(kindRows, a.GetContent().GetDiffer())
}

// compared counts what a comparison with a shadow has found.
func (m *measured) compared(c *flowv1.ShadowCompared) {
	outcome := map[flowv1.ShadowOutcome]string{
		flowv1.ShadowOutcome_SHADOW_OUTCOME_EQUAL:        "equal",
		flowv1.ShadowOutcome_SHADOW_OUTCOME_DIFFERENT:    "different",
		flowv1.ShadowOutcome_SHADOW_OUTCOME_NOT_COMPARED: "not_compared",
	}[c.GetOutcome()]
	m.proofs.WithLabelValues(m.flow, "shadow", outcome).Inc()
	m.found(kindRows, c.GetRowsDiffering())
	m.found(kindCauses, c.GetCausesDiffering())
	m.found(kindParked, c.GetParkedDiffering())
	if c.GetLive().GetIntakeDigest() != c.GetShadow().GetIntakeDigest() && c.GetLive().GetTaken() == c.GetShadow().GetTaken() {
		m.found(kindReordered, 1)
	}
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
		in.measured.delivered(max(0, now.Sub(e.Created)), i.event.Metadata.TraceParent) // clocks differ
		oldest = deadline.Earlier(oldest, e.Created)
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.taken = deadline.Earlier(in.taken, oldest)
}

// noteWindow measures a window that has been closed.
func (in *Intake) noteWindow(events uint64) {
	if !in.opened.IsZero() {
		in.measured.window(time.Since(in.opened), events)
	}
	in.opened = time.Time{}
}
