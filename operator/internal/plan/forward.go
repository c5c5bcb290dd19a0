package plan

import (
	"fmt"
	"slices"
	"time"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/services/control/migration"
)

// comparePause is between two comparisons of which the first came to nothing.
const comparePause = time.Minute

func (p *planner) next() Step { return p.spec.Steps[p.target] }

// shadow has the next step's cadence tried beside the present one. It is stopped
// when it has shown enough, and when it differs.
func (p *planner) shadow() bool {
	s, step := p.s.Shadow, p.next()
	if step.Shadow == 0 {
		return false
	}
	if s != nil && s.Cadence != step.Cadence {
		if !s.Ended {
			return p.wait("WaitingForShadow", fmt.Sprintf("%s runs a shadow at %s; end it with: triangle flow shadow stop %s", s.By, s.Cadence, p.spec.Flow.Name))
		}
		s = nil
	}
	if s == nil || s.Ended && s.Equal < step.Shadow && s.Outcome != flowv1.ShadowOutcome_SHADOW_OUTCOME_DIFFERENT {
		return p.do(RequestShadow, &flowv1.ShadowRequested{
			Flow: p.spec.Flow.Name, Cadence: step.Cadence, By: Operator, Reason: "step " + step.Name + " is tried",
		})
	}
	different := s.Outcome == flowv1.ShadowOutcome_SHADOW_OUTCOME_DIFFERENT
	enough := s.Equal >= step.Shadow
	switch {
	case (different || enough) && !s.Ended:
		return p.do(StopShadow, &flowv1.ShadowEnded{Flow: p.spec.Flow.Name, ShadowId: s.ID, By: Operator, Reason: "it was compared"})
	case different:
		return p.hold(flowv1.HoldCause_HOLD_CAUSE_SHADOW_DIFFERS, "the flow and its shadow at "+s.Cadence+" differ: "+s.Detail+
			" (triangle flow history "+p.spec.Flow.Name+" names the first)")
	case enough:
		return false
	}
	return p.compare(s, step)
}

// compare waits in the same words from one comparison to the next: they are told in
// the status, which is to turn when what is waited for does.
func (p *planner) compare(s *migration.Shadow, step Step) bool {
	waits := fmt.Sprintf("the flow and its shadow at %s have to be equal %d times in a row", s.Cadence, step.Shadow)
	missed := s.Outcome == flowv1.ShadowOutcome_SHADOW_OUTCOME_NOT_COMPARED
	if missed {
		waits += "; nothing was compared: " + s.Detail
	}
	switch {
	case s.StartedAt.IsZero() || s.Waiting != "":
		return p.wait("WaitingForShadow", waits)
	case missed && p.now.Sub(s.ComparedAt) < comparePause:
		p.lookAt(s.ComparedAt.Add(comparePause))
		return p.wait("WaitingForShadow", waits)
	}
	return p.do(Compare, nil)
}

// approval waits for somebody's word.
func (p *planner) approval() bool {
	step, a := p.next(), p.s.Approval
	if step.Approval == nil {
		return false
	}
	if a == nil || a.Step != step.Name {
		return p.do(AwaitApproval, &flowv1.ApprovalAwaited{Flow: p.spec.Flow.Name, Plan: p.spec.Hash, Step: step.Name})
	}
	if !a.CountedAt.IsZero() {
		return false
	}
	if given, ok := p.given(step.Name); ok {
		return p.do(CountApproval, &flowv1.ApprovalCounted{
			Flow: p.spec.Flow.Name, Plan: p.spec.Hash, Step: step.Name, Approval: given.Name, ApprovalUid: given.UID, By: given.By,
		})
	}
	if timeout := step.Approval.Timeout; timeout > 0 {
		left := timeout - p.o.watched(a.AwaitedAt)
		if left <= 0 {
			return p.hold(flowv1.HoldCause_HOLD_CAUSE_APPROVAL_TIMED_OUT, fmt.Sprintf("nobody approved step %s within %s", step.Name, short(timeout)))
		}
		p.lookIn(left)
	}
	return p.wait("AwaitingApproval", p.approve(step.Name))
}

// approve is the command that approves a step.
func (p *planner) approve(step string) string {
	return fmt.Sprintf("triangle migrate approve %s --step %s", p.spec.Object.Name, step)
}

// given is the first approval of a step of this plan that has not counted before.
func (p *planner) given(step string) (ApprovalSeen, bool) {
	for _, a := range p.o.Approvals {
		if a.Step == step && a.PlanHash == p.spec.Hash && !slices.Contains(p.s.Counted, a.UID) {
			return a, true
		}
	}
	return ApprovalSeen{}, false
}

// window waits for a maintenance window.
func (p *planner) window() bool {
	opens, may := p.spec.mayBegin(p.now)
	if may {
		return false
	}
	if !opens.IsZero() {
		p.lookAt(opens)
	}
	return p.wait("WaitingForWindow", "step "+p.next().Name+" may begin in a maintenance window only (spec.migration.windows)")
}

// forward begins the next step.
func (p *planner) forward() {
	reason := "step " + p.next().Name
	if p.present >= 0 {
		reason += fmt.Sprintf(", as the gates of %s have passed", p.stepName())
	}
	p.cadence(p.target, flowv1.CadenceMove_CADENCE_MOVE_FORWARD, reason)
}
