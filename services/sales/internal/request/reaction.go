package request

import (
	"context"
	"errors"
	"fmt"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/fault"
	"github.com/triangle-suite/triangle/services/internal/flow"
	"github.com/triangle-suite/triangle/services/internal/keyring"
	"github.com/triangle-suite/triangle/services/internal/projection"
	"github.com/triangle-suite/triangle/services/sales/internal/process"
)

const flowName = "customer-requests"

// Consumer takes in the flow customer-requests.
func Consumer(streams *decider.Streams) (flow.Consumer, error) {
	f, ok := flows.Find(flowName)
	if !ok {
		return flow.Consumer{}, fmt.Errorf("the catalogue has no flow %q", flowName)
	}
	return flow.Consumer{Flow: f, Reactions: []flow.Reaction{{
		Name:  "follow-request",
		Takes: func(codec.Event) bool { return true },
		Answer: func(ctx context.Context, _ projection.Querier, cause flow.Cause) error {
			return follow(ctx, streams, cause)
		},
	}}}, nil
}

// follow follows a request through what its channel does with it.
func follow(ctx context.Context, streams *decider.Streams, cause flow.Cause) error {
	switch e := cause.Message.(type) {
	case *channelv1.RequestSubmitted:
		return open(ctx, streams, cause.Origin, Open{
			RequestID: e.GetRequestId(), CustomerID: e.GetCustomerId(), ContactID: e.GetContactId(),
			Kind: e.GetKind(), Text: e.GetText(), SubmittedAt: e.GetSubmittedAt().AsTime(), HappenedAt: cause.Created,
		})
	case *channelv1.RequestHandled:
		return advance(ctx, streams, cause, Advance{RequestID: e.GetRequestId(), To: statusDone, Detail: e.GetReference()})
	case *channelv1.RequestHandledInPart:
		return advance(ctx, streams, cause, Advance{RequestID: e.GetRequestId(), To: statusInProgress, Detail: e.GetReason()})
	default:
		return flow.Unprocessable(fmt.Errorf("%s is no step of a request", cause.Type))
	}
}

// open opens a request. Of a customer who was erased it keeps no words: there is
// no key to seal them with, and there will be none.
func open(ctx context.Context, streams *decider.Streams, origin decider.Origin, command Open) error {
	_, err := decider.Handle(ctx, streams, origin, Stream(command.RequestID), Decider, command.Decide)
	if errors.Is(err, keyring.ErrDestroyed) && command.Text != "" {
		command.Text = ""
		_, err = decider.Handle(ctx, streams, origin, Stream(command.RequestID), Decider, command.Decide)
	}
	return err
}

// advance moves a request on a channel's behalf. One that CRM has never heard of is the event's fault:
// the flow keeps the order of a request's events.
func advance(ctx context.Context, streams *decider.Streams, cause flow.Cause, command Advance) error {
	command.By, command.HappenedAt = process.Channel, cause.Created
	_, err := decider.Handle(ctx, streams, cause.Origin, Stream(command.RequestID), Decider, command.Decide)
	if fault.Is(err, fault.KindNotFound) {
		return flow.Unprocessable(err)
	}
	return err
}
