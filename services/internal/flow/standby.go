package flow

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v5"
)

const (
	// calm is how long a replica that stands by lets commits gather before it
	// looks at the checkpoint, and lookAgain how long it goes without looking.
	calm      = 20 * time.Millisecond
	lookAgain = time.Second
)

// standBy follows how far the flow's owner has come: this replica answers calls
// too, and has to say how old its answers are.
func (in *Intake) standBy(ctx context.Context) {
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = 20*time.Millisecond, 2*time.Second
	in.publish(func(s *State) { s.Window = false })
	for {
		err := in.followOwner(ctx)
		if ctx.Err() != nil {
			return
		}
		in.report(err)
		if !sleep(ctx, wait.NextBackOff()) {
			return
		}
	}
}

// followOwner follows the checkpoint until something goes wrong. Word of a commit may
// be lost on its way from another process, so that it looks now and then without.
func (in *Intake) followOwner(ctx context.Context) error {
	var again <-chan time.Time
	if in.db.Shared() {
		tick := time.NewTicker(lookAgain)
		defer tick.Stop()
		again = tick.C
	}
	for {
		changed := in.db.Changed() // before looking, so that no commit is missed
		if err := in.readCheckpoint(ctx); err != nil {
			return err
		}
		in.publish(func(s *State) { s.Err = nil })
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
			if !sleep(ctx, calm) {
				return ctx.Err()
			}
		case <-again:
		}
	}
}

// readCheckpoint looks how far the owner has come; it has not begun when there is
// no checkpoint yet.
func (in *Intake) readCheckpoint(ctx context.Context) error {
	cp, found, err := loadCheckpoint(ctx, in.db, in.consumer.Flow.Name)
	if err != nil || !found {
		return err
	}
	in.cp = cp
	in.publishCheckpoint()
	return nil
}
