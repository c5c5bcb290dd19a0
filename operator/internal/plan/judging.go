package plan

import (
	"fmt"
	"time"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
)

const (
	// proofPause is between two proofs in real time, where no window tells when there
	// is something new; rowPause is when there are as many in a row as wanted, and only
	// time is to pass; settledPause when the gate lets the flow go on.
	proofPause   = 5 * time.Minute
	rowPause     = time.Hour
	settledPause = 24 * time.Hour
)

// unjudged holds the consumer's answer to an audit against the log.
func (p *planner) unjudged() bool {
	if p.s.Audit == nil || !p.s.Audit.Answered {
		return false
	}
	p.action = Action{Kind: JudgeParity, Step: p.stepName()}
	return true
}

// transition tells of a gate that has come to another result; of those that fail
// first.
func (p *planner) transition() bool {
	for _, failing := range []bool{true, false} {
		for i, g := range p.gates() {
			seen := p.readings[i]
			if (seen.result == fail) != failing || p.s.Gate(g.Name).Result == seen.result {
				continue
			}
			return p.do(JudgeGate, &flowv1.GateJudged{
				Flow: p.spec.Flow.Name, Plan: p.spec.Hash, Step: p.stepName(), Epoch: p.s.Epoch, Gate: g.Name,
				Result: seen.result, Value: seen.value, Threshold: g.threshold(),
			})
		}
	}
	return false
}

// failed goes one step back when a gate fails, and never further than where a plan
// has brought the flow by itself.
func (p *planner) failed() bool {
	for i, g := range p.gates() {
		if g.DryRun || p.readings[i].result != fail {
			continue
		}
		why := fmt.Sprintf("gate %s failed: %s, wanted %s", g.Name, p.readings[i].value, g.threshold())
		if p.spec.Hold || p.present == 0 || p.s.Began.Move != flowv1.CadenceMove_CADENCE_MOVE_FORWARD {
			return p.hold(flowv1.HoldCause_HOLD_CAUSE_GATE_FAILED, why)
		}
		return p.back(p.present-1, why)
	}
	return false
}

// unproven asks for an audit of the present epoch when a gate wants a proof, and
// there is something that the last one did not see.
func (p *planner) unproven() bool {
	pause := p.proofPause()
	if pause < 0 || p.s.Audit != nil || !p.hasNews() {
		return false
	}
	if pause > 0 && p.s.Proof != nil && p.s.Proof.GetEpoch() == p.s.Epoch && len(p.s.Runs) > 0 {
		if left := pause - p.now.Sub(p.s.Proof.At); left > 0 {
			p.lookIn(left)
			return false
		}
	}
	return p.do(RequestAudit, &flowv1.AuditRequested{Flow: p.spec.Flow.Name, Epoch: p.s.Epoch, By: Operator})
}

// proofPause is how long after a proof the next one is made; negative when no gate
// wants any.
func (p *planner) proofPause() time.Duration {
	pause := time.Duration(-1)
	for i, g := range p.gates() {
		if g.Kind != Parity {
			continue
		}
		wants := proofPause
		if p.s.Cadence != flows.RealTime {
			wants = 0 // each window is news
		}
		if _, ok := g.satisfied(p.o, p.readings[i]); ok {
			wants = settledPause
		} else if p.readings[i].row >= g.Consecutive {
			wants = rowPause
		}
		if pause < 0 || wants < pause {
			pause = wants
		}
	}
	return pause
}

// hasNews tells whether the flow has come further than the last proof, or than the
// start of the epoch.
func (p *planner) hasNews() bool {
	at := p.s.Progress
	if at == nil || at.GetEpoch() != p.s.Epoch {
		return false
	}
	seen := p.s.Start
	if len(p.s.Runs) > 0 && p.s.Proof != nil {
		seen = p.s.Proof.GetTo()
		if p.s.Proof.GetOutcome() == flowv1.ParityOutcome_PARITY_OUTCOME_NOT_COMPARED {
			return p.now.Sub(p.s.Proof.At) >= proofPause || p.later(proofPause-p.now.Sub(p.s.Proof.At))
		}
	}
	to := at.GetPosition()
	return to.GetCommit() > seen.GetCommit() || to.GetCommit() == seen.GetCommit() && to.GetPrepare() > seen.GetPrepare()
}

// later asks to look again, and is false.
func (p *planner) later(d time.Duration) bool {
	p.lookIn(d)
	return false
}

// complete is the last step.
func (p *planner) complete() bool {
	if p.s.Held != nil {
		return true // for want of a word, or as the shadow differs: it has been told
	}
	if p.target < len(p.spec.Steps) {
		return false
	}
	p.gatesOpen()
	return true
}

// gatesOpen is whether a gate keeps the flow where it is.
func (p *planner) gatesOpen() bool {
	for i, g := range p.gates() {
		if g.DryRun {
			continue
		}
		left, ok := g.satisfied(p.o, p.readings[i])
		if ok {
			continue
		}
		if left > 0 {
			p.lookIn(left)
		}
		if p.waits == "" {
			p.wait("WaitingForGate", fmt.Sprintf("gate %s has to be: %s", g.Name, g.threshold()))
		}
	}
	return p.waits != ""
}
