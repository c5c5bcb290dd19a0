// Package response records what customers answer to outbound leads, through
// whatever channel the answer came in.
package response

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/flow"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// Stream is the stream of the responses to a lead.
func Stream(lead string) string { return "lead-response-" + lead }

// State is a lead's responses, counted.
type State struct {
	Responses int
}

// Decider is the pure core of a lead's responses.
var Decider = decider.Decider[State]{
	Initial: func() State { return State{} },
	Evolve: func(s State, event proto.Message) State {
		if _, ok := event.(*marketingv1.LeadResponseRecorded); ok {
			s.Responses++
		}
		return s
	},
}

// Record records a response. A customer may answer a lead again, in another
// contact or in other words: each answer is a fact of its own, and lead
// management goes by the last.
func Record(m *channelv1.LeadResponseReceived) []proto.Message {
	return []proto.Message{&marketingv1.LeadResponseRecorded{
		LeadId: m.GetLeadId(), CustomerId: m.GetCustomerId(), ContactId: m.GetContactId(),
		Channel: m.GetChannel(), Answer: m.GetAnswer(),
	}}
}

// Reaction answers each response that a channel receives. A late one is recorded
// all the same: the customer's answer does not expire.
func Reaction(streams *decider.Streams) flow.Reaction {
	return flow.Reaction{
		Name: "record-lead-response",
		Takes: func(e codec.Event) bool {
			_, ok := e.Message.(*channelv1.LeadResponseReceived)
			return ok
		},
		Late: flow.LatePolicy{Do: flow.RunLate},
		Answer: func(ctx context.Context, _ projection.Querier, cause flow.Cause) error {
			m, ok := cause.Message.(*channelv1.LeadResponseReceived)
			if !ok || m.GetLeadId() == "" {
				return flow.Unprocessable(fmt.Errorf("response %s names no lead", cause.ID))
			}
			_, err := decider.Handle(ctx, streams, cause.Origin, Stream(m.GetLeadId()), Decider,
				func(State) ([]proto.Message, error) { return Record(m), nil })
			return err
		},
	}
}
