package contact

import (
	"context"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	"github.com/triangle-suite/triangle/services/channel/internal/nba"
	"github.com/triangle-suite/triangle/services/internal/call"
)

// RecordEvent passes a commercially interesting event to marketing, and waits,
// within the budget, for the list that it leads to.
func (a *API) RecordEvent(ctx context.Context, request *channelv1.RecordEventRequest) (*channelv1.RecordEventResponse, error) {
	var checks call.Checks
	id := checks.Required("contact_id", request.GetContactId())
	happened, err := a.checkHappening(ctx, &checks, request)
	if err != nil {
		return nil, err
	}
	budget, by := checks.Wait("wait", request.GetWait()), CheckVisitor(&checks, request.GetVisitor())
	if err := checks.Err(); err != nil {
		return nil, err
	}
	origin, err := a.Origins(ctx, channelv1.ChannelService_RecordEvent_FullMethodName, request)
	if err != nil {
		return nil, err
	}
	outcome, err := a.handle(ctx, origin, id, by.Takes(happened.command))
	if err != nil {
		return nil, err
	}
	var actions *channelv1.Actions
	reason := happened.unasked
	switch {
	case reason != "":
	case len(outcome.Events) == 0:
		reason = nothingNew
	case outcome.State.CustomerID == "":
		reason = unidentified
	default:
		if actions, reason, err = a.await(ctx, outcome.State, origin, nba.PathOfEvents, budget); err != nil {
			return nil, err
		}
	}
	if actions == nil {
		if actions, err = a.Lists.LastKnown(ctx, id, outcome.State.CustomerID, reason); err != nil {
			return nil, err
		}
	}
	return &channelv1.RecordEventResponse{NextBestActions: actions, Freshness: a.freshness()}, nil
}

// happening is an event of the API as the command that it stands for.
type happening struct {
	command command
	unasked string // why marketing decides nothing anew, where it does not
}

// checkHappening looks an event over, of whatever kind.
func (a *API) checkHappening(ctx context.Context, checks *call.Checks, request *channelv1.RecordEventRequest) (happening, error) {
	if e, ok := request.GetEvent().(*channelv1.RecordEventRequest_Other); ok {
		return a.checkOther(ctx, checks, e.Other)
	}
	return checkEvent(checks, request), nil
}

// checkEvent looks an event of a built-in kind over. A further kind that marketing
// decides by is one more case here and one more command; any other is registered.
func checkEvent(checks *call.Checks, request *channelv1.RecordEventRequest) happening {
	switch e := request.GetEvent().(type) {
	case *channelv1.RecordEventRequest_Presented:
		return happening{
			command: Present{
				PropositionID: checks.Required("presented.proposition_id", e.Presented.GetPropositionId()),
				DecisionID:    checks.Optional("presented.decision_id", e.Presented.GetDecisionId()),
			},
			unasked: "that a proposition was presented asks for no new list",
		}
	case *channelv1.RecordEventRequest_Answered:
		call.Known(checks, "answered.answer", e.Answered.GetAnswer(), journeyv1.Answer_name)
		return happening{command: Answer{
			PropositionID: checks.Required("answered.proposition_id", e.Answered.GetPropositionId()), Answer: e.Answered.GetAnswer(),
		}}
	case *channelv1.RecordEventRequest_Interest:
		return happening{command: ShowInterest{
			Kind: checks.Required("interest.kind", e.Interest.GetKind()), Topic: checks.Required("interest.topic", e.Interest.GetTopic()),
		}}
	case *channelv1.RecordEventRequest_Banner:
		return happening{command: ClickBanner{PropositionID: checks.Required("banner.proposition_id", e.Banner.GetPropositionId())}}
	default:
		checks.Fail("event", "is missing: write presented, answered, interest, banner or other")
		return happening{}
	}
}
