// Package response records that outbound leads were presented, and what customers
// answer to them, through whatever channel the answer came in.
package response

import (
	"google.golang.org/protobuf/proto"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/internal/decider"
)

// Stream is the stream of what came of a lead, as marketing heard of it.
func Stream(lead string) string { return "lead-response-" + lead }

// State is what came of a lead.
type State struct {
	Presented bool
	Responses int
}

// Decider is the pure core of what came of a lead.
var Decider = decider.Decider[State]{
	Initial: func() State { return State{} },
	Evolve: func(s State, event proto.Message) State {
		switch event.(type) {
		case *marketingv1.LeadPresented:
			s.Presented = true
		case *marketingv1.LeadResponseRecorded:
			s.Responses++
		}
		return s
	},
}

// Present records that a lead was presented, once.
func Present(s State, m *channelv1.MessageSent) []proto.Message {
	if s.Presented {
		return nil
	}
	return []proto.Message{&marketingv1.LeadPresented{LeadId: m.GetLeadId(), CustomerId: m.GetCustomerId(), Channel: m.GetChannel()}}
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
