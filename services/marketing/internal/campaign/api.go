package campaign

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/internal/call"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/fault"
	"github.com/triangle-suite/triangle/services/internal/projection"
	"github.com/triangle-suite/triangle/services/marketing/internal/complaint"
	"github.com/triangle-suite/triangle/services/marketing/internal/facts"
	"github.com/triangle-suite/triangle/services/marketing/internal/proposition"
)

// API answers the calls about campaigns.
type API struct {
	Streams   *decider.Streams
	DB        projection.Querier
	Origins   call.Origins
	Freshness func(flows ...string) []*flowv1.Freshness
}

// DefineCampaign says whom marketing means to approach, with what.
func (a *API) DefineCampaign(
	ctx context.Context, req *marketingv1.DefineCampaignRequest,
) (*marketingv1.DefineCampaignResponse, error) {
	c, err := defined(req.GetCampaign())
	if err != nil {
		return nil, err
	}
	origin, err := a.Origins(ctx, marketingv1.MarketingService_DefineCampaign_FullMethodName, req)
	if err != nil {
		return nil, err
	}
	_, offerErr := a.content(ctx, c)
	if offerErr != nil && !fault.Is(offerErr, fault.KindPrecondition) {
		return nil, offerErr
	}
	_, err = decider.Handle(ctx, a.Streams, origin, Stream(c.GetCampaignId()), Decider, func(s State) ([]proto.Message, error) {
		if offerErr != nil { // judged here, as a retry gets the first answer whatever holds now
			return nil, offerErr
		}
		return Define(s, c), nil
	})
	if err != nil {
		return nil, fmt.Errorf("define campaign %s: %w", c.GetCampaignId(), err)
	}
	return &marketingv1.DefineCampaignResponse{}, nil
}

// content returns what a campaign's leads are to say or show.
func (a *API) content(ctx context.Context, c *marketingv1.CampaignDefined) (string, error) {
	p, err := proposition.Find(ctx, a.Streams, c.GetPropositionId())
	if err != nil {
		return "", err
	}
	text, ok := proposition.ContentFor(p, c.GetChannel())
	if !ok {
		return "", fault.Precondition("proposition %s has no content for %s", c.GetPropositionId(), c.GetChannel()).
			WithReason("CONTENT_MISSING")
	}
	return text, nil
}

// RunCampaign chooses the campaign's customers and issues its leads. The run and
// its leads are one append, so that a run is there whole or not at all.
func (a *API) RunCampaign(
	ctx context.Context, req *marketingv1.RunCampaignRequest,
) (*marketingv1.RunCampaignResponse, error) {
	var checks call.Checks
	checks.Slug("campaign_id", req.GetCampaignId())
	if err := checks.Err(); err != nil {
		return nil, err
	}
	origin, err := a.Origins(ctx, marketingv1.MarketingService_RunCampaign_FullMethodName, req)
	if err != nil {
		return nil, err
	}
	resp := &marketingv1.RunCampaignResponse{RunId: origin.NewID("run").String()}
	plan := Run{ID: resp.GetRunId(), At: origin.Time}
	issued, _, err := decider.Load(ctx, a.Streams, RunStream(plan.ID), RunDecider)
	if err != nil {
		return nil, fmt.Errorf("look up run %s: %w", plan.ID, err)
	}
	if issued.Run == nil {
		resp.Freshness = a.Freshness(facts.Flow, complaint.Flow) // before the choice: it rests on no less
		if err := a.plan(ctx, req.GetCampaignId(), &plan); err != nil {
			return nil, err
		}
	}
	outcome, err := decider.Handle(ctx, a.Streams, origin, RunStream(plan.ID), RunDecider,
		func(s Issued) ([]proto.Message, error) { return Issue(s, plan), nil })
	if err != nil {
		return nil, fmt.Errorf("run campaign %s: %w", req.GetCampaignId(), explain(err, plan))
	}
	if outcome.Repeated {
		resp.Freshness = nil // how old the data was then is not on record
	}
	resp.LeadIds = outcome.State.Leads
	return resp, nil
}

// plan fills in what a campaign's run needs, by what is known now.
func (a *API) plan(ctx context.Context, id string, r *Run) error {
	state, _, err := decider.Load(ctx, a.Streams, Stream(id), Decider)
	if err != nil {
		return fmt.Errorf("look up campaign %s: %w", id, err)
	}
	if state.Defined == nil {
		return fault.NotFound("there is no campaign %s", id)
	}
	r.Campaign = state.Defined
	if r.Content, err = a.content(ctx, r.Campaign); err != nil {
		return err
	}
	r.Customers, err = audience(ctx, a.DB, r.Campaign)
	return err
}

// explain says what the caller can do about a run that is too large.
func explain(err error, r Run) error {
	if !errors.Is(err, eventlog.ErrTooLarge) {
		return err
	}
	return fault.TooLarge("%d leads with this content are more than one run can issue: lower the campaign's max_leads, or shorten the content",
		len(r.Customers)).WithReason("RUN_TOO_LARGE").Because(err)
}
