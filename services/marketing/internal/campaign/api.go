package campaign

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/internal/call"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/fault"
	"github.com/triangle-suite/triangle/services/internal/projection"
	"github.com/triangle-suite/triangle/services/marketing/internal/nba"
	"github.com/triangle-suite/triangle/services/marketing/internal/segment"
)

// API answers the calls about campaigns.
type API struct {
	Streams   *decider.Streams
	DB        *projection.DB
	Origins   call.Origins
	Freshness func(flows ...string) []*flowv1.Freshness
	Now       func() time.Time
}

// DefineCampaign says whom marketing means to approach, with what and when.
func (a *API) DefineCampaign(
	ctx context.Context, req *marketingv1.DefineCampaignRequest,
) (*marketingv1.DefineCampaignResponse, error) {
	c, err := defined(ctx, a.DB, req.GetCampaign())
	if err != nil {
		return nil, err
	}
	origin, err := a.Origins(ctx, marketingv1.MarketingService_DefineCampaign_FullMethodName, req)
	if err != nil {
		return nil, err
	}
	unfit := a.fit(ctx, c)
	if unfit != nil && !fault.Is(unfit, fault.KindPrecondition) {
		return nil, unfit
	}
	_, err = decider.Handle(ctx, a.Streams, origin, Stream(c.GetCampaignId()), Decider, func(s State) ([]proto.Message, error) {
		if unfit != nil { // judged here, as a retry gets the first answer whatever holds now
			return nil, unfit
		}
		return Define(s, c, origin.Time), nil
	})
	if err != nil {
		return nil, fmt.Errorf("define campaign %s: %w", c.GetCampaignId(), err)
	}
	return &marketingv1.DefineCampaignResponse{}, nil
}

// fit fails with a fault when something is not there that a campaign names.
func (a *API) fit(ctx context.Context, c *marketingv1.CampaignDefined) error {
	if _, _, err := offered(ctx, a.Streams, c); err != nil {
		return err
	}
	for _, id := range []string{c.GetSegmentId(), c.GetTrigger().GetSegmentId()} {
		if id == "" {
			continue
		}
		if _, err := segment.Find(ctx, a.Streams, id); err != nil {
			return err
		}
	}
	return nil
}

// RunCampaign chooses the campaign's customers and issues its leads. A run that is
// broken off is carried out all the same, by who asks again or by itself.
func (a *API) RunCampaign(
	ctx context.Context, req *marketingv1.RunCampaignRequest,
) (*marketingv1.RunCampaignResponse, error) {
	id, err := slug(req.GetCampaignId())
	if err != nil {
		return nil, err
	}
	origin, err := a.Origins(ctx, marketingv1.MarketingService_RunCampaign_FullMethodName, req)
	if err != nil {
		return nil, err
	}
	resp := &marketingv1.RunCampaignResponse{RunId: origin.NewID("run").String()}
	known, _, err := decider.Load(ctx, a.Streams, RunStream(resp.GetRunId()), RunDecider)
	if err != nil {
		return nil, fmt.Errorf("look up run %s: %w", resp.GetRunId(), err)
	}
	var plan *marketingv1.CampaignRunPlanned
	if known.Planned == nil && known.Ended == nil {
		resp.Freshness = a.Freshness(nba.RestsOn...) // before the choice: it rests on no less
		if plan, err = a.plan(ctx, id, resp.GetRunId(), origin.Time); err != nil {
			return nil, err
		}
	}
	planned, err := decider.Handle(ctx, a.Streams, origin, RunStream(resp.GetRunId()), RunDecider,
		func(s RunState) ([]proto.Message, error) { return Plan(s, plan, ""), nil })
	if err != nil {
		return nil, fmt.Errorf("run campaign %s: %w", id, err)
	}
	if planned.Repeated {
		resp.Freshness = nil // how old the data was then is not on record
	}
	return resp, a.carryOut(ctx, resp)
}

