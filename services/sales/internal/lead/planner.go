package lead

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/triangle-suite/triangle/contracts/flows"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/deadline"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/projection"
	"github.com/triangle-suite/triangle/services/sales/internal/outbound"
)

// Horizon is how far the tables must have come before a plan is made: to the
// last lead that was accepted, and to the last that was dispatched.
type Horizon struct {
	mu       sync.Mutex
	position eventlog.Position
}

func (h *Horizon) reach(p eventlog.Position) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.position.Compare(p) < 0 {
		h.position = p
	}
}

// Reached tells whether a position is at the horizon, or past it.
func (h *Horizon) Reached(p eventlog.Position) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.position.Compare(p) <= 0
}

// Planner gives leads their places in the channels' grants. Its Round is a
// worker's.
type Planner struct {
	Streams *decider.Streams
	DB      *projection.DB
	Horizon *Horizon
	// Settled tells whether the tables show all leads that there are, so that a
	// plan is made of a whole batch and not of the part that came first.
	Settled func(ctx context.Context) (bool, error)
	// Now is the clock.
	Now func() time.Time

	spent   map[string]uint32 // how much is known to be spent of grants
	settled map[string]bool   // the grants of which nothing is spent on leads that are lost
}

// settleEvery is how often Settled is asked again.
const settleEvery = 20 * time.Millisecond

// perRound bounds a plan. The table shows what was dispatched, then comes the
// next one.
const perRound = 500

// Round ends the leads that have waited too long, and dispatches of the others
// what fits the grants that hold now. It is due again when the next lead expires
// and when the next grant begins.
func (p *Planner) Round(ctx context.Context) (again time.Time, err error) {
	now := p.Now().UTC()
	plans, err := outbound.Load(ctx, p.DB)
	if err != nil {
		return time.Time{}, err
	}
	expires, err := p.expire(ctx, now, plans)
	if err != nil {
		return time.Time{}, err
	}
	again, err = p.plan(ctx, now, plans)
	if err != nil {
		return time.Time{}, err
	}
	return deadline.Earlier(again, expires), nil
}

// plan dispatches what fits. It is due again when the next grant begins.
func (p *Planner) plan(ctx context.Context, now time.Time, plans outbound.Plans) (again time.Time, err error) {
	grants, next, err := p.grants(ctx, now, plans)
	if err != nil || len(grants) == 0 {
		return next, err
	}
	if settled, err := p.Settled(ctx); err != nil || !settled {
		return now.Add(settleEvery), err
	}
	waiting, err := p.waiting(ctx, grants)
	if err != nil || len(waiting) == 0 {
		return next, err
	}
	if err := p.look(ctx, grants); err != nil {
		return time.Time{}, err
	}
	for _, a := range Plan(now, waiting, grants) {
		returned, err := p.dispatch(ctx, a)
		if err != nil {
			return time.Time{}, err
		}
		if returned { // another lead may have the place
			next = now
		}
	}
	return next, nil
}

// grants returns those that hold now and have something left, and when the next
// one begins.
func (p *Planner) grants(ctx context.Context, now time.Time, plans outbound.Plans) (holding []Grant, next time.Time, err error) {
	all, err := loadGrants(ctx, p.DB, now, plans)
	if err != nil {
		return nil, next, err
	}
	for _, g := range all {
		switch {
		case g.Covers(now) && p.spent[g.Name] < g.Capacity:
			holding = append(holding, g)
		case now.Before(g.StartsAt):
			next = deadline.Earlier(next, g.StartsAt)
		}
	}
	return holding, next, nil
}

// waiting returns the first leads of each channel that has something left.
func (p *Planner) waiting(ctx context.Context, grants []Grant) (waiting []Waiting, err error) {
	seen := map[journeyv1.Channel]bool{}
	for _, g := range grants {
		if seen[g.Channel] {
			continue
		}
		seen[g.Channel] = true
		rows, err := p.DB.Query(ctx, `SELECT lead_id, channel, priority FROM lead
			WHERE status = ? AND channel = ? ORDER BY priority DESC, lead_id `+projection.Limit(perRound), int32(statusAccepted), int32(g.Channel))
		if err != nil {
			return nil, fmt.Errorf("look for leads that wait: %w", err)
		}
		of, err := projection.Collect(rows, scanWaiting)
		if err != nil {
			return nil, fmt.Errorf("look for leads that wait: %w", err)
		}
		waiting = append(waiting, of...)
	}
	return waiting, nil
}

func scanWaiting(row projection.Scanner, w *Waiting) error {
	var channel int32
	err := row.Scan(&w.LeadID, &channel, &w.Priority)
	w.Channel = journeyv1.Channel(channel)
	return err
}

