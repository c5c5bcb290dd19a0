package simulation

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/structpb"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
)

// storiesPerErasure is how rarely anybody is erased: a story of which much is erased
// shows less of all else.
const storiesPerErasure = 4

// erase has a customer forgotten, or two of them, while all others go on. Whoever is
// not known yet is not to be found.
func (a *actor) erase(ctx context.Context) {
	if a.random.IntN(storiesPerErasure) > 0 {
		return
	}
	client := salesv1.NewSalesServiceClient(a.world.services[flows.Sales])
	for range 1 + a.random.IntN(2) {
		a.rest(ctx, 36*time.Hour)
		found, ok := call(ctx, a, client.GetCustomer, &salesv1.GetCustomerRequest{
			By: &salesv1.GetCustomerRequest_CustomerNumber{CustomerNumber: number(a.random.IntN(customers))},
		})
		if ok {
			call(ctx, a, client.EraseCustomer, &salesv1.EraseCustomerRequest{
				CustomerId: found.GetCustomer().GetCustomerId(), By: "the privacy officer", Reason: "asked for",
			})
		}
	}
}

// brochure is a kind of event whose data are sealed with the contact's key, and kept
// in clear in marketing's tables.
var brochure = &channelv1.RegisterEventKindRequest{Kind: "brochure-taken", Schema: object(map[string]*structpb.Value{
	"type": structpb.NewStringValue("object"), "additionalProperties": structpb.NewBoolValue(false),
	"properties": structpb.NewStructValue(object(map[string]*structpb.Value{
		"topic": structpb.NewStructValue(object(map[string]*structpb.Value{"type": structpb.NewStringValue("string")})),
	})),
})}

// taken is an event of that kind.
func taken(topic string) *channelv1.RecordEventRequest_Other {
	data := object(map[string]*structpb.Value{"topic": structpb.NewStringValue(topic)})
	return &channelv1.RecordEventRequest_Other{Other: &channelv1.KindEvent{Kind: brochure.GetKind(), Data: data}}
}

func object(fields map[string]*structpb.Value) *structpb.Struct {
	return &structpb.Struct{Fields: fields}
}
