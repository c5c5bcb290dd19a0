package lead

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/triangle-suite/triangle/contracts/flows"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	"github.com/triangle-suite/triangle/services/internal/deadline"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/projection"
	"github.com/triangle-suite/triangle/services/sales/internal/outbound"
)

// expire ends the leads that have waited for longer than their channels' plans
// let them. It returns when to look again; the zero time when no lead is to
// expire.
func (p *Planner) expire(ctx context.Context, now time.Time, plans outbound.Plans) (again time.Time, err error) {
	for channel, plan := range plans {
		patience, ends := outbound.Patience(plan)
		if !ends {
			continue
		}
		next, err := p.expireOf(ctx, now, channel, patience)
		if err != nil {
			return time.Time{}, err
		}
		again = deadline.Earlier(again, next)
	}
	return again, nil
}

func (p *Planner) expireOf(ctx context.Context, now time.Time, channel journeyv1.Channel, patience time.Duration) (again time.Time, err error) {
	rows, err := p.DB.Query(ctx, `SELECT lead_id, accepted_at FROM lead WHERE status = ? AND channel = ? ORDER BY accepted_at, lead_id `+projection.Limit(perRound),
		int32(statusAccepted), int32(channel))
	if err != nil {
		return again, fmt.Errorf("look for leads that expire: %w", err)
	}
	type aged struct {
		id       string
		accepted int64
	}
	oldest, err := projection.Collect(rows, func(row projection.Scanner, a *aged) error { return row.Scan(&a.id, &a.accepted) })
	if err != nil {
		return again, fmt.Errorf("look for leads that expire: %w", err)
	}
	for _, lead := range oldest {
		if due := time.Unix(0, lead.accepted).Add(patience); now.Before(due) {
			return due, nil
		}
		if err := p.expireLead(ctx, lead.id, patience); err != nil {
			return again, err
		}
	}
	return again, nil // those that come next show when these are out of the table
}

func (p *Planner) expireLead(ctx context.Context, id string, patience time.Duration) error {
	state, cause, err := p.load(ctx, id)
	if err != nil || state.Status != statusAccepted {
		return err
	}
	origin := decider.CauseOrigin(flows.Sales, "expire-lead", cause, p.Now().UTC())
	outcome, err := decider.Handle(ctx, p.Streams, origin.Step(), Stream(id), Decider,
		func(s State) ([]proto.Message, error) { return Expire(s, patience), nil })
	if err == nil {
		p.Horizon.reach(outcome.Position)
	}
	return err
}