// look reads what was spent of each grant, from its stream: a table would lag
// behind, and the plan would be of capacity that is gone.
func (p *Planner) look(ctx context.Context, grants []Grant) error {
	for i := range grants {
		s, _, err := decider.Load(ctx, p.Streams, grantStream(grants[i].Name), grantDecider)
		if err != nil {
			return err
		}
		grants[i].Spent = s
		if err := p.settle(ctx, grants[i]); err != nil {
			return err
		}
	}
	return nil
}

// settle gives back what was spent of a grant for leads that are lost to it. A planner
// that finds so in the middle of a dispatch gives it back there; one that died, or that
// the store failed, left it behind. So each grant is looked through once, and again
// after an error.
func (p *Planner) settle(ctx context.Context, g Grant) error {
	if p.settled[g.Name] {
		return nil
	}
	for id := range g.Spent {
		state, cause, err := p.load(ctx, id)
		if err != nil {
			return err
		}
		if !state.isLost(g.Name) {
			continue
		}
		if err := p.giveBack(ctx, g.Name, state, cause); err != nil {
			return err
		}
		delete(g.Spent, id)
	}
	if p.settled == nil {
		p.settled = map[string]bool{}
	}
	p.settled[g.Name] = true
	return nil
}

func (p *Planner) giveBack(ctx context.Context, grant string, lead State, cause codec.Event) error {
	origin := decider.CauseOrigin(flows.Sales, "return-capacity", cause, p.Now().UTC())
	left, err := decider.Handle(ctx, p.Streams, origin.Step(), grantStream(grant), grantDecider,
		func(s spending) ([]proto.Message, error) { return giveBack(s, lead.LeadID, lead.CustomerID), nil })
	if err == nil && p.spent != nil {
		p.spent[grant] = uint32(len(left.State)) //nolint:gosec // no more than the capacity
	}
	return err
}

// dispatch spends the capacity, and then hands the lead to its channel. Should
// the process die in between, the next plan finds the lead's place in the grant. A
// lead that has ended in between gives its place back, which returned tells.
func (p *Planner) dispatch(ctx context.Context, a Assignment) (returned bool, err error) {
	defer func() {
		if err != nil { // what is spent must be looked through again
			delete(p.settled, a.Grant.Name)
		}
	}()
	state, cause, err := p.load(ctx, a.LeadID)
	if err != nil || state.Status != statusAccepted {
		return false, err
	}
	origin := decider.CauseOrigin(flows.Sales, "dispatch-lead", cause, p.Now().UTC())
	spent, err := decider.Handle(ctx, p.Streams, origin.Step(), grantStream(a.Grant.Name), grantDecider,
		func(s spending) ([]proto.Message, error) {
			return spend(s, a.Grant.Capacity, a.LeadID, state.CustomerID)
		})
	if errors.Is(err, errSpent) {
		p.note(a.Grant.Name, a.Grant.Capacity)
		return false, nil
	}
	if err != nil {
		return false, err
	}
	ordered, err := decider.Handle(ctx, p.Streams, origin, Stream(a.LeadID), Decider,
		func(s State) ([]proto.Message, error) { return Dispatch(s, a.Grant.Name), nil })
	if err != nil {
		return false, err // it keeps its place: the grant must be looked at again
	}
	if ordered.State.isLost(a.Grant.Name) {
		return true, p.giveBack(ctx, a.Grant.Name, ordered.State, cause)
	}
	p.note(a.Grant.Name, uint32(len(spent.State))) //nolint:gosec // no more than the capacity
	p.Horizon.reach(ordered.Position)
	return false, nil
}

// note remembers how much was spent of a grant: one that has nothing left need not
// be looked at.
func (p *Planner) note(grant string, spent uint32) {
	if p.spent == nil {
		p.spent = map[string]uint32{}
	}
	p.spent[grant] = max(p.spent[grant], spent)
}

// load folds a lead, and finds the event by which it was accepted.
func (p *Planner) load(ctx context.Context, id string) (state State, cause codec.Event, err error) {
	for raw, err := range p.Streams.Log.ReadStream(ctx, Stream(id), eventlog.Forward, 0, 0) {
		if err != nil {
			return state, cause, fmt.Errorf("read lead %s: %w", id, err)
		}
		event, err := p.Streams.Codec.Decode(ctx, raw)
		if err != nil {
			return state, cause, err
		}
		if _, ok := event.Message.(*salesv1.LeadAccepted); ok {
			cause = event
		}
		state = evolve(state, event.Message)
	}
	return state, cause, nil
}
