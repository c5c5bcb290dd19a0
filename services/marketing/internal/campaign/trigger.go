package campaign

import (
	"context"
	"fmt"
	"time"

	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/internal/fault"
	"github.com/triangle-suite/triangle/services/internal/projection"
	"github.com/triangle-suite/triangle/services/marketing/internal/segment"
)

// mostNoted is how many customers one look back, or one look for who has left, notes.
const mostNoted = 5000

// look looks at who satisfies a campaign's trigger, and plans what comes of it. Who
// satisfied a rule when it began to hold is noted first, and not approached: only
// who comes to satisfy it is. more tells that there may be more to see at once.
//
// It looks at all customers, and not at what has just happened: a rule may ask of
// what three flows bring, each at its own pace, and of nothing that any one event
// says. What it saw is on record with the plan, in one event, so that nobody is
// overlooked or approached twice after a crash.
func (p planner) look(ctx context.Context, c *marketingv1.CampaignDefined, plan *marketingv1.CampaignRunPlanned) (seen outcome, err error) {
	plan.PeriodHours, plan.TimedSince = c.GetTrigger().GetPeriodHours(), c.GetTimedSince()
	was, err := triggerOf(ctx, p.db, c.GetCampaignId())
	if err != nil {
		return seen, err
	}
	plan.Look = nextLook(c, was)
	limit := int(c.GetMaxLeads())
	if plan.GetLook() == marketingv1.Look_LOOK_BACK {
		limit = mostNoted
	}
	if err := p.see(ctx, c, plan, was, limit); err != nil {
		return seen, err
	}
	seen.more = len(plan.GetEntered()) == limit || len(plan.GetLeft()) == mostNoted
	seen.something = len(plan.GetEntered()) > 0 || len(plan.GetLeft()) > 0
	switch {
	case plan.GetLook() == marketingv1.Look_LOOK_BACK:
		if !seen.more {
			plan.Look = marketingv1.Look_LOOK_BACK_DONE
		}
		seen.something, seen.more = true, true
	case len(plan.GetEntered()) > 0:
		among := make([]string, 0, len(plan.GetEntered()))
		for _, e := range plan.GetEntered() {
			among = append(among, e.GetCustomerId())
		}
		seen.problem, err = asProblem(p.choose(ctx, c, plan, among))
	}
	return seen, err
}

// outcome is what a look has come to.
type outcome struct {
	// something was seen, which goes on record, and more may be seen at once.
	something, more bool
	// problem is why those who were seen can't be approached.
	problem string
}

// nextLook is what the next look is for. What an event triggers needs no look back:
// an event tells when it happened.
func nextLook(c *marketingv1.CampaignDefined, was watched) marketingv1.Look {
	switch {
	case c.GetTrigger().GetEvent() != "":
		return marketingv1.Look_LOOK_OUT
	case was.since != millis(c.GetTimedSince()) || was.look == marketingv1.Look_LOOK_BACK:
		return marketingv1.Look_LOOK_BACK
	default:
		return marketingv1.Look_LOOK_OUT
	}
}

// asProblem tells why a campaign can't run as it is defined. Every other error stays
// one.
func asProblem(err error) (string, error) {
	if f, ok := fault.Of(err); ok && (f.Kind == fault.KindPrecondition || f.Kind == fault.KindTooLarge) {
		return f.Message, nil
	}
	return "", err
}

// see notes who entered and who left.
func (p planner) see(
	ctx context.Context, c *marketingv1.CampaignDefined, plan *marketingv1.CampaignRunPlanned, was watched, limit int,
) (err error) {
	if c.GetTrigger().GetEvent() != "" {
		plan.Entered, err = p.happened(ctx, c, was, limit)
		return err
	}
	rule, err := p.trigger(ctx, c.GetTrigger(), plan.GetPlannedAt().AsTime())
	if err != nil {
		return err
	}
	fresh := was.since != millis(c.GetTimedSince()) // whoever was noted, was noted for another definition
	if plan.Entered, err = p.entered(ctx, c, rule, fresh, limit); err != nil || fresh {
		return err
	}
	plan.Left, err = p.left(ctx, c, rule)
	return err
}

