package flow

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

// isOwnMarker tells whether an event is a marker of this flow.
func (in *Intake) isOwnMarker(e eventlog.Event) bool {
	control := flows.ControlStream(in.consumer.Flow.Name)
	switch e.Type {
	case retryRequested, skipRequested:
		return e.Stream == control
	case cadenceRequested, windowRequested:
		return !in.dry && e.Stream == control
	case windowOpened:
		return in.dry && e.Stream == in.parity.Load().stream || !in.dry && strings.HasPrefix(e.Stream, control+":")
	default:
		return false
	}
}

// rest keeps the gate closed until at, or until somebody asks for a window or
// another cadence. It returns the marker to open up to, if there is one.
func (in *Intake) rest(ctx context.Context, at time.Time) (uuid.UUID, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	sub, err := in.streams.Log.SubscribeAll(ctx, eventlog.AllOptions{After: in.cp.position, Filter: eventlog.Filter{TypePrefixes: markers}})
	if err != nil {
		return uuid.Nil, fmt.Errorf("follow the log behind the closed gate: %w", err)
	}
	defer sub.Close()
	in.publish(func(s *State) { s.Err = nil })
	var due <-chan time.Time
	if !at.IsZero() {
		timer := time.NewTimer(time.Until(at))
		defer timer.Stop()
		due = timer.C
	}
	for {
		select {
		case <-ctx.Done():
			return uuid.Nil, ctx.Err()
		case <-due:
			return uuid.Nil, nil
		case m, ok := <-sub.Messages():
			if !ok {
				return uuid.Nil, fmt.Errorf("follow the log behind the closed gate: %w", sub.Err())
			}
			if m.Kind == eventlog.KindEvent && in.opensGate(ctx, m.Event) {
				return m.Event.ID, nil
			}
			if m.Kind == eventlog.KindEvent && in.isParkingRequest(m.Event) {
				if err := in.followRequests(ctx); err != nil {
					return uuid.Nil, err
				}
			}
		}
	}
}

// opensGate tells whether an event asks a closed gate to open up to it: a request
// for the next epoch, or a window of this one that was asked for, or was opened and
// broken off. A paused flow has no windows. A shadow's gate opens for a comparison
// that somebody asks for.
func (in *Intake) opensGate(ctx context.Context, e eventlog.Event) bool {
	if in.dry {
		return e.Type == markerSet && in.parity.Load().marks(e)
	}
	if !in.isOwnMarker(e) {
		return false
	}
	event, err := in.streams.Codec.Decode(ctx, e)
	if err != nil {
		return true // it stops the flow where it is taken in
	}
	switch m := event.Message.(type) {
	case *flowv1.CadenceRequested:
		return m.GetEpoch() > in.cp.epoch
	case *flowv1.WindowOpened:
		return m.GetEpoch() == in.cp.epoch && in.cp.cadence != flows.Paused
	case *flowv1.WindowRequested:
		return in.cp.cadence != flows.Paused
	default:
		return false
	}
}

const (
	// mostAtOnce is how many events a transaction takes in at most. The more, the
	// less each costs: what is behind keys comes in any order, so that each
	// transaction writes nearly every page anew. But whoever else writes waits for
	// it: with so many for less than a tenth of a second.
	mostAtOnce = 4000
	// causesAtOnce bounds a batch whose causes are answered ahead.
	causesAtOnce = 1000
	// withinAtOnce bounds one whose causes are answered within the transaction.
	withinAtOnce = 50
)

// batchSize bounds a transaction. A reaction that reads the flow's tables appends
// within it, so that such batches are kept short: the database has one writer.
func (in *Intake) batchSize() int {
	switch {
	case in.suspect.id != uuid.Nil:
		return 1
	case len(in.consumer.Reactions) > 0 && in.consumer.Project != nil:
		return withinAtOnce
	case len(in.consumer.Reactions) > 0:
		return causesAtOnce
	default:
		return mostAtOnce
	}
}

// open takes events in until it has taken in the marker target, or one that ends
// the epoch. With uuid.Nil it goes on until the latter. When the next epoch is in
// real time it goes on with that one: what has been read behind the marker is the
// first that the new epoch takes in.
func (in *Intake) open(ctx context.Context, target uuid.UUID) error {
	reading, cancel := context.WithCancel(ctx)
	defer cancel()
	sub, err := in.streams.Log.SubscribeAll(reading, eventlog.AllOptions{After: in.cp.position, Filter: in.filter})
	if err != nil {
		return fmt.Errorf("follow the log: %w", err)
	}
	queue := in.readAhead(reading, sub)
	defer func() { // nothing that this has begun outlives it
		cancel()
		sub.Close()
		<-queue.over
	}()
	in.publish(func(s *State) { s.Window = target != uuid.Nil })
	if target != uuid.Nil && in.opened.IsZero() { // one that was broken off counts from its beginning
		in.opened = time.Now()
	}
	defer in.publish(func(s *State) { s.Window = false })
	epoch, live := in.cp.epoch, false
	for {
		batch, caughtUp, err := in.nextBatch(ctx, queue)
		if errors.Is(err, errEnded) {
			err = fmt.Errorf("follow the log: %w", sub.Err())
		}
		if err != nil {
			return err
		}
		live = live || caughtUp
		if len(batch) > 0 {
			if err := in.takeIn(ctx, batch); err != nil {
				return err
			}
			if err := in.retainAt(ctx, batch[len(batch)-1].Event); err != nil {
				return err
			}
			if in.isParkingRequest(batch[len(batch)-1].Event) {
				if err := in.followRequests(ctx); err != nil {
					return err
				}
			}
		}
		if idle := live && queue.isEmpty() && len(sub.Messages()) == 0; idle {
			in.publish(func(s *State) { s.Err = nil })
		}
		reached := target != uuid.Nil && len(batch) > 0 && batch[len(batch)-1].Event.ID == target
		switch {
		case in.cp.epoch != epoch && in.isRealTime(in.cp):
			if err := in.closeEpochs(ctx); err != nil {
				return err
			}
			in.endWindow(nil)
			epoch, target = in.cp.epoch, uuid.Nil
			in.publish(func(s *State) { s.Window = false })
		case reached, in.cp.epoch != epoch:
			return nil
		}
	}
}

var errEnded = errors.New("the subscription has ended")

// nextBatch waits for a message, and returns with it what else is there. A batch
// ends at a marker of the flow, as what comes after it may be none of this
// epoch's business, and where the flow is compared with its shadow.
func (in *Intake) nextBatch(ctx context.Context, queue *queue) (batch []*incoming, caughtUp bool, err error) {
	messages, err := queue.take(ctx, in.batchSize(), func(m *incoming) bool {
		return m.Kind == eventlog.KindEvent && (in.isOwnMarker(m.Event) || in.parity.Load().marks(m.Event))
	})
	batch = messages[:0]
	for _, m := range messages {
		switch m.Kind {
		case eventlog.KindCaughtUp:
			caughtUp = true
		case eventlog.KindEvent:
			batch = append(batch, m)
		}
	}
	return batch, caughtUp, err
}
