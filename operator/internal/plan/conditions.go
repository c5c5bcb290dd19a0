package plan

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/operator/api/v1alpha1"
)

// condition makes a condition. since is zero when no event tells of its turn.
func condition(kind string, status metav1.ConditionStatus, reason, text string, since time.Time) metav1.Condition {
	c := metav1.Condition{Type: kind, Status: status, Reason: reason, Message: message(text)}
	if !since.IsZero() {
		c.LastTransitionTime = metav1.NewTime(since)
	}
	return c
}

// isTrue is true, or false.
func isTrue(b bool) metav1.ConditionStatus {
	if b {
		return metav1.ConditionTrue
	}
	return metav1.ConditionFalse
}

// conditions are those of the flow; Reconciling and Stalled are there only while
// they are true.
func (p *planner) conditions() []metav1.Condition {
	all := []metav1.Condition{p.ready()}
	if !p.s.Settled() {
		all = append(all, condition(v1alpha1.ConditionReconciling, metav1.ConditionTrue, "CuttingOver",
			fmt.Sprintf("%s is to adopt %s, in epoch %d", p.spec.Flow.To, p.s.Asked.Cadence, p.s.Asked.Epoch), p.s.Asked.At))
	}
	if p.stalled {
		all = append(all, condition(v1alpha1.ConditionStalled, metav1.ConditionTrue, p.waits, p.detail, p.stalledSince()))
	}
	return append(all, p.awaiting(), p.completed(), p.gatesPassing(), p.parityVerified(), p.rolledBack(), p.isPaused(), p.reachable())
}

// stalledSince is when it came to a stop.
func (p *planner) stalledSince() time.Time {
	switch {
	case p.s.Held != nil:
		return p.s.Held.At
	case !p.s.Aborted.IsZero():
		return p.s.Aborted
	default:
		return p.s.RolledBack
	}
}

// ready is true whenever the flow runs right at its present step, whatever its
// migration waits for.
func (p *planner) ready() metav1.Condition {
	ready := func(status metav1.ConditionStatus, reason, text string, since time.Time) metav1.Condition {
		return condition(v1alpha1.ConditionReady, status, reason, text, since)
	}
	switch {
	case p.s == nil:
		return ready(metav1.ConditionUnknown, "EventStoreUnreachable", "the flow's streams were not read yet", time.Time{})
	case p.s.Unknown != "" || p.waits == "ManagedByAnother":
		return ready(metav1.ConditionFalse, p.waits, p.detail, time.Time{})
	case p.s.Plan == nil:
		return ready(metav1.ConditionFalse, "NotManagedYet", "the plan is to be declared", time.Time{})
	case !p.s.Settled():
		return ready(metav1.ConditionFalse, "CuttingOver", fmt.Sprintf("the flow goes on at %s", p.s.Asked.Cadence), p.s.Asked.At)
	case p.s.Foreign != nil:
		return ready(metav1.ConditionFalse, "ForeignCadence", fmt.Sprintf("%s set the cadence to %s", p.s.Foreign.By, p.s.Foreign.Cadence), p.s.Foreign.At)
	case p.present < 0 && p.s.Held != nil:
		return ready(metav1.ConditionFalse, "NoSuchStep", p.s.Held.Detail, p.s.Held.At)
	case p.present < 0:
		return ready(metav1.ConditionTrue, "BeforeFirstStep", p.going("the flow runs "+p.s.Cadence), p.s.Plan.At)
	default:
		return ready(metav1.ConditionTrue, "AtStep", p.going("the flow is at step "+p.stepName()), p.readySince())
	}
}

// going adds what the migration waits for.
func (p *planner) going(text string) string {
	if p.waits != "" && !p.stalled && p.waits != "CuttingOver" {
		return text + "; " + p.detail
	}
	return text
}

func (p *planner) readySince() time.Time {
	if p.s.Since.After(p.s.Plan.At) {
		return p.s.Since
	}
	return p.s.Plan.At
}

func (p *planner) awaiting() metav1.Condition {
	const kind = v1alpha1.ConditionAwaitingApproval
	a := p.s.Approval
	switch {
	case a == nil:
		return condition(kind, metav1.ConditionFalse, "NotAwaited", "no step waits for approval", p.s.Attempt)
	case !a.CountedAt.IsZero():
		return condition(kind, metav1.ConditionFalse, "Approved", fmt.Sprintf("%s approved step %s", a.By, a.Step), a.CountedAt)
	case p.s.Held != nil && p.s.Held.Cause == flowv1.HoldCause_HOLD_CAUSE_APPROVAL_TIMED_OUT:
		return condition(kind, metav1.ConditionFalse, "TimedOut", p.s.Held.Detail, p.s.Held.At)
	default:
		return condition(kind, metav1.ConditionTrue, "Awaited", p.approve(a.Step), a.AwaitedAt)
	}
}

