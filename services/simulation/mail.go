package simulation

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	"github.com/triangle-suite/triangle/services/channel"
)

// carrier is who takes e-mails, or letters, as one life of a service reaches them.
type carrier struct {
	life *life
	// asked tells whether the carrier can be asked what came of a message.
	asked bool
}

// errLost says that nobody heard what the carrier said.
var errLost = errors.New("the carrier was lost before it said anything")

// Carry implements channel.Carrier. The process may end before and after the letter
// has arrived, and the carrier may have no time, or be lost before or after.
func (c carrier) Carry(ctx context.Context, letter channel.Letter, begin func() error) error {
	v, err := c.life.await(ctx, Partner, letter.MessageID)
	switch {
	case err != nil:
		return err
	case v.roll%16 == 0:
		return errors.New("the carrier is away")
	}
	if err := begin(); err != nil {
		return err
	}
	if v, err = c.handedOver(ctx, letter); err != nil {
		return err
	}
	if c.loses() && v.roll%16 == 0 {
		return errLost
	}
	c.life.service.world.arrives(letter.MessageID)
	if c.loses() && v.roll%16 == 1 {
		return errLost
	}
	_, err = c.handedOver(ctx, letter)
	return err
}

// loses tells whether the carrier may be lost while it takes a letter. On a stage
// what breaks is soon well again: nobody could ever tell of a letter that was lost.
func (c carrier) loses() bool { return !c.life.service.world.brief }

// handedOver waits on the way of a letter that may arrive by now.
func (c carrier) handedOver(ctx context.Context, letter channel.Letter) (verdict, error) {
	v, err := c.life.await(context.WithoutCancel(ctx), Partner, letter.MessageID)
	if errors.Is(err, errBroken) && !c.loses() {
		err = nil
	}
	return v, err
}

// Ask implements channel.Carrier.
func (c carrier) Ask(_ context.Context, id string) (channel.Fate, error) {
	switch {
	case !c.asked:
		return channel.Fate{State: channelv1.MessageState_MESSAGE_STATE_UNKNOWN, Reason: "nobody can tell"}, nil
	case c.life.service.world.arrivals(id) > 0:
		return channel.Fate{State: channelv1.MessageState_MESSAGE_STATE_SENT}, nil
	}
	return channel.Fate{State: channelv1.MessageState_MESSAGE_STATE_ACCEPTED, Reason: "it has not arrived"}, nil
}

func (w *world) arrives(id string) {
	times, _ := w.arrived.LoadOrStore(id, &atomic.Int64{})
	times.(*atomic.Int64).Add(1) //nolint:forcetypeassert // nothing else is stored
}

func (w *world) arrivals(id string) int64 {
	times, ok := w.arrived.Load(id)
	if !ok {
		return 0
	}
	return times.(*atomic.Int64).Load() //nolint:forcetypeassert // nothing else is stored
}

// checkMail holds what is told of each message against what arrived: one that is
// told to be sent arrived once, and none arrived twice. Of one that nobody can tell
// of either may be so.
func (w *world) checkMail(l history) {
	begun, fate := map[string]bool{}, map[string]string{}
	for _, e := range l.all {
		switch m := e.Message.(type) {
		case *channelv1.DeliveryBegun:
			begun[m.GetMessageId()] = true
		case *channelv1.MessageSent, *channelv1.MessageRefused, *channelv1.MessageBounced, *channelv1.MessageOutcomeUnknown:
			fate[m.(interface{ GetMessageId() string }).GetMessageId()] = e.Type //nolint:forcetypeassert // each of them has one
		}
	}
	for id := range begun {
		n := w.arrivals(id)
		switch of := fate[id]; {
		case n > 1, of == "channel.MessageSent" && n != 1, of != "channel.MessageSent" && of != "channel.MessageOutcomeUnknown" && n != 0:
			w.diverge("message %s arrived %d times, and its fate is %q", id, n, of)
		}
	}
	w.arrived.Range(func(id, _ any) bool {
		if !begun[fmt.Sprint(id)] {
			w.diverge("message %s arrived, and it was not on record that it may", id)
		}
		return true
	})
}
