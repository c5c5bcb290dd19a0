package nba

import (
	"context"
	"fmt"
	"time"

	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/internal/projection"
	"github.com/triangle-suite/triangle/services/marketing/internal/arbitration"
)

// arbitration adds how lists are made, and how often the customer has been
// approached in the contact's channel in the hours of each of its limits, the
// present one included.
func (g *gathered) arbitration(ctx context.Context, q projection.Querier, at time.Time) error {
	now, err := arbitration.Now(ctx, q)
	if err != nil {
		return err
	}
	g.features.Arbitration = rulesOf(now)
	for _, l := range now.GetLimits() {
		if l.GetChannel() != g.channel {
			continue
		}
		limit := Limit{Hours: l.GetHours(), Most: l.GetMost()}
		err := q.QueryRow(ctx, `SELECT coalesce(sum(times), 0) FROM nba_approach
			WHERE channel = ? AND hour > ? AND hour <= ? AND (customer_id = ? OR
				contact_id IN (SELECT contact_id FROM nba_contact WHERE customer_id = ?))`,
			int32(g.channel), hourOf(at)-int64(l.GetHours()), hourOf(at), g.features.Customer, g.features.Customer).Scan(&limit.Approaches)
		if err != nil {
			return fmt.Errorf("count how often a customer was approached: %w", err)
		}
		g.features.Limits = append(g.features.Limits, limit)
	}
	return nil
}

func rulesOf(a *marketingv1.Arbitration) Rules {
	r := Rules{Exploration: a.GetExploration().String(), ControlShare: a.GetControlShare()}
	for _, f := range a.GetFactorsOff() {
		r.FactorsOff = append(r.FactorsOff, f.String())
	}
	return r
}
