package campaign

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// Types are the event types that Project takes.
var Types = []string{
	"marketing.CampaignDefined", "marketing.CampaignStopped",
	"marketing.CampaignRunPlanned", "marketing.CampaignRunStopped", "marketing.CampaignRun", "marketing.CampaignRunWithdrawn",
}

// Tables are the tables that Project writes, as part of the service's own flow.
// own_campaign tells whether a campaign is stopped, and what became of its leads then;
// own_run whether a run's leads are to be withdrawn, or how many were. Of a trigger
// they hold who satisfies it, as it was seen last: own_trigger tells since when the
// definition holds that this is for, and whether all were noted who satisfied it then.
var Tables = []string{
	`CREATE TABLE own_campaign (campaign_id TEXT PRIMARY KEY, body BLOB NOT NULL, stopped BIGINT NOT NULL, issued_leads BIGINT NOT NULL)`,
	`CREATE TABLE own_run (
		run_id TEXT PRIMARY KEY, campaign_id TEXT NOT NULL, planned_at BIGINT NOT NULL, due_at BIGINT NOT NULL,
		ended BIGINT NOT NULL, eligible BIGINT NOT NULL, capped BIGINT NOT NULL, leads BIGINT NOT NULL, problem TEXT NOT NULL,
		withdrawal BIGINT NOT NULL, withdrawn BIGINT NOT NULL)`,
	`CREATE INDEX own_run_campaign ON own_run (campaign_id, planned_at)`,
	`CREATE INDEX own_run_withdrawal ON own_run (withdrawal, planned_at)`,
	`CREATE INDEX own_run_ended ON own_run (ended, campaign_id)`,
	`CREATE TABLE own_trigger (campaign_id TEXT PRIMARY KEY, since BIGINT NOT NULL, look BIGINT NOT NULL)`,
	`CREATE TABLE own_entrant (
		campaign_id TEXT, customer_id TEXT, happened_at BIGINT NOT NULL, PRIMARY KEY (campaign_id, customer_id))`,
}

// Project keeps each campaign as it was defined last, its runs, and who satisfies its
// trigger.
func Project(ctx context.Context, tx *projection.Tx, e codec.Event) error {
	switch m := e.Message.(type) {
	case *marketingv1.CampaignDefined:
		return keepCampaign(ctx, tx, m)
	case *marketingv1.CampaignStopped:
		return keepStop(ctx, tx, m)
	case *marketingv1.CampaignRunPlanned:
		return keepPlan(ctx, tx, m)
	case *marketingv1.CampaignRun:
		return keepRun(ctx, tx, m)
	case *marketingv1.CampaignRunWithdrawn:
		return write(ctx, tx, m.GetCampaignId(), `UPDATE own_run SET withdrawal = ?, withdrawn = ? WHERE run_id = ?`, withdrawalDone, m.GetLeads(), m.GetRunId())
	default:
		return nil
	}
}

func write(ctx context.Context, tx *projection.Tx, campaign, statement string, args ...any) error {
	if err := tx.Write(ctx, statement, args...); err != nil {
		return fmt.Errorf("write what became of campaign %s: %w", campaign, err)
	}
	return nil
}

func keepCampaign(ctx context.Context, tx *projection.Tx, m *marketingv1.CampaignDefined) error {
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode a campaign: %w", err)
	}
	return write(ctx, tx, m.GetCampaignId(), `INSERT INTO own_campaign (campaign_id, body, stopped, issued_leads) VALUES (?, ?, 0, 0)
		ON CONFLICT (campaign_id) DO UPDATE SET body = excluded.body, stopped = 0, issued_leads = 0`, m.GetCampaignId(), body)
}

// The withdrawals of a run's leads: none is asked for, it is due, it is done.
const (
	withdrawalNone = iota
	withdrawalDue
	withdrawalDone
)

// keepStop notes that a campaign is stopped. The leads of all its runs that are over
// are withdrawn, whatever becomes of the campaign later.
func keepStop(ctx context.Context, tx *projection.Tx, m *marketingv1.CampaignStopped) error {
	id := m.GetCampaignId()
	err := write(ctx, tx, id, `UPDATE own_campaign SET stopped = 1, issued_leads = ? WHERE campaign_id = ?`, int32(m.GetIssuedLeads()), id)
	if err != nil || m.GetIssuedLeads() != marketingv1.IssuedLeads_ISSUED_LEADS_WITHDRAWN {
		return err
	}
	return write(ctx, tx, id, `UPDATE own_run SET withdrawal = ? WHERE campaign_id = ? AND leads > 0 AND withdrawal = ?`, withdrawalDue, id, withdrawalNone)
}

func keepPlan(ctx context.Context, tx *projection.Tx, m *marketingv1.CampaignRunPlanned) error {
	err := write(ctx, tx, m.GetCampaignId(),
		`INSERT INTO own_run (run_id, campaign_id, planned_at, due_at, ended, eligible, capped, leads, problem, withdrawal, withdrawn)
			VALUES (?, ?, ?, ?, 0, ?, ?, 0, '', 0, 0)
			ON CONFLICT (run_id) DO NOTHING`,
		m.GetRunId(), m.GetCampaignId(), millis(m.GetPlannedAt()), millis(m.GetDueAt()), m.GetEligible(), m.GetCapped())
	if err != nil || m.GetLook() == marketingv1.Look_LOOK_UNSPECIFIED {
		return err
	}
	return keepLook(ctx, tx, m)
}

