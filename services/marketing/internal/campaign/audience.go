package campaign

import (
	"context"
	"fmt"
	"strings"
	"time"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/internal/projection"
	"github.com/triangle-suite/triangle/services/marketing/internal/lead"
	"github.com/triangle-suite/triangle/services/marketing/internal/nba"
	"github.com/triangle-suite/triangle/services/marketing/internal/segment"
)

// known is those customers whom CRM has told of, each with their facts: the others
// can't be approached.
const known = `facts_customer c JOIN facts_customer f ON f.customer_id = c.customer_id`

// choice is what an audience is chosen by.
type choice struct {
	campaign    *marketingv1.CampaignDefined
	proposition *marketingv1.PropositionDefined
	segment     *segment.Condition // nil: all customers
	caps        []*marketingv1.LeadCap
	among       []string // nil: all customers
	at          time.Time
}

// chosen are the customers whom a run means to approach, and those who come next
// where its limit leaves them out: as many again at most.
type chosen struct {
	customers, reserves []string

	eligible, capped uint64
}

// audience chooses the customers of a run: those who belong to the campaign's
// segment and bought enough, do not object, pass the gates and have a place left;
// who spent most comes first. It joins what every flow has brought, as far as each
// has come.
func audience(ctx context.Context, q projection.Querier, by choice) (chosen, error) {
	var c chosen
	where, args, err := by.condition(ctx, q)
	if err != nil {
		return c, err
	}
	place, placeArgs := lead.HasPlace(by.caps, by.campaign.GetChannel(), by.at)
	statement := `SELECT customer_id, place, count(*) OVER (), sum(1 - place) OVER () FROM (
			SELECT c.customer_id, f.spent_cents, CASE WHEN ` + place + ` THEN 1 ELSE 0 END AS place FROM ` + known + ` WHERE ` + where + `) eligible
		ORDER BY place DESC, spent_cents DESC, customer_id LIMIT ?`
	rows, err := q.Query(ctx, statement, append(append(placeArgs, args...), 2*by.campaign.GetMaxLeads())...)
	if err != nil {
		return c, fmt.Errorf("choose the customers of campaign %s: %w", by.campaign.GetCampaignId(), err)
	}
	c.customers, err = projection.Collect(rows, func(row projection.Scanner, customer *string) error {
		var place int
		if err := row.Scan(customer, &place, &c.eligible, &c.capped); err != nil {
			return err
		}
		if place == 0 {
			*customer = ""
		}
		return nil
	})
	if err != nil {
		return c, fmt.Errorf("choose the customers of campaign %s: %w", by.campaign.GetCampaignId(), err)
	}
	for i, customer := range c.customers {
		if customer == "" { // they come last, and are of no use
			c.customers = c.customers[:i]
			break
		}
	}
	if most := int(by.campaign.GetMaxLeads()); len(c.customers) > most {
		c.customers, c.reserves = c.customers[:most:most], c.customers[most:]
	}
	return c, nil
}

// condition is whom a campaign might approach.
func (by choice) condition(ctx context.Context, q projection.Querier) (string, []any, error) {
	c := by.campaign
	conditions := []string{`f.orders >= ? AND f.spent_cents >= ? AND f.consent <> ?`}
	args := []any{c.GetMinOrders(), c.GetMinSpentCents(), int32(journeyv1.Consent_CONSENT_WITHDRAWN)}
	gates, gatesArgs, err := nba.Approachable(ctx, q, by.proposition, c.GetChannel(), by.at)
	if err != nil {
		return "", nil, err
	}
	conditions, args = append(conditions, gates), append(args, gatesArgs...)
	if by.segment != nil {
		conditions, args = append(conditions, "("+by.segment.Where+")"), append(args, by.segment.Args...)
	}
	if by.among != nil {
		conditions = append(conditions, `c.customer_id IN (NULL`+strings.Repeat(", ?", len(by.among))+`)`)
		for _, customer := range by.among {
			args = append(args, customer)
		}
	}
	return strings.Join(conditions, " AND "), args, nil
}
