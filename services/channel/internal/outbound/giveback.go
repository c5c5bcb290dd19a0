package outbound

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	"github.com/triangle-suite/triangle/services/channel/internal/idle"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/fault"
)

// GiveBackCall puts a call that an agent has taken on the work list again.
type GiveBackCall struct {
	Agent  string
	Reason string // in the agent's words
	At     time.Time
}

// Decide decides it. A call that has gone back by itself is where its agent wants it.
func (c GiveBackCall) Decide(s State) ([]proto.Message, error) {
	if s.Result != 0 {
		return nil, fault.Precondition("what came of the call has been told: it does not go back to the list").WithReason("CALL_ENDED")
	}
	if err := s.onList(); err != nil {
		return nil, err
	}
	switch {
	case s.Agent == c.Agent:
		return []proto.Message{s.returned(channelv1.CallReturn_CALL_RETURN_GIVEN_BACK, c.Reason, c.At)}, nil
	case s.Agent != "":
		return nil, fault.Precondition("another agent has taken the call: leave it to them").WithReason("CALL_TAKEN")
	case s.Last == c.Agent:
		return nil, nil
	}
	return nil, fault.Precondition("nobody has taken the call: it stands on the list").WithReason("CALL_NOT_TAKEN")
}

// TimeOutCall puts a call that its agent has not ended in time on the work list again.
type TimeOutCall struct {
	// Takes are how often it had been taken when it was looked at: if it was taken once
	// more since, that has its own time.
	Takes uint64
	// At is when its time was up.
	At time.Time
}

// Decide decides it.
func (c TimeOutCall) Decide(s State) ([]proto.Message, error) {
	if s.State != channelv1.MessageState_MESSAGE_STATE_SENT || s.Result != 0 || s.Agent == "" || s.Takes != c.Takes {
		return nil, nil
	}
	return []proto.Message{s.returned(channelv1.CallReturn_CALL_RETURN_TIMED_OUT, "", c.At)}, nil
}

func (s State) returned(how channelv1.CallReturn, reason string, at time.Time) *channelv1.CallReturned {
	return &channelv1.CallReturned{
		MessageId: s.Accepted.GetMessageId(), LeadId: s.Accepted.GetLeadId(), CustomerId: s.Accepted.GetCustomerId(),
		AgentId: s.Agent, How: how, Reason: reason, ReturnedAt: timestamppb.New(at),
	}
}

// whyReturned says why a call came back.
func whyReturned(e *channelv1.CallReturned) string {
	if e.GetHow() == channelv1.CallReturn_CALL_RETURN_TIMED_OUT {
		return notEndedInTime
	}
	return e.GetReason()
}

// notEndedInTime is what nobody has said.
const notEndedInTime = "its agent did not end it in time"

// listed is the table of the calls on the list. One that an agent has taken stands in
// its channel, and times out; one that waits stands in none. It is touched when it is
// taken, and only then: so its touches are its takes.
var listed = idle.Table{Name: "message_on_list", ID: "message_id"}

// CallExpirer puts calls that nobody ends in time on the work list again: see
// idle.Expirer, of which x has the rest.
func CallExpirer(streams *decider.Streams, x idle.Expirer) *idle.Expirer {
	x.Table = listed
	x.End = func(ctx context.Context, u idle.Untouched) error {
		u.Origin.Key = "call-taken:" + u.Origin.Key
		_, err := decider.Handle(ctx, streams, u.Origin, Stream(u.ID), Decider, TimeOutCall{Takes: u.Touches, At: u.At}.Decide)
		if err != nil {
			return fmt.Errorf("put call %s, which timed out, on the list: %w", u.ID, err)
		}
		return nil
	}
	return &x
}
