package flows

import (
	"math"
	"time"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
)

// Objective is how fresh a flow ought to be. What it leaves is the error budget:
// for 1-Share of Window the flow may be staler.
type Objective struct {
	// Staleness is how old the oldest event that waits may be.
	Staleness time.Duration
	// Share is for which share of the time that is to hold, below 1.
	Share float64
}

// Window is the time over which a flow is held to its objective: four weeks, so
// that every weekday counts alike.
const Window = 28 * 24 * time.Hour

const (
	// realTimeStaleness is what another replica needs at most to take over from one
	// that was killed or froze: a rollout costs no budget.
	realTimeStaleness = 10 * time.Second
	// realTimeShare leaves 40 minutes in four weeks: one outage that is seen to at
	// once.
	realTimeShare = 0.999
	// periodicShare leaves close to 7 hours: one late window that somebody sees to
	// within the working day. One that is left out altogether costs more than all.
	periodicShare = 0.99
	// A window needs time to be taken in: a twelfth of the gap (2 hours for a daily
	// flow), and no less than leastAllowance.
	allowance      = 12
	leastAllowance = 5 * time.Minute
)

// anyLeapYear begins a year in which every cron expression comes due.
var anyLeapYear = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

// ObjectiveAt returns the flow's objective at a cadence: the catalogue's, or else
// the cadence's own. A flow that is paused is stale on purpose: ok is false. It
// looks through a year of windows, so keep what it returns.
func (f Flow) ObjectiveAt(c Cadence) (o Objective, ok bool) {
	if o, ok := f.Objectives[c.String()]; ok {
		return o, true
	}
	gap, ok := c.LongestGap(anyLeapYear)
	switch {
	case !ok:
		return Objective{}, false
	case c.IsRealTime():
		return Objective{Staleness: realTimeStaleness, Share: realTimeShare}, true
	default:
		return Objective{Staleness: gap + max(gap/allowance, leastAllowance), Share: periodicShare}, true
	}
}

// Budget is the time for which a flow may be staler than its objective, in a
// Window.
func (o Objective) Budget() time.Duration {
	return time.Duration(math.Round(float64(Window) * (1 - o.Share)))
}

// BudgetLeft returns what share of its error budget a flow has left at now: 1 when
// it was fresh all the time, 0 when the budget is spent, less when more than that.
// What it was stale for is spent of the budget of the objective that it was held
// to at the time, which is that of a whole Window: what was not measured spends
// nothing. ok is false when nothing was measured in the Window.
func BudgetLeft(all []*flowv1.FreshnessMeasured, now time.Time) (left float64, ok bool) {
	left = 1
	for _, m := range all {
		total := m.GetTotal().AsDuration()
		if total <= 0 || m.GetSince().AsTime().Add(total).Before(now.Add(-Window)) {
			continue
		}
		ok = true
		stale := total - m.GetGood().AsDuration()
		left -= stale.Seconds() / ObjectiveOf(m).Budget().Seconds()
	}
	return left, ok
}

// ObjectiveOf returns the objective that a flow was held to when it was measured.
func ObjectiveOf(m *flowv1.FreshnessMeasured) Objective {
	return Objective{Staleness: m.GetObjective().GetStaleness().AsDuration(), Share: m.GetObjective().GetShare()}
}
