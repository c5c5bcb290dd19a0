package campaign

import (
	"cmp"
	"strings"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/internal/call"
)

// How many leads a run issues when the campaign does not say, and at most. A run
// and its leads are one append, which the store bounds.
const (
	usualLeads = 100
	mostLeads  = 500
)

// outbound are the channels that can carry out a lead.
var outbound = map[journeyv1.Channel]bool{
	journeyv1.Channel_CHANNEL_EMAIL:       true,
	journeyv1.Channel_CHANNEL_CALL_CENTRE: true,
	journeyv1.Channel_CHANNEL_PRINT:       true,
}

// defined makes the event of a campaign that is to be defined, or refuses it with
// all that is wrong with it.
func defined(m *marketingv1.Campaign) (*marketingv1.CampaignDefined, error) {
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
	}
	c.Slug("campaign.campaign_id", d.GetCampaignId())
	c.That(!strings.HasPrefix(Stream(d.GetCampaignId()), RunStream("")), "campaign.campaign_id",
		"must not begin with run-: the streams of runs are named so")
	c.Required("campaign.name", d.GetName())
	c.Slug("campaign.proposition_id", d.GetPropositionId())
	c.That(outbound[d.GetChannel()], "campaign.channel",
		"must be one that can carry out leads: CHANNEL_EMAIL, CHANNEL_CALL_CENTRE or CHANNEL_PRINT")
	c.That(d.GetMinSpentCents() >= 0, "campaign.min_spent_cents", "must not be negative")
	c.That(d.GetMaxLeads() <= mostLeads, "campaign.max_leads", "must be at most %d", mostLeads)
	return d, c.Err()
}
