package campaign

import (
	"cmp"
	"context"
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/triangle-suite/triangle/contracts/flows"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/internal/call"
	"github.com/triangle-suite/triangle/services/internal/projection"
	"github.com/triangle-suite/triangle/services/marketing/internal/segment"
)

// How many leads a run issues when the campaign does not say, and at most. A run
// and its leads are one append, which the store bounds.
const (
	usualLeads = 100
	mostLeads  = 500
)

// mostHours bounds the period of a trigger: a year.
const mostHours = 366 * 24

// defined makes the event of a campaign that is to be defined, or refuses it with
// all that is wrong with it.
func defined(ctx context.Context, db projection.Querier, m *marketingv1.Campaign) (*marketingv1.CampaignDefined, error) {
	var c call.Checks
	if m == nil {
		c.Fail("campaign", "is missing")
		return nil, c.Err()
	}
	d := &marketingv1.CampaignDefined{
		CampaignId:    m.GetCampaignId(),
		Name:          strings.TrimSpace(m.GetName()),
		PropositionId: m.GetPropositionId(),
		Channel:       m.GetChannel(),
		MinOrders:     m.GetMinOrders(),
		MinSpentCents: m.GetMinSpentCents(),
		MaxLeads:      cmp.Or(m.GetMaxLeads(), usualLeads),
		Priority:      m.GetPriority(),
		SegmentId:     m.GetSegmentId(),
		OnceAt:        m.GetOnceAt(),
		Schedule:      strings.Join(strings.Fields(m.GetSchedule()), " "),
	}
	c.Slug("campaign.campaign_id", d.GetCampaignId())
	c.That(!strings.HasPrefix(Stream(d.GetCampaignId()), RunStream("")), "campaign.campaign_id",
		"must not begin with run-: the streams of runs are named so")
	c.Required("campaign.name", d.GetName())
	c.Slug("campaign.proposition_id", d.GetPropositionId())
	c.Outbound("campaign.channel", d.GetChannel())
	c.That(d.GetMinSpentCents() >= 0, "campaign.min_spent_cents", "must not be negative")
	c.That(d.GetMaxLeads() <= mostLeads, "campaign.max_leads", "must be at most %d", mostLeads)
	if d.GetSegmentId() != "" {
		c.Slug("campaign.segment_id", d.GetSegmentId())
	}
	if err := checkTiming(ctx, db, &c, d, m.GetTrigger()); err != nil {
		return nil, err
	}
	return d, c.Err()
}

// checkTiming looks over when a campaign is to run.
func checkTiming(
	ctx context.Context, db projection.Querier, c *call.Checks, d *marketingv1.CampaignDefined, t *marketingv1.Trigger,
) error {
	c.That(given(d.GetOnceAt() != nil, d.GetSchedule() != "", t != nil) <= 1, "campaign",
		"has more than one of once_at, schedule and trigger: give at most one")
	if d.GetOnceAt() != nil {
		c.That(d.GetOnceAt().IsValid(), "campaign.once_at", "must be a time")
		d.OnceAt = timestamppb.New(d.GetOnceAt().AsTime())
	}
	if d.GetSchedule() != "" {
		if _, err := flows.ParseSchedule(d.GetSchedule()); err != nil {
			c.Fail("campaign.schedule", "%s", strings.TrimSpace(err.Error()))
		}
	}
	if t == nil {
		return nil
	}
	return checkTrigger(ctx, db, c, d, t)
}

func checkTrigger(
	ctx context.Context, db projection.Querier, c *call.Checks, d *marketingv1.CampaignDefined, t *marketingv1.Trigger,
) error {
	d.Trigger = &marketingv1.Trigger{
		Event: t.GetEvent(), SegmentId: t.GetSegmentId(), Rule: strings.TrimSpace(t.GetRule()), PeriodHours: t.GetPeriodHours(),
	}
	t = d.GetTrigger()
	c.That(given(t.GetEvent() != "", t.GetSegmentId() != "", t.GetRule() != "") == 1, "campaign.trigger",
		"must be one of event, segment_id and rule")
	c.That(t.GetPeriodHours() >= 1 && t.GetPeriodHours() <= mostHours, "campaign.trigger.period_hours",
		"must be from 1 to %d: a customer is approached once in that time", mostHours)
	if t.GetEvent() != "" {
		c.Slug("campaign.trigger.event", t.GetEvent())
	}
	if t.GetSegmentId() != "" {
		c.Slug("campaign.trigger.segment_id", t.GetSegmentId())
	}
	if t.GetRule() == "" {
		return nil
	}
	return segment.Check(ctx, db, c, "campaign.trigger.rule", t.GetRule())
}

// given counts what is.
func given(all ...bool) (n int) {
	for _, is := range all {
		if is {
			n++
		}
	}
	return n
}
