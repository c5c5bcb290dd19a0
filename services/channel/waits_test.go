package channel

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/channel/internal/nba"
)

func TestWhatComesOfWaitingIsCounted(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.stop()
		registry := prometheus.NewRegistry()
		w.metrics = registry
		w.start()
		synctest.Wait()
		began, err := w.api().StartContact(w.withKey("a"), &channelv1.StartContactRequest{Channel: website, CustomerId: "k"})
		if err != nil {
			t.Fatal(err)
		}
		id := began.GetContact().GetContactId()
		call := func(key string, wait time.Duration) {
			t.Helper()
			if _, err := w.api().RecordEvent(w.withKey(key), interest(id, wait)); err != nil {
				t.Fatal(err)
			}
		}
		call("b", time.Second)
		for _, cadence := range []string{flows.Weekly, flows.Paused} {
			if _, err := w.flows.Set(t.Context(), nba.Flow, cadence, "test", "for the test"); err != nil {
				t.Fatal(err)
			}
			<-time.After(time.Minute)
			synctest.Wait()
			call(cadence, time.Second)
		}
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		got, waited := map[string]float64{}, 0.0
		for _, f := range families {
			switch f.GetName() {
			case "triangle_next_best_actions_waits_total":
				for _, m := range f.GetMetric() {
					got[m.GetLabel()[0].GetValue()+" "+m.GetLabel()[1].GetValue()] = m.GetCounter().GetValue()
				}
			case "triangle_next_best_actions_wait_duration_seconds":
				waited = f.GetMetric()[0].GetHistogram().GetSampleSum()
			}
		}
		want := map[string]float64{
			"in_time ": 0, "late ": 2, "not_waited flow_not_real_time": 1, "not_waited flow_paused": 1,
			"not_waited flow_not_begun": 0, "not_waited nothing_to_decide": 0,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("waits (-want +got):\n%s", diff)
		}
		if waited != 1.15 {
			t.Errorf("calls waited for %vs, want 1.15s", waited)
		}
	})
}
