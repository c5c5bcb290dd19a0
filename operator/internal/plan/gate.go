package plan

import (
	"fmt"
	"strconv"
	"time"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/control/migration"
)

const (
	pass    = flowv1.GateVerdict_GATE_VERDICT_PASS
	fail    = flowv1.GateVerdict_GATE_VERDICT_FAIL
	unknown = flowv1.GateVerdict_GATE_VERDICT_UNKNOWN
)

// silence is after how long, of the time that was watched, without a word from the
// consumer nothing is known of what waits: it tells how fresh the flow was every
// hour.
const silence = 2 * time.Hour

// reading is what a gate sees now.
type reading struct {
	result flowv1.GateVerdict
	value  string
	row    int // how many in a row pass, as the gate counts them
}

// read looks at what a gate is about, as far as it counts: since the attempt began.
func (g Gate) read(o Observation, now time.Time) reading {
	switch g.Kind {
	case Parity:
		return g.readParity(o.Migration)
	case Lag:
		return g.readLag(o)
	case Freshness:
		return g.readFreshness(o.Migration)
	default:
		return g.readBudget(o.Migration, now)
	}
}

// readParity looks at the last proof. One that something contradicts, or whose
// digests differ although no event is missing, twice or out of order, fails
// whatever is tolerated.
func (g Gate) readParity(s *migration.State) reading {
	if len(s.Runs) == 0 {
		return reading{unknown, "no proof yet", 0}
	}
	last := s.Runs[len(s.Runs)-1]
	switch {
	case last.Outcome == flowv1.ParityOutcome_PARITY_OUTCOME_NOT_COMPARED:
		return reading{unknown, "the consumer could not compare", 0}
	case !g.tolerates(last):
		return reading{fail, fmt.Sprintf("%d missing, %d duplicated, %d reordered, %d unexplained", last.Missing, last.Duplicated, last.Reordered, last.Unexplained), 0}
	case !last.Produced:
		return reading{unknown, "no event came yet", 0}
	}
	return reading{
		pass, fmt.Sprintf("%d missing, %d duplicated, %d reordered", last.Missing, last.Duplicated, last.Reordered),
		s.InARow(func(r migration.Run) bool { return r.Produced && g.tolerates(r) }),
	}
}

func (g Gate) tolerates(r migration.Run) bool {
	switch r.Outcome {
	case flowv1.ParityOutcome_PARITY_OUTCOME_VERIFIED:
		return true
	case flowv1.ParityOutcome_PARITY_OUTCOME_REFUTED:
		return r.Unexplained == 0 && r.Missing+r.Duplicated+r.Reordered > 0 &&
			r.Missing <= g.Missing && r.Duplicated <= g.Duplicated && r.Reordered <= g.Reordered
	default:
		return false
	}
}

func (g Gate) readLag(o Observation) reading {
	s, p := o.Migration, o.Migration.Progress
	heard := s.ToldAt
	if n := len(s.Hours); n > 0 {
		if end := s.Hours[n-1].GetSince().AsTime().Add(s.Hours[n-1].GetTotal().AsDuration()); end.After(heard) {
			heard = end
		}
	}
	switch {
	case p == nil || p.Lag == nil || p.GetEpoch() != s.Epoch:
		return reading{unknown, "the consumer has not told yet", 1}
	case o.watched(heard) > silence:
		return reading{unknown, "the consumer is silent", 1}
	case p.GetLag() > g.MaxEvents:
		return reading{fail, strconv.FormatUint(p.GetLag(), 10), 1}
	default:
		return reading{pass, strconv.FormatUint(p.GetLag(), 10), 1}
	}
}

// hours are the hours of this epoch that were measured since the attempt began, the
// oldest first.
func hours(s *migration.State) (all []*flowv1.FreshnessMeasured) {
	for _, h := range s.Hours {
		if h.GetEpoch() == s.Epoch && h.GetTotal().AsDuration() > 0 && !h.GetSince().AsTime().Before(s.Attempt) {
			all = append(all, h)
		}
	}
	return all
}