// keepRun keeps how a run ended. One of before there were plans is there from its
// end on. One that ended while its campaign was being stopped, and did not know of it,
// has issued leads that are withdrawn at once.
func keepRun(ctx context.Context, tx *projection.Tx, m *marketingv1.CampaignRun) error {
	end := cmp.Or(m.GetEnd(), marketingv1.RunEnd_RUN_END_ISSUED)
	err := write(ctx, tx, m.GetCampaignId(),
		`INSERT INTO own_run (run_id, campaign_id, planned_at, due_at, ended, eligible, capped, leads, problem, withdrawal, withdrawn)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0) ON CONFLICT (run_id) DO UPDATE SET ended = excluded.ended, eligible = excluded.eligible, capped = excluded.capped,
				leads = excluded.leads, problem = excluded.problem`,
		m.GetRunId(), m.GetCampaignId(), millis(m.GetRunAt()), millis(m.GetDueAt()), int32(end),
		m.GetEligible(), m.GetCapped(), m.GetLeads(), m.GetProblem())
	if err != nil || m.GetLeads() == 0 {
		return err
	}
	return write(ctx, tx, m.GetCampaignId(), `UPDATE own_run SET withdrawal = ? WHERE run_id = ? AND EXISTS (
			SELECT 1 FROM own_campaign WHERE campaign_id = ? AND stopped = 1 AND issued_leads = ?)`,
		withdrawalDue, m.GetRunId(), m.GetCampaignId(), int32(marketingv1.IssuedLeads_ISSUED_LEADS_WITHDRAWN))
}

// keepLook notes who was seen to satisfy a trigger. Another definition begins anew.
func keepLook(ctx context.Context, tx *projection.Tx, m *marketingv1.CampaignRunPlanned) error {
	id := m.GetCampaignId()
	was, err := triggerOf(ctx, tx, id)
	if err != nil {
		return err
	}
	if was.since != millis(m.GetTimedSince()) {
		if err := write(ctx, tx, id, `DELETE FROM own_entrant WHERE campaign_id = ?`, id); err != nil {
			return err
		}
	}
	err = write(ctx, tx, id, `INSERT INTO own_trigger (campaign_id, since, look) VALUES (?, ?, ?)
		ON CONFLICT (campaign_id) DO UPDATE SET since = excluded.since, look = excluded.look`,
		id, millis(m.GetTimedSince()), int32(m.GetLook()))
	if err != nil {
		return err
	}
	for _, customer := range m.GetLeft() {
		if err := write(ctx, tx, id, `DELETE FROM own_entrant WHERE campaign_id = ? AND customer_id = ?`, id, customer); err != nil {
			return err
		}
	}
	for _, e := range m.GetEntered() {
		err := write(ctx, tx, id, `INSERT INTO own_entrant (campaign_id, customer_id, happened_at) VALUES (?, ?, ?)
			ON CONFLICT (campaign_id, customer_id) DO UPDATE SET happened_at = excluded.happened_at`,
			id, e.GetCustomerId(), millis(e.GetHappenedAt()))
		if err != nil {
			return err
		}
	}
	return nil
}

// watched is how far the looks at a trigger have come.
type watched struct {
	since int64
	look  marketingv1.Look
}

func triggerOf(ctx context.Context, q projection.Querier, campaign string) (w watched, err error) {
	var look int32
	err = q.QueryRow(ctx, `SELECT since, look FROM own_trigger WHERE campaign_id = ?`, campaign).Scan(&w.since, &look)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return w, fmt.Errorf("read who satisfies the trigger of campaign %s: %w", campaign, err)
	}
	w.look = marketingv1.Look(look)
	return w, nil
}

// millis is a time as the tables have it; 0 when there is none.
func millis(at *timestamppb.Timestamp) int64 {
	if at == nil {
		return 0
	}
	return at.AsTime().UnixMilli()
}

// timeOf is a time as the contract has it; nil for 0.
func timeOf(millis int64) *timestamppb.Timestamp {
	if millis == 0 {
		return nil
	}
	return timestamppb.New(time.UnixMilli(millis).UTC())
}

// all returns every campaign, by its id.
func all(ctx context.Context, q projection.Querier) ([]State, error) {
	rows, err := q.Query(ctx, `SELECT body, stopped FROM own_campaign ORDER BY campaign_id`)
	if err != nil {
		return nil, fmt.Errorf("read the campaigns: %w", err)
	}
	campaigns, err := projection.Collect(rows, func(row projection.Scanner, s *State) error {
		var body []byte
		var stopped int
		if err := row.Scan(&body, &stopped); err != nil {
			return err
		}
		s.Defined, s.Stopped = &marketingv1.CampaignDefined{}, stopped != 0
		return proto.Unmarshal(body, s.Defined)
	})
	if err != nil {
		return nil, fmt.Errorf("read the campaigns: %w", err)
	}
	return campaigns, nil
}

// open returns the runs that are not over, of one campaign or of all.
func open(ctx context.Context, q projection.Querier, campaign string) ([]string, error) {
	rows, err := q.Query(ctx, `SELECT run_id FROM own_run WHERE ended = 0 AND (campaign_id = ? OR ? = '') ORDER BY planned_at, run_id`, campaign, campaign)
	if err != nil {
		return nil, fmt.Errorf("look for runs that are not over: %w", err)
	}
	runs, err := projection.Collect(rows, func(row projection.Scanner, id *string) error { return row.Scan(id) })
	if err != nil {
		return nil, fmt.Errorf("look for runs that are not over: %w", err)
	}
	return runs, nil
}