// carryOut carries out a run, and tells what came of it.
func (a *API) carryOut(ctx context.Context, resp *marketingv1.RunCampaignResponse) error {
	if err := CarryOut(ctx, a.Streams, resp.GetRunId()); err != nil {
		return err
	}
	s, _, err := decider.Load(ctx, a.Streams, RunStream(resp.GetRunId()), RunDecider)
	if err != nil {
		return fmt.Errorf("look up run %s: %w", resp.GetRunId(), err)
	}
	for _, l := range s.Leads {
		resp.LeadIds = append(resp.LeadIds, l.GetLeadId())
	}
	resp.Eligible, resp.Capped = s.Ended.GetEligible(), s.Ended.GetCapped()
	return nil
}

// plan plans a run that is asked for, by what is known now.
func (a *API) plan(ctx context.Context, id, run string, at time.Time) (*marketingv1.CampaignRunPlanned, error) {
	s, _, err := decider.Load(ctx, a.Streams, Stream(id), Decider)
	switch {
	case err != nil:
		return nil, fmt.Errorf("look up campaign %s: %w", id, err)
	case s.Defined == nil:
		return nil, unknown(id)
	case s.Stopped:
		return nil, fault.Precondition("campaign %s was stopped: define it again, and it goes on", id).WithReason("CAMPAIGN_STOPPED")
	case s.Defined.GetTrigger() != nil:
		return nil, fault.Precondition("campaign %s approaches customers by its trigger: define it without one to run it", id).WithReason("CAMPAIGN_TRIGGERED")
	}
	plan := blank(s.Defined, run, at)
	return plan, planner{streams: a.Streams, db: a.DB}.choose(ctx, s.Defined, plan, nil)
}

func unknown(id string) error { return fault.NotFound("there is no campaign %s", id) }

func slug(campaign string) (string, error) {
	var checks call.Checks
	checks.Slug("campaign_id", campaign)
	return campaign, checks.Err()
}

// stopWait is how long a call to stop waits until it is known which runs are not
// over.
const stopWait = 10 * time.Second

// StopCampaign stops a campaign. Runs that are not over issue nothing: each is told
// so in its stream, which every run is that was planned before the campaign was
// stopped; one that is planned later finds that it was. The leads of runs that are
// over are withdrawn by the Runner.
func (a *API) StopCampaign(
	ctx context.Context, req *marketingv1.StopCampaignRequest,
) (*marketingv1.StopCampaignResponse, error) {
	id, err := slug(req.GetCampaignId())
	if err != nil {
		return nil, err
	}
	origin, err := a.Origins(ctx, marketingv1.MarketingService_StopCampaign_FullMethodName, req)
	if err != nil {
		return nil, err
	}
	_, err = decider.Handle(ctx, a.Streams, origin, Stream(id), Decider, func(s State) ([]proto.Message, error) {
		if s.Defined == nil {
			return nil, unknown(id)
		}
		return Stop(s, id, a.issuedLeads(), origin.Time), nil
	})
	if err != nil {
		return nil, fmt.Errorf("stop campaign %s: %w", id, err)
	}
	if err := a.awaitStop(ctx, id); err != nil {
		return nil, err
	}
	runs, err := open(ctx, a.DB, id)
	if err != nil {
		return nil, err
	}
	for _, run := range runs {
		if err := stopRun(ctx, a.Streams, run); err != nil {
			return nil, fmt.Errorf("stop run %s of campaign %s: %w", run, id, err)
		}
	}
	return &marketingv1.StopCampaignResponse{}, nil
}

// issuedLeads is what becomes of the leads of a campaign that is stopped. They are
// carried out all the same as long as a build may run that can't read that they are
// withdrawn: see flows.Gated.
func (a *API) issuedLeads() marketingv1.IssuedLeads {
	if a.Streams.Codec.Active(&marketingv1.LeadWithdrawn{}) {
		return marketingv1.IssuedLeads_ISSUED_LEADS_WITHDRAWN
	}
	return marketingv1.IssuedLeads_ISSUED_LEADS_UNSPECIFIED
}