func (p *planner) completed() metav1.Condition {
	const kind = v1alpha1.ConditionMigrationComplete
	if p.present < 0 || p.target < len(p.spec.Steps) {
		return condition(kind, metav1.ConditionFalse, "OnTheWay", "the last step is "+p.spec.Steps[len(p.spec.Steps)-1].Name, p.s.Attempt)
	}
	since := p.s.Attempt
	for i, g := range p.gates() {
		if g.DryRun {
			continue
		}
		if _, ok := g.satisfied(p.o, p.readings[i]); !ok || p.stalled {
			return condition(kind, metav1.ConditionFalse, "GatesNotPassed", "the gates of the last step have not passed yet", p.s.Attempt)
		}
		if told := p.s.Gate(g.Name).At; told.After(since) {
			since = told
		}
	}
	return condition(kind, isTrue(!p.stalled && p.s.Settled()), "LastStep", "the flow is at its last step, and its gates have passed", since)
}

func (p *planner) gatesPassing() metav1.Condition {
	const kind = v1alpha1.ConditionGatesPassing
	worst, since, enforced := pass, p.s.Attempt, false
	text := "all gates of the step pass"
	for i, g := range p.gates() {
		told := p.told(i)
		if g.DryRun {
			continue
		}
		enforced = true
		if told.At.After(since) {
			since = told.At
		}
		if told.Result == fail || told.Result == unknown && worst == pass {
			worst, text = told.Result, fmt.Sprintf("gate %s: %s, wanted %s", g.Name, told.Value, g.threshold())
		}
	}
	switch {
	case !enforced:
		return condition(kind, metav1.ConditionTrue, "NoGates", "the step has no gates", since)
	case worst == pass:
		return condition(kind, metav1.ConditionTrue, "Passing", text, since)
	case worst == fail:
		return condition(kind, metav1.ConditionFalse, "Failing", text, since)
	default:
		return condition(kind, metav1.ConditionUnknown, "NoData", text, since)
	}
}

func (p *planner) parityVerified() metav1.Condition {
	const kind = v1alpha1.ConditionParityVerified
	proof := p.s.Told
	switch {
	case proof == nil:
		return condition(kind, metav1.ConditionUnknown, "NoProof", "there is no proof yet", p.s.Attempt)
	case proof.GetOutcome() == flowv1.ParityOutcome_PARITY_OUTCOME_VERIFIED:
		return condition(kind, metav1.ConditionTrue, "Verified", "what was produced and what was taken in are the same", p.s.ProvenAt)
	case proof.GetOutcome() == flowv1.ParityOutcome_PARITY_OUTCOME_REFUTED:
		text := "it does not add up"
		if o := proof.GetObjections(); len(o) > 0 {
			text = o[0]
		}
		return condition(kind, metav1.ConditionFalse, "Refuted", text, p.s.ProvenAt)
	default:
		return condition(kind, metav1.ConditionUnknown, "NotCompared", proof.GetReason(), p.s.ProvenAt)
	}
}

func (p *planner) rolledBack() metav1.Condition {
	if p.s.RolledBack.IsZero() {
		return condition(v1alpha1.ConditionRolledBack, metav1.ConditionFalse, "NotRolledBack", "the flow has not gone back by itself", p.s.Attempt)
	}
	return condition(v1alpha1.ConditionRolledBack, metav1.ConditionTrue, "RolledBack", p.wentBack()+"; when that is mended: "+p.retry(), p.s.RolledBack)
}

func (p *planner) isPaused() metav1.Condition {
	if p.s.Paused.IsZero() {
		return condition(v1alpha1.ConditionPaused, metav1.ConditionFalse, "NotPaused", "the migration is not paused", p.s.Attempt)
	}
	return condition(v1alpha1.ConditionPaused, metav1.ConditionTrue, "Paused", "go on with: "+p.resume(), p.s.Paused)
}

func (p *planner) reachable() metav1.Condition {
	if p.o.Unreachable != "" {
		return condition(v1alpha1.ConditionEventStoreReachable, metav1.ConditionFalse, "Unreachable", p.o.Unreachable, time.Time{})
	}
	return condition(v1alpha1.ConditionEventStoreReachable, metav1.ConditionTrue, "Reachable", "the event store answers", time.Time{})
}
