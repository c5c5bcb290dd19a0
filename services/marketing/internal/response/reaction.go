package response

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/flow"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// Reactions answer what channels tell of leads.
func Reactions(streams *decider.Streams) []flow.Reaction {
	return []flow.Reaction{recordResponse(streams), notePresented(streams)}
}

// notePresented answers each message that was sent for a lead: what is learned from
// the answers to leads is learned from those that were presented. A late one counts
// all the same.
func notePresented(streams *decider.Streams) flow.Reaction {
	return flow.Reaction{
		Name: "note-lead-presented",
		Takes: func(e codec.Event) bool {
			m, ok := e.Message.(*channelv1.MessageSent)
			return ok && m.GetLeadId() != ""
		},
		Late: flow.LatePolicy{Do: flow.RunLate},
		Answer: func(ctx context.Context, _ projection.Querier, cause flow.Cause) error {
			m, ok := cause.Message.(*channelv1.MessageSent)
			if !ok {
				return flow.Unprocessable(fmt.Errorf("%s is no message that was sent", cause.ID))
			}
			_, err := decider.Handle(ctx, streams, cause.Origin, Stream(m.GetLeadId()), Decider,
				func(s State) ([]proto.Message, error) { return Present(s, m), nil })
			return err
		},
	}
}

// recordResponse answers each response that a channel receives. A late one is recorded
// all the same: the customer's answer does not expire.
func recordResponse(streams *decider.Streams) flow.Reaction {
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
