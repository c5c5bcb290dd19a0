package outbound

import (
	"context"
	"errors"
	"fmt"
	"time"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/channel/internal/customerview"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/keyring"
)

const (
	// toRecord bounds the recording of what came of a message. It goes on when the
	// service is told to stop: what is not on record would be unknown.
	toRecord = 5 * time.Second
	// giveUp is for how long a message is tried again that is not taken for now: as
	// long as RFC 5321, 4.5.4.1, has mail servers try.
	giveUp = 5 * 24 * time.Hour
)

// What is said of a message whose fate is not known from its partner's own words.
const (
	noAnswer    = "it was handed over, and nobody said whether it was taken"
	interrupted = "the channel was interrupted while it handed the message over"
)

// send looks address and consent up, has the message carried, and records what
// comes of it. The outcome derives from the message, so that the first one stands.
func (s *Sender) send(ctx context.Context, id string) error {
	accepted, err := s.accepted(ctx, id)
	if err != nil {
		return err
	}
	about, ok := accepted.Message.(interface{ GetCustomerId() string })
	if !ok {
		return fmt.Errorf("%s does not begin with the message", Stream(id))
	}
	customer, err := customerview.Find(ctx, s.DB, about.GetCustomerId())
	if err != nil {
		return err
	}
	d := delivery{Sender: s, id: id, accepted: accepted, origin: sending(accepted, s.Now().UTC())}
	dispatch := Dispatch{Customer: customer, Carried: s.Carrier != nil, Unable: s.Unable, At: d.origin.Time}
	unable := dispatch
	unable.Unable = erased
	outcome, err := handle(ctx, s.Streams, d.origin, id, dispatch, unable)
	switch {
	case err != nil:
		return err
	case outcome.State.State != channelv1.MessageState_MESSAGE_STATE_ACCEPTED:
		delete(s.fates, id)
		return nil
	case outcome.State.Begun:
		return d.resume(ctx)
	}
	return d.carry(ctx, outcome.State, customer)
}

// sending is the origin of what comes of a message. To find nothing to do yet is
// not its outcome.
func sending(accepted codec.Event, now time.Time) decider.Origin {
	return decider.CauseOrigin(flows.Channel, "send-message", accepted, now).Step()
}

// delivery is the sending of one message.
type delivery struct {
	*Sender
	id       string
	accepted codec.Event
	origin   decider.Origin
}

// carry hands the message over.
func (d delivery) carry(ctx context.Context, state State, customer *channelv1.CustomerView) error {
	delete(d.fates, d.id)
	person, m := customer.GetPerson(), state.Accepted
	letter := Letter{
		MessageID: m.GetMessageId(), Name: words(person.GetGivenName(), person.GetSurname()),
		Address: address(m.GetChannel(), customer), Content: m.GetContent(), At: d.origin.Time,
	}
	begun := false
	asking, span := d.Streams.Tracer.Ask(ctx, d.Name, d.id, d.origin.Trace())
	err := d.Carrier.Carry(asking, letter, func() error {
		begun = true
		return d.begin(asking, letter.Address)
	})
	span.End(err)
	fate, err := fateOf(err, begun)
	if fate == (Fate{}) {
		return err
	}
	if d.fates == nil {
		d.fates = map[string]Fate{}
	}
	d.fates[d.id] = fate
	if err != nil {
		return err // the store's: the fate goes on record when it is back
	}
	return d.settle(ctx, fate)
}

// notBegunError says that it could not be put on record that a message may arrive.
type notBegunError struct{ error }

func (e notBegunError) Unwrap() error { return e.error }

var errBegunElsewhere = errors.New("the message is being handed over by another process")

// begin puts on record that the message may arrive. The marker that the message
// waited for names this try: an append that got lost, and took effect, is known
// again, and nobody else's is taken for it.
func (d delivery) begin(ctx context.Context, address string) error {
	origin := d.origin
	origin.Key += fmt.Sprintf(":begin:%d", d.begun[d.id].Commit)
	begin := Begin{Address: address, At: origin.Time}
	outcome, err := decider.Handle(ctx, d.Streams, origin, Stream(d.id), Decider, begin.Decide)
	if errors.Is(err, keyring.ErrDestroyed) {
		return TurnedAwayError{erased}
	}
	if err != nil {
		return notBegunError{fmt.Errorf("put on record that a message leaves: %w", err)}
	}
	if len(outcome.Events) == 0 || !outcome.State.Begun {
		return errBegunElsewhere
	}
	return nil
}

// fateOf is a message's fate by what its carrier says; none where it says nothing
// about the message. An error that comes with it keeps it from being recorded now.
func fateOf(err error, begun bool) (Fate, error) {
	turned, isTurned := errors.AsType[TurnedAwayError](err)
	postponed, isPostponed := errors.AsType[PostponedError](err)
	_, isNotBegun := errors.AsType[notBegunError](err)
	switch {
	case err == nil:
		return Fate{State: channelv1.MessageState_MESSAGE_STATE_SENT}, nil
	case isTurned:
		return Fate{channelv1.MessageState_MESSAGE_STATE_BOUNCED, turned.Reason}, nil
	case isPostponed:
		return Fate{channelv1.MessageState_MESSAGE_STATE_ACCEPTED, postponed.Reason}, nil
	case isNotBegun:
		return Fate{channelv1.MessageState_MESSAGE_STATE_ACCEPTED, "the channel could not tell that it hands the message over"}, err
	case !begun || errors.Is(err, errBegunElsewhere):
		return Fate{}, err
	}
	return Fate{channelv1.MessageState_MESSAGE_STATE_UNKNOWN, noAnswer}, nil
}

// resume settles a message of which only is on record that it was being handed
// over: by what this process knows, or else by what its carrier can tell.
func (d delivery) resume(ctx context.Context) error {
	fate, known := d.fates[d.id]
	if !known && d.Carrier == nil {
		fate, known = Fate{channelv1.MessageState_MESSAGE_STATE_UNKNOWN, interrupted}, true
	}
	if !known {
		asking, span := d.Streams.Tracer.Ask(ctx, d.Name, d.id, d.origin.Trace())
		var err error
		fate, err = d.Carrier.Ask(asking, d.id)
		span.End(err)
		if err != nil {
			return fmt.Errorf("ask what came of a message: %w", err)
		}
	}
	return d.settle(ctx, fate)
}

// settle records the message's fate. A message that is not taken for now, again, is
// not taken at all when it has waited for long enough.
func (d delivery) settle(ctx context.Context, fate Fate) error {
	postponed := fate.State == channelv1.MessageState_MESSAGE_STATE_ACCEPTED
	waited := d.origin.Time.Sub(d.accepted.Metadata.Time)
	if _, again := d.later[d.id]; postponed && again && waited > giveUp {
		fate = Fate{channelv1.MessageState_MESSAGE_STATE_BOUNCED, fmt.Sprintf("it was not taken within %d days: %s", int(giveUp.Hours()/24), fate.Reason)}
		postponed = false
	}
	origin := d.origin
	if postponed {
		origin.Key += fmt.Sprintf(":postpone:%d", d.begun[d.id].Commit)
	}
	recording, cancel := context.WithTimeout(context.WithoutCancel(ctx), toRecord)
	defer cancel()
	settle := Settle{Fate: fate, At: origin.Time}
	if _, err := decider.Handle(recording, d.Streams, origin, Stream(d.id), Decider, settle.Decide); err != nil {
		return fmt.Errorf("record what came of a message: %w", err)
	}
	delete(d.fates, d.id)
	if postponed {
		return PostponedError{fate.Reason}
	}
	return nil
}
