package campaign

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	"github.com/triangle-suite/triangle/contracts/flows"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/marketing/internal/lead"
)

// run is a run that is carried out. Its plan is the cause of all that comes of it.
type run struct {
	RunState
	plan codec.Event
}

// atOnce is how many customers' streams are written to at once.
const atOnce = 8

// CarryOut carries out runs that were planned, from where they are to their ends.
// Any number of processes may do so at the same time, and any may die: all that is
// decided stands in streams.
//
// All runs claim their places before one of them takes any, the highest priority
// first, so that priority decides among those that are carried out together, and
// seldom displaces. Who gets no place, or loses it, makes room for who comes next in
// the plan (see fill).
func CarryOut(ctx context.Context, s *decider.Streams, ids ...string) error {
	runs, err := due(ctx, s, ids)
	if err != nil {
		return err
	}
	caps, err := lead.Now(ctx, s)
	if err != nil {
		return err
	}
	for _, r := range runs {
		if err := r.claim(ctx, s, caps); err != nil {
			return err
		}
	}
	for _, r := range runs {
		if err := r.finish(ctx, s, caps); err != nil {
			return fmt.Errorf("carry out run %s of campaign %s: %w", r.Planned.GetRunId(), r.Planned.GetCampaignId(), err)
		}
	}
	return nil
}

// due reads the runs that are not over, those of higher priority first.
func due(ctx context.Context, s *decider.Streams, ids []string) (runs []*run, err error) {
	for _, id := range ids {
		r, err := load(ctx, s, id)
		if err != nil {
			return nil, err
		}
		if r.Planned != nil && r.Ended == nil {
			runs = append(runs, r)
		}
	}
	slices.SortFunc(runs, func(a, b *run) int {
		return cmp.Or(cmp.Compare(b.Planned.GetPriority(), a.Planned.GetPriority()),
			a.Planned.GetPlannedAt().AsTime().Compare(b.Planned.GetPlannedAt().AsTime()),
			cmp.Compare(a.Planned.GetRunId(), b.Planned.GetRunId()))
	})
	return runs, nil
}

// load folds a run, and finds the event by which it was planned.
func load(ctx context.Context, s *decider.Streams, id string) (*run, error) {
	r := &run{}
	for raw, err := range s.Log.ReadStream(ctx, RunStream(id), eventlog.Forward, 0, 0) {
		if errors.Is(err, eventlog.ErrNoStream) {
			return r, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read run %s: %w", id, err)
		}
		event, err := s.Codec.Decode(ctx, raw)
		if err != nil {
			return nil, err
		}
		if _, ok := event.Message.(*marketingv1.CampaignRunPlanned); ok {
			r.plan = event
		}
		r.RunState = EvolveRun(r.RunState, event.Message)
	}
	return r, nil
}

// origin is that of a step of the run. It is the same whoever takes the step.
func (r *run) origin(step string) decider.Origin {
	return decider.CauseOrigin(flows.Marketing, step, r.plan, r.Planned.GetPlannedAt().AsTime()).Step()
}

// each does something for each of some customers, the i-th of them.
func each(ctx context.Context, customers []string, do func(ctx context.Context, i int, customer string) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for i, customer := range customers {
		group.Go(func() error { return do(ctx, i, customer) })
	}
	return group.Wait()
}

// fill does something for those who come first in the plan, and, in place of those
// whose lead is gone then, for those who come next: until none is gone, or nobody is
// left. It returns who have a place, in the order of the plan, and how many have not.
//
// A lead that is gone stays so. Nobody is turned to, by whatever process, before so
// many of those before them are gone that there is room: so there are never more
// places than the run may issue leads, and whoever fills comes to the same ones.
func (r *run) fill(ctx context.Context, do func(ctx context.Context, customer string) (lead.Stand, error)) (placed []string, passed int, err error) {
	all, most := ranked(r.Planned), len(r.Planned.GetCustomers())
	stands := make([]lead.Stand, len(all))
	for from, to := 0, most; from < to; to = min(len(all), to+most-len(placed)) {
		err := each(ctx, all[from:to], func(ctx context.Context, i int, customer string) (err error) {
			stands[from+i], err = do(ctx, customer)
			return err
		})
		if err != nil {
			return nil, 0, err
		}
		for ; from < to; from++ {
			if stands[from] != lead.Gone {
				placed = append(placed, all[from])
			} else {
				passed++
			}
		}
	}
	return placed, passed, nil
}

// decide decides on the stream of a customer's places.
func (r *run) decide(
	ctx context.Context, s *decider.Streams, step, customer string, decide func(lead.Places) []proto.Message,
) (lead.Stand, error) {
	outcome, err := decider.Handle(ctx, s, r.origin(step), lead.Stream(customer), lead.Decider,
		func(p lead.Places) ([]proto.Message, error) { return decide(p), nil })
	if err != nil {
		return lead.Unknown, err
	}
	return outcome.State.Of(LeadID(r.Planned.GetRunId(), customer)), nil
}

