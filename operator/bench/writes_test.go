package bench_test

import (
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/triangle-suite/triangle/operator/api/v1alpha1"
)

// All flows at once: a step takes a flow at most two writes, and a flow that stays
// where it is takes none, whatever its consumer tells all the time.
func TestAStepTakesAFlowAtMostTwoWrites(t *testing.T) {
	const n, moves = 20, 3
	w := newWorld(t, n)
	w.create(w.names)
	w.operate()
	w.reached(0, n)
	for step := range moves {
		before := w.written()
		w.move(step)
		if told := w.written().since(before); told.sum() > 2*n {
			t.Errorf("a step of %d flows took %v writes, want two each at most: %v", n, told.sum(), told)
		}
	}
	before := w.written()
	for lag := range uint64(3) { // what the first look would write is written by the last
		w.check(w.players.Progress(t.Context(), moves, lag)) // of an epoch that is over
		w.await("the operator has looked at all flows", func() bool {
			return strings.Count(w.scrape(), fmt.Sprintf("namespace=%q} %d\n", w.namespace, lag)) >= n
		})
	}
	if told := w.written().since(before); told.sum() > 0 {
		t.Errorf("flows that stay where they are took writes: %v", told)
	}
}

// move has every flow go on from a step to the next one.
func (w *world) move(from int) {
	w.Helper()
	w.check(w.players.Progress(w.Context(), uint64(from)+1, 0))
	w.reached(from+1, len(w.names))
}

// The figures of a flow are served for as long as its object is there.
func TestAFlowsFiguresAreServedAsLongAsItIsThere(t *testing.T) {
	w := newWorld(t, 2)
	w.create(w.names)
	w.operate()
	w.reached(0, 2)
	w.check(w.players.Progress(t.Context(), 1, 7))
	w.reached(1, 2)
	w.check(w.players.Progress(t.Context(), 2, 77)) // more than the gate wants: it goes back
	w.reached(0, 2)
	here := fmt.Sprintf("flow=%q,", w.names[0])
	for _, want := range []string{
		"triangle_operator_flow_epoch{" + here + fmt.Sprintf("namespace=%q} 3\n", w.namespace),
		"triangle_operator_flow_store_reachable{" + here + fmt.Sprintf("namespace=%q} 1\n", w.namespace),
		"triangle_operator_flow_lag_events{" + here + fmt.Sprintf("namespace=%q} 77\n", w.namespace),
		"triangle_operator_flow_gate_result{" + here + fmt.Sprintf("gate=\"lag\",namespace=%q,result=\"Unknown\"} 1\n", w.namespace),
		"triangle_operator_flow_step_info{" + here + fmt.Sprintf("namespace=%q,step=\"step-0\",target=\"step-0\"} 1\n", w.namespace),
		`triangle_operator_api_writes_total{resource="informationflows/status",verb="patch"} `,
		`triangle_operator_api_writes_total{resource="events",verb="create"} `,
		`controller_runtime_reconcile_time_seconds_count{controller="informationflow"} `,
	} {
		w.await(want, func() bool { return strings.Contains(w.scrape(), want) })
	}
	if w.series(w.names[1]) == 0 {
		t.Error("the other flow has no series")
	}
	w.check(w.client.Delete(t.Context(), &v1alpha1.InformationFlow{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: w.names[1]}}))
	w.await("the series have gone", func() bool { return w.series(w.names[1]) == 0 })
	if w.series(w.names[0]) == 0 {
		t.Error("the series of the other flow have gone, too")
	}
}

// series counts those of a flow.
func (w *world) series(name string) (n int) {
	for line := range strings.Lines(w.scrape()) {
		if strings.Contains(line, fmt.Sprintf("flow=%q", name)) && strings.Contains(line, fmt.Sprintf("namespace=%q", w.namespace)) {
			n++
		}
	}
	return n
}
