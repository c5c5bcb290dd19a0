package esdb

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/telemetry"
)

// The operations that are measured.
const (
	opAppend     = "append"
	opReadStream = "read_stream"
	opReadAll    = "read_all"
	opSubscribe  = "subscribe"
	opPing       = "ping"
)

// operationTypes are what OpenTelemetry's conventions for messaging call the
// operations.
var operationTypes = map[string]string{
	opAppend: "send", opReadStream: "receive", opReadAll: "receive", opSubscribe: "receive", opPing: "receive",
}

// typesTold bounds how many types of events have a series of their own. A service
// writes far fewer; a topic that somebody makes up is one of the rest.
const typesTold = 200

// otherType is the series of the rest.
const otherType = "other"

// metrics measure what the log asks of the store, by the names that OpenTelemetry's
// conventions for messaging have in Prometheus. No label holds a stream: there is
// one of each contact. The nil metrics measure nothing.
type metrics struct {
	duration *prometheus.HistogramVec
	sent     *prometheus.CounterVec
	consumed *prometheus.CounterVec
	live     prometheus.Gauge

	mu    sync.Mutex
	types map[string]bool // that have a series
}

// WithMetrics has the log's metrics seen.
func WithMetrics(registerer prometheus.Registerer) Option {
	return func(s *settings) { s.registerer = registerer }
}

func newMetrics(registerer prometheus.Registerer) (*metrics, error) {
	if registerer == nil {
		return nil, nil //nolint:nilnil // told above
	}
	system := prometheus.Labels{"messaging_system": telemetry.MessagingSystem}
	m := &metrics{
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "messaging_client_operation_duration_seconds", ConstLabels: system, Buckets: telemetry.MessagingBuckets,
			Help: "How long operations on the event store took, by operation and, where they failed, by error: a read until its first event, a subscription until it was confirmed.",
		}, []string{"messaging_operation_name", "messaging_operation_type", "error_type"}),
		sent: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "messaging_client_sent_messages_total", ConstLabels: system,
			Help: "Events that were to be appended to the event store, by type and, where that failed, by error.",
		}, []string{"messaging_operation_name", "cloudevents_event_type", "error_type"}),
		consumed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "messaging_client_consumed_messages_total", ConstLabels: system,
			Help: "Events that the event store has delivered, by operation.",
		}, []string{"messaging_operation_name"}),
		live: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "triangle_store_subscriptions_open",
			Help: "Subscriptions to the event store that the service keeps.",
		}),
		types: map[string]bool{},
	}
	for op, kind := range operationTypes {
		m.duration.WithLabelValues(op, kind, "")
		if op == opReadStream || op == opReadAll || op == opSubscribe {
			m.consumed.WithLabelValues(op)
		}
	}
	for _, c := range []prometheus.Collector{m.duration, m.sent, m.consumed, m.live} {
		if err := registerer.Register(c); err != nil {
			return nil, fmt.Errorf("register the event log's metrics: %w", err)
		}
	}
	return m, nil
}

// done measures an operation that began at a time and has ended.
func (m *metrics) done(op string, began time.Time, err error) {
	if m != nil {
		m.duration.WithLabelValues(op, operationTypes[op], errorType(err)).Observe(time.Since(began).Seconds())
	}
}

// appended measures an append.
func (m *metrics) appended(began time.Time, events []eventlog.NewEvent, err error) {
	if m == nil {
		return
	}
	m.done(opAppend, began, err)
	for i := range events {
		m.sent.WithLabelValues(opAppend, m.known(events[i].Type), errorType(err)).Inc()
	}
}

// known returns the type, or the series of the rest when there are too many.
func (m *metrics) known(eventType string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.types[eventType] {
		if len(m.types) >= typesTold {
			return otherType
		}
		m.types[eventType] = true
	}
	return eventType
}

// delivered counts an event that an operation has delivered.
func (m *metrics) delivered(op string) {
	if m != nil {
		m.consumed.WithLabelValues(op).Inc()
	}
}

// subscribed counts the subscriptions that are open.
func (m *metrics) subscribed(more float64) {
	if m != nil {
		m.live.Add(more)
	}
}

// errorType names why an operation failed, in few words; empty when it did not: that
// there is no such stream is an answer.
func errorType(err error) string {
	if err == nil || errors.Is(err, eventlog.ErrNoStream) {
		return ""
	}
	for _, known := range []struct {
		err  error
		name string
	}{
		{eventlog.ErrWrongRevision, "wrong_revision"},
		{eventlog.ErrTombstoned, "tombstoned"},
		{eventlog.ErrTooLarge, "too_large"},
		{eventlog.ErrClosed, "closed"},
		{eventlog.ErrUnavailable, "unavailable"},
		{eventlog.ErrDenied, "denied"},
		{context.Canceled, "cancelled"},
		{context.DeadlineExceeded, "deadline_exceeded"},
	} {
		if errors.Is(err, known.err) {
			return known.name
		}
	}
	return "_OTHER" // the conventions' own word
}