// claim claims as many places as the run may issue leads, unless the campaign was
// stopped.
func (r *run) claim(ctx context.Context, s *decider.Streams, caps []*marketingv1.LeadCap) error {
	if err := r.obey(ctx, s); err != nil || r.Stopped {
		return err
	}
	_, _, err := r.fill(ctx, func(ctx context.Context, customer string) (lead.Stand, error) {
		return r.claimOne(ctx, s, caps, customer)
	})
	return err
}

func (r *run) claimOne(ctx context.Context, s *decider.Streams, caps []*marketingv1.LeadCap, customer string) (lead.Stand, error) {
	return r.decide(ctx, s, "claim-place", customer, func(p lead.Places) []proto.Message {
		return lead.Hold(p, claimOf(r.Planned, customer), caps)
	})
}

func claimOf(p *marketingv1.CampaignRunPlanned, customer string) lead.Claim {
	return lead.Claim{
		LeadID: LeadID(p.GetRunId(), customer), CustomerID: customer, CampaignID: p.GetCampaignId(), RunID: p.GetRunId(),
		Channel: p.GetChannel(), Priority: p.GetPriority(), At: p.GetPlannedAt().AsTime(), Once: hours(p.GetPeriodHours()),
	}
}

// obey stops a run whose campaign was stopped since the run was planned, or before:
// who planned it may not have known.
func (r *run) obey(ctx context.Context, s *decider.Streams) error {
	state, _, err := decider.Load(ctx, s, Stream(r.Planned.GetCampaignId()), Decider)
	if err != nil || !state.Stopped {
		return err
	}
	return r.stop(ctx, s)
}

// stop says that the run is to issue nothing, unless it is over.
func (r *run) stop(ctx context.Context, s *decider.Streams) error {
	outcome, err := decider.Handle(ctx, s, r.origin("stop-run"), RunStream(r.Planned.GetRunId()), RunDecider,
		func(state RunState) ([]proto.Message, error) { return StopRun(state), nil })
	if err != nil {
		return err
	}
	r.RunState = outcome.State
	return nil
}

// finish takes the places that the run still holds, and issues its leads. A run that
// is to issue nothing gives its places back first, and can't be given any more: no
// place stays taken without a lead.
func (r *run) finish(ctx context.Context, s *decider.Streams, caps []*marketingv1.LeadCap) error {
	if r.Stopped {
		return r.giveUp(ctx, s)
	}
	placed, passed, err := r.fill(ctx, func(ctx context.Context, customer string) (lead.Stand, error) {
		return r.take(ctx, s, caps, customer)
	})
	if err != nil {
		return err
	}
	ended, err := r.end(ctx, s, placed, passed)
	if err != nil || ended {
		return err
	}
	return r.giveUp(ctx, s)
}

// take takes the place that the run holds at a customer. Of one who was not turned to
// before, it claims it first.
func (r *run) take(ctx context.Context, s *decider.Streams, caps []*marketingv1.LeadCap, customer string) (lead.Stand, error) {
	take := func() (lead.Stand, error) {
		return r.decide(ctx, s, "take-place", customer, func(p lead.Places) []proto.Message {
			return lead.Take(p, LeadID(r.Planned.GetRunId(), customer), customer)
		})
	}
	stand, err := take()
	if err != nil || stand != lead.Unknown {
		return stand, err
	}
	if stand, err = r.claimOne(ctx, s, caps, customer); err != nil || stand != lead.Held {
		return stand, err
	}
	return take()
}

// end issues the leads. It returns false when the run was stopped meanwhile.
func (r *run) end(ctx context.Context, s *decider.Streams, placed []string, passed int) (ended bool, err error) {
	outcome, err := decider.Handle(ctx, s, r.origin("end-run"), RunStream(r.Planned.GetRunId()), RunDecider,
		func(state RunState) ([]proto.Message, error) {
			if state.Stopped { // its places come first
				return nil, nil
			}
			return End(state, placed, passed), nil
		})
	if err != nil {
		return false, err
	}
	r.RunState = outcome.State
	return !r.Stopped, nil
}

// giveUp gives back all places of a run that was stopped, those that another process
// may be about to claim included, and ends it.
func (r *run) giveUp(ctx context.Context, s *decider.Streams) error {
	err := each(ctx, ranked(r.Planned), func(ctx context.Context, _ int, customer string) error {
		_, err := r.decide(ctx, s, "release-place", customer, func(p lead.Places) []proto.Message {
			return lead.Release(p, LeadID(r.Planned.GetRunId(), customer), customer)
		})
		return err
	})
	if err != nil {
		return err
	}
	_, err = decider.Handle(ctx, s, r.origin("end-run"), RunStream(r.Planned.GetRunId()), RunDecider,
		func(state RunState) ([]proto.Message, error) { return End(state, nil, 0), nil })
	return err
}

// stopRun stops a run that is not over, and gives its places back.
func stopRun(ctx context.Context, s *decider.Streams, id string) error {
	r, err := load(ctx, s, id)
	if err != nil || r.Planned == nil || r.Ended != nil {
		return err
	}
	if err := r.stop(ctx, s); err != nil || r.Ended != nil {
		return err
	}
	return r.giveUp(ctx, s)
}
