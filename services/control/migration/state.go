// Package migration folds what a flow's streams say of its migration. It is pure:
// it reads nothing, and the same events always make the same State, in one go or
// bit by bit.
//
//	flow-<name>         who manages the flow, epochs, gates, proofs, approvals ─┐
//	shadow-<name>:<id>  how the flow's shadow compares                          ├─▶ State
//	progress-<name>     how far the flow is                                     │
//	freshness-<name>    how fresh it was, hour by hour                         ─┘
//
// A State holds no more than a few kilobytes, however long the streams are, apart
// from the hours of the objective's window, which are read only where a gate wants
// them.
package migration

import (
	"time"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
)

// Bounds of what a State remembers. What is dropped never makes a gate pass
// earlier.
const (
	// HistoryKept is how many requests for a cadence are remembered.
	HistoryKept = 10
	runsKept    = 32
	pausesKept  = 64
	countedKept = 64
)

// Event is an event of one of the streams.
type Event struct {
	// ID and Type are the event's.
	ID, Type string
	// Revision is its place in its stream.
	Revision uint64
	// At is when it was written, by the store's time.
	At time.Time
	// Message is the event itself; nil when it can't be read: Fault says why then.
	Message any
	Fault   string
}

// Request is a request for a cadence.
type Request struct {
	Epoch         uint64
	Cadence, Step string
	Plan          string
	Move          flowv1.CadenceMove
	By, Reason    string
	At            time.Time
}

// Planned is the plan that a flow is managed by, and when that was said last.
type Planned struct {
	*flowv1.MigrationPlanned

	At time.Time
}

// Held is why a migration goes no further.
type Held struct {
	Cause        flowv1.HoldCause
	Step, Detail string
	At           time.Time
}

// Gate is what came of a gate, and since when.
type Gate struct {
	Name             string
	Result           flowv1.GateVerdict
	Value, Threshold string
	At               time.Time
}

// Proof is what came of an audit, and when that was said.
type Proof struct {
	*flowv1.ParityJudged

	At time.Time
}

// Run is proofs in a row that found the same.
type Run struct {
	Outcome                                     flowv1.ParityOutcome
	Produced                                    bool // whether there were any events
	Missing, Duplicated, Reordered, Unexplained uint64
	Count                                       int
}

// Audit is an audit that the operator has asked for.
type Audit struct {
	ID string
	At time.Time
	// Answered tells that the consumer has answered, and nobody has held the answer
	// against the log yet.
	Answered bool
}

// Shadow is the last shadow of the present epoch.
type Shadow struct {
	ID, Cadence, By string
	StartedAt       time.Time // the zero time: it has no copy of the tables yet
	Ended           bool
	// Waiting is the marker of a comparison that is not answered; empty when none is.
	Waiting string
	// Equal is how many comparisons in a row, the last ones, were equal.
	Equal int
	// Outcome, Detail and ComparedAt are of the last comparison.
	Outcome    flowv1.ShadowOutcome
	Detail     string
	ComparedAt time.Time
	// Next is the revision of the shadow's stream that is read next.
	Next uint64
}

// Approval is a step that waits for somebody's word, or has it.
type Approval struct {
	Step      string
	AwaitedAt time.Time
	CountedAt time.Time // the zero time: nobody has approved
	Name, UID string
	By        string
}

// Span is a stretch of time.
type Span struct{ From, Until time.Time }

// State is what the streams say.
type State struct {
	// Flow is the flow's name.
	Flow string
	// Next, NextProgress and NextHour are the revisions that are read next.
	Next, NextProgress, NextHour uint64
	// Unknown is the first event that this program does not understand; empty when it
	// understands all of them.
	Unknown string

	// Epoch and Cadence are what the flow runs at, since Since: the zero time in its
	// first epoch. Began is the request that it began with, and Start where.
	Epoch   uint64
	Cadence string
	Since   time.Time
	Began   Request
	Start   *flowv1.Position
	// Asked is what was asked for last; Epoch is behind its epoch until the consumer
	// has adopted it.
	Asked   Request
	pending []Request
	// History is the last requests, the oldest first.
	History []Request

	// Plan is nil when nobody manages the flow.
	Plan *Planned
	// Attempt is since when what is seen counts: since the epoch, the plan, or the
	// retry began, whichever is the latest.
	Attempt time.Time
	// Foreign is a request that no plan has made, since the plan or the last retry;
	// nil when there is none.
	Foreign *Request
	// Held is why it goes no further; nil when it goes on.
	Held *Held
	// Aborted and RolledBack tell that it has gone back and stays, and since when;
	// the zero time when not.
	Aborted, RolledBack time.Time
	// Paused is since when it is paused: the zero time when it is not. Pauses are the
	// pauses of this attempt that are over.
	Paused time.Time
	Pauses []Span
	// HandledAbort and HandledRetry are the last requests that were followed.
	HandledAbort, HandledRetry string

	// Gates are those of this attempt that have been judged.
	Gates []Gate
	// Proof is the last proof that there is, ProvenAt since when its outcome is as it
	// is, and Runs those of this attempt, the latest last.
	Proof    *Proof
	ProvenAt time.Time
	Runs     []Run
	// Told is Proof as it stood at the last transition: the proofs between two, which
	// found the same, are not told of one by one.
	Told *Proof
	// Audit is the one that is not judged; nil when there is none.
	Audit *Audit
	// Shadow is nil when there was none in this attempt.
	Shadow *Shadow
	// Approval is nil when none was awaited in this attempt.
	Approval *Approval
	// Counted are the uids of the last approvals that have counted, under whatever plan:
	// each counts once, and not again when somebody comes back to its plan.
	Counted []string

	// Progress is the consumer's last word of how far it is; nil when there is none.
	Progress *flowv1.FlowProgressed
	ToldAt   time.Time
	// Hours are how fresh the flow was, oldest first, over the objective's window.
	Hours []*flowv1.FreshnessMeasured
}

// New returns the State of a flow of which no stream says anything.
func New(flow flows.Flow) *State {
	s := &State{Flow: flow.Name, Epoch: 1, Cadence: flow.Cadence}
	s.Asked = Request{Epoch: 1, Cadence: flow.Cadence}
	s.Began = s.Asked
	return s
}

// Settled tells whether the consumer runs at what was asked for last.
func (s *State) Settled() bool { return s.Epoch >= s.Asked.Epoch }

// Gate returns what came of a gate in this attempt; unknown at first.
func (s *State) Gate(name string) Gate {
	for _, g := range s.Gates {
		if g.Name == name {
			return g
		}
	}
	return Gate{Name: name, Result: flowv1.GateVerdict_GATE_VERDICT_UNKNOWN, At: s.Attempt}
}

// InARow counts the last proofs that hold.
func (s *State) InARow(holds func(Run) bool) (n int) {
	for i := len(s.Runs) - 1; i >= 0 && holds(s.Runs[i]); i-- {
		n += s.Runs[i].Count
	}
	return n
}
