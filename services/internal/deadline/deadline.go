// Package deadline tells whether a context is over.
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
