package control

import (
	"context"
	"time"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

// Staleness returns how old the oldest event is that waits for the flow's
// consumer; 0 when none does. It is the consumer's last word: a consumer that is
// gone says no more. ok is false when it has not told. Clocks differ: an age is
// never negative.
func (s State) Staleness(now time.Time) (staleness time.Duration, ok bool) {
	if s.Progress == nil || s.Progress.Lag == nil {
		return 0, false
	}
	if oldest := s.Progress.GetOldestWaiting(); oldest != nil {
		staleness = max(0, now.Sub(oldest.AsTime()))
	}
	return staleness, true
}

// Objective returns how fresh the flow ought to be at the cadence that it runs
// at; ok is false while it is paused.
func (s State) Objective() (o flows.Objective, ok bool) {
	cadence, err := flows.ParseCadence(s.Cadence)
	if err != nil {
		return o, false
	}
	return s.Flow.ObjectiveAt(cadence)
}

// Measured returns how fresh a flow was, oldest first: what its error budget is
// reckoned from (flows.BudgetLeft). The hour that has not ended is not in it. It
// fails with ErrUnknownFlow.
func (f *Flows) Measured(ctx context.Context, name string) (all []*flowv1.FreshnessMeasured, err error) {
	if _, err := f.find(name); err != nil {
		return nil, err
	}
	err = f.read(ctx, flows.FreshnessStream(name), eventlog.Forward, 0, 0, func(e codec.Event) {
		if m, ok := e.Message.(*flowv1.FreshnessMeasured); ok {
			all = append(all, m)
		}
	})
	return all, err
}
