package campaign

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	"github.com/triangle-suite/triangle/contracts/flows"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/projection"
	"github.com/triangle-suite/triangle/services/marketing/internal/response"
)

// withdrawnAtOnce is how many runs a round withdraws the leads of, the latest first:
// they are the likeliest to wait still. The tables show it, and then comes the next
// round.
const withdrawnAtOnce = 20

// withdraw withdraws the leads of campaigns that were stopped.
func (r *Runner) withdraw(ctx context.Context) error {
	rows, err := r.DB.Query(ctx, `SELECT run_id, campaign_id FROM own_run WHERE withdrawal = ? ORDER BY planned_at DESC, run_id `+projection.Limit(withdrawnAtOnce),
		withdrawalDue)
	if err != nil {
		return fmt.Errorf("look whose leads to withdraw: %w", err)
	}
	type due struct{ run, campaign string }
	runs, err := projection.Collect(rows, func(row projection.Scanner, d *due) error { return row.Scan(&d.run, &d.campaign) })
	if err != nil {
		return fmt.Errorf("look whose leads to withdraw: %w", err)
	}
	for _, d := range runs {
		if err := withdrawRun(ctx, r.Streams, d.campaign, d.run); err != nil {
			return fmt.Errorf("withdraw the leads of run %s of campaign %s: %w", d.run, d.campaign, err)
		}
	}
	return nil
}

// withdrawRun withdraws the leads of a run, in one append to its stream. The cause is
// that the campaign was stopped: the last time, should that have happened again.
func withdrawRun(ctx context.Context, s *decider.Streams, campaign, run string) error {
	state, _, err := decider.Load(ctx, s, RunStream(run), RunDecider)
	if err != nil || state.Withdrawn {
		return err
	}
	stop, err := lastStop(ctx, s, campaign)
	if err != nil {
		return err
	}
	known, err := heardOf(ctx, s, state.Leads)
	if err != nil {
		return err
	}
	origin := decider.CauseOrigin(flows.Marketing, "withdraw-leads", stop, stop.Metadata.Time).Step()
	_, err = decider.Handle(ctx, s, origin, RunStream(run), RunDecider,
		func(s RunState) ([]proto.Message, error) { return Withdraw(s, known), nil })
	return err
}

// lastStop finds the event by which a campaign was stopped last.
func lastStop(ctx context.Context, s *decider.Streams, campaign string) (stop codec.Event, err error) {
	for raw, err := range s.Log.ReadStream(ctx, Stream(campaign), eventlog.Forward, 0, 0) {
		if err != nil {
			return stop, fmt.Errorf("read campaign %s: %w", campaign, err)
		}
		event, err := s.Codec.Decode(ctx, raw)
		if err != nil {
			return stop, err
		}
		if _, ok := event.Message.(*marketingv1.CampaignStopped); ok {
			stop = event
		}
	}
	if stop.Message == nil {
		return stop, errNeverStopped
	}
	return stop, nil
}

// errNeverStopped is a mistake in a program: a table shows what no event says.
var errNeverStopped = errors.New("the campaign was never stopped")

// heardOf tells which leads are known to be sent or answered, from their own streams:
// tables would lag behind.
func heardOf(ctx context.Context, s *decider.Streams, leads []*marketingv1.LeadIssued) (map[string]bool, error) {
	var mu sync.Mutex
	known := map[string]bool{}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for _, l := range leads {
		group.Go(func() error {
			state, _, err := decider.Load(ctx, s, response.Stream(l.GetLeadId()), response.Decider)
			mu.Lock()
			defer mu.Unlock()
			known[l.GetLeadId()] = state.Presented || state.Responses > 0
			return err
		})
	}
	return known, group.Wait()
}
