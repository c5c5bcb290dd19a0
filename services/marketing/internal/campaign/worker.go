package campaign

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/triangle-suite/triangle/contracts/flows"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/internal/deadline"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// Runner has campaigns run by themselves, carries out what was broken off, and
// withdraws the leads of campaigns that were stopped. Its Round is a worker's.
type Runner struct {
	Streams *decider.Streams
	DB      *projection.DB
	// Now is the clock.
	Now func() time.Time

	looked map[string]string // the last look at each trigger, by its run
	lookAt time.Time         // when triggers are looked at next
}

// Triggers are looked at after each commit, but no more often than that looking
// takes a tenth of the time; and now and then without one, as a rule may ask what
// happened lately.
const (
	leastPause = 100 * time.Millisecond
	lookShare  = 10
	mostPause  = 15 * time.Minute
)

// Round withdraws leads first, as they may be dispatched at any moment. Then it plans
// the runs that are due and those that triggers give, and carries out all that are not
// over, together. It is due again at the next time of a campaign.
func (r *Runner) Round(ctx context.Context) (again time.Time, err error) {
	now := r.Now().UTC()
	if err := r.withdraw(ctx); err != nil {
		return time.Time{}, err
	}
	campaigns, err := all(ctx, r.DB)
	if err != nil {
		return time.Time{}, err
	}
	unfinished, err := open(ctx, r.DB, "")
	if err != nil {
		return time.Time{}, err
	}
	for _, c := range campaigns {
		if c.Stopped {
			continue
		}
		planned, next, err := r.planDue(ctx, c.Defined, now)
		if err != nil {
			return time.Time{}, err
		}
		again = deadline.Earlier(again, next)
		unfinished = append(unfinished, planned...)
	}
	planned, next, err := r.planLooks(ctx, campaigns, now)
	if err != nil {
		return time.Time{}, err
	}
	if err := CarryOut(ctx, r.Streams, append(unfinished, planned...)...); err != nil {
		return time.Time{}, err
	}
	return deadline.Earlier(again, next), nil
}

// planDue plans the run of a campaign that is due.
func (r *Runner) planDue(ctx context.Context, c *marketingv1.CampaignDefined, now time.Time) (planned []string, next time.Time, err error) {
	due, next, err := times(c, now)
	if err != nil || due.IsZero() {
		return nil, next, err
	}
	if done, err := ran(ctx, r.DB, c, due); err != nil || done {
		return nil, next, err
	}
	plan := blank(c, dueRun(c.GetCampaignId(), due), now)
	plan.DueAt = timestamppb.New(due)
	problem, err := asProblem(r.planner().choose(ctx, c, plan, nil))
	if err != nil {
		return nil, next, err
	}
	return []string{plan.GetRunId()}, next, r.plan(ctx, plan, problem)
}

func (r *Runner) planner() planner { return planner{streams: r.Streams, db: r.DB} }

// plan puts a plan on record.
func (r *Runner) plan(ctx context.Context, plan *marketingv1.CampaignRunPlanned, problem string) error {
	if problem != "" { // nobody is approached
		plan.Customers, plan.Reserves = nil, nil
	}
	origin := decider.Origin{
		Key: "run:" + plan.GetRunId(), Service: flows.Marketing, Time: plan.GetPlannedAt().AsTime(), CorrelationID: plan.GetRunId(),
	}
	_, err := decider.Handle(ctx, r.Streams, origin, RunStream(plan.GetRunId()), RunDecider,
		func(s RunState) ([]proto.Message, error) { return Plan(s, plan, problem), nil })
	if err != nil {
		return fmt.Errorf("plan run %s of campaign %s: %w", plan.GetRunId(), plan.GetCampaignId(), err)
	}
	return nil
}

// planLooks looks at the triggers, when it is time.
func (r *Runner) planLooks(ctx context.Context, campaigns []State, now time.Time) (planned []string, next time.Time, err error) {
	var triggered []*marketingv1.CampaignDefined
	for _, c := range campaigns {
		if !c.Stopped && c.Defined.GetTrigger() != nil {
			triggered = append(triggered, c.Defined)
		}
	}
	if len(triggered) == 0 {
		return nil, time.Time{}, nil
	}
	if now.Before(r.lookAt) && r.lookAt.Sub(now) < time.Hour { // else the clock was set back
		return nil, r.lookAt, nil
	}
	more := false
	for _, c := range triggered {
		run, further, err := r.planLook(ctx, c, now)
		if err != nil {
			return nil, time.Time{}, err
		}
		if run != "" {
			planned = append(planned, run)
		}
		more = more || further
	}
	spent := r.Now().Sub(now)
	r.lookAt = now.Add(max(leastPause, lookShare*spent))
	if more {
		return planned, r.lookAt, nil
	}
	return planned, now.Add(mostPause), nil
}

// planLook looks at one trigger, once the tables show what its last look saw.
func (r *Runner) planLook(ctx context.Context, c *marketingv1.CampaignDefined, now time.Time) (run string, more bool, err error) {
	id := c.GetCampaignId()
	if last := r.looked[id]; last != "" {
		var shown bool
		if err := r.DB.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM own_run WHERE run_id = ?)`, last).Scan(&shown); err != nil {
			return "", false, fmt.Errorf("look for run %s: %w", last, err)
		}
		if !shown {
			return "", false, nil // the commit that shows it wakes the worker
		}
	}
	plan := blank(c, lookRun(id, now), now)
	seen, err := r.planner().look(ctx, c, plan)
	if err != nil || !seen.something {
		return "", false, err
	}
	if err := r.plan(ctx, plan, seen.problem); err != nil {
		return "", false, err
	}
	if r.looked == nil {
		r.looked = map[string]string{}
	}
	r.looked[id] = plan.GetRunId()
	return plan.GetRunId(), seen.more, nil
}
