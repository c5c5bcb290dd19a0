package plan_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/operator/api/v1alpha1"
	"github.com/triangle-suite/triangle/operator/internal/plan"
	"github.com/triangle-suite/triangle/services/control/migration"
)

var monday = time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)

// TestStories plays the stories in testdata: what is done to a flow, and what the
// operator makes of it.
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		s := &story{t: t}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			s.t, s.out = t, &strings.Builder{}
			s.play(d)
			return s.out.String()
		})
	})
}

// story is a model that is told what to do.
type story struct {
	*model

	t       *testing.T
	out     *strings.Builder
	differs bool // a shadow does, from the start
	object  v1alpha1.InformationFlow
	last    plan.Plan
}

func (s *story) play(d *datadriven.TestData) {
	switch d.Cmd {
	case "flow":
		s.apply(d)
	case "pass":
		s.let(d, arg(d, "for"))
	case "look":
		s.look(d)
	case "consumer":
		s.consumer(d)
	case "annotate":
		s.annotate(d)
	case "approve":
		s.approve(d)
	case "set":
		s.set(arg(d, "cadence"))
		s.settle()
	case "unknown":
		s.state.Apply(migration.Event{Revision: s.state.Next, Type: "flow.MigrationBlessed", Fault: "unknown event type"})
		s.settle()
	case "store":
		s.unreachable = ""
		if d.HasArg("away") {
			s.unreachable = "connection refused"
		}
		s.settle()
	default:
		s.t.Fatalf("there is no command %s", d.Cmd)
	}
}

func arg(d *datadriven.TestData, key string) string {
	for _, a := range d.CmdArgs {
		if a.Key == key {
			return strings.Join(a.Vals, ",")
		}
	}
	return ""
}

// write is an InformationFlow that is applied; again, it is a new generation.
func (s *story) apply(d *datadriven.TestData) {
	object := v1alpha1.InformationFlow{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "request-status", UID: "one"}}
	if err := yaml.UnmarshalStrict([]byte(d.Input), &object.Spec); err != nil {
		s.t.Fatal(err)
	}
	object.Generation, object.Annotations = s.object.Generation+1, s.object.Annotations
	if d.HasArg("uid") {
		object.UID = "another"
	}
	catalogue := func(name string) (flows.Flow, bool) {
		f, ok := flows.Find(name)
		if d.HasArg("runs") {
			f.Cadence = strings.ReplaceAll(arg(d, "runs"), "_", " ")
		}
		return f, ok
	}
	spec, err := plan.Read(&object, catalogue, monday)
	if err != nil {
		fmt.Fprintf(s.out, "refused:\n%s\n", err)
		return
	}
	s.object = object
	if s.model == nil {
		s.model = newModel(spec, monday, s.t.Fatalf)
		s.did, s.model.differs = s.tellAction, s.differs
	}
	s.spec = spec
	s.settle()
}

func (s *story) annotate(d *datadriven.TestData) {
	for _, a := range d.CmdArgs {
		token := plan.Token(a.Vals[0])
		if a.Vals[0] == "none" {
			token = ""
		}
		switch a.Key {
		case "abort":
			s.spec.Abort = token
		case "retry":
			s.spec.Retry = token
		case "pause":
			s.spec.Pause = token
		}
	}
	s.settle()
}

func (s *story) approve(d *datadriven.TestData) {
	a := plan.ApprovalSeen{Name: arg(d, "name"), UID: arg(d, "name"), Step: arg(d, "step"), PlanHash: s.spec.Hash, By: "ada"}
	if d.HasArg("plan") {
		a.PlanHash = arg(d, "plan")
	}
	s.approvals = append(s.approvals, a)
	s.settle()
	for _, v := range s.last.Verdicts {
		fmt.Fprintf(s.out, "approval %s: %s, %s\n", v.Name, v.Verdict, strings.ReplaceAll(v.Message, s.spec.Hash, "<hash>"))
	}
}

func (s *story) consumer(d *datadriven.TestData) {
	for _, a := range d.CmdArgs {
		value := ""
		if len(a.Vals) > 0 {
			value = a.Vals[0]
		}
		number, _ := strconv.ParseUint(value, 10, 64)
		switch a.Key {
		case "lag":
			s.lag = number
		case "missing":
			s.faults.Missing = number
		case "duplicated":
			s.faults.Duplicated = number
		case "lies":
			s.faults.Unexplained = number
		case "stale":
			s.stale, _ = time.ParseDuration(value)
		case "differs":
			s.differs = true
		case "frozen":
			s.frozen = value != "no"
		default:
			s.t.Fatalf("a consumer has no %s", a.Key)
		}
	}
}

