// Package deadline tells whether a context is over, and which of two times comes
// first.
package deadline

import (
	"context"
	"time"
)

// Err tells why a context is over; nil while it is not. Its own Err may know a
// little later: whoever looks at the deadline, as network connections and the
// store's client do, may give up for it before the context's timer has fired, and
// with an error that does not tell.
func Err(ctx context.Context) error {
	if at, bounded := ctx.Deadline(); bounded && ctx.Err() == nil && !time.Now().Before(at) {
		return context.DeadlineExceeded
	}
	return ctx.Err()
}

// Earlier is the earlier of two times, of which the zero time is none.
func Earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
