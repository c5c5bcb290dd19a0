// Package sidebyside measures contenders against each other on a machine that
// others use too. Absolute figures say little there; the ratio of two figures
// of the same moment does.
//
//	round 1:  A │ B │ C     each a short slice, one at a time
//	round 2:  A │ C │ B     in another order
//	…
//	ratio A / B = the median, over the rounds, of A's slice / B's slice
//
// A goal that is missed is said, it is no error: whoever reads the table
// judges it.
package sidebyside

import (
	"context"
	"fmt"

	"github.com/triangle-suite/triangle/services/eventstore/bench/internal/machine"
)

// Contender is one of those that run side by side.
type Contender struct {
	Name   string
	Sync   string // what it has on the disk when it answers
	Absent string // why it can't run on this machine; it is left out then
	// Run runs one slice and returns what it measured, in the measure's unit.
	Run func(context.Context) (float64, error)
}

// Goal is what a ratio should be.
type Goal struct {
	AtLeast float64 `json:"at_least,omitempty"`
	AtMost  float64 `json:"at_most,omitempty"`
}

// Verdict tells whether a ratio is as the goal wants it.
type Verdict string

// The verdicts.
const (
	Met    Verdict = "met"
	Missed Verdict = "not met"
	NoGoal Verdict = "" // there is no goal, or nothing was measured
)

// Judge judges a ratio.
func (g Goal) Judge(ratio float64) Verdict {
	switch {
	case g == Goal{}, ratio != ratio: // NaN: a side is absent
		return NoGoal
	case g.AtLeast > 0 && ratio < g.AtLeast, g.AtMost > 0 && ratio > g.AtMost:
		return Missed
	default:
		return Met
	}
}

// String is the goal as a table shows it.
func (g Goal) String() string {
	switch {
	case g.AtLeast > 0:
		return fmt.Sprintf("≥ %.2f", g.AtLeast)
	case g.AtMost > 0:
		return fmt.Sprintf("≤ %.2f", g.AtMost)
	default:
		return ""
	}
}

// Pair names two contenders whose ratio is wanted; or one, whose goal is a figure
// in the measure's unit: To is empty then.
type Pair struct {
	Of, To string
	Goal   Goal
}

// Measure is what some contenders are compared by.
type Measure struct {
	Name       string
	Unit       string
	Contenders []Contender
	Pairs      []Pair
}

// Result is what came of a Measure.
type Result struct {
	Name       string    `json:"name"`
	Unit       string    `json:"unit"`
	Contenders []Outcome `json:"contenders"`
	Ratios     []Ratio   `json:"ratios"`
}

// Outcome is what one contender did.
type Outcome struct {
	Name      string    `json:"name"`
	Sync      string    `json:"sync"`
	Absent    string    `json:"absent,omitempty"`
	Rounds    []float64 `json:"rounds,omitempty"`
	Quartiles Quartiles `json:"quartiles,omitzero"`
	Idle      float64   `json:"idle"` // share of the machine's processors that had nothing to do
}

// Ratio is how two contenders compare.
type Ratio struct {
	Of        string    `json:"of"`
	To        string    `json:"to"`
	Goal      Goal      `json:"goal,omitzero"`
	Absent    string    `json:"absent,omitempty"`
	Quartiles Quartiles `json:"quartiles,omitzero"`
	Verdict   Verdict   `json:"verdict,omitempty"`
}

// Run runs the measure: each contender once to warm up, then all in each of
// rounds. One round alone is a look at what takes long, and is not warmed up for.
func (m Measure) Run(ctx context.Context, rounds int) (Result, error) {
	run := running{measure: m, outcomes: make([]Outcome, len(m.Contenders)), idle: make([]machine.Time, len(m.Contenders))}
	for i, c := range m.Contenders {
		run.outcomes[i] = Outcome{Name: c.Name, Sync: c.Sync, Absent: c.Absent}
		if rounds == 1 {
			continue
		}
		if _, err := run.slice(ctx, i); err != nil {
			return Result{}, err
		}
	}
	clear(run.idle)
	for round := range rounds {
		for _, i := range order(len(m.Contenders), round) {
			value, err := run.slice(ctx, i)
			if err != nil {
				return Result{}, err
			}
			run.outcomes[i].Rounds = append(run.outcomes[i].Rounds, value)
		}
	}
	return run.result(), nil
}

// running is a measure under way.
type running struct {
	measure  Measure
	outcomes []Outcome
	idle     []machine.Time
}

// slice runs one slice of contender i, unless it is absent.
func (r *running) slice(ctx context.Context, i int) (float64, error) {
	c := r.measure.Contenders[i]
	if c.Absent != "" {
		return 0, nil
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	before := machine.Now()
	value, err := c.Run(ctx)
	if err != nil {
		return 0, fmt.Errorf("%s: %s: %w", r.measure.Name, c.Name, err)
	}
	r.idle[i] = r.idle[i].Add(machine.Now().Since(before))
	return value, nil
}

func (r *running) result() Result {
	result := Result{Name: r.measure.Name, Unit: r.measure.Unit}
	named := map[string]Outcome{}
	for i, outcome := range r.outcomes {
		if outcome.Absent != "" {
			outcome.Rounds = nil
		} else {
			outcome.Quartiles, outcome.Idle = QuartilesOf(outcome.Rounds), r.idle[i].IdleShare()
		}
		named[outcome.Name] = outcome
		result.Contenders = append(result.Contenders, outcome)
	}
	for _, pair := range r.measure.Pairs {
		result.Ratios = append(result.Ratios, pair.ratio(named[pair.Of], named[pair.To]))
	}
	return result
}

func (p Pair) ratio(of, to Outcome) Ratio {
	ratio := Ratio{Of: p.Of, To: p.To, Goal: p.Goal}
	switch {
	case of.Absent != "":
		ratio.Absent = of.Absent
	case to.Absent != "":
		ratio.Absent = to.Absent
	case p.To == "":
		ratio.Quartiles = of.Quartiles
		ratio.Verdict = p.Goal.Judge(ratio.Quartiles.Median)
	default:
		ratio.Quartiles = QuartilesOf(RatiosByRound(of.Rounds, to.Rounds))
		ratio.Verdict = p.Goal.Judge(ratio.Quartiles.Median)
	}
	return ratio
}
