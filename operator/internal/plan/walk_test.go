package plan_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/operator/api/v1alpha1"
	"github.com/triangle-suite/triangle/operator/internal/plan"
)

// draw draws a number below n.
type draw func(n int, what string) int

// walk is a random walk over what may happen to a flow, its consumer, its store and
// its operator. After each step the operator acts until it has nothing to do, and
// the twin holds what it did against what had happened.
type walk struct {
	*model
	draw   draw
	object *v1alpha1.InformationFlow
	steps  int
	tokens int
	turned turn // see compareTold
	told   v1alpha1.InformationFlowStatus
}

const walked = 60

func (w *walk) run() {
	for range walked {
		w.happen()
		w.look()
		if w.steps++; w.steps%10 == 0 {
			w.compareAnew()
		}
	}
	w.comeToRest()
}

// happen is one thing that happens.
func (w *walk) happen() {
	switch what := w.draw(20, "what"); what {
	case 0, 1, 2:
		w.pass(time.Duration(1+w.draw(90, "minutes"))*time.Minute, w.unreachable == "")
	case 3, 4, 5:
		w.pass(time.Duration(1+w.draw(40, "hours"))*time.Hour, w.unreachable == "")
	case 6:
		w.pass(time.Duration(1+w.draw(200, "hours"))*time.Hour, false)
	case 7:
		w.lag = []uint64{0, 5, 5000}[w.draw(3, "lag")]
		w.tell()
	case 8:
		w.faults.Missing = []uint64{0, 0, 1, 3}[w.draw(4, "missing")]
	case 9:
		w.stale = []time.Duration{0, 0, time.Minute, time.Hour}[w.draw(4, "stale")]
	case 10:
		w.differs = w.draw(4, "differs") == 0
	case 11:
		w.frozen = w.draw(3, "frozen") == 0
	case 12:
		w.unreachable = []string{"", "", "refused"}[w.draw(3, "unreachable")]
	case 13, 14:
		w.approve()
	case 15:
		w.token()
	case 16:
		if w.unreachable == "" && w.draw(3, "set") == 0 {
			w.set([]string{flows.Daily, "5 * * * *", flows.RealTime, flows.Weekly, flows.Paused}[w.draw(5, "cadence")])
		}
	case 17:
		if w.draw(3, "apply") == 0 {
			w.apply()
		}
	default:
		w.taken += uint64(1 + w.draw(3, "events"))
		w.tell()
	}
}

func (w *walk) approve() {
	steps := w.spec.Steps
	a := plan.ApprovalSeen{UID: fmt.Sprint(len(w.approvals)), Step: steps[w.draw(len(steps), "step")].Name, PlanHash: w.spec.Hash, By: "ada"}
	if w.draw(4, "hash") == 0 {
		a.PlanHash = "0000"
	}
	a.Name = "approval-" + a.UID
	w.approvals = append(w.approvals, a)
}

func (w *walk) token() {
	w.tokens++
	token := plan.Token(w.now.Add(time.Duration(w.tokens) * time.Second).Format(time.RFC3339))
	switch w.draw(5, "token") {
	case 0:
		w.spec.Abort = token
	case 1:
		w.spec.Pause = token
	case 2:
		w.spec.Pause = ""
	default:
		w.spec.Retry = token
	}
}

// apply applies the object again: with other gates, or as it was.
func (w *walk) apply() {
	w.object.Generation++
	if w.draw(2, "other") == 0 {
		w.object.Spec.Migration.Steps[1].Gates[0].Consecutive = int32(1 + w.draw(3, "consecutive"))
	}
	before := w.spec
	spec, err := plan.Read(w.object, flows.Find, monday)
	if err != nil {
		w.wrong("%v", err)
	}
	w.spec = spec
	w.spec.Abort, w.spec.Retry, w.spec.Pause = before.Abort, before.Retry, before.Pause
}

// look has the operator act, and wants every state to have a legal next step, or to
// say what it waits for.
func (w *walk) look() {
	if w.unreachable != "" {
		if p := w.plan(); p.Action.Kind != plan.Nothing {
			w.wrong("the store is away, and there is something to do: %v", p.Action)
		}
		return
	}
	if w.draw(4, "watches") > 0 {
		w.beat()
	}
	w.operate()
	w.consume()
	p := w.operate()
	w.compareTold(p)
	if again := w.plan(); !reflect.DeepEqual(p, again) {
		w.wrong("the same input gave two plans:\n%+v\n%+v", p, again)
	}
	if p.Waits == "" && conditionOf(p, v1alpha1.ConditionMigrationComplete) != metav1.ConditionTrue {
		w.wrong("nothing to do, and nothing that it waits for: %+v", p.Status)
	}
	if w.state.Settled() != (conditionOf(p, v1alpha1.ConditionReconciling) == "") {
		w.wrong("Reconciling is not what the cut-over is: %+v", p.Status.Conditions)
	}
}