// awaitStop waits until the tables show that a campaign is stopped, and so all runs
// that were planned before.
func (a *API) awaitStop(ctx context.Context, id string) error {
	waiting, cancel := context.WithTimeout(ctx, stopWait)
	defer cancel()
	shown, err := a.DB.Await(waiting, func(ctx context.Context, q projection.Querier) (shown bool, err error) {
		err = q.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM own_campaign WHERE campaign_id = ? AND stopped = 1)`, id).Scan(&shown)
		if err != nil || shown {
			return shown, err
		}
		s, _, err := decider.Load(ctx, a.Streams, Stream(id), Decider)
		return err == nil && !s.Stopped, err // it was defined again meanwhile
	})
	if err != nil {
		return fmt.Errorf("look for the runs of campaign %s: %w", id, err)
	}
	if !shown {
		return fault.Unavailable("campaign %s is stopped, but it is not known yet whether a run of it was under way: ask again", id)
	}
	return nil
}

// ListCampaigns returns the campaigns, by their id.
func (a *API) ListCampaigns(
	ctx context.Context, _ *marketingv1.ListCampaignsRequest,
) (*marketingv1.ListCampaignsResponse, error) {
	campaigns, err := all(ctx, a.DB)
	if err != nil {
		return nil, err
	}
	resp := &marketingv1.ListCampaignsResponse{}
	for _, s := range campaigns {
		status, err := a.status(ctx, s)
		if err != nil {
			return nil, err
		}
		resp.Campaigns = append(resp.Campaigns, status)
	}
	return resp, nil
}

func (a *API) status(ctx context.Context, s State) (*marketingv1.CampaignStatus, error) {
	d := s.Defined
	status := &marketingv1.CampaignStatus{State: marketingv1.CampaignState_CAMPAIGN_STATE_LIVE, Campaign: &marketingv1.Campaign{
		CampaignId: d.GetCampaignId(), Name: d.GetName(), PropositionId: d.GetPropositionId(), Channel: d.GetChannel(),
		MinOrders: d.GetMinOrders(), MinSpentCents: d.GetMinSpentCents(), MaxLeads: d.GetMaxLeads(), Priority: d.GetPriority(),
		SegmentId: d.GetSegmentId(), OnceAt: d.GetOnceAt(), Schedule: d.GetSchedule(), Trigger: d.GetTrigger(),
	}}
	if s.Stopped {
		status.State = marketingv1.CampaignState_CAMPAIGN_STATE_STOPPED
		return status, nil
	}
	last, next, err := times(d, a.Now().UTC())
	if err != nil {
		return nil, err
	}
	if !last.IsZero() {
		done, err := ran(ctx, a.DB, d, last)
		if err != nil {
			return nil, err
		}
		if !done { // it is due now
			next = last
		}
	}
	if !next.IsZero() {
		status.NextRunAt = timestamppb.New(next)
	}
	return status, nil
}

// runsListed is how many runs of a campaign are listed.
const runsListed = 100

// ListRuns returns the last runs of a campaign, the latest first.
func (a *API) ListRuns(ctx context.Context, req *marketingv1.ListRunsRequest) (*marketingv1.ListRunsResponse, error) {
	id, err := slug(req.GetCampaignId())
	if err != nil {
		return nil, err
	}
	s, _, err := decider.Load(ctx, a.Streams, Stream(id), Decider)
	if err != nil {
		return nil, fmt.Errorf("look up campaign %s: %w", id, err)
	}
	if s.Defined == nil {
		return nil, unknown(id)
	}
	rows, err := a.DB.Query(ctx, `SELECT run_id, planned_at, due_at, ended, eligible, capped, leads, problem, withdrawn FROM own_run
		WHERE campaign_id = ? ORDER BY planned_at DESC, run_id LIMIT ?`, id, runsListed)
	if err != nil {
		return nil, fmt.Errorf("read the runs of campaign %s: %w", id, err)
	}
	resp := &marketingv1.ListRunsResponse{}
	resp.Runs, err = projection.Collect(rows, scanRun)
	if err != nil {
		return nil, fmt.Errorf("read the runs of campaign %s: %w", id, err)
	}
	return resp, nil
}

func scanRun(row projection.Scanner, r **marketingv1.Run) error {
	m := &marketingv1.Run{}
	var planned, due int64
	var end int32
	err := row.Scan(&m.RunId, &planned, &due, &end, &m.Eligible, &m.Capped, &m.Leads, &m.Problem, &m.Withdrawn)
	m.PlannedAt, m.DueAt, m.End = timeOf(planned), timeOf(due), marketingv1.RunEnd(end)
	*r = m
	return err
}