// trigger returns the rule of a trigger, as it is now.
func (p planner) trigger(ctx context.Context, t *marketingv1.Trigger, at time.Time) (segment.Condition, error) {
	if t.GetSegmentId() == "" {
		return segment.Read(ctx, p.db, t.GetRule(), at)
	}
	return p.ruleOf(ctx, t.GetSegmentId(), at)
}

func (p planner) entered(
	ctx context.Context, c *marketingv1.CampaignDefined, rule segment.Condition, fresh bool, limit int,
) ([]*marketingv1.Entrant, error) {
	args := append([]any{}, rule.Args...)
	statement := `SELECT c.customer_id, 0 FROM ` + known + ` WHERE (` + rule.Where + `)`
	if !fresh {
		statement += ` AND NOT EXISTS (SELECT 1 FROM own_entrant e WHERE e.campaign_id = ? AND e.customer_id = c.customer_id)`
		args = append(args, c.GetCampaignId())
	}
	return p.entrants(ctx, c, statement+` ORDER BY c.customer_id LIMIT ?`, append(args, limit)...)
}

// happened finds the customers to whom the trigger's event has happened since the
// last that was noted.
func (p planner) happened(ctx context.Context, c *marketingv1.CampaignDefined, was watched, limit int) ([]*marketingv1.Entrant, error) {
	since := millis(c.GetTimedSince())
	noted := int64(0)
	if was.since == since {
		noted = 1
	}
	return p.entrants(ctx, c, `SELECT customer_id, happened_at FROM (
			SELECT n.customer_id, max(v.last_at) AS happened_at FROM nba_event v JOIN nba_contact n ON n.contact_id = v.contact_id
			WHERE v.kind = ? AND n.customer_id <> '' GROUP BY n.customer_id) h
		WHERE happened_at > ? AND EXISTS (SELECT 1 FROM facts_customer f WHERE f.customer_id = h.customer_id)
			AND happened_at > coalesce((SELECT e.happened_at FROM own_entrant e
				WHERE e.campaign_id = ? AND e.customer_id = h.customer_id AND CAST(? AS BIGINT) = 1), 0)
		ORDER BY happened_at, customer_id LIMIT ?`, c.GetTrigger().GetEvent(), since, c.GetCampaignId(), noted, limit)
}

func (p planner) entrants(ctx context.Context, c *marketingv1.CampaignDefined, statement string, args ...any) ([]*marketingv1.Entrant, error) {
	rows, err := p.db.Query(ctx, statement, args...)
	if err != nil {
		return nil, fmt.Errorf("look who satisfies the trigger of campaign %s: %w", c.GetCampaignId(), err)
	}
	entrants, err := projection.Collect(rows, func(row projection.Scanner, e **marketingv1.Entrant) error {
		*e = &marketingv1.Entrant{}
		var happened int64
		err := row.Scan(&(*e).CustomerId, &happened)
		(*e).HappenedAt = timeOf(happened)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look who satisfies the trigger of campaign %s: %w", c.GetCampaignId(), err)
	}
	return entrants, nil
}

// left finds the customers who satisfied the rule when it was looked last, and do no
// more.
func (p planner) left(ctx context.Context, c *marketingv1.CampaignDefined, rule segment.Condition) ([]string, error) {
	rows, err := p.db.Query(ctx, `SELECT e.customer_id FROM own_entrant e WHERE e.campaign_id = ? AND NOT EXISTS (
			SELECT 1 FROM `+known+` WHERE c.customer_id = e.customer_id AND (`+rule.Where+`))
		ORDER BY e.customer_id LIMIT ?`, append(append([]any{c.GetCampaignId()}, rule.Args...), mostNoted)...)
	if err != nil {
		return nil, fmt.Errorf("look who has left the trigger of campaign %s: %w", c.GetCampaignId(), err)
	}
	customers, err := projection.Collect(rows, func(row projection.Scanner, customer *string) error { return row.Scan(customer) })
	if err != nil {
		return nil, fmt.Errorf("look who has left the trigger of campaign %s: %w", c.GetCampaignId(), err)
	}
	return customers, nil
}
