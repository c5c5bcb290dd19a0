package plan

import (
	"fmt"
	"slices"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
)

// locate finds the step that the flow is at, and the one that comes next.
func (p *planner) locate() {
	runs, err := flows.ParseCadence(p.s.Cadence)
	if err != nil {
		return
	}
	for i, step := range p.spec.Steps {
		if c, err := flows.ParseCadence(step.Cadence); err == nil && c.Equal(runs) {
			p.present = i
		}
	}
	p.target = p.present + 1
	for _, g := range p.gates() {
		p.readings = append(p.readings, g.read(p.o, p.now))
	}
}

// notUnderstood holds, and writes nothing, where a newer operator has been.
func (p *planner) notUnderstood() bool {
	if p.s.Unknown == "" {
		return false
	}
	return p.stall("NotUnderstood", "run the version of the operator, or of the service, that wrote "+p.s.Unknown)
}

// ofAnother leaves alone what another object manages. One of the same name that is
// no more is replaced.
func (p *planner) ofAnother() bool {
	by := p.s.Plan
	switch {
	case by == nil || by.GetObjectUid() == p.spec.Object.UID:
		return false
	case by.GetObject() == p.spec.Object.String():
		return p.do(End, &flowv1.MigrationEnded{
			Flow: p.spec.Flow.Name, ObjectUid: by.GetObjectUid(), By: Operator, Reason: "the object was replaced by another one of its name",
		})
	default:
		return p.stall("ManagedByAnother", "InformationFlow "+by.GetObject()+" manages this flow: delete one of the two")
	}
}

// undeclared declares the plan, for each generation of its object.
func (p *planner) undeclared() bool {
	by, object := p.s.Plan, p.spec.Object
	if by != nil && by.GetPlan() == p.spec.Hash && by.GetGeneration() == object.Generation {
		return false
	}
	planned := &flowv1.MigrationPlanned{
		Flow: p.spec.Flow.Name, Plan: p.spec.Hash, By: Operator, Object: object.String(), ObjectUid: object.UID, Generation: object.Generation,
	}
	for _, step := range p.spec.Steps {
		planned.Steps = append(planned.Steps, &flowv1.PlannedStep{Name: step.Name, Cadence: step.Cadence})
	}
	return p.do(Declare, planned)
}

// requested follows what somebody wants by annotation, the older first, and tells
// of the beginning and the end of a pause.
func (p *planner) requested() bool {
	abort, retry := p.spec.Abort.after(p.s.HandledAbort), p.spec.Retry.after(p.s.HandledRetry)
	if abort && retry {
		a, _ := p.spec.Abort.when()
		r, _ := p.spec.Retry.when()
		abort = !r.Before(a)
		retry = !abort
	}
	switch wanted := p.spec.Paused || p.spec.Pause != ""; {
	case abort:
		return p.steer(flowv1.SteeringAction_STEERING_ACTION_ABORT, p.spec.Abort)
	case retry:
		return p.steer(flowv1.SteeringAction_STEERING_ACTION_RETRY, p.spec.Retry)
	case wanted && p.s.Paused.IsZero():
		return p.steer(flowv1.SteeringAction_STEERING_ACTION_PAUSE, p.spec.Pause)
	case !wanted && !p.s.Paused.IsZero():
		return p.steer(flowv1.SteeringAction_STEERING_ACTION_RESUME, "")
	}
	return false
}

func (p *planner) steer(action flowv1.SteeringAction, token Token) bool {
	by := token.by()
	if by == "" {
		by = "InformationFlow " + p.spec.Object.String()
	}
	return p.do(Steer, &flowv1.MigrationSteered{Flow: p.spec.Flow.Name, Plan: p.spec.Hash, Action: action, Token: string(token), By: by})
}

// aborted takes back the step that was begun last, be it under way still.
func (p *planner) aborted() bool {
	if p.s.Aborted.IsZero() || p.s.Foreign != nil || !p.s.RolledBack.IsZero() {
		return false
	}
	begun := p.s.Asked // that it runs at, or is to
	if begun.Move != flowv1.CadenceMove_CADENCE_MOVE_FORWARD || begun.At.After(p.s.Aborted) {
		return false
	}
	at := p.stepOf(begun.Cadence)
	if at < 1 {
		return false
	}
	return p.back(at-1, "aborted")
}

// stepOf is the step of a cadence; -1 when there is none.
func (p *planner) stepOf(cadence string) int {
	for i, step := range p.spec.Steps {
		if step.Cadence == cadence {
			return i
		}
	}
	return -1
}

func (p *planner) paused() bool {
	if p.s.Paused.IsZero() {
		return false
	}
	if !p.s.Settled() {
		return p.cuttingOver()
	}
	return p.wait("Paused", "go on with: "+p.resume())
}