func conditionOf(p plan.Plan, kind string) metav1.ConditionStatus {
	for _, c := range p.Status.Conditions {
		if c.Type == kind {
			return c.Status
		}
	}
	return ""
}

// compareAnew folds everything once more.
func (w *walk) compareAnew() {
	anew := w.anew()
	if !reflect.DeepEqual(anew, w.state) {
		w.wrong("folded anew it is another state:\n%+v\n%+v", anew, w.state)
	}
	before := w.plan()
	w.state = anew
	if after := w.plan(); !reflect.DeepEqual(before, after) {
		w.wrong("folded anew it is another plan:\n%+v\n%+v", before, after)
	}
}

// comeToRest mends everything: whatever was begun, a rollback too, comes to an end.
func (w *walk) comeToRest() {
	w.frozen, w.unreachable = false, ""
	for range 4 {
		w.beat()
		w.operate()
		w.consume()
	}
	if !w.state.Settled() {
		w.wrong("the flow is in epoch %d of %d", w.state.Epoch, w.state.Asked.Epoch)
	}
}

// aimedAt is an object with gates of every kind, drawn.
func aimedAt(d draw) *v1alpha1.InformationFlow {
	maybe := func(g v1alpha1.Gate) []v1alpha1.Gate {
		if d(2, g.Name) == 0 {
			return nil
		}
		return []v1alpha1.Gate{g}
	}
	durations := []v1alpha1.Duration{"", "90m", "1d"}
	parity := v1alpha1.Gate{Name: "parity", Parity: &v1alpha1.ParityGate{Missing: int64(d(2, "tolerated"))}, Consecutive: int32(1 + d(3, "in a row"))}
	lag := v1alpha1.Gate{Name: "lag", Lag: &v1alpha1.LagGate{MaxEvents: 10}, For: durations[d(3, "for")]}
	fresh := v1alpha1.Gate{Name: "fresh", Freshness: &v1alpha1.FreshnessGate{Max: "26h", Objective: "99"}, For: durations[d(3, "for")]}
	budget := v1alpha1.Gate{Name: "budget", ErrorBudget: &v1alpha1.ErrorBudgetGate{MinRemainingPercent: 50}}
	dry := v1alpha1.Gate{Name: "dry", Lag: &v1alpha1.LagGate{}, Effect: v1alpha1.DryRun}
	o := &v1alpha1.InformationFlow{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "request-status", UID: "one", Generation: 1}}
	o.Spec.Flow = "request-status"
	o.Spec.Migration.OnFailure = []v1alpha1.OnFailure{v1alpha1.RollBack, v1alpha1.RollBack, v1alpha1.Hold}[d(3, "on failure")]
	if d(3, "windows") == 0 {
		o.Spec.Migration.Windows = []v1alpha1.MaintenanceWindow{{Days: []v1alpha1.Weekday{"Tue", "Thu", "Sun"}, Start: "01:30", End: "16:00", TimeZone: "Europe/Amsterdam"}}
	}
	o.Spec.Migration.Steps = []v1alpha1.Step{
		{Name: "daily", Cadence: v1alpha1.Cadence{Cron: "0 2 * * *"}, Gates: append(maybe(lag), maybe(fresh)...)},
		{Name: "hourly", Cadence: v1alpha1.Cadence{Cron: "5 * * * *"}, Gates: slices.Concat([]v1alpha1.Gate{parity}, maybe(lag), maybe(dry))},
		{Name: "realtime", Cadence: v1alpha1.Cadence{Mode: v1alpha1.RealTime}, Gates: append([]v1alpha1.Gate{budget}, maybe(parity)...)},
	}
	if d(2, "shadow") == 0 {
		o.Spec.Migration.Steps[1].Shadow = &v1alpha1.Shadow{Windows: 2}
	}
	if d(2, "approval") == 0 {
		o.Spec.Migration.Steps[2].Approval = &v1alpha1.Approval{Mode: v1alpha1.ApprovalRequired, Timeout: durations[d(3, "timeout")]}
	}
	return o
}

