package campaign

import (
	"context"
	"fmt"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/internal/projection"
	"github.com/triangle-suite/triangle/services/marketing/internal/complaint"
)

// audience chooses the customers of a campaign: those who bought enough, do not
// object and do not complain; who spent most comes first. It joins what two flows
// have brought, as far as each has come.
func audience(ctx context.Context, q projection.Querier, c *marketingv1.CampaignDefined) ([]string, error) {
	args := []any{c.GetMinOrders(), c.GetMinSpentCents(), int32(journeyv1.Consent_CONSENT_WITHDRAWN)}
	args = append(args, complaint.IsOpenArgs()...)
	args = append(args, c.GetMaxLeads())
	rows, err := q.Query(ctx, `SELECT customer_id FROM facts_customer
		WHERE orders >= ? AND spent_cents >= ? AND consent <> ?
			AND customer_id NOT IN (SELECT customer_id FROM complaint_request WHERE `+complaint.IsOpen+`)
		ORDER BY spent_cents DESC, customer_id LIMIT ?`, args...)
	if err != nil {
		return nil, fmt.Errorf("choose the customers of campaign %s: %w", c.GetCampaignId(), err)
	}
	customers, err := projection.Collect(rows, func(row projection.Scanner, customer *string) error {
		return row.Scan(customer)
	})
	if err != nil {
		return nil, fmt.Errorf("choose the customers of campaign %s: %w", c.GetCampaignId(), err)
	}
	return customers, nil
}
