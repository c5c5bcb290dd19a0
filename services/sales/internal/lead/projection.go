package lead

import (
	"context"
	"fmt"
	"strings"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// Types are the events that Project takes in.
var Types = []string{"sales.LeadAccepted", "sales.DispatchOrdered", "sales.LeadStatusChanged"}

// Tables hold where each lead stands, in the order in which they came.
var Tables = []string{
	`CREATE TABLE lead (
		lead_id TEXT PRIMARY KEY, seq BIGINT NOT NULL, campaign_id TEXT NOT NULL, customer_id TEXT NOT NULL,
		proposition_id TEXT NOT NULL, channel BIGINT NOT NULL, priority BIGINT NOT NULL, status BIGINT NOT NULL, detail TEXT NOT NULL)`,
	`CREATE UNIQUE INDEX lead_seq ON lead (seq)`,
	`CREATE INDEX lead_customer ON lead (customer_id, seq)`,
	`CREATE INDEX lead_waiting ON lead (status, channel, priority DESC, lead_id)`,
}

// Project keeps the tables.
func Project(ctx context.Context, tx *projection.Tx, event codec.Event) error {
	var err error
	switch e := event.Message.(type) {
	case *salesv1.LeadAccepted:
		// The row is there when an answer came before the lead: it keeps its status.
		err = tx.Write(ctx, insertLead+`campaign_id = excluded.campaign_id, customer_id = excluded.customer_id,
				proposition_id = excluded.proposition_id, channel = excluded.channel, priority = excluded.priority`,
			e.GetLeadId(), e.GetCampaignId(), e.GetCustomerId(), e.GetPropositionId(), int32(e.GetChannel()), e.GetPriority(),
			int32(statusAccepted), "")
	case *salesv1.DispatchOrdered:
		err = tx.Write(ctx, `UPDATE lead SET status = ? WHERE lead_id = ?`, int32(statusDispatched), e.GetLeadId())
	case *salesv1.LeadStatusChanged:
		err = tx.Write(ctx, insertLead+`status = excluded.status, detail = excluded.detail`,
			e.GetLeadId(), "", e.GetCustomerId(), "", 0, 0, int32(e.GetStatus()), e.GetDetail())
	}
	if err != nil {
		return fmt.Errorf("lead: %w", err)
	}
	return nil
}

const insertLead = `INSERT INTO lead (lead_id, seq, campaign_id, customer_id, proposition_id, channel, priority, status, detail)
	VALUES (?, (SELECT coalesce(max(seq), 0) + 1 FROM lead), ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (lead_id) DO UPDATE SET `

// capacityTables hold what the channels granted, by the name of the grant.
var capacityTables = projection.Schema{Name: "capacity", Version: 1, Tables: []string{
	`CREATE TABLE capacity_grant (
		name TEXT PRIMARY KEY, channel BIGINT NOT NULL, capacity BIGINT NOT NULL,
		starts_at BIGINT NOT NULL, ends_at BIGINT NOT NULL)`,
	`CREATE INDEX capacity_grant_ends ON capacity_grant (ends_at)`,
}}

// projectCapacity keeps the grants. What was granted stays granted: the first
// word on an interval counts.
func projectCapacity(ctx context.Context, tx *projection.Tx, event codec.Event) error {
	granted, ok := event.Message.(*channelv1.CapacityGranted)
	if !ok {
		return nil // workload: grants are made with it in mind
	}
	err := tx.Write(ctx, `INSERT INTO capacity_grant (name, channel, capacity, starts_at, ends_at) VALUES (?,?,?,?,?) ON CONFLICT (name) DO NOTHING`,
		grantName(granted.GetChannel(), granted.GetInterval()), int32(granted.GetChannel()), granted.GetCapacity(),
		granted.GetStartsAt().AsTime().UnixNano(), granted.GetEndsAt().AsTime().UnixNano())
	if err != nil {
		return fmt.Errorf("capacity: %w", err)
	}
	return nil
}

// grantName names a grant: <channel>:<interval>, such as email:2026-11-21T14.
func grantName(channel journeyv1.Channel, interval string) string {
	return strings.ReplaceAll(channelName(channel), " ", "-") + ":" + interval
}
