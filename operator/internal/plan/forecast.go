package plan

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/triangle-suite/triangle/contracts/flows"
)

// ErrNoSuchStep says that a flow runs at a cadence that no step has.
var ErrNoSuchStep = errors.New("add a step that has this cadence, or set another cadence first (triangle flow set)")

// Foreseen is what would happen, and when at the earliest.
type Foreseen struct {
	At   time.Time
	What string
	// Open tells that it waits for somebody or something of which no time can be told:
	// what follows comes that much later.
	Open bool
}

// Forecast tells what a migration would do, from a flow that runs at a cadence on, if
// every gate passed as soon as it can, every approval came at once, and the consumer
// were never late. It rests on the same checks and windows as Next.
func Forecast(spec Spec, cadence string, from time.Time) ([]Foreseen, error) {
	runs, err := flows.ParseCadence(cadence)
	if err != nil {
		return nil, err
	}
	f := &forecast{spec: spec, at: from}
	present := -1
	for i, step := range spec.Steps {
		if c, err := flows.ParseCadence(step.Cadence); err == nil && c.Equal(runs) {
			present = i
		}
	}
	if present < 0 {
		if err := f.beforeFirst(runs, cadence); err != nil {
			return nil, err
		}
	} else {
		f.tell("the flow runs %s: it is at step %s", cadence, spec.Steps[present].Name)
	}
	for i := max(present, 0); i < len(spec.Steps); i++ {
		if i != present {
			f.begin(i, runs)
		}
		if runs, err = flows.ParseCadence(spec.Steps[i].Cadence); err != nil {
			return nil, err
		}
		f.shadowBeside(i+1, runs)
		f.gates(spec.Steps[i], runs)
	}
	f.tell("the migration is complete")
	f.inOrder()
	return f.all, nil
}

// forecast goes ahead in time.
type forecast struct {
	spec   Spec
	at     time.Time
	shadow time.Time // when the shadow of the next step has shown enough
	all    []Foreseen
}

func (f *forecast) tell(format string, args ...any) {
	f.all = append(f.all, Foreseen{At: f.at.UTC(), What: fmt.Sprintf(format, args...)})
}

func (f *forecast) open(format string, args ...any) {
	f.tell(format, args...)
	f.all[len(f.all)-1].Open = true
}

// beforeFirst is a flow at a cadence that no step has.
func (f *forecast) beforeFirst(runs flows.Cadence, cadence string) error {
	gap, ok := runs.LongestGap(f.at)
	first, err := longestGap(f.spec.Steps[0], f.at)
	if err != nil {
		return err
	}
	if !ok || gap <= first {
		return fmt.Errorf("the flow runs %s, and no step does: the migration would hold until one does: %w", cadence, ErrNoSuchStep)
	}
	f.tell("the flow runs %s, slower than step %s", cadence, f.spec.Steps[0].Name)
	f.shadowBeside(0, runs)
	return nil
}

// begin begins a step: after its shadow, somebody's word, and in a maintenance
// window.
func (f *forecast) begin(i int, runs flows.Cadence) {
	step := f.spec.Steps[i]
	if f.shadow.After(f.at) {
		f.at = f.shadow
		f.tell("the shadow of step %s has been equal %d times in a row", step.Name, step.Shadow)
	}
	if step.Approval != nil {
		within := ""
		if step.Approval.Timeout > 0 {
			within = ", within " + short(step.Approval.Timeout)
		}
		f.open("step %s waits for approval%s: triangle migrate approve %s --step %s", step.Name, within, f.spec.Object.Name, step.Name)
	}
	if opens, may := f.spec.mayBegin(f.at); !may && !opens.IsZero() {
		f.at = opens
		f.tell("a maintenance window opens")
	}
	f.tell("step %s begins: %s takes in the last events at %s, and goes on at %s", step.Name, f.spec.Flow.To, runs, step.Cadence)
}

// shadowBeside runs the shadow of a step beside the present one. Both have to pass
// each marker.
func (f *forecast) shadowBeside(i int, runs flows.Cadence) {
	f.shadow = time.Time{}
	if i >= len(f.spec.Steps) || f.spec.Steps[i].Shadow == 0 {
		return
	}
	step := f.spec.Steps[i]
	beside, err := flows.ParseCadence(step.Cadence)
	if err != nil {
		return
	}
	f.tell("a shadow at %s begins, for step %s", step.Cadence, step.Name)
	f.shadow = f.at
	for range step.Shadow {
		f.shadow = latest(due(runs, f.shadow), due(beside, f.shadow))
	}
}

// gates waits until the gates of a step let the flow go on.
func (f *forecast) gates(step Step, runs flows.Cadence) {
	begun, ready := f.at, f.at
	for _, g := range step.Gates {
		at := g.earliest(begun, runs)
		mark := ""
		if g.DryRun {
			mark = " (a dry run: nothing waits for it)"
		} else {
			ready = latest(ready, at)
		}
		f.at = at
		f.tell("gate %s may have passed: %s%s", g.Name, g.threshold(), mark)
	}
	f.at = ready
	f.inOrder()
}

// inOrder sorts what was told by its time.
func (f *forecast) inOrder() {
	slices.SortStableFunc(f.all, func(a, b Foreseen) int { return a.At.Compare(b.At) })
}

// earliest is when a gate lets the flow go on, of a step that has begun.
func (g Gate) earliest(begun time.Time, runs flows.Cadence) time.Time {
	switch g.Kind {
	case Parity:
		at := begun
		for i := range g.Consecutive {
			if runs.IsRealTime() && i > 0 {
				at = at.Add(proofPause)
			}
			at = due(runs, at)
			if i == 0 {
				begun = at
			}
		}
		return latest(at, begun.Add(g.For))
	case Lag:
		return begun.Add(g.For)
	default: // the consumer tells at the end of each hour
		first := begun.Truncate(time.Hour).Add(time.Hour)
		return latest(first.Add(g.For), first.Add(time.Duration(g.Consecutive-1)*time.Hour))
	}
}

// due is when a cadence takes in next: at once in real time.
func due(c flows.Cadence, after time.Time) time.Time {
	if next := c.Next(after); !next.IsZero() {
		return next
	}
	return after
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
