package watermillesdb

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

// subscription delivers one topic's messages to one channel.
type subscription struct {
	config *SubscriberConfig
	log    eventlog.Log
	topic  string
	stream string
	group  *group // nil: without one
	out    chan *message.Message
	logger watermill.LoggerAdapter
}

// run has turns at the topic until ctx ends, or until going on is in vain.
func (s *subscription) run(ctx context.Context) {
	defer close(s.out)
	pause := newPause()
	for {
		began := time.Now()
		err := s.turn(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case isFinal(err):
			s.logger.Error("The subscription has ended", err, nil)
			return
		case time.Since(began) > s.config.Lease: // it went well for a while
			pause.Reset()
		}
		s.logger.Info("The subscription begins again", watermill.LogFields{"reason": err.Error()})
		if wait(ctx, pause.NextBackOff()) != nil {
			return
		}
	}
}

// isFinal tells whether going on is in vain.
func isFinal(err error) bool {
	return errors.Is(err, eventlog.ErrTombstoned) || errors.Is(err, eventlog.ErrClosed) || errors.Is(err, ErrOtherStore)
}

// turn waits for the topic, and delivers from it as long as it has it.
func (s *subscription) turn(ctx context.Context) (err error) {
	if s.group == nil {
		return s.follow(ctx, &alone{})
	}
	held, err := s.group.take(ctx)
	if held == nil {
		return err
	}
	defer func() {
		if !errors.Is(err, errLost) {
			err = errors.Join(err, s.giveUp(ctx, held))
		}
	}()
	if err != nil {
		return err
	}
	if err := held.done.verify(ctx, s.log, s.stream); err != nil {
		return err
	}
	return s.follow(ctx, held)
}

// longestRelease bounds how long an end waits for a store that is away.
const longestRelease = 5 * time.Second

// giveUp lets another one have the topic at once.
func (s *subscription) giveUp(ctx context.Context, held *holding) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), min(s.config.CloseTimeout, longestRelease))
	defer cancel()
	if err := held.release(ctx); err != nil {
		s.logger.Info("The topic is free when its lease has ended", watermill.LogFields{"reason": err.Error()})
		return err
	}
	return nil
}

// place is what a subscription keeps of how far it has come.
type place interface {
	next() uint64
	// advance notes that an event has been processed.
	advance(event eventlog.Event)
	// held is asked before a message is handed out, and fails when the topic may be
	// another's.
	held() error
	// keep is called often. With an error the topic is another's.
	keep(ctx context.Context) error
}

func (h *holding) next() uint64 { return h.done.Next }

func (h *holding) advance(event eventlog.Event) {
	h.done = progress{Next: event.Revision + 1, Last: event.ID}
}

// alone is the place of a subscription without a consumer group.
type alone struct{ at uint64 }

func (a *alone) next() uint64                 { return a.at }
func (a *alone) advance(event eventlog.Event) { a.at = event.Revision + 1 }
func (a *alone) held() error                  { return nil }
func (a *alone) keep(context.Context) error   { return nil }

// follow delivers events from a place on.
func (s *subscription) follow(ctx context.Context, at place) error {
	events, err := s.log.SubscribeStream(ctx, s.stream, eventlog.StreamOptions{From: at.next()})
	if err != nil {
		return fmt.Errorf("follow the topic: %w", err)
	}
	defer events.Close()
	beat := time.NewTicker(s.config.CheckpointEvery)
	defer beat.Stop()
	d := delivery{subscription: s, at: at, beat: beat.C}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-beat.C:
			if err := at.keep(ctx); err != nil {
				return err
			}
		case next, ok := <-events.Messages():
			if !ok {
				return fmt.Errorf("follow the topic: %w", events.Err())
			}
			if next.Kind != eventlog.KindEvent {
				continue
			}
			if err := d.process(ctx, next.Event); err != nil {
				return err
			}
		}
	}
}
