// Package metrics measures the event store, for Prometheus. What it tells are
// figures: no label and no name holds a stream, a group, a user or an address, so
// that there are never more series than on the first day, and nobody learns from
// them what the events are about.
package metrics

import (
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/triangle-suite/triangle/services/eventstore/internal/storage"
)

// Metrics are those of one store. Use New.
type Metrics struct {
	registry *prometheus.Registry

	written, conflicts, deleted, failed prometheus.Counter // of appends
	appendDuration                      prometheus.Histogram
	events, bytes                       prometheus.Counter
	groupAppends, syncDuration          prometheus.Histogram
	reads                               *prometheus.CounterVec
	delivered                           *prometheus.CounterVec
	calls                               *prometheus.CounterVec
	well                                sync.Map // the counters of calls that went well, by method
}

var _ storage.Meter = (*Metrics)(nil)

// New returns metrics that have measured nothing.
func New() *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	m.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		collectors.NewBuildInfoCollector(),
	)
	appends := m.counters("appends_total", "Appends that were answered, by outcome: written (or found written before), wrong_version, deleted, failed.", "outcome")
	m.written, m.conflicts = appends.WithLabelValues("written"), appends.WithLabelValues("wrong_version")
	m.deleted, m.failed = appends.WithLabelValues("deleted"), appends.WithLabelValues("failed")
	fast := []float64{.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5}
	m.appendDuration = m.histogram("append_duration_seconds", "From when an append was taken in to when its answer was known: to wait for the group before, to decide, to write and to sync.", fast)
	m.events = m.counters("events_written_total", "Events that were made durable, the store's own among them.").WithLabelValues()
	m.bytes = m.counters("journal_bytes_written_total", "Bytes that were written to the journal, with all that frames events there.").WithLabelValues()
	m.groupAppends = m.histogram("group_commands", "How many appends and deletions one sync made durable.", []float64{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096})
	m.syncDuration = m.histogram("sync_duration_seconds", "How long it took to write a group to the journal and to sync it.", fast)
	m.reads = m.counters("reads_total", "Reads and subscriptions that were begun, by kind.", "kind")
	m.delivered = m.counters("messages_sent_total", "Messages that were sent to readers, by kind: nearly all of them events.", "kind")
	for _, kind := range []Reading{ReadAll, ReadStream, SubscribeAll, SubscribeStream} {
		m.reads.WithLabelValues(string(kind))
		m.delivered.WithLabelValues(string(kind))
	}
	m.calls = m.counters("calls_total", "Calls that have ended, by method and gRPC code; a subscription that its reader ends is Canceled.", "method", "code")
	return m
}

const namespace = "eventstore"

func (m *Metrics) counters(name, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
	m.registry.MustRegister(c)
	return c
}

func (m *Metrics) histogram(name, help string, buckets []float64) prometheus.Histogram {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets})
	m.registry.MustRegister(h)
	return h
}

// Handler serves the metrics, as OpenMetrics to who asks for that.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry, EnableOpenMetrics: true})
}

// Synced implements storage.Meter.
func (m *Metrics) Synced(commands, events, bytes int, took time.Duration) {
	m.groupAppends.Observe(float64(commands))
	m.events.Add(float64(events))
	m.bytes.Add(float64(bytes))
	m.syncDuration.Observe(took.Seconds())
}

// Appended implements storage.Meter.
func (m *Metrics) Appended(took time.Duration, err error) {
	m.appendDuration.Observe(took.Seconds())
	if err == nil {
		m.written.Inc()
		return
	}
	m.refused(err).Inc()
}

// refused returns the counter of an error.
func (m *Metrics) refused(err error) prometheus.Counter {
	var wrong *storage.WrongVersionError
	switch {
	case errors.As(err, &wrong):
		return m.conflicts
	case errors.Is(err, storage.ErrDeleted):
		return m.deleted
	default:
		return m.failed
	}
}

// Reading is a way to read.
type Reading string

// The ways to read.
const (
	ReadAll         Reading = "read_all"
	ReadStream      Reading = "read_stream"
	SubscribeAll    Reading = "subscribe_all"
	SubscribeStream Reading = "subscribe_stream"
)

// Read counts a read or a subscription that begins, and returns what counts the
// messages that it sends.
func (m *Metrics) Read(kind Reading) prometheus.Counter {
	m.reads.WithLabelValues(string(kind)).Inc()
	return m.delivered.WithLabelValues(string(kind))
}
