package plan_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/operator/internal/plan"
)

// TestTheForecastIsWhatHappens plays a migration whose gates all pass as soon as
// they can, and wants each step to begin neither before the forecast says so, nor
// much later.
func TestTheForecastIsWhatHappens(t *testing.T) {
	for seed := range uint64(12) {
		object := aimedAt(drawBy(seed))
		for i := range object.Spec.Migration.Steps {
			object.Spec.Migration.Steps[i].Approval, object.Spec.Migration.Steps[i].Shadow = nil, nil
			for j := range object.Spec.Migration.Steps[i].Gates {
				object.Spec.Migration.Steps[i].Gates[j].Consecutive = 0
			}
		}
		spec, err := plan.Read(object, flows.Find, monday)
		if err != nil {
			t.Fatal(err)
		}
		foreseen, err := plan.Forecast(spec, spec.Flow.Cadence, monday)
		if err != nil {
			t.Fatal(err)
		}
		s := &story{t: t, out: &strings.Builder{}, model: newModel(spec, monday, t.Fatalf)}
		begun := map[string]time.Time{}
		s.settle()
		for range 2 * 24 * 21 {
			before := s.now
			s.pass(30*time.Minute, true)
			s.takeIn(before)
			s.settle()
			for _, r := range s.state.History {
				begun[r.Step] = r.At
			}
		}
		for _, f := range foreseen {
			step, ok := strings.CutPrefix(f.What, "step ")
			if !ok {
				continue
			}
			step, _, _ = strings.Cut(step, " ")
			if at := begun[step]; at.Before(f.At) || at.After(f.At.Add(26*time.Hour)) {
				t.Errorf("seed %d: step %s began at %s, foreseen at %s", seed, step, at, f.At)
			}
		}
	}
}

func TestAFlowBetweenTwoStepsIsRefusedInTheForecast(t *testing.T) {
	spec, err := plan.Read(aimedAt(drawBy(1)), flows.Find, monday)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := plan.Forecast(spec, "0 */6 * * *", monday); !errors.Is(err, plan.ErrNoSuchStep) {
		t.Errorf("got %v, want ErrNoSuchStep", err)
	}
	all, err := plan.Forecast(spec, flows.RealTime, monday)
	if err != nil || all[0].What != "the flow runs realtime: it is at step realtime" {
		t.Errorf("got %v, %v; want a flow that is at its last step", all, err)
	}
}
