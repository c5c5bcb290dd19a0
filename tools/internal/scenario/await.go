package scenario

import (
	"context"
	"errors"
	"time"

	"github.com/triangle-suite/triangle/contracts/flows"

	"github.com/triangle-suite/triangle/services/await"
	"github.com/triangle-suite/triangle/services/control"
)

// restTime is how long a flow has to stand still to count as caught up: its
// consumer tells of every change within a second.
const restTime = 2 * time.Second

// windowPatience is how long a window may take before another one is asked for:
// the one that was asked for may have gone with its consumer.
const windowPatience = 15 * time.Second

// until waits until check returns nil, for as long as the play has patience. An
// error that can't pass ends it at once.
func (p *play) until(ctx context.Context, what string, check func(context.Context) error) error {
	return await.Until(ctx, p.Patience, what, check)
}

// steer speaks to the store, mostly to steer a flow. The store may be away for a
// while, as anything else.
func (p *play) steer(ctx context.Context, what string, steer func(context.Context) error) error {
	return p.until(ctx, what, func(ctx context.Context) error {
		err := steer(ctx)
		if err == nil || lasts(err) {
			return err
		}
		return await.NotYetf("%v", err)
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
		err = await.Until(ctx, windowPatience, effect, check)
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
			return await.NotYetf("it has taken in %d events", state.Progress.GetTaken())
		}
		return nil
	})
}
