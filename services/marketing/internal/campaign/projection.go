package campaign

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"

	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// Types are the event types that Project takes.
var Types = []string{"marketing.CampaignDefined", "marketing.LeadIssued"}

// Tables are the tables that Project writes, as part of the service's own flow.
// own_lead tells which proposition a response to a lead is about.
var Tables = []string{
	`CREATE TABLE own_campaign (campaign_id TEXT PRIMARY KEY, body BLOB NOT NULL)`,
	`CREATE TABLE own_lead (
		lead_id TEXT PRIMARY KEY, campaign_id TEXT NOT NULL, run_id TEXT NOT NULL,
		customer_id TEXT NOT NULL, proposition_id TEXT NOT NULL)`,
}

// Project keeps each campaign as it was defined last, and each lead.
func Project(ctx context.Context, tx *projection.Tx, e codec.Event) error {
	switch m := e.Message.(type) {
	case *marketingv1.CampaignDefined:
		return keepCampaign(ctx, tx, m)
	case *marketingv1.LeadIssued:
		return keepLead(ctx, tx, m)
	default:
		return nil
	}
}

func keepCampaign(ctx context.Context, tx *projection.Tx, m *marketingv1.CampaignDefined) error {
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode a campaign: %w", err)
	}
	err = tx.Write(ctx, `INSERT INTO own_campaign (campaign_id, body) VALUES (?, ?)
		ON CONFLICT (campaign_id) DO UPDATE SET body = excluded.body`, m.GetCampaignId(), body)
	if err != nil {
		return fmt.Errorf("write campaign %s: %w", m.GetCampaignId(), err)
	}
	return nil
}

func keepLead(ctx context.Context, tx *projection.Tx, m *marketingv1.LeadIssued) error {
	err := tx.Write(ctx, `INSERT INTO own_lead (lead_id, campaign_id, run_id, customer_id, proposition_id) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (lead_id) DO NOTHING`,
		m.GetLeadId(), m.GetCampaignId(), m.GetRunId(), m.GetCustomerId(), m.GetPropositionId())
	if err != nil {
		return fmt.Errorf("write lead %s: %w", m.GetLeadId(), err)
	}
	return nil
}
