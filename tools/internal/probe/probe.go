// Package probe tells whether an environment does what it is for: its services are
// ready, its flows as fresh as they are to be, and a contact can be had.
package probe

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/triangle-suite/triangle/services/control"
)

// Check is one thing that has to be so.
type Check struct {
	// Name is whose it is: a service's or a flow's.
	Name string
	// Do looks once. It tells what it found, or why that will not do.
	Do func(ctx context.Context) (found string, err error)
}

// Result is what came of a check.
type Result struct {
	Name  string
	Found string
	Err   error // the last one, when time was up
}

// pause is how long to wait before looking again.
const pause = 500 * time.Millisecond

// Until looks until the check holds, or ctx ends.
func (c Check) Until(ctx context.Context) Result {
	var last error
	for {
		found, err := c.Do(ctx)
		if err == nil {
			return Result{Name: c.Name, Found: found}
		}
		if last == nil || ctx.Err() == nil {
			last = err // and not that time was up, which says nothing
		}
		select {
		case <-ctx.Done():
			return Result{Name: c.Name, Err: last}
		case <-time.After(pause):
		}
	}
}

// Errors of Fresh.
var (
	// ErrUntold says that nobody has told how a flow is.
	ErrUntold = errors.New("its consumer has not told how far it is: does it run, and reach the event store?")
	// ErrStale says that a flow is staler than it is to be.
	ErrStale = errors.New("it is staler than it is to be")
)

// Fresh tells how fresh a flow is, by its consumer's word: a periodic one, whose gate
// is closed, as well. One that is paused is not to be fresh at all.
func Fresh(s control.State, now time.Time) (found string, err error) {
	objective, ok := s.Objective()
	if !ok {
		return s.Cadence, nil
	}
	staleness, ok := s.Staleness(now)
	switch {
	case !ok:
		return "", ErrUntold
	case staleness > objective.Staleness:
		return "", fmt.Errorf("%w: %s, of at most %s at %s", ErrStale, staleness.Round(time.Second), objective.Staleness, s.Cadence)
	}
	return fmt.Sprintf("%s, %s of at most %s", s.Cadence, staleness.Round(time.Second), objective.Staleness), nil
}
