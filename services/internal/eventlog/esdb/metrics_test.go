package esdb_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/triangle-suite/triangle/services/eventstore/eventstoretest"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/eventlog/esdb"
)

// measured returns what a registry holds, by series: counters as they are, histograms
// by how often they were observed.
func measured(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			series := strings.TrimPrefix(f.GetName(), "messaging_client_")
			for _, l := range m.GetLabel() {
				if l.GetName() != "messaging_system" && l.GetValue() != "" {
					series += " " + l.GetValue()
				} else if l.GetValue() != "" && l.GetValue() != "eventstoredb" {
					t.Errorf("%s is of system %s", f.GetName(), l.GetValue())
				}
			}
			all[series] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return all
}

func TestWhatIsAskedOfTheStoreIsMeasured(t *testing.T) {
	registry := prometheus.NewRegistry()
	log := open(t, eventstoretest.Start(t).ConnectionString(), esdb.WithMetrics(registry))
	written := mustAppend(t, log, "contact-1", 3)
	if _, err := log.Append(t.Context(), "contact-1", eventlog.NoStream, events(1)...); !errors.Is(err, eventlog.ErrWrongRevision) {
		t.Fatal(err)
	}
	for _, stream := range []string{"contact-1", "contact-2"} { // there is no second one
		for _, err := range log.ReadStream(t.Context(), stream, eventlog.Forward, 0, 0) {
			if err != nil && !errors.Is(err, eventlog.ErrNoStream) {
				t.Fatal(err)
			}
		}
	}
	for _, err := range log.ReadAll(t.Context(), eventlog.Forward, nil, 2) {
		if err != nil {
			t.Fatal(err)
		}
	}
	follower := followAll(t, log)
	follower.wantExactly(written)
	if err := log.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := measured(t, registry)
	event := events(1)[0].Type
	for series, want := range map[string]float64{
		"operation_duration_seconds append send":                  3,
		"operation_duration_seconds wrong_revision append send":   1,
		"operation_duration_seconds read_stream receive":          2,
		"operation_duration_seconds subscribe receive":            1,
		"operation_duration_seconds ping receive":                 1,
		"sent_messages_total " + event + " append":                3,
		"sent_messages_total " + event + " wrong_revision append": 1,
		"consumed_messages_total read_stream":                     3,
		"consumed_messages_total read_all":                        2,
		"consumed_messages_total subscribe":                       3,
		"triangle_store_subscriptions_open":                       1,
	} {
		if got[series] != want {
			t.Errorf("%s is %v, want %v", series, got[series], want)
		}
	}
	follower.subscription.Close()
	if n := measured(t, registry)["triangle_store_subscriptions_open"]; n != 0 {
		t.Errorf("%v subscriptions are open after the end of the only one", n)
	}
}

// Somebody who makes up streams and types makes up no series.
func TestTheSeriesOfTheStoreAreBounded(t *testing.T) {
	registry := prometheus.NewRegistry()
	log := open(t, eventstoretest.Start(t).ConnectionString(), esdb.WithMetrics(registry))
	made := make([]eventlog.NewEvent, 300)
	for i := range made {
		made[i] = eventlog.NewEvent{ID: uuid.New(), Type: fmt.Sprintf("made.Up%d", i), Data: []byte("{}")}
	}
	if _, err := log.Append(t.Context(), "contact-4711", eventlog.Any, made...); err != nil {
		t.Fatal(err)
	}
	types := 0
	for series := range measured(t, registry) {
		if strings.Contains(series, "4711") {
			t.Errorf("a series names a stream: %s", series)
		}
		if strings.HasPrefix(series, "sent_messages_total") {
			types++
		}
	}
	if rest := measured(t, registry)["sent_messages_total other append"]; types != 201 || rest != 100 {
		t.Errorf("300 types have %d series, and %v events are of the rest; want 201 and 100", types, rest)
	}
}
