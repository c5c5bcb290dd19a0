package plan_test

import (
	"reflect"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/operator/api/v1alpha1"
	"github.com/triangle-suite/triangle/operator/internal/plan"
	"github.com/triangle-suite/triangle/services/control/migration"
)

// turn is all by which a status may come to differ.
type turn struct {
	transitions                  int
	generation                   int64
	waits, detail, unreachable   string
	complete, verified, awaiting metav1.ConditionStatus
	words                        string // of gates of which nothing is known
}

func (w *walk) turnOf(p plan.Plan) turn {
	t := turn{
		generation: w.object.Generation, waits: p.Waits, detail: p.Detail, unreachable: w.unreachable,
		complete: conditionOf(p, v1alpha1.ConditionMigrationComplete), verified: conditionOf(p, v1alpha1.ConditionParityVerified),
		awaiting: conditionOf(p, v1alpha1.ConditionAwaitingApproval),
	}
	for _, e := range w.control {
		switch e.Message.(type) {
		case *flowv1.AuditRequested, *flowv1.AuditCompleted, *flowv1.ParityJudged, *flowv1.EpochClosed,
			*flowv1.ShadowRequested, *flowv1.ShadowStarted, *flowv1.ShadowEnded:
		default:
			t.transitions++
		}
	}
	for _, g := range p.Status.Gates {
		if w.state.Gate(g.Name).Value == "" {
			t.words += g.Name + ": " + g.Value + "\n"
		}
	}
	return t
}

// compareTold wants the status to be the same from one transition to the next,
// whatever the figures do: it is written when it has come to differ.
func (w *walk) compareTold(p plan.Plan) {
	for _, g := range p.Status.Gates {
		if told := w.state.Gate(g.Name); told != (migration.Gate{}) && told.Value != g.Value && (strings.Contains(g.Value, "stale for") || strings.Contains(g.Value, "% left")) {
			w.wrong("a live figure is told of gate %s: %s, the stream has %q", g.Name, g.Value, told.Value)
		}
	}
	turned := w.turnOf(p)
	if turned == w.turned && !reflect.DeepEqual(p.Status, w.told) {
		w.wrong("nothing has turned, and the status has:\n%+v\n%+v", w.told, p.Status)
	}
	w.turned, w.told = turned, p.Status
}
