package watermillesdb

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// newPause returns pauses that grow, with jitter, so that what stands by does
// not come all at once.
func newPause() *backoff.ExponentialBackOff {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = 20*time.Millisecond, 2*time.Second
	return pause
}

// wait returns after a pause, or with ctx's error at its end.
func wait(ctx context.Context, pause time.Duration) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
