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

// delivery hands out one event at a time.
type delivery struct {
	*subscription
	at   place
	beat <-chan time.Time
}

// errNacked says that a message is to come again.
var errNacked = errors.New("the message was nacked")

// process hands an event out, until it is acked.
func (d *delivery) process(ctx context.Context, event eventlog.Event) error {
	if eventlog.IsSystem(event.Type) {
		d.at.advance(event)
		return nil
	}
	for {
		err := d.handOut(ctx, event)
		switch {
		case err == nil:
			d.at.advance(event)
			return nil
		case !errors.Is(err, errNacked):
			return err
		}
		if err := d.rest(ctx, d.config.NackPause); err != nil {
			return err
		}
	}
}

// rest waits for a while, and keeps the topic.
func (d *delivery) rest(ctx context.Context, pause time.Duration) error {
	over := time.NewTimer(pause)
	defer over.Stop()
	for {
		select {
		case <-over.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-d.beat:
			if err := d.at.keep(ctx); err != nil {
				return err
			}
		}
	}
}

// handOut hands an event out once, and returns nil when it has been acked, or is
// no message.
func (d *delivery) handOut(ctx context.Context, event eventlog.Event) error {
	msg, err := d.config.Marshaler.Unmarshal(d.topic, event.NewEvent)
	if errors.Is(err, ErrNoMessage) {
		return nil
	}
	if err != nil {
		d.logger.Error("A message can't be read, and the topic waits", err, watermill.LogFields{"stream": d.stream, "revision": event.Revision})
		return fmt.Errorf("event %d of %s: %w", event.Revision, d.stream, err)
	}
	// The message outlives the subscription's context for as long as an end waits.
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	msg.SetContext(own)
	return d.offer(ctx, msg)
}

// offer waits until a message has been taken and acked. When ctx ends it waits
// no longer for a message to be taken, and a while for one that was.
func (d *delivery) offer(ctx context.Context, msg *message.Message) error {
	if err := d.at.held(); err != nil {
		return err
	}
	out, ended := d.out, ctx.Done()
	keeping := ctx
	var patience <-chan struct{}
	for {
		select {
		case out <- msg:
			out = nil
		case <-msg.Acked():
			return nil
		case <-msg.Nacked():
			return errNacked
		case <-d.beat:
			if err := d.at.keep(keeping); err != nil {
				return err
			}
		case <-ended:
			if out != nil {
				return ctx.Err()
			}
			longer, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.config.CloseTimeout)
			defer cancel()
			ended, keeping, patience = nil, longer, longer.Done()
		case <-patience:
			return ctx.Err()
		}
	}
}
