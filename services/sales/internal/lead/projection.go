package lead

import (
	"context"
	"fmt"

	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// Types are the events that Project takes in.
var Types = []string{"sales.LeadAccepted", "sales.DispatchOrdered", "sales.LeadStatusChanged", "sales.LeadTransacted"}

// Tables hold where each lead stands, in the order in which they came: seq is the
// place in the log of the first event about it. accepted_at is by the store's
// clock, in nanoseconds. A row of lead_transaction is what came of a lead.
var Tables = []string{
	`CREATE TABLE lead (
		lead_id TEXT PRIMARY KEY, seq BIGINT NOT NULL, campaign_id TEXT NOT NULL, customer_id TEXT NOT NULL,
		proposition_id TEXT NOT NULL, channel BIGINT NOT NULL, priority BIGINT NOT NULL, status BIGINT NOT NULL, detail TEXT NOT NULL,
		accepted_at BIGINT NOT NULL)`,
	`CREATE INDEX lead_seq ON lead (seq)`,
	`CREATE INDEX lead_customer ON lead (customer_id, seq)`,
	`CREATE INDEX lead_waiting ON lead (status, channel, priority DESC, lead_id)`,
	`CREATE INDEX lead_age ON lead (status, channel, accepted_at, lead_id)`,
	`CREATE TABLE lead_transaction (
		lead_id TEXT NOT NULL, transaction_id TEXT NOT NULL, revision BIGINT NOT NULL, order_id TEXT NOT NULL, request_id TEXT NOT NULL,
		amount_cents BIGINT NOT NULL, happened_at BIGINT NOT NULL, customer_id TEXT NOT NULL, PRIMARY KEY (lead_id, transaction_id))`,
}

// Project keeps the tables.
func Project(ctx context.Context, tx *projection.Tx, event codec.Event) error {
	var err error
	switch e := event.Message.(type) {
	case *salesv1.LeadAccepted:
		// The row is there when an answer came before the lead: it keeps its status.
		err = tx.Write(ctx, insertLead+`campaign_id = excluded.campaign_id, customer_id = excluded.customer_id,
				proposition_id = excluded.proposition_id, channel = excluded.channel, priority = excluded.priority,
				accepted_at = excluded.accepted_at`,
			e.GetLeadId(), event.Position.Commit, e.GetCampaignId(), e.GetCustomerId(), e.GetPropositionId(), int32(e.GetChannel()), e.GetPriority(),
			int32(statusAccepted), "", event.Created.UnixNano())
	case *salesv1.DispatchOrdered:
		err = tx.Write(ctx, `UPDATE lead SET status = ? WHERE lead_id = ?`, int32(statusDispatched), e.GetLeadId())
	case *salesv1.LeadStatusChanged:
		err = tx.Write(ctx, insertLead+`status = excluded.status, detail = excluded.detail`,
			e.GetLeadId(), event.Position.Commit, "", e.GetCustomerId(), "", 0, 0, int32(e.GetStatus()), e.GetDetail(), 0)
	case *salesv1.LeadTransacted:
		t := e.GetTransaction()
		err = tx.Write(ctx, `INSERT INTO lead_transaction (lead_id, transaction_id, revision, order_id, request_id, amount_cents, happened_at, customer_id) VALUES (?,?,?,?,?,?,?,?)`,
			e.GetLeadId(), TransactionID(t), event.Revision, t.GetOrderId(), t.GetRequestId(), t.GetAmountCents(), t.GetHappenedAt().AsTime().UnixNano(), t.GetCustomerId())
	}
	if err != nil {
		return fmt.Errorf("lead: %w", err)
	}
	return nil
}

const insertLead = `INSERT INTO lead (lead_id, seq, campaign_id, customer_id, proposition_id, channel, priority, status, detail, accepted_at)
	VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (lead_id) DO UPDATE SET `
