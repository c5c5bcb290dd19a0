package plan

import (
	"time"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
)

// Figures are what changes all the time while a flow runs: metrics, and no part of
// the status, which tells of transitions.
type Figures struct {
	// Epoch, Step and Target are where the flow is, and where it goes.
	Epoch        uint64
	Step, Target string
	// Progress is the consumer's last word of how far it is, and Told when it said so,
	// by the store's time; nil, and the zero time, when it has said nothing.
	Progress *flowv1.FlowProgressed
	Told     time.Time
	// Gates are the present step's.
	Gates []GateFigures
	// Approval is what is known of the wait for somebody's word; nil when nobody's is
	// waited for.
	Approval *Wait
	// Reachable tells whether the event store answers.
	Reachable bool
}

// GateFigures are those of one gate.
type GateFigures struct {
	Name   string
	Kind   Kind
	Result flowv1.GateVerdict
	// Value is, of parity, how many events the last proof found wrong; of lag, how many
	// wait; of freshness, for how many seconds of the time that counts the flow was too
	// stale; of the error budget, the share that is left, from 0 to 1. It is nil when
	// nothing is known.
	Value *float64
	// Row is how many in a row pass, as the gate counts them.
	Row int
	Wait
}

// Wait is for how much watched time something has been waited for, and how much is
// left; nothing when it does not end by time.
type Wait struct{ Waited, Left time.Duration }

// figures are those of the flow as it is now.
func (p *planner) figures() Figures {
	f := Figures{Reachable: p.o.Unreachable == "", Target: p.targetStep()}
	if p.s == nil {
		return f
	}
	f.Epoch, f.Step, f.Progress, f.Told = p.s.Epoch, p.stepName(), p.s.Progress, p.s.ToldAt
	for i, g := range p.gates() {
		seen := p.readings[i]
		f.Gates = append(f.Gates, GateFigures{Name: g.Name, Kind: g.Kind, Result: seen.result, Value: seen.figure, Row: seen.row, Wait: p.waitOf(g, seen)})
	}
	if a := p.s.Approval; a != nil && a.CountedAt.IsZero() && p.target < len(p.spec.Steps) && p.next().Approval != nil {
		f.Approval = &Wait{Waited: p.o.watched(a.AwaitedAt)}
		if timeout := p.next().Approval.Timeout; timeout > 0 {
			f.Approval.Left = max(0, timeout-f.Approval.Waited)
		}
	}
	return f
}

// waitOf is for how long a gate has passed, of how long it has to.
func (p *planner) waitOf(g Gate, seen reading) Wait {
	told := p.s.Gate(g.Name)
	if told.Result != pass || seen.result != pass {
		return Wait{Left: g.For}
	}
	waited := max(0, p.o.watched(told.At))
	return Wait{Waited: waited, Left: max(0, g.For-waited)}
}
