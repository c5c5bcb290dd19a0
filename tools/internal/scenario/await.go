package scenario

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/triangle-suite/triangle/contracts/flows"

	"github.com/triangle-suite/triangle/services/control"
)

// restTime is how long a flow has to stand still to count as caught up: its
// consumer tells of every change within a second.
const restTime = 2 * time.Second

// The pauses between two looks at a condition.
const (
	firstPause   = 10 * time.Millisecond
	longestPause = 500 * time.Millisecond
)

// windowPatience is how long a window may take before another one is asked for:
// the one that was asked for may have gone with its consumer.
const windowPatience = 15 * time.Second

// notYet is the error of a condition that may still come true.
type notYet struct{ seen string }

func (n *notYet) Error() string { return n.seen }

// notYetf says what is seen as long as a condition does not hold.
func notYetf(format string, args ...any) error { return &notYet{seen: fmt.Sprintf(format, args...)} }

// waits tells whether an error may pass by itself. What is not found may not be
// there yet.
func waits(err error) bool {
	var n *notYet
	return errors.As(err, &n) || status.Code(err) == codes.NotFound
}

// until waits until check returns nil, for as long as the play has patience. An
// error that can't pass ends it at once.
func (p *play) until(ctx context.Context, what string, check func(context.Context) error) error {
	return within(ctx, p.Patience, what, check)
}

func within(ctx context.Context, patience time.Duration, what string, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		err := check(ctx)
		if err == nil {
			return nil
		}
		if !waits(err) && ctx.Err() == nil {
			return fmt.Errorf("while waiting until %s: %w", what, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waited until %s, but %w: %v", what, ctx.Err(), err) //nolint:errorlint // what was seen last is only told
		case <-time.After(pause):
		}
	}
}

// steer speaks to the store, mostly to steer a flow. The store may be away for a
// while, as anything else.
func (p *play) steer(ctx context.Context, what string, steer func(context.Context) error) error {
	return p.until(ctx, what, func(ctx context.Context) error {
		err := steer(ctx)
		if err == nil || lasts(err) {
			return err
		}
		return notYetf("%v", err)
	})
}

// lasts tells the errors that repeating does not help.
func lasts(err error) bool {
	var clear *found
	if errors.As(err, &clear) {
		return true
	}
	for _, lasting := range []error{control.ErrUnknownFlow, control.ErrPaused, control.ErrRealTime, flows.ErrCadence} {
		if errors.Is(err, lasting) {
			return true
		}
	}
	return false
}

// setCadence moves a flow, and waits until its consumer has adopted it.
func (p *play) setCadence(ctx context.Context, flow, cadence, reason string) (state control.State, err error) {
	err = p.steer(ctx, flow+" is asked to run "+cadence, func(ctx context.Context) error {
		_, err := p.Flows.Set(ctx, flow, cadence, "scenario", reason)
		return err
	})
	if err != nil {
		return state, err
	}
	err = p.steer(ctx, flow+" has adopted "+cadence, func(ctx context.Context) (err error) {
		state, err = p.Flows.WaitSettled(ctx, flow)
		return err
	})
	return state, err
}

// window has a periodic flow take in what is there, until the effect shows. What
// must be there for that, prepare does, each time before a window is asked for. A
// flow that somebody has moved to real time needs no window.
func (p *play) window(ctx context.Context, flow, effect string, prepare, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, p.Patience)
	defer cancel()
	for {
		if err := prepare(ctx); err != nil {
			return err
		}
		err := p.steer(ctx, "a window of "+flow+" is asked for", func(ctx context.Context) error {
			_, err := p.Flows.RunWindow(ctx, flow, "scenario", effect)
			return err
		})
		if err != nil && !errors.Is(err, control.ErrRealTime) {
			return err
		}
		err = within(ctx, windowPatience, effect, check)
		if err == nil || ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
	}
}

// nothing is there to prepare.
func nothing(context.Context) error { return nil }

// cameToRest waits until a flow has taken in all there is: until its consumer has
// told of no progress for a while.
func (p *play) cameToRest(ctx context.Context, flow string) error {
	var last string
	var since time.Time
	return p.steer(ctx, flow+" has caught up", func(ctx context.Context) error {
		state, err := p.Flows.Get(ctx, flow)
		if err != nil {
			return err
		}
		if now := state.Progress.GetPosition().String(); now != last || since.IsZero() {
			last, since = now, time.Now()
		}
		if time.Since(since) < restTime {
			return notYetf("it has taken in %d events", state.Progress.GetTaken())
		}
		return nil
	})
}
