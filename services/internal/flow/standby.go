package flow

import (
	"context"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

const (
	// calm is how long a replica that stands by lets commits gather before it
	// looks at the checkpoint, and lookAgain how long it goes without looking.
	calm      = 20 * time.Millisecond
	lookAgain = time.Second
)

// standBy follows how far the flow's owner has come, and what waits for it: this
// replica answers calls too, and has to say how old its answers are.
func (in *Intake) standBy(ctx context.Context) {
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = 20*time.Millisecond, 2*time.Second
	for {
		err := in.followOwner(ctx)
		if ctx.Err() != nil {
			return
		}
		pause := calm
		if err != nil {
			in.report(err)
			pause = wait.NextBackOff()
		} else {
			wait.Reset()
		}
		if !sleep(ctx, pause) {
			return
		}
	}
}

// followOwner follows the log from the checkpoint on, and the checkpoint, until
// something goes wrong or it has lost count.
func (in *Intake) followOwner(ctx context.Context) error {
	if found, err := in.readCheckpoint(ctx); err != nil || !found {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	sub, err := in.streams.Log.SubscribeAll(ctx, eventlog.AllOptions{After: in.cp.position, Filter: in.filter})
	if err != nil {
		return fmt.Errorf("follow the log: %w", err)
	}
	defer sub.Close()
	var waiting backlog
	in.publish(func(s *State) { s.Window = false })
	in.publishBacklog(waiting)
	changed, tick := in.db.Changed(), time.NewTicker(lookAgain)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case m, ok := <-sub.Messages():
			if !ok {
				return fmt.Errorf("follow the log: %w", sub.Err())
			}
			in.note(&waiting, m)
			continue
		case <-changed:
			if !sleep(ctx, calm) {
				return ctx.Err()
			}
		case <-tick.C:
		}
		changed = in.db.Changed() // before looking, so that no commit is missed
		if _, err := in.readCheckpoint(ctx); err != nil {
			return err
		}
		if !waiting.drop(in.cp.position) {
			return nil // and begins again from the checkpoint
		}
		in.publishBacklog(waiting)
	}
}

// readCheckpoint looks how far the owner has come; it has not begun when there is
// no checkpoint yet, or when it has not said which types the flow carries.
func (in *Intake) readCheckpoint(ctx context.Context) (found bool, err error) {
	cp, found, err := loadCheckpoint(ctx, in.db, in.consumer.Flow.Name)
	if err != nil || !found {
		return found, err
	}
	if cp.owner != in.cp.owner || len(in.history) == 0 { // the owner may be of another build
		if in.history, err = loadTypes(ctx, in.db, in.consumer.Flow.Name); err != nil {
			return false, err
		}
	}
	in.cp = cp
	in.publishCheckpoint()
	return len(in.history) > 0, nil
}

// note counts what comes over the log.
func (in *Intake) note(waiting *backlog, m eventlog.Message) {
	switch {
	case m.Kind == eventlog.KindCaughtUp:
		waiting.known = true
	case m.Kind == eventlog.KindEvent && in.carries(m.Event) && in.cp.position.Compare(m.Event.Position) < 0:
		waiting.known = true
		waiting.add(m.Event)
	default:
		return
	}
	in.publishBacklog(*waiting)
}

func (in *Intake) publishBacklog(waiting backlog) {
	in.publish(func(s *State) {
		s.Known, s.Lag, s.Oldest, s.Err = waiting.known, waiting.len(), waiting.oldest(), nil
	})
}

// backlogKept bounds what a backlog holds: behind a gate that is closed for a
// week millions may wait.
const backlogKept = 1024

// backlog is the events that wait for the owner: the oldest of them, and how many
// more there are.
type backlog struct {
	events []waitingEvent
	more   uint64
	known  bool // false until it has been looked whether anything waits
}

type waitingEvent struct {
	position eventlog.Position
	created  time.Time
}

func (b *backlog) add(e eventlog.Event) {
	if len(b.events) >= backlogKept || b.more > 0 {
		b.more++
		return
	}
	b.events = append(b.events, waitingEvent{e.Position, e.Created})
}

// drop lets go of what has been taken in. It returns false when the count is
// lost: everything that it held is gone, and there was more.
func (b *backlog) drop(until eventlog.Position) bool {
	for len(b.events) > 0 && b.events[0].position.Compare(until) <= 0 {
		b.events = b.events[1:]
	}
	return len(b.events) > 0 || b.more == 0
}

func (b *backlog) len() uint64 { return uint64(len(b.events)) + b.more }

// oldest is when the oldest one was written; the zero time when none waits.
func (b *backlog) oldest() time.Time {
	if len(b.events) == 0 {
		return time.Time{}
	}
	return b.events[0].created
}
