// Package await waits until a condition holds. What the suite does is consistent
// in the end, and nobody can say after how long: so whoever looks at it from
// outside waits for what is to be seen, and never for a time.
package await

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// The pauses between two looks at a condition.
const (
	firstPause   = 10 * time.Millisecond
	longestPause = 500 * time.Millisecond
)

// notYet is the error of a condition that may still come true.
type notYet struct{ seen string }

func (n *notYet) Error() string { return n.seen }

// NotYetf says what is seen as long as a condition does not hold.
func NotYetf(format string, args ...any) error { return &notYet{seen: fmt.Sprintf(format, args...)} }

// Passing tells whether an error may pass by itself. What is not found may not be
// there yet.
func Passing(err error) bool {
	var n *notYet
	return errors.As(err, &n) || status.Code(err) == codes.NotFound
}

// Until waits until check returns nil, for as long as there is patience. An error
// that can't pass ends it at once.
func Until(ctx context.Context, patience time.Duration, what string, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		err := check(ctx)
		if err == nil {
			return nil
		}
		if !Passing(err) && ctx.Err() == nil {
			return fmt.Errorf("while waiting until %s: %w", what, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waited until %s, but %w: %v", what, ctx.Err(), err) //nolint:errorlint // what was seen last is only told
		case <-time.After(pause):
		}
	}
}
