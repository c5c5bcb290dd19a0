package lead

import (
	"context"
	"fmt"
	"strings"
	"time"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// Types are the event types that Project takes.
var Types = []string{"marketing.LeadIssued"}

// Tables are the tables that Project writes, as part of the service's own flow.
// own_lead tells which proposition a response to a lead is about, and how many
// leads a customer got.
var Tables = []string{
	`CREATE TABLE own_lead (
		lead_id TEXT PRIMARY KEY, campaign_id TEXT NOT NULL, run_id TEXT NOT NULL,
		customer_id TEXT NOT NULL, proposition_id TEXT NOT NULL, channel BIGINT NOT NULL, issued_at BIGINT NOT NULL)`,
	`CREATE INDEX own_lead_customer ON own_lead (customer_id, issued_at)`,
}

// Project keeps each lead.
func Project(ctx context.Context, tx *projection.Tx, e codec.Event) error {
	m, ok := e.Message.(*marketingv1.LeadIssued)
	if !ok {
		return nil
	}
	err := tx.Write(ctx, `INSERT INTO own_lead (lead_id, campaign_id, run_id, customer_id, proposition_id, channel, issued_at)
		VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (lead_id) DO NOTHING`,
		m.GetLeadId(), m.GetCampaignId(), m.GetRunId(), m.GetCustomerId(), m.GetPropositionId(), int32(m.GetChannel()), e.Metadata.Time.UnixMilli())
	if err != nil {
		return fmt.Errorf("write lead %s: %w", m.GetLeadId(), err)
	}
	return nil
}

// HasPlace is the caps as a condition of SQL, on a customer c: that leads which are
// known to be issued leave a place for one more, at a time. It spares a run those
// who would be refused. What holds exactly is decided on in the customer's stream.
func HasPlace(caps []*marketingv1.LeadCap, channel journeyv1.Channel, at time.Time) (where string, args []any) {
	conditions := []string{"1 = 1"}
	for _, c := range caps {
		within := `o.customer_id = c.customer_id AND o.issued_at > ? AND o.issued_at <= ?`
		bounds := []any{at.Add(-time.Duration(c.GetHours()) * time.Hour).UnixMilli(), at.UnixMilli()}
		switch c.GetChannel() {
		case journeyv1.Channel_CHANNEL_UNSPECIFIED:
		case channel:
			within += ` AND o.channel = ?`
			bounds = append(bounds, int32(channel))
		default:
			continue
		}
		conditions = append(conditions, `(SELECT count(*) FROM own_lead o WHERE `+within+`) < ?`)
		args = append(append(args, bounds...), c.GetMost())
	}
	return strings.Join(conditions, " AND "), args
}
