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
	value  string   // in words
	row    int      // how many in a row pass, as the gate counts them
	figure *float64 // see GateFigures.Value
	why    string   // why nothing is known, without figures, where value has some
}

// noData is the reading of a gate that knows nothing.
func noData(why string) reading { return reading{result: unknown, value: why} }

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
		return noData(noProof)
	}
	last := s.Runs[len(s.Runs)-1]
	switch {
	case last.Outcome == flowv1.ParityOutcome_PARITY_OUTCOME_NOT_COMPARED:
		return noData("the consumer could not compare")
	case !g.tolerates(last):
		value := fmt.Sprintf("%d missing, %d duplicated, %d reordered, %d unexplained", last.Missing, last.Duplicated, last.Reordered, last.Unexplained)
		return reading{result: fail, value: value, figure: new(wrong(last))}
	case !last.Produced:
		return noData(noProof)
	}
	return reading{
		result: pass, value: fmt.Sprintf("%d missing, %d duplicated, %d reordered", last.Missing, last.Duplicated, last.Reordered),
		row:    s.InARow(func(r migration.Run) bool { return r.Produced && g.tolerates(r) }),
		figure: new(wrong(last)),
	}
}

// noProof is so before the first proof, and as long as proofs are of no event.
const noProof = "no event was proven yet"

// wrong is how many events of a proof are not as they should be.
func wrong(r migration.Run) float64 {
	return float64(r.Missing + r.Duplicated + r.Reordered + r.Unexplained)
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
		return noData("the consumer has not told yet")
	case o.watched(heard) > silence:
		return noData("the consumer is silent")
	}
	seen := reading{result: pass, value: strconv.FormatUint(p.GetLag(), 10), row: 1, figure: new(float64(p.GetLag()))}
	if p.GetLag() > g.MaxEvents {
		seen.result = fail
	}
	return seen
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
		return noData(noHour)
	}
	over := max(g.For, time.Duration(g.Consecutive)*time.Hour)
	var total, stale time.Duration
	certain, row, inRow := true, 0, true
	for i := len(measured) - 1; i >= 0 && total < over; i-- {
		m := measured[i]
		if m.GetObjective().GetStaleness().AsDuration() > g.Max {
			return noData("the flow is measured against " + flows.ObjectiveOf(m).Staleness.String())
		}
		certain = certain && m.GetObjective().GetStaleness().AsDuration() == g.Max
		whole, bad := m.GetTotal().AsDuration(), m.GetTotal().AsDuration()-m.GetGood().AsDuration()
		total, stale = total+whole, stale+bad
		if inRow = inRow && float64(bad) <= float64(whole)*(1-g.Share)+float64(time.Second); inRow {
			row++
		}
	}
	seen := reading{
		result: pass, row: row, figure: new(stale.Seconds()),
		value: fmt.Sprintf("stale for %s of %s", stale.Round(time.Second), total.Round(time.Second)),
	}
	switch {
	case float64(stale) <= float64(over)*(1-g.Share):
		return seen
	case certain:
		seen.result, seen.row = fail, 0
	default: // by the flow's own objective, which is stricter than the gate
		seen.result, seen.row, seen.why = unknown, 0, "staler than wanted, by the flow's own objective, which is stricter"
	}
	return seen
}

const noHour = "no hour was measured yet"

// readBudget fails only for what this attempt has spent itself: what was spent
// before comes back as the window moves on.
func (g Gate) readBudget(s *migration.State, now time.Time) reading {
	own := hours(s)
	left, ok := flows.BudgetLeft(s.Hours, now)
	if !ok || len(own) == 0 {
		return noData(noHour)
	}
	seen := reading{result: pass, value: fmt.Sprintf("%.0f %% left", 100*left), figure: &left}
	if 100*left >= float64(g.MinLeft) {
		seen.row = g.budgetRow(s.Hours, len(own))
		return seen
	}
	if ownLeft, _ := flows.BudgetLeft(own, now); 100*ownLeft < float64(g.MinLeft) {
		seen.result = fail
		return seen
	}
	seen.result, seen.why = unknown, "too little is left, spent before this step"
	seen.value += ", spent before this step"
	return seen
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
