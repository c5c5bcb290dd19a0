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
var Types = []string{"marketing.LeadIssued", "marketing.LeadPresented", "marketing.LeadResponseRecorded"}

// Tables are the tables that Project writes, as part of the service's own flow.
// own_lead tells which proposition a response to a lead is about, and how many
// leads a customer got; own_learned what came of the leads that were presented.
var Tables = []string{
	`CREATE TABLE own_lead (
		lead_id TEXT PRIMARY KEY, campaign_id TEXT NOT NULL, run_id TEXT NOT NULL,
		customer_id TEXT NOT NULL, proposition_id TEXT NOT NULL, channel BIGINT NOT NULL, issued_at BIGINT NOT NULL,
		presented BIGINT NOT NULL, accepted BIGINT NOT NULL)`,
	`CREATE INDEX own_lead_customer ON own_lead (customer_id, issued_at)`,
	`CREATE TABLE own_learned (
		proposition_id TEXT, channel BIGINT, presented BIGINT NOT NULL, accepted BIGINT NOT NULL,
		PRIMARY KEY (proposition_id, channel))`,
}

// Project keeps each lead, and learns from what came of it.
func Project(ctx context.Context, tx *projection.Tx, e codec.Event) error {
	switch m := e.Message.(type) {
	case *marketingv1.LeadIssued:
		return write(ctx, tx, m.GetLeadId(), `INSERT INTO own_lead
			(lead_id, campaign_id, run_id, customer_id, proposition_id, channel, issued_at, presented, accepted)
			VALUES (?, ?, ?, ?, ?, ?, ?, 0, 0) ON CONFLICT (lead_id) DO NOTHING`,
			m.GetLeadId(), m.GetCampaignId(), m.GetRunId(), m.GetCustomerId(), m.GetPropositionId(), int32(m.GetChannel()), e.Metadata.Time.UnixMilli())
	case *marketingv1.LeadPresented:
		return learn(ctx, tx, m.GetLeadId(), "presented")
	case *marketingv1.LeadResponseRecorded:
		if m.GetAnswer() == journeyv1.Answer_ANSWER_ACCEPTED {
			return learn(ctx, tx, m.GetLeadId(), "accepted")
		}
	}
	return nil
}

func write(ctx context.Context, tx *projection.Tx, lead, statement string, args ...any) error {
	if err := tx.Write(ctx, statement, args...); err != nil {
		return fmt.Errorf("write lead %s: %w", lead, err)
	}
	return nil
}

// learn notes that a lead was presented, or accepted, each once and in whatever
// order they are heard of. It counts for what is learned from when it was presented
// on.
func learn(ctx context.Context, tx *projection.Tx, lead, what string) error {
	counted := `1, accepted`
	if what == "accepted" {
		counted = `0, presented`
	}
	err := write(ctx, tx, lead, `INSERT INTO own_learned (proposition_id, channel, presented, accepted)
		SELECT proposition_id, channel, `+counted+` FROM own_lead WHERE lead_id = ? AND `+what+` = 0
		ON CONFLICT (proposition_id, channel) DO UPDATE SET
			presented = own_learned.presented + excluded.presented, accepted = own_learned.accepted + excluded.accepted`, lead)
	if err != nil {
		return err
	}
	return write(ctx, tx, lead, `UPDATE own_lead SET `+what+` = 1 WHERE lead_id = ?`, lead)
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
