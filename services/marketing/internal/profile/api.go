// Package profile tells what marketing knows of a customer, joined from what
// every flow has brought, and how old that is.
package profile

import (
	"context"
	"fmt"
	"time"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/internal/call"
	"github.com/triangle-suite/triangle/services/internal/fault"
	"github.com/triangle-suite/triangle/services/internal/projection"
	"github.com/triangle-suite/triangle/services/marketing/internal/complaint"
	"github.com/triangle-suite/triangle/services/marketing/internal/facts"
	"github.com/triangle-suite/triangle/services/marketing/internal/nba"
	"github.com/triangle-suite/triangle/services/marketing/internal/proposition"
	"github.com/triangle-suite/triangle/services/marketing/internal/segment"
)

// API answers the calls about customers.
type API struct {
	DB        projection.Querier
	Freshness func(flows ...string) []*flowv1.Freshness
	// Now is the clock.
	Now func() time.Time
}

// GetProfile returns what marketing knows of a customer.
func (a *API) GetProfile(
	ctx context.Context, req *marketingv1.GetProfileRequest,
) (*marketingv1.GetProfileResponse, error) {
	var checks call.Checks
	customer := req.GetCustomerId()
	checks.Required("customer_id", customer)
	if err := checks.Err(); err != nil {
		return nil, err
	}
	fresh := a.Freshness(nba.RestsOn...) // before reading: the answer is no older
	if err := a.mustKnow(ctx, customer); err != nil {
		return nil, err
	}
	known, err := facts.Of(ctx, a.DB, customer)
	if err != nil {
		return nil, err
	}
	complaints, err := complaint.Open(ctx, a.DB, customer)
	if err != nil {
		return nil, err
	}
	propositions, err := proposition.All(ctx, a.DB)
	if err != nil {
		return nil, err
	}
	interests, err := nba.Interests(ctx, a.DB, customer, propositions)
	if err != nil {
		return nil, err
	}
	segments, err := segment.Of(ctx, a.DB, customer, a.Now())
	if err != nil {
		return nil, err
	}
	return &marketingv1.GetProfileResponse{
		CustomerId: customer, Orders: known.Orders, SpentCents: known.SpentCents,
		OpenComplaints: complaints, Interests: interests, Freshness: fresh, Segments: segments,
	}, nil
}

// mustKnow refuses a customer of whom no flow has told anything.
func (a *API) mustKnow(ctx context.Context, customer string) error {
	var known bool
	err := a.DB.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM facts_customer WHERE customer_id = ?)
		OR EXISTS (SELECT 1 FROM complaint_request WHERE customer_id = ?)
		OR EXISTS (SELECT 1 FROM nba_contact WHERE customer_id = ?)`, customer, customer, customer).Scan(&known)
	if err != nil {
		return fmt.Errorf("look up a customer: %w", err)
	}
	if !known {
		return fault.NotFound("no flow has told marketing of customer %s yet", customer)
	}
	return nil
}
