// Package plan decides what the migration of a flow does next. It is pure: the
// same spec, observation and time always give the same plan.
package plan

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/triangle-suite/triangle/contracts/flows"
)

// Step is one step of a migration: a cadence under a name, and what has to be so.
type Step struct {
	Name    string
	Cadence string // in the notation of flows.ParseCadence
	// Shadow is how many comparisons in a row have to be equal before the step begins;
	// 0: none is made.
	Shadow int
	// Approval is nil when nobody has to agree before the step begins.
	Approval *Approval
	// Gates are what has to be so while the flow runs at the step.
	Gates []Gate
}

// Errors of CheckSteps.
var (
	// ErrNoSteps says that a migration has nothing to do.
	ErrNoSteps = errors.New("a migration needs at least one step")
	// ErrStepNames says that two steps have one name.
	ErrStepNames = errors.New("give each step a name of its own")
	// ErrNotFaster says that a step would not bring the data sooner.
	ErrNotFaster = errors.New("each step must be faster than the one before")
	// ErrPausedStep says that a step never takes anything in.
	ErrPausedStep = errors.New("a step can't be paused; pause the flow instead")
)

// CheckSteps tells whether the steps of a migration lead from slow to fast. A
// step is faster than another when its longest gap between two windows, in the
// year from the day of from on, is shorter: an expression that runs often on working days
// only may still be the slower one.
func CheckSteps(steps []Step, from time.Time) error {
	if len(steps) == 0 {
		return ErrNoSteps
	}
	names := map[string]bool{}
	var before time.Duration
	for i, step := range steps {
		if names[step.Name] {
			return fmt.Errorf("step %q: %w", step.Name, ErrStepNames)
		}
		names[step.Name] = true
		gap, err := longestGap(step, from)
		if err != nil {
			return err
		}
		if i > 0 && gap >= before {
			return fmt.Errorf("step %q waits up to %s, the step before it up to %s: %w", step.Name, gap, before, ErrNotFaster)
		}
		before = gap
	}
	return nil
}

func longestGap(step Step, from time.Time) (time.Duration, error) {
	cadence, err := flows.ParseCadence(step.Cadence)
	if err != nil {
		return 0, fmt.Errorf("step %q: %w", step.Name, err)
	}
	gap, ok := gaps.of(cadence, from)
	if !ok {
		return 0, fmt.Errorf("step %q: %w", step.Name, ErrPausedStep)
	}
	return gap, nil
}

// gaps are the longest gaps that were looked up: to look one up takes a walk through
// the windows of a year, and most flows go by the same few cadences.
var gaps memo

// memo remembers what always comes out the same.
type memo struct {
	mu    sync.Mutex
	known map[asked]gap
}

type asked struct {
	cadence string
	from    time.Time
}

type gap struct {
	longest time.Duration
	ok      bool
}

// memorized is how many gaps are remembered, at most, before all are forgotten.
const memorized = 1024

// of is the longest gap of a cadence in the year that begins with a day.
func (m *memo) of(cadence flows.Cadence, from time.Time) (time.Duration, bool) {
	of := asked{cadence.String(), from.UTC().Truncate(24 * time.Hour)}
	m.mu.Lock()
	g, known := m.known[of]
	m.mu.Unlock()
	if known {
		return g.longest, g.ok
	}
	g.longest, g.ok = cadence.LongestGap(of.from)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known == nil || len(m.known) >= memorized {
		m.known = map[asked]gap{}
	}
	m.known[of] = g
	return g.longest, g.ok
}
