// Package probe tells whether an environment does what it is for, as seen from outside:
// its services are ready, and a contact can be had.
package probe

import (
	"context"
	"time"
)

// Check is one thing that has to be so.
type Check struct {
	// Name is what it is about, such as a service.
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