// resume is how a pause ends.
func (p *planner) resume() string {
	if p.spec.Paused {
		return "spec.state: Active"
	}
	return "triangle migrate resume " + p.spec.Object.Name
}

func (p *planner) cuttingOver() bool {
	if p.s.Settled() {
		return false
	}
	return p.wait("CuttingOver", fmt.Sprintf("%s is to adopt %s, in epoch %d; it runs %s still", p.spec.Flow.To, p.s.Asked.Cadence, p.s.Asked.Epoch, p.s.Cadence))
}

// foreign holds when somebody else has set the cadence.
func (p *planner) foreign() bool {
	if p.s.Foreign == nil || p.s.Held != nil {
		return false
	}
	return p.hold(flowv1.HoldCause_HOLD_CAUSE_FOREIGN_CADENCE, fmt.Sprintf("%s set the cadence to %s", p.s.Foreign.By, p.s.Foreign.Cadence))
}

// holdsAll are the causes for which nothing at all is done. With the others the
// gates are watched on, and a flow that fails goes back.
var holdsAll = map[flowv1.HoldCause]bool{
	flowv1.HoldCause_HOLD_CAUSE_FOREIGN_CADENCE: true,
	flowv1.HoldCause_HOLD_CAUSE_NO_SUCH_STEP:    true,
	flowv1.HoldCause_HOLD_CAUSE_GATE_FAILED:     true,
}

var heldAs = map[flowv1.HoldCause]string{
	flowv1.HoldCause_HOLD_CAUSE_FOREIGN_CADENCE:    "ForeignCadence",
	flowv1.HoldCause_HOLD_CAUSE_NO_SUCH_STEP:       "NoSuchStep",
	flowv1.HoldCause_HOLD_CAUSE_GATE_FAILED:        "GateFailed",
	flowv1.HoldCause_HOLD_CAUSE_APPROVAL_TIMED_OUT: "ApprovalTimedOut",
	flowv1.HoldCause_HOLD_CAUSE_SHADOW_DIFFERS:     "ShadowDiffers",
}

func (p *planner) held() bool {
	if p.s.Held == nil {
		return false
	}
	p.stall(heldAs[p.s.Held.Cause], p.s.Held.Detail+"; when that is well: "+p.retry())
	return holdsAll[p.s.Held.Cause]
}

func (p *planner) retry() string { return "triangle migrate retry " + p.spec.Object.Name }

// nowhere is a flow at a cadence that no step has. When it is slower than all of
// them, and no plan has brought it there, the first one comes next.
func (p *planner) nowhere() bool {
	if p.present >= 0 {
		return false
	}
	if p.s.Began.Move == flowv1.CadenceMove_CADENCE_MOVE_UNSPECIFIED && p.isSlower() {
		return false
	}
	return p.hold(flowv1.HoldCause_HOLD_CAUSE_NO_SUCH_STEP, fmt.Sprintf(
		"the flow runs %s, and no step does: add one that does, or set another cadence with triangle flow set %s --break-glass", p.s.Cadence, p.spec.Flow.Name))
}

// isSlower tells whether the flow brings data later than the first step will.
func (p *planner) isSlower() bool {
	runs, err := longestGap(Step{Cadence: p.s.Cadence}, p.now)
	if err != nil {
		return false // paused: somebody has stopped it
	}
	first, err := longestGap(p.spec.Steps[0], p.now)
	return err == nil && first < runs
}

// stays is a flow that has gone back, or was aborted.
func (p *planner) stays() bool {
	switch {
	case !p.s.Aborted.IsZero():
		return p.stall("Aborted", "the migration was aborted; try again with: "+p.retry())
	case !p.s.RolledBack.IsZero():
		return p.stall("RolledBack", p.wentBack()+"; when that is mended: "+p.retry())
	}
	return false
}

// wentBack is why the flow went back last.
func (p *planner) wentBack() string {
	for _, r := range slices.Backward(p.s.History) {
		if r.Move == flowv1.CadenceMove_CADENCE_MOVE_ROLLBACK {
			return r.Reason
		}
	}
	return "the flow went back"
}

func (p *planner) back(to int, reason string) bool {
	return p.cadence(to, flowv1.CadenceMove_CADENCE_MOVE_ROLLBACK, reason)
}

func (p *planner) cadence(to int, move flowv1.CadenceMove, reason string) bool {
	step := p.spec.Steps[to]
	return p.do(RequestCadence, &flowv1.CadenceRequested{
		Flow: p.spec.Flow.Name, Epoch: p.s.Asked.Epoch + 1, Cadence: step.Cadence, By: Operator, Reason: reason,
		Step: step.Name, Plan: p.spec.Hash, Move: move,
	})
}
