// Package outbound sends messages that lead management orders: by e-mail, in
// print, and through the call centre's work list.
//
//	DispatchOrdered ─▶ MessageAccepted ─▶ table message ─▶ Sender
//	                   (the intent)                          │ sets a marker, and waits until customer-view
//	                                                         │ has passed it: address and consent are current
//	                                 MessageSent, or ◀───────┘
//	                                 MessageRefused with the reason
//
// No address stands in an event: it is looked up when a message is sent, and
// when somebody reads the list.
package outbound

import (
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/fault"
)

// Stream is the stream of a message.
func Stream(id string) string { return "message-" + id }

// State is where a message stands.
type State struct {
	Accepted *channelv1.MessageAccepted // nil until it is
	State    channelv1.MessageState
}

// Decider is the pure core of a message.
var Decider = decider.Decider[State]{
	Initial: func() State { return State{} },
	Evolve: func(s State, event proto.Message) State {
		if e, ok := event.(*channelv1.MessageAccepted); ok {
			s.Accepted = e
		}
		if state, _ := stateAfter(event); state != channelv1.MessageState_MESSAGE_STATE_UNSPECIFIED {
			s.State = state
		}
		return s
	},
}

// stateAfter is where a message stands after an event, and why.
func stateAfter(event proto.Message) (state channelv1.MessageState, detail string) {
	switch e := event.(type) {
	case *channelv1.MessageAccepted:
		return channelv1.MessageState_MESSAGE_STATE_ACCEPTED, ""
	case *channelv1.MessageSent:
		return channelv1.MessageState_MESSAGE_STATE_SENT, ""
	case *channelv1.MessageRefused:
		return channelv1.MessageState_MESSAGE_STATE_REFUSED, e.GetReason()
	case *channelv1.MessageBounced:
		return channelv1.MessageState_MESSAGE_STATE_BOUNCED, e.GetReason()
	case *channelv1.MessageOutcomeUnknown:
		return channelv1.MessageState_MESSAGE_STATE_UNKNOWN, e.GetReason()
	}
	return channelv1.MessageState_MESSAGE_STATE_UNSPECIFIED, ""
}

// Accept puts the intent to send a message on record.
type Accept struct{ Message *channelv1.MessageAccepted }

// Decide decides it.
func (c Accept) Decide(s State) ([]proto.Message, error) {
	if s.Accepted != nil {
		return nil, nil
	}
	return []proto.Message{c.Message}, nil
}

// Dispatch sends a message to its customer, or refuses to.
type Dispatch struct {
	Customer *channelv1.CustomerView // as it is now; nil when the channel has no view
	At       time.Time
}

// Decide decides it.
func (c Dispatch) Decide(s State) ([]proto.Message, error) {
	switch {
	case s.Accepted == nil:
		return nil, fault.NotFound("there is no such message").WithReason("MESSAGE_NOT_FOUND")
	case s.State != channelv1.MessageState_MESSAGE_STATE_ACCEPTED:
		return nil, nil
	}
	m := s.Accepted
	if reason := refusal(m.GetChannel(), c.Customer); reason != "" {
		return []proto.Message{&channelv1.MessageRefused{MessageId: m.GetMessageId(), LeadId: m.GetLeadId(), Reason: reason}}, nil
	}
	return []proto.Message{&channelv1.MessageSent{
		MessageId: m.GetMessageId(), LeadId: m.GetLeadId(), CustomerId: m.GetCustomerId(), Channel: m.GetChannel(), SentAt: timestamppb.New(c.At),
	}}, nil
}

// refusal says why a message must not, or can't, go to a customer; empty when it
// may. It holds nothing personal.
func refusal(channel journeyv1.Channel, customer *channelv1.CustomerView) string {
	switch {
	case customer == nil:
		return "the channel does not know the customer"
	case customer.GetConsent() == journeyv1.Consent_CONSENT_WITHDRAWN:
		return "the customer objects to being approached"
	case address(channel, customer) != "":
		return ""
	}
	switch channel {
	case journeyv1.Channel_CHANNEL_CALL_CENTRE:
		return "the customer has no phone number"
	case journeyv1.Channel_CHANNEL_EMAIL:
		return "the customer has no e-mail address"
	case journeyv1.Channel_CHANNEL_PRINT:
		return "the customer has no postal address"
	default:
		return "the channel carries no outbound messages"
	}
}

// address is where a channel reaches a customer; empty when it can't.
func address(channel journeyv1.Channel, customer *channelv1.CustomerView) string {
	switch channel {
	case journeyv1.Channel_CHANNEL_CALL_CENTRE:
		return customer.GetPerson().GetPhone()
	case journeyv1.Channel_CHANNEL_EMAIL:
		return customer.GetPerson().GetEmail()
	case journeyv1.Channel_CHANNEL_PRINT:
		return postal(customer.GetPerson().GetAddress())
	default:
		return ""
	}
}

// postal writes a postal address on one line; empty where there is no street, or
// nothing to tell which town's.
func postal(a *journeyv1.Address) string {
	if a.GetStreet() == "" || a.GetSuburb() == "" && a.GetPostcode() == "" {
		return ""
	}
	lines := []string{
		words(a.GetStreetNumber(), a.GetStreet()), a.GetExtra(), words(a.GetPostcode(), a.GetSuburb()), a.GetState(),
	}
	var given []string
	for _, line := range lines {
		if line != "" {
			given = append(given, line)
		}
	}
	return strings.Join(given, ", ")
}

func words(a, b string) string { return strings.TrimSpace(a + " " + b) }
