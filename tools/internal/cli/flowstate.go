package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/triangle-suite/triangle/contracts/flows"

	"github.com/triangle-suite/triangle/services/control"
)

// flowState is a flow as --json shows it.
type flowState struct {
	steeredState
	Lag       *uint64    `json:"lag"` // null: the consumer has not told
	Oldest    *time.Time `json:"oldest_waiting"`
	Staleness *float64   `json:"staleness_seconds"`
	Objective *objective `json:"objective"`   // null: the flow is paused
	Budget    *float64   `json:"budget_left"` // null: nothing has been measured
}

// steeredState is a flow as it is shown when it is steered.
type steeredState struct {
	Flow           string     `json:"flow"`
	From           string     `json:"from"`
	To             string     `json:"to"`
	Cadence        string     `json:"cadence"`
	Default        string     `json:"default"`
	Epoch          uint64     `json:"epoch"`
	Requested      string     `json:"requested"`
	RequestedEpoch uint64     `json:"requested_epoch"`
	Adopted        bool       `json:"adopted"`
	Taken          *uint64    `json:"taken"` // null: the consumer has not told
	Parked         *uint64    `json:"parked"`
	AsOf           *time.Time `json:"as_of"`
	ToldAt         *time.Time `json:"told_at"`
	TypesVersion   uint64     `json:"types_version"` // 0: the consumer has not told
	TypesAfter     string     `json:"types_after"`
	TypesCarried   []string   `json:"types_carried"`
}

// objective is how fresh a flow ought to be.
type objective struct {
	Staleness float64 `json:"staleness_seconds"`
	Share     float64 `json:"share"`
}

func toSteeredState(s control.State) steeredState {
	f := steeredState{
		Flow: s.Flow.Name, From: string(s.Flow.From), To: string(s.Flow.To),
		Cadence: s.Cadence, Default: s.Flow.Cadence, Epoch: s.Epoch,
		Requested: s.Requested, RequestedEpoch: s.RequestedEpoch, Adopted: s.Settled(),
	}
	if t := s.Types; t != nil {
		f.TypesVersion, f.TypesCarried = t.GetVersion(), t.GetTypes()
		f.TypesAfter = fmt.Sprintf("C:%d/P:%d", t.GetPosition().GetCommit(), t.GetPosition().GetPrepare())
	}
	if p := s.Progress; p != nil {
		taken, parked, asOf := p.GetTaken(), p.GetParked(), p.GetAsOf().AsTime()
		f.Taken, f.Parked, f.ToldAt = &taken, &parked, &s.ToldAt
		if p.GetAsOf() != nil {
			f.AsOf = &asOf
		}
	}
	return f
}

// toFlowState adds how fresh the flow is, and ought to be, and what is left of its
// error budget.
func toFlowState(ctx context.Context, steered *control.Flows, s control.State) (flowState, error) {
	now := time.Now()
	f := flowState{steeredState: toSteeredState(s)}
	if staleness, ok := s.Staleness(now); ok {
		seconds := staleness.Seconds()
		f.Lag, f.Staleness = s.Progress.Lag, &seconds
	}
	if oldest := s.Progress.GetOldestWaiting(); oldest != nil {
		at := oldest.AsTime()
		f.Oldest = &at
	}
	if o, ok := s.Objective(); ok {
		f.Objective = &objective{o.Staleness.Seconds(), o.Share}
	}
	measured, err := steered.Measured(ctx, s.Flow.Name)
	if err != nil {
		return f, err
	}
	if left, ok := flows.BudgetLeft(measured, now); ok {
		f.Budget = &left
	}
	return f, nil
}
