// Package outbound sends messages that lead management orders: by e-mail, in
// print, and through the call centre's work list.
//
//	DispatchOrdered ─▶ MessageAccepted ─▶ table message ─▶ Sender, one for each way
//	                   (the intent)                          │ sets a marker, and waits until customer-view
//	                                                         │ has passed it: address and consent are current
//	             MessageRefused with the reason ◀────────────┤
//	                                                         │ connects to the mail server, or writes the letter beside
//	                              DeliveryBegun ◀────────────┤
//	                                                         │ hands the message over: it may arrive from now on
//	  MessageSent, MessageBounced, DeliveryPostponed or ◀────┘
//	  MessageOutcomeUnknown
//
// What goes out can't be taken back, and what a partner did with it is not on
// record in the same moment. So DeliveryBegun is, before. Where it is the last word
// of a process that ended, the partner is asked; a mail server can't be, and a
// message that may have left is not sent again: at most once.
//
// The address is looked up when a message is sent, and stands in the event that
// tells so, sealed: where a message went is known for as long as its customer is not
// erased, and stands nowhere else.
package outbound

import (
	"cmp"
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
	Detail   string // why it stands so
	Attempts uint32 // how often it was being handed over
	Begun    bool   // whether it is, and nobody has said yet what came of it
	Address  string // where it went, or is going; empty where that is not on record
	Agent    string // of a call, who has taken it
	Takes    uint64 // how often it was taken
	Last     string // who had it last, where it came back
	Returned string // why it came back last
	Result   channelv1.CallResult
}

// Decider is the pure core of a message.
var Decider = decider.Decider[State]{
	Initial: func() State { return State{} },
	Evolve: func(s State, event proto.Message) State {
		switch e := event.(type) {
		case *channelv1.MessageAccepted:
			s.Accepted = e
		case *channelv1.DeliveryBegun:
			s.Attempts, s.Begun, s.Address = e.GetAttempt(), true, e.GetAddress()
		case *channelv1.DeliveryPostponed:
			s.Begun = false
		case *channelv1.MessageSent:
			s.Address = e.GetAddress()
		case *channelv1.CallTaken:
			s.Agent, s.Address, s.Last = e.GetAgentId(), e.GetAddress(), ""
			s.Takes++
		case *channelv1.CallReturned:
			s.Agent, s.Last, s.Returned = "", e.GetAgentId(), whyReturned(e)
		case *channelv1.CallEnded:
			s.Result = e.GetResult()
		}
		if state, detail := stateAfter(event); state != channelv1.MessageState_MESSAGE_STATE_UNSPECIFIED {
			s.State, s.Detail = state, detail
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

// Dispatch decides whether a message may go to its customer. One that nobody has
// to carry is sent by that: it stands on the work list from then on.
type Dispatch struct {
	Customer *channelv1.CustomerView // as it is now; nil when the channel has no view
	Carried  bool                    // whether it has to be carried
	Unable   string                  // why nobody can carry it; empty: somebody does
	At       time.Time
}

// Decide decides it. What came of a message that is being handed over is decided
// by who carries it.
func (c Dispatch) Decide(s State) ([]proto.Message, error) {
	switch {
	case s.Accepted == nil:
		return nil, errNotFound()
	case s.State != channelv1.MessageState_MESSAGE_STATE_ACCEPTED || s.Begun:
		return nil, nil
	}
	m := s.Accepted
	reason := cmp.Or(refusal(m.GetChannel(), c.Customer), c.Unable)
	switch {
	case reason != "":
		return []proto.Message{&channelv1.MessageRefused{MessageId: m.GetMessageId(), LeadId: m.GetLeadId(), Reason: reason}}, nil
	case c.Carried:
		return nil, nil
	}
	return []proto.Message{sent(m, address(m.GetChannel(), c.Customer), c.At)}, nil
}

func errNotFound() error {
	return fault.NotFound("there is no such message").WithReason("MESSAGE_NOT_FOUND")
}

func sent(m *channelv1.MessageAccepted, address string, at time.Time) *channelv1.MessageSent {
	return &channelv1.MessageSent{
		MessageId: m.GetMessageId(), LeadId: m.GetLeadId(), CustomerId: m.GetCustomerId(), Channel: m.GetChannel(),
		SentAt: timestamppb.New(at), Address: address,
	}
}

// Begin puts on record that a message is being handed over.
type Begin struct {
	Address string // where it goes
	At      time.Time
}

// Decide decides it. Nothing comes of it where the message is being handed over, or
// has been: then it must not be, once more.
func (c Begin) Decide(s State) ([]proto.Message, error) {
	switch {
	case s.Accepted == nil:
		return nil, errNotFound()
	case s.State != channelv1.MessageState_MESSAGE_STATE_ACCEPTED || s.Begun:
		return nil, nil
	}
	return []proto.Message{&channelv1.DeliveryBegun{
		MessageId: s.Accepted.GetMessageId(), LeadId: s.Accepted.GetLeadId(), Attempt: s.Attempts + 1, BegunAt: timestamppb.New(c.At),
		CustomerId: s.Accepted.GetCustomerId(), Address: c.Address,
	}}, nil
}

// Fate is what came of a message that was, or was not, handed over: it is sent, or
// bounced, or nobody can tell, or it is accepted still, and tried again.
type Fate struct {
	State  channelv1.MessageState
	Reason string // why it is not sent; nothing personal
}

// Settle puts a message's fate on record. The first one stands.
type Settle struct {
	Fate Fate
	At   time.Time
}

// Decide decides it.
func (c Settle) Decide(s State) ([]proto.Message, error) {
	switch {
	case s.Accepted == nil:
		return nil, errNotFound()
	case s.State != channelv1.MessageState_MESSAGE_STATE_ACCEPTED:
		return nil, nil
	}
	id, lead := s.Accepted.GetMessageId(), s.Accepted.GetLeadId()
	switch c.Fate.State {
	case channelv1.MessageState_MESSAGE_STATE_SENT:
		return []proto.Message{sent(s.Accepted, s.Address, c.At)}, nil
	case channelv1.MessageState_MESSAGE_STATE_BOUNCED:
		return []proto.Message{&channelv1.MessageBounced{MessageId: id, LeadId: lead, Reason: c.Fate.Reason}}, nil
	case channelv1.MessageState_MESSAGE_STATE_UNKNOWN:
		return []proto.Message{&channelv1.MessageOutcomeUnknown{MessageId: id, LeadId: lead, Reason: c.Fate.Reason}}, nil
	}
	if !s.Begun {
		return nil, nil // it has not left, and nobody may think that it has
	}
	return []proto.Message{&channelv1.DeliveryPostponed{MessageId: id, LeadId: lead, Attempt: s.Attempts, Reason: c.Fate.Reason}}, nil
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
