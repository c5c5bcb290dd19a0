package scenario

import (
	"context"
	"fmt"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"

	"github.com/triangle-suite/triangle/services/await"
)

// The campaign of the story.
const (
	campaignID    = "best-customers"
	campaignOffer = "box-set"
	// leadsWithoutPhone is how many customers of the sample each run's campaign
	// reaches: nobody in the sample has a phone number.
	leadsWithoutPhone = 4
	mostLeads         = 500
)

// offers is what a shop of music may offer.
func offers() []*marketingv1.Proposition {
	return []*marketingv1.Proposition{
		offer("box-set", "Jazz box set", marketingv1.Purpose_PURPOSE_SALES, "jazz", 8900, 0.20),
		offer("concert-tickets", "Concert tickets", marketingv1.Purpose_PURPOSE_SALES, "concerts", 6500, 0.22),
		offer("streaming-trial", "Streaming, three months on trial", marketingv1.Purpose_PURPOSE_SALES, "streaming", 3900, 0.30),
		offer("listening-advice", "Advice by ear: an hour with our expert", marketingv1.Purpose_PURPOSE_SERVICE, "hi-fi", 1500, 0.40),
		offer("repair-service", "Repair of scratched discs, free of charge", marketingv1.Purpose_PURPOSE_SERVICE, "repair", 800, 0.50),
	}
}

func offer(id, name string, purpose marketingv1.Purpose, topic string, cents int64, propensity float64) *marketingv1.Proposition {
	return &marketingv1.Proposition{
		PropositionId: id, Name: name, Purpose: purpose, Topic: topic, ValueCents: cents, Lever: 1, BasePropensity: propensity,
		Contents: []*marketingv1.Content{
			{Channel: journeyv1.Channel_CHANNEL_WEBSITE, Text: name + ": see what we have for you."},
			{Channel: journeyv1.Channel_CHANNEL_CALL_CENTRE, Text: "May I tell you about this? " + name + "."},
		},
	}
}

// campaign is the story's campaign. Each run adds one customer with a phone
// number, so that each may reach one customer more.
func (p *play) campaign() *marketingv1.Campaign {
	return &marketingv1.Campaign{
		CampaignId: campaignID, Name: "Our best customers", PropositionId: campaignOffer, Channel: journeyv1.Channel_CHANNEL_CALL_CENTRE,
		MinOrders: 1, MinSpentCents: 10_000, MaxLeads: uint32(min(p.Run+leadsWithoutPhone, mostLeads)), Priority: 10,
	}
}

// defineOffers defines propositions and the campaign, and waits until marketing
// works with them.
func (p *play) defineOffers(ctx context.Context) (string, error) {
	for _, proposition := range offers() {
		_, err := p.Services.Marketing.DefineProposition(p.keyed(ctx, proposition.GetPropositionId()),
			&marketingv1.DefinePropositionRequest{Proposition: proposition})
		if err != nil {
			return "", fmt.Errorf("define the proposition %s: %w", proposition.GetPropositionId(), err)
		}
	}
	_, err := p.Services.Marketing.DefineCampaign(p.keyed(ctx, campaignID), &marketingv1.DefineCampaignRequest{Campaign: p.campaign()})
	if err != nil {
		return "", fmt.Errorf("define the campaign %s: %w", campaignID, err)
	}
	if err := p.until(ctx, "marketing knows the propositions", p.learnPropositions); err != nil {
		return "", err
	}
	p.knew(Marketing, "%d propositions, to sell and to serve, with words for the website and for the call centre", len(p.propositions))
	p.knew(Marketing, "a campaign: the %d customers who spent most are offered %q by phone", p.campaign().GetMaxLeads(), p.propositions[campaignOffer].GetName())
	return fmt.Sprintf("%d propositions and a campaign", len(offers())), nil
}

// learnPropositions remembers what marketing may offer, which may be more than
// the story's own.
func (p *play) learnPropositions(ctx context.Context) error {
	known, err := p.Services.Marketing.ListPropositions(ctx, &marketingv1.ListPropositionsRequest{})
	if err != nil {
		return err
	}
	for _, proposition := range known.GetPropositions() {
		p.propositions[proposition.GetPropositionId()] = proposition
	}
	for _, want := range offers() {
		if p.propositions[want.GetPropositionId()] == nil {
			return await.NotYetf("%s is missing", want.GetPropositionId())
		}
	}
	return nil
}

// sells tells whether a proposition is there to sell.
func (p *play) sells(proposition string) bool {
	return p.propositions[proposition].GetPurpose() == marketingv1.Purpose_PURPOSE_SALES
}

// sales returns those of a list that are there to sell.
func (p *play) sales(actions []*journeyv1.NextBestAction) []*journeyv1.NextBestAction {
	var selling []*journeyv1.NextBestAction
	for _, a := range actions {
		if p.sells(a.GetPropositionId()) {
			selling = append(selling, a)
		}
	}
	return selling
}
