package plan

import (
	"time"

	"google.golang.org/protobuf/proto"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/operator/api/v1alpha1"
	"github.com/triangle-suite/triangle/services/control/migration"
)

// Operator is who the operator says that it is, in the events that it writes.
const Operator = "triangle-operator"

// Observation is all that a plan rests on, apart from its spec.
type Observation struct {
	// Migration is what the flow's streams say; nil when they were never read.
	Migration *migration.State
	// Until is when somebody watched last, and Lapses when nobody did: clocks count
	// up to the one, and without the others.
	Until  time.Time
	Lapses []migration.Span
	// Approvals are those that name the InformationFlow.
	Approvals []ApprovalSeen
	// Unreachable is why the store can't be reached; empty when it can.
	Unreachable string
}

// ApprovalSeen is a FlowApproval.
type ApprovalSeen struct {
	Name, UID, Step, PlanHash, By string
}

// watched is how much time was watched since a moment.
func (o Observation) watched(since time.Time) time.Duration {
	return o.Migration.Watched(since, o.Until, o.Lapses)
}

// ActionKind is what an Action is for.
type ActionKind string

// The actions.
const (
	Nothing        ActionKind = ""
	Declare        ActionKind = "declare the plan"
	End            ActionKind = "end the plan of an object that is no more"
	Steer          ActionKind = "follow a request"
	RequestCadence ActionKind = "request a cadence"
	RequestShadow  ActionKind = "request a shadow"
	Compare        ActionKind = "compare the flow with its shadow"
	StopShadow     ActionKind = "stop the shadow"
	RequestAudit   ActionKind = "request an audit"
	JudgeParity    ActionKind = "hold an audit against the log"
	JudgeGate      ActionKind = "judge a gate"
	AwaitApproval  ActionKind = "await approval"
	CountApproval  ActionKind = "count an approval"
	HoldMigration  ActionKind = "hold"
)

// Action is what is to be done now.
type Action struct {
	Kind ActionKind
	// Event is what is to be appended to the flow's control stream under the revision
	// that was read (control.Flows.Record). It is nil for Compare
	// (control.Flows.RecordComparison), and for JudgeParity
	// (control.Flows.JudgeParity, with Step, and then Record).
	Event proto.Message
	// Step is the step that the flow is at, of JudgeParity.
	Step string
}

// Verdict is what becomes of an approval.
type Verdict struct {
	Name, UID string
	Verdict   v1alpha1.Verdict
	Message   string
}

// Plan is what comes next.
type Plan struct {
	Action Action
	// Status is what the flow's status is to be.
	Status v1alpha1.InformationFlowStatus
	// Verdicts are on the approvals that were seen.
	Verdicts []Verdict
	// LookAgain is when to look again at the latest; the zero time when only an event
	// or a change of an object can change anything.
	LookAgain time.Time
	// Waits is what the migration waits for, as a reason, and Detail in words; empty
	// when there is something to do, and when it is complete.
	Waits, Detail string
	// Figures are what changes between transitions.
	Figures Figures
	// Warnings are what is wrong and holds nothing up.
	Warnings []string
}

// Next returns what to do now, the status that follows from what was seen, and when
// to look again. It is pure.
func Next(spec Spec, o Observation, now time.Time) Plan {
	p := &planner{spec: spec, o: o, s: o.Migration, now: now, present: -1}
	if o.Migration != nil {
		p.locate()
		if o.Unreachable == "" {
			p.decide()
		}
	}
	made := Plan{Action: p.action, Status: p.status(), Verdicts: p.verdicts(), LookAgain: p.again, Warnings: p.warnings(), Figures: p.figures()}
	if made.Action.Kind == Nothing {
		made.Waits, made.Detail = p.waits, p.detail
	}
	return made
}

// Released is what is to be recorded when the object of a state's plan is deleted; nil
// when nothing manages the flow.
func Released(s *migration.State, reason string) *flowv1.MigrationEnded {
	if s.Plan == nil {
		return nil
	}
	return &flowv1.MigrationEnded{Flow: s.Flow, ObjectUid: s.Plan.GetObjectUid(), By: Operator, Reason: reason}
}

// planner makes one Plan.
type planner struct {
	spec     Spec
	o        Observation
	s        *migration.State
	now      time.Time
	present  int // the step that the flow is at; -1: none has its cadence
	target   int // the step that comes next; len(steps): none
	readings []reading

	action Action
	again  time.Time
	// waits is what the migration waits for, as a reason and in words; stalled tells
	// that it is for somebody to do.
	waits, detail string
	stalled       bool
}

// rule looks at one thing, and tells whether it has settled what comes next.
type rule func() bool

func (p *planner) decide() {
	for _, r := range []rule{
		p.notUnderstood, p.ofAnother, p.undeclared, p.requested, p.aborted, p.paused,
		p.foreign, p.cuttingOver, p.held, p.nowhere, p.stays,
		p.unjudged, p.transition, p.failed, p.unproven,
		p.complete, p.shadow, p.gatesOpen, p.approval, p.window,
	} {
		if r() {
			return
		}
	}
	p.forward()
}

func (p *planner) do(kind ActionKind, event proto.Message) bool {
	p.action = Action{Kind: kind, Event: event}
	return true
}

// wait says what the migration waits for.
func (p *planner) wait(reason, detail string) bool {
	p.waits, p.detail = reason, detail
	return true
}

// stall says that it waits until somebody does something.
func (p *planner) stall(reason, detail string) bool {
	p.stalled = true
	return p.wait(reason, detail)
}

// lookIn asks to look again after some watched time.
func (p *planner) lookIn(d time.Duration) {
	p.lookAt(p.now.Add(max(d, time.Second)))
}

func (p *planner) lookAt(at time.Time) {
	if p.again.IsZero() || at.Before(p.again) {
		p.again = at
	}
}

func (p *planner) hold(cause flowv1.HoldCause, detail string) bool {
	return p.do(HoldMigration, &flowv1.MigrationHeld{
		Flow: p.spec.Flow.Name, Plan: p.spec.Hash, Step: p.stepName(), Cause: cause, Detail: detail,
	})
}

// stepName is the present step's.
func (p *planner) stepName() string {
	if p.present < 0 {
		return ""
	}
	return p.spec.Steps[p.present].Name
}

// gates are the present step's.
func (p *planner) gates() []Gate {
	if p.present < 0 {
		return nil
	}
	return p.spec.Steps[p.present].Gates
}
