// Package plan decides what the migration of a flow does next. It is pure: the
// same spec, observation and time always give the same plan.
package plan

import (
	"errors"
	"fmt"
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
// year after from, is shorter: an expression that runs often on working days
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
	gap, ok := cadence.LongestGap(from)
	if !ok {
		return 0, fmt.Errorf("step %q: %w", step.Name, ErrPausedStep)
	}
	return gap, nil
}