// readFreshness adds up, over the time that the gate wants, or an hour for each
// that it wants in a row, for how long the flow was staler than it may be.
func (g Gate) readFreshness(s *migration.State) reading {
	measured := hours(s)
	if len(measured) == 0 {
		return reading{unknown, "no hour was measured yet", 0}
	}
	over := max(g.For, time.Duration(g.Consecutive)*time.Hour)
	var total, stale time.Duration
	certain, row, inRow := true, 0, true
	for i := len(measured) - 1; i >= 0 && total < over; i-- {
		m := measured[i]
		if m.GetObjective().GetStaleness().AsDuration() > g.Max {
			return reading{unknown, "the flow is measured against " + flows.ObjectiveOf(m).Staleness.String(), 0}
		}
		certain = certain && m.GetObjective().GetStaleness().AsDuration() == g.Max
		whole, bad := m.GetTotal().AsDuration(), m.GetTotal().AsDuration()-m.GetGood().AsDuration()
		total, stale = total+whole, stale+bad
		if inRow = inRow && float64(bad) <= float64(whole)*(1-g.Share)+float64(time.Second); inRow {
			row++
		}
	}
	value := fmt.Sprintf("stale for %s of %s", stale.Round(time.Second), total.Round(time.Second))
	switch {
	case float64(stale) <= float64(over)*(1-g.Share):
		return reading{pass, value, row}
	case certain:
		return reading{fail, value, 0}
	default: // by the flow's own objective, which is stricter than the gate
		return reading{unknown, value, 0}
	}
}

// readBudget fails only for what this attempt has spent itself: what was spent
// before comes back as the window moves on.
func (g Gate) readBudget(s *migration.State, now time.Time) reading {
	own := hours(s)
	left, ok := flows.BudgetLeft(s.Hours, now)
	if !ok || len(own) == 0 {
		return reading{unknown, "no hour was measured yet", 0}
	}
	value := fmt.Sprintf("%.0f %% left", 100*left)
	if 100*left >= float64(g.MinLeft) {
		return reading{pass, value, g.budgetRow(s.Hours, len(own))}
	}
	if ownLeft, _ := flows.BudgetLeft(own, now); 100*ownLeft < float64(g.MinLeft) {
		return reading{fail, value, 0}
	}
	return reading{unknown, value + ", spent before this step", 0}
}

// budgetRow is at the end of how many hours in a row, and no more than wanted,
// there was budget enough.
func (g Gate) budgetRow(all []*flowv1.FreshnessMeasured, own int) (row int) {
	for row < min(g.Consecutive, own) {
		until := len(all) - row
		end := all[until-1].GetSince().AsTime().Add(all[until-1].GetTotal().AsDuration())
		if left, ok := flows.BudgetLeft(all[:until], end); !ok || 100*left < float64(g.MinLeft) {
			break
		}
		row++
	}
	return row
}

// threshold is what the gate wants.
func (g Gate) threshold() string {
	var text string
	switch g.Kind {
	case Parity:
		text = fmt.Sprintf("%d missing, %d duplicated, %d reordered", g.Missing, g.Duplicated, g.Reordered)
	case Lag:
		text = strconv.FormatUint(g.MaxEvents, 10)
	case Freshness:
		text = fmt.Sprintf("%s for %s %%", short(g.Max), strconv.FormatFloat(100*g.Share, 'f', -1, 32))
	default:
		text = fmt.Sprintf("%d %% left", g.MinLeft)
	}
	if g.Consecutive > 1 {
		text += fmt.Sprintf(", %d in a row", g.Consecutive)
	}
	if g.For > 0 {
		text += ", for " + short(g.For)
	}
	return text
}

// short writes whole hours as 26h.
func short(d time.Duration) string {
	if d > 0 && d%time.Hour == 0 {
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return d.String()
}

// satisfied tells whether a gate lets the flow go on, and else after how much more
// watched time it may: 0 when time alone will not do.
func (g Gate) satisfied(o Observation, seen reading) (left time.Duration, ok bool) {
	told := o.Migration.Gate(g.Name)
	if told.Result != pass || seen.result != pass || seen.row < g.Consecutive {
		return 0, false
	}
	left = g.For - o.watched(told.At)
	return max(0, left), left <= 0
}
