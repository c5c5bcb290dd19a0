package contact

import (
	"context"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	"github.com/triangle-suite/triangle/services/internal/backoffice"
	"github.com/triangle-suite/triangle/services/internal/call"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/tracing"
)

// SubmitRequest takes a visitor's request, and tries to have it done by the back
// office within the contact.
//
// The intent is on record first. A process that ends before the outcome is on
// record, too, leaves a call that its caller repeats: then the back office is
// asked again, with the same key, and the first outcome stands. What nobody
// repeats a Settler hands to CRM.
func (a *API) SubmitRequest(ctx context.Context, request *channelv1.SubmitRequestRequest) (*channelv1.SubmitRequestResponse, error) {
	var checks call.Checks
	id := checks.Required("contact_id", request.GetContactId())
	call.Known(&checks, "kind", request.GetKind(), journeyv1.RequestKind_name)
	submit := Submit{Kind: request.GetKind(), Text: checks.Text("text", request.GetText())}
	by := CheckVisitor(&checks, request.GetVisitor())
	if err := checks.Err(); err != nil {
		return nil, err
	}
	origin, err := a.Origins(ctx, channelv1.ChannelService_SubmitRequest_FullMethodName, request)
	if err != nil {
		return nil, err
	}
	submit.RequestID, submit.At = origin.NewID("request").String(), origin.Time
	outcome, err := a.handle(ctx, origin, id, by.Takes(submit))
	if err != nil {
		return nil, err
	}
	handling, settled := outcome.State.Handled(submit.RequestID)
	if !settled {
		if handling, err = a.settle(ctx, outcome, origin, submit); err != nil {
			return nil, err
		}
	}
	return &channelv1.SubmitRequestResponse{RequestId: submit.RequestID, Handling: handling.How, Detail: handling.Detail}, nil
}

// settle asks the back office and records what came of it. Where the call has
// been repeated meanwhile, the outcome that was recorded first is the answer.
func (a *API) settle(ctx context.Context, submitted decider.Outcome[State], call decider.Origin, submit Submit) (Handling, error) {
	handling, err := a.try(ctx, backoffice.Request{ID: submit.RequestID, Kind: submit.Kind, Text: submit.Text})
	if err != nil {
		return Handling{}, err
	}
	origin := settling(submit.RequestID, submitted.IDs[0], submitted.Position, call.CorrelationID, call.Time)
	outcome, err := a.handle(ctx, origin, submitted.State.ID, Settle{RequestID: submit.RequestID, Handling: handling})
	if err != nil {
		return Handling{}, err
	}
	handling, _ = outcome.State.Handled(submit.RequestID)
	return handling, nil
}

// try asks the back office, if there is one.
func (a *API) try(ctx context.Context, request backoffice.Request) (Handling, error) {
	if a.BackOffice.Client == nil {
		return a.BackOffice.Try(ctx, request)
	}
	ctx, span := a.Streams.Tracer.Ask(ctx, backoffice.Partner, request.ID, tracing.Origin{})
	handling, err := a.BackOffice.Try(ctx, request)
	if err == nil {
		span.Outcome(handling.How.String())
	}
	span.End(err)
	return handling, err
}
