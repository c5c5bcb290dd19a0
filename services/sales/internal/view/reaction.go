package view

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/triangle-suite/triangle/contracts/flows"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/flow"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// types are the events that change a view.
var types = []string{
	"sales.CustomerRegistered", "sales.CustomerChanged", "sales.ConsentChanged",
	"sales.OrderPlaced", "sales.RequestOpened", "sales.RequestStatusChanged",
}

// Consumer takes in the events of sales that change a view. It is a flow apart
// from the one that fills the tables: an answer costs a round trip to the store,
// and the tables need not wait for it.
func Consumer(streams *decider.Streams) flow.Consumer {
	own := flow.Own(flows.Sales, types, []string{"customer_id"})
	own.Name += "-view"
	return flow.Consumer{Flow: own, Answers: flow.InOrderOfKeys, Reactions: []flow.Reaction{{
		Name:  "update-view",
		Takes: takes,
		Answer: func(ctx context.Context, _ projection.Querier, cause flow.Cause) error {
			return answer(ctx, streams, cause)
		},
	}}}
}

// takes tells whether an event changes a view. That a request is open is said
// twice, and its opening has shown it.
func takes(e codec.Event) bool {
	status, ok := e.Message.(*salesv1.RequestStatusChanged)
	return !ok || status.GetStatus() != journeyv1.RequestStatus_REQUEST_STATUS_OPEN
}

func answer(ctx context.Context, streams *decider.Streams, cause flow.Cause) error {
	customerID, ok := customerOf(cause.Message)
	if !ok {
		return flow.Unprocessable(fmt.Errorf("%s names no customer", cause.Type))
	}
	_, err := decider.Handle(ctx, streams, cause.Origin, Stream(customerID), Decider,
		func(s State) ([]proto.Message, error) { return Decide(s, customerID, cause.Message), nil })
	return err
}

func customerOf(message proto.Message) (string, bool) {
	about, ok := message.(interface{ GetCustomerId() string })
	if !ok || about.GetCustomerId() == "" {
		return "", false
	}
	return about.GetCustomerId(), true
}