// walkOn walks once.
func walkOn(d draw, twist func(*plan.Spec, *plan.Observation), wrong func(string, ...any)) *walk {
	object := aimedAt(d)
	spec, err := plan.Read(object, flows.Find, monday)
	if err != nil {
		wrong("%v", err)
		return nil
	}
	w := &walk{model: newModel(spec, time.Date(2026, 3, 26, 8, 0, 0, 0, time.UTC), wrong), draw: d, object: object}
	w.twist = twist
	w.did = func(a plan.Action) {
		if r, ok := a.Event.(*flowv1.CadenceRequested); ok {
			twin{w.model}.check(r)
		}
	}
	w.run()
	return w
}

func TestNoFlowIsFasterThanItsGatesAllow(t *testing.T) {
	reached := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		w := walkOn(func(n int, what string) int { return rapid.IntRange(0, n-1).Draw(t, what) }, nil, t.Fatalf)
		for _, e := range w.control {
			switch m := e.Message.(type) {
			case *flowv1.CadenceRequested:
				reached[m.GetMove().String()+" "+m.GetStep()]++
			case *flowv1.MigrationHeld:
				reached[m.GetCause().String()]++
			case *flowv1.ApprovalCounted:
				reached["approved"]++
			}
		}
	})
	t.Logf("reached: %v", reached)
}

// stop ends a walk whose bug was found.
type stop struct{ why string }

// TestPlantedBugsAreFound wants the walk to find what a planner that ignores one of
// its duties does.
func TestPlantedBugsAreFound(t *testing.T) {
	gates := func(change func(*plan.Gate)) func(*plan.Spec, *plan.Observation) {
		return func(s *plan.Spec, _ *plan.Observation) {
			for _, step := range s.Steps {
				for i := range step.Gates {
					change(&step.Gates[i])
				}
			}
		}
	}
	steps := func(change func(*plan.Step)) func(*plan.Spec, *plan.Observation) {
		return func(s *plan.Spec, _ *plan.Observation) {
			for i := range s.Steps {
				change(&s.Steps[i])
			}
		}
	}
	bugs := map[string]func(*plan.Spec, *plan.Observation){
		"parity is ignored": steps(func(s *plan.Step) {
			s.Gates = slices.DeleteFunc(s.Gates, func(g plan.Gate) bool { return g.Kind == plan.Parity })
		}),
		"what parity tolerates is not bounded": gates(func(g *plan.Gate) { g.Missing = 100 }),
		"one proof is enough":                  gates(func(g *plan.Gate) { g.Consecutive = min(g.Consecutive, 1) }),
		"lag is ignored":                       gates(func(g *plan.Gate) { g.MaxEvents = 1 << 40 }),
		"it does not matter for how long":      gates(func(g *plan.Gate) { g.For = 0 }),
		"every gate is a dry run":              gates(func(g *plan.Gate) { g.DryRun = true }),
		"nobody has to approve":                steps(func(s *plan.Step) { s.Approval = nil }),
		"no shadow is run":                     steps(func(s *plan.Step) { s.Shadow = 0 }),
		"one comparison is enough":             steps(func(s *plan.Step) { s.Shadow = min(s.Shadow, 1) }),
		"maintenance windows are ignored":      func(s *plan.Spec, _ *plan.Observation) { s.Windows = nil },
		"time that was not watched counts":     func(_ *plan.Spec, o *plan.Observation) { o.Lapses = nil },
		"an approval of another plan counts": func(s *plan.Spec, o *plan.Observation) {
			o.Approvals = slices.Clone(o.Approvals)
			for i := range o.Approvals {
				o.Approvals[i].PlanHash = s.Hash
			}
		},
	}
	for name, twist := range bugs {
		t.Run(name, func(t *testing.T) {
			const most = 3000
			for seed := range uint64(most) {
				if why := walkInto(seed, twist); why != "" {
					t.Logf("seed %d: %s", seed, why)
					return
				}
			}
			t.Errorf("%d walks did not find it", most)
		})
	}
}

// drawBy draws by a seed.
func drawBy(seed uint64) draw {
	chance := rand.New(rand.NewPCG(seed, 1))
	return func(n int, _ string) int { return chance.IntN(n) }
}

// walkInto walks by a seed, and returns what was found wrong.
func walkInto(seed uint64, twist func(*plan.Spec, *plan.Observation)) (why string) {
	defer func() {
		if r := recover(); r != nil {
			found, ok := r.(stop)
			if !ok {
				panic(r)
			}
			why = found.why
		}
	}()
	walkOn(drawBy(seed), twist, func(format string, args ...any) { panic(stop{fmt.Sprintf(format, args...)}) })
	return ""
}
