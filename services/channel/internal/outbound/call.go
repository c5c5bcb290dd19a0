package outbound

import (
	"cmp"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	"github.com/triangle-suite/triangle/services/internal/fault"
)

// TakeCall takes a call off the work list, for an agent to make.
type TakeCall struct {
	Agent    string
	Customer *channelv1.CustomerView // as it is now; nil when the channel has no view
	Unable   string                  // why nobody may make the call; empty: somebody may
	At       time.Time
}

// Decide decides it. Between the sending and the call time passes: whoever objects
// by now, or can't be called any more, is not called.
func (c TakeCall) Decide(s State) ([]proto.Message, error) {
	if err := s.onList(); err != nil {
		return nil, err
	}
	m := s.Accepted
	switch {
	case s.Agent == c.Agent:
		return nil, nil
	case s.Agent != "":
		return nil, fault.Precondition("another agent has taken the call: take another one").WithReason("CALL_TAKEN")
	}
	if reason := cmp.Or(refusal(m.GetChannel(), c.Customer), c.Unable); reason != "" {
		return []proto.Message{&channelv1.MessageBounced{MessageId: m.GetMessageId(), LeadId: m.GetLeadId(), Reason: reason}}, nil
	}
	return []proto.Message{&channelv1.CallTaken{
		MessageId: m.GetMessageId(), LeadId: m.GetLeadId(), AgentId: c.Agent, TakenAt: timestamppb.New(c.At),
		CustomerId: m.GetCustomerId(), Address: address(m.GetChannel(), c.Customer),
	}}, nil
}

// onList refuses what is no call, and what does not stand on the list.
func (s State) onList() error {
	switch {
	case s.Accepted == nil:
		return errNotFound()
	case s.Accepted.GetChannel() != journeyv1.Channel_CHANNEL_CALL_CENTRE:
		return fault.Precondition("the message is no call").WithReason("NOT_A_CALL")
	case s.State != channelv1.MessageState_MESSAGE_STATE_SENT:
		return fault.Precondition("the call is not on the list").WithReason("CALL_NOT_ON_LIST")
	}
	return nil
}

// EndCall says what came of a call.
type EndCall struct {
	Agent  string
	Result channelv1.CallResult
	At     time.Time
}

// Decide decides it. A call on which nobody was reached came back, which lead
// management learns as of any other message.
func (c EndCall) Decide(s State) ([]proto.Message, error) {
	if s.Result != 0 && s.Result == c.Result && s.Agent == c.Agent {
		return nil, nil
	}
	if s.Result != 0 {
		return nil, fault.Precondition("what came of the call has been told").WithReason("CALL_ENDED")
	}
	if err := s.onList(); err != nil {
		return nil, err
	}
	switch {
	case s.Agent == c.Agent:
	case s.Agent == "" && s.Last == c.Agent:
		return nil, fault.Precondition("the call has gone back to the list: take it again first").WithReason("CALL_NOT_TAKEN")
	default:
		return nil, fault.Precondition("the agent has not taken the call: take it first").WithReason("CALL_NOT_TAKEN")
	}
	id, lead := s.Accepted.GetMessageId(), s.Accepted.GetLeadId()
	events := []proto.Message{&channelv1.CallEnded{
		MessageId: id, LeadId: lead, AgentId: c.Agent, Result: c.Result, EndedAt: timestamppb.New(c.At),
	}}
	if c.Result == channelv1.CallResult_CALL_RESULT_NOT_REACHED {
		events = append(events, &channelv1.MessageBounced{MessageId: id, LeadId: lead, Reason: "the customer was not reached"})
	}
	return events, nil
}

// callState is where a call stands.
func (s State) callState() channelv1.CallState {
	switch {
	case s.Result != 0:
		return ended(s.Result)
	case s.Agent != "":
		return channelv1.CallState_CALL_STATE_TAKEN
	case s.onList() == nil:
		return channelv1.CallState_CALL_STATE_WAITING
	}
	return channelv1.CallState_CALL_STATE_UNSPECIFIED
}

// ended is where a call stands of which the result is told.
func ended(result channelv1.CallResult) channelv1.CallState {
	if result == channelv1.CallResult_CALL_RESULT_REACHED {
		return channelv1.CallState_CALL_STATE_REACHED
	}
	return channelv1.CallState_CALL_STATE_NOT_REACHED
}
