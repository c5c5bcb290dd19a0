package campaign

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/fault"
	"github.com/triangle-suite/triangle/services/internal/projection"
	"github.com/triangle-suite/triangle/services/marketing/internal/lead"
	"github.com/triangle-suite/triangle/services/marketing/internal/proposition"
	"github.com/triangle-suite/triangle/services/marketing/internal/segment"
)

// planner plans runs, by what is known now.
type planner struct {
	streams *decider.Streams
	db      projection.Querier
}

// blank is the plan of a run that means to approach nobody.
func blank(c *marketingv1.CampaignDefined, run string, at time.Time) *marketingv1.CampaignRunPlanned {
	return &marketingv1.CampaignRunPlanned{
		CampaignId: c.GetCampaignId(), RunId: run, PlannedAt: timestamppb.New(at), PropositionId: c.GetPropositionId(),
		Channel: c.GetChannel(), Priority: c.GetPriority(),
	}
}

// choose fills in whom a run means to approach, among some customers or, with nil,
// among all, and what they are to be told. It fails with a fault when the campaign
// can't run as it is defined.
func (p planner) choose(ctx context.Context, c *marketingv1.CampaignDefined, plan *marketingv1.CampaignRunPlanned, among []string) error {
	offer, text, err := offered(ctx, p.streams, c)
	if err != nil {
		return err
	}
	by := choice{campaign: c, proposition: offer, among: among, at: plan.GetPlannedAt().AsTime()}
	if c.GetSegmentId() != "" {
		rule, err := p.ruleOf(ctx, c.GetSegmentId(), by.at)
		if err != nil {
			return err
		}
		by.segment = &rule
	}
	if by.caps, err = lead.Now(ctx, p.streams); err != nil {
		return err
	}
	who, err := audience(ctx, p.db, by)
	if err != nil {
		return err
	}
	plan.Content, plan.Customers, plan.Reserves, plan.Eligible, plan.Capped = text, who.customers, who.reserves, who.eligible, who.capped
	return p.fits(ctx, plan)
}

// ruleOf returns a segment's rule as a condition.
func (p planner) ruleOf(ctx context.Context, id string, at time.Time) (segment.Condition, error) {
	s, err := segment.Find(ctx, p.streams, id)
	if err != nil {
		return segment.Condition{}, err
	}
	return segment.Read(ctx, p.db, s.GetRule(), at)
}

// offered returns what a campaign offers, and what its leads are to say or show.
func offered(ctx context.Context, s *decider.Streams, c *marketingv1.CampaignDefined) (*marketingv1.PropositionDefined, string, error) {
	p, err := proposition.Find(ctx, s, c.GetPropositionId())
	if err != nil {
		return nil, "", err
	}
	text, ok := proposition.ContentFor(p, c.GetChannel())
	if !ok {
		return nil, "", fault.Precondition("proposition %s has no content for %s", c.GetPropositionId(), c.GetChannel()).
			WithReason("CONTENT_MISSING")
	}
	return p, text, nil
}

// fits refuses a run whose leads would not go into one append. Each is weighed with
// metadata that are no shorter than its own will be, as if those with the longest ids
// got them.
func (p planner) fits(ctx context.Context, plan *marketingv1.CampaignRunPlanned) error {
	const ids = "00000000-0000-0000-0000-000000000000 00000000-0000-0000-0000-000000000000 00000000-0000-0000-0000-000000000000"
	md := codec.Metadata{
		Source: "/triangle/marketing", Time: plan.GetPlannedAt().AsTime(), Subject: RunStream(plan.GetRunId()), CorrelationID: ids,
		CausationID: ids, Origin: ids, TraceParent: ids, TraceState: ids,
	}
	var events []eventlog.NewEvent
	longest := slices.SortedStableFunc(slices.Values(ranked(plan)), func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	for _, customer := range longest[:len(plan.GetCustomers())] {
		e, err := p.streams.Codec.Encode(ctx, issued(plan, customer), uuid.Max, md)
		if err != nil {
			return err
		}
		events = append(events, e)
	}
	if err := eventlog.CheckSize(events); err != nil {
		return fault.TooLarge("%d leads with this content are more than one run can issue: lower the campaign's max_leads, or shorten the content",
			len(plan.GetCustomers())).WithReason("RUN_TOO_LARGE").Because(err)
	}
	return nil
}
