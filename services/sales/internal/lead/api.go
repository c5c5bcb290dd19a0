package lead

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/call"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/fault"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// Leads are the API's calls on leads.
type Leads struct {
	Streams *decider.Streams
	DB      *projection.DB
	// Freshness tells how old what other services told is, flow by flow.
	Freshness func(names ...string) []*flowv1.Freshness
	// Now is the clock.
	Now func() time.Time
}

func (a *Leads) freshness() []*flowv1.Freshness {
	return a.Freshness(flowLeads, flowCapacity, flowResults, flowResponses)
}

// GetLead returns a lead, from its own stream: always current.
func (a *Leads) GetLead(ctx context.Context, req *salesv1.GetLeadRequest) (*salesv1.GetLeadResponse, error) {
	var checks call.Checks
	id := checks.Required("lead_id", req.GetLeadId())
	if err := checks.Err(); err != nil {
		return nil, err
	}
	state, _, err := decider.Load(ctx, a.Streams, Stream(id), Decider)
	if err != nil {
		return nil, err
	}
	if state.LeadID == "" {
		return nil, fault.NotFound("there is no lead %s", id).WithReason("LEAD_UNKNOWN")
	}
	return &salesv1.GetLeadResponse{Lead: state.view(), Freshness: a.freshness()}, nil
}

func (s State) view() *salesv1.Lead {
	return &salesv1.Lead{
		LeadId: s.LeadID, CampaignId: s.Accepted.GetCampaignId(), CustomerId: s.CustomerID,
		PropositionId: s.Accepted.GetPropositionId(), Channel: s.Accepted.GetChannel(), Status: s.Status, Detail: s.Detail,
		Transactions: s.Transactions,
	}
}

// Knows tells whether there is a lead, for who is told that something came of it.
func Knows(ctx context.Context, streams *decider.Streams, id string) (bool, error) {
	state, _, err := decider.Load(ctx, streams, Stream(id), Decider)
	return state.LeadID != "", err
}

// The size of a list.
const (
	defaultPage = 100
	maxPage     = 1000
)

// ListLeads returns leads, newest first.
func (a *Leads) ListLeads(ctx context.Context, req *salesv1.ListLeadsRequest) (*salesv1.ListLeadsResponse, error) {
	var checks call.Checks
	customerID := checks.Optional("customer_id", req.GetCustomerId())
	size := req.GetPageSize()
	checks.That(size <= maxPage, "page_size", "must be at most %d", maxPage)
	if err := checks.Err(); err != nil {
		return nil, err
	}
	if size == 0 {
		size = defaultPage
	}
	leads, err := a.list(ctx, customerID, size)
	if err != nil {
		return nil, fmt.Errorf("list leads: %w", err)
	}
	return &salesv1.ListLeadsResponse{Leads: leads, Freshness: a.freshness()}, nil
}

func (a *Leads) list(ctx context.Context, customerID string, size uint32) ([]*salesv1.Lead, error) {
	where, args := "", []any{size}
	if customerID != "" {
		where, args = "WHERE customer_id = ?", []any{customerID, size}
	}
	page := ` FROM lead ` + where + ` ORDER BY seq DESC, lead_id LIMIT ?`
	rows, err := a.DB.Query(ctx, `SELECT lead_id, campaign_id, customer_id, proposition_id, channel, status, detail`+page, args...)
	if err != nil {
		return nil, err
	}
	leads, err := projection.Collect(rows, func(row projection.Scanner, lead **salesv1.Lead) error {
		var channel, status int32
		*lead = &salesv1.Lead{}
		l := *lead
		err := row.Scan(&l.LeadId, &l.CampaignId, &l.CustomerId, &l.PropositionId, &channel, &status, &l.Detail)
		l.Channel, l.Status = journeyv1.Channel(channel), salesv1.LeadStatus(status)
		return err
	})
	if err != nil {
		return nil, err
	}
	rows, err = a.DB.Query(ctx, `SELECT lead_id, order_id, request_id, amount_cents, happened_at, customer_id FROM lead_transaction
		WHERE lead_id IN (SELECT lead_id`+page+`) ORDER BY lead_id, revision, transaction_id`, args...)
	if err != nil {
		return nil, err
	}
	return leads, addTransactions(leads, rows)
}

// addTransactions adds to each lead what came of it.
func addTransactions(leads []*salesv1.Lead, rows *sql.Rows) error {
	type transaction struct {
		lead string
		*salesv1.Transaction
	}
	all, err := projection.Collect(rows, func(row projection.Scanner, t *transaction) error {
		var happened int64
		t.Transaction = &salesv1.Transaction{}
		err := row.Scan(&t.lead, &t.OrderId, &t.RequestId, &t.AmountCents, &happened, &t.CustomerId)
		t.HappenedAt = timestamppb.New(time.Unix(0, happened))
		return err
	})
	of := map[string][]*salesv1.Transaction{}
	for _, t := range all {
		of[t.lead] = append(of[t.lead], t.Transaction)
	}
	for _, l := range leads {
		l.Transactions = of[l.GetLeadId()]
	}
	return err
}