// let lets time pass, half an hour at a time, and the consumer take in an event in
// each window or as it comes.
func (s *story) let(d *datadriven.TestData, text string) {
	duration, err := time.ParseDuration(text)
	if err != nil {
		s.t.Fatal(err)
	}
	for end := s.now.Add(duration); s.now.Before(end); {
		before := s.now
		s.pass(min(30*time.Minute, end.Sub(s.now)), !d.HasArg("unwatched") && s.unreachable == "")
		s.takeIn(before)
		if d.HasArg("unwatched") {
			continue
		}
		s.settle()
	}
}

// takeIn is an event every half hour, that is taken in when its time has come.
func (s *story) takeIn(before time.Time) {
	cadence, err := flows.ParseCadence(s.cadence)
	if err != nil || s.frozen || s.unreachable != "" {
		return
	}
	if due := cadence.Next(before); cadence.IsRealTime() || !due.IsZero() && !due.After(s.now) {
		s.taken++
	}
	s.tell()
}

// settle lets the operator and the consumer act until both have nothing to do.
func (s *story) settle() {
	for {
		events := len(s.control)
		s.last = s.operate()
		s.consume()
		if len(s.control) == events {
			break
		}
	}
	s.last = s.operate()
}

// look tells how it stands.
func (s *story) look(d *datadriven.TestData) {
	if s.last.Waits != "" {
		fmt.Fprintf(s.out, "waits: %s: %s\n", s.last.Waits, s.last.Detail)
	}
	status := s.last.Status
	fmt.Fprintf(s.out, "epoch %d, %s, step %q of %q\n", status.Epoch, status.Cadence, status.CurrentStep, status.TargetStep)
	if !s.last.LookAgain.IsZero() {
		fmt.Fprintf(s.out, "look again in %s\n", s.last.LookAgain.Sub(s.now))
	}
	for _, g := range status.Gates {
		fmt.Fprintf(s.out, "gate %s: %s (%s, wanted %s)\n", g.Name, g.Result, g.Value, g.Threshold)
	}
	for _, c := range status.Conditions {
		if shown(d, c) {
			fmt.Fprintf(s.out, "%s=%s %s: %s\n", c.Type, c.Status, c.Reason, c.Message)
		}
	}
	for _, w := range s.last.Warnings {
		fmt.Fprintf(s.out, "warning: %s\n", w)
	}
}

// shown are the conditions that a story asks for, else those that tell something.
func shown(d *datadriven.TestData, c metav1.Condition) bool {
	if len(d.CmdArgs) > 0 {
		return slices.ContainsFunc(d.CmdArgs, func(a datadriven.CmdArg) bool { return a.Key == c.Type })
	}
	quiet := map[string]metav1.ConditionStatus{
		v1alpha1.ConditionAwaitingApproval: metav1.ConditionFalse, v1alpha1.ConditionMigrationComplete: metav1.ConditionFalse,
		v1alpha1.ConditionRolledBack: metav1.ConditionFalse, v1alpha1.ConditionPaused: metav1.ConditionFalse,
		v1alpha1.ConditionEventStoreReachable: metav1.ConditionTrue,
	}
	return quiet[c.Type] != c.Status
}

// tellAction tells what the operator does, and how long after the start.
func (s *story) tellAction(a plan.Action) {
	text := string(a.Kind)
	switch m := a.Event.(type) {
	case *flowv1.MigrationPlanned:
		text += fmt.Sprintf(", generation %d", m.GetGeneration())
	case *flowv1.CadenceRequested:
		text = fmt.Sprintf("go to step %s (%s), epoch %d: %s", m.GetStep(), m.GetMove(), m.GetEpoch(), m.GetReason())
	case *flowv1.GateJudged:
		text = fmt.Sprintf("gate %s: %s, %s", m.GetGate(), m.GetResult(), m.GetValue())
	case *flowv1.MigrationHeld:
		text = fmt.Sprintf("hold, %s: %s", m.GetCause(), m.GetDetail())
	case *flowv1.MigrationSteered:
		text = fmt.Sprintf("follow %s, by %s", m.GetAction(), m.GetBy())
	case *flowv1.ShadowRequested:
		text += " at " + m.GetCadence()
	case *flowv1.ApprovalAwaited:
		text += " of step " + m.GetStep()
	case *flowv1.ApprovalCounted:
		text += " of step " + m.GetStep() + " by " + m.GetBy()
	}
	fmt.Fprintf(s.out, "+%s %s\n", s.now.Sub(monday), text)
}
