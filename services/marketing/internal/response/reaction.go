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
