// Package response records what customers answer to outbound leads, through
// whatever channel the answer came in.
package response

import (
	"google.golang.org/protobuf/proto"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/internal/decider"
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
