package lead

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	"github.com/triangle-suite/triangle/contracts/flows"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/eventlog/memory"
	"github.com/triangle-suite/triangle/services/internal/flow"
)

// withdraw takes in that a lead is withdrawn, as often as it takes until it meets no
// error.
func (b *board) withdraw(ctx context.Context, id string) error {
	cause := codec.Event{
		Event:   eventlog.Event{NewEvent: eventlog.NewEvent{Type: "marketing.LeadWithdrawn", ID: uuid.NewSHA1(uuid.Nil, []byte("withdraw "+id))}},
		Message: &marketingv1.LeadWithdrawn{LeadId: id, Reason: marketingv1.WithdrawalReason_WITHDRAWAL_REASON_CAMPAIGN_STOPPED},
	}
	r := reactions{b.streams, &Horizon{}}
	origin := decider.CauseOrigin(flows.Sales, "withdraw-lead", cause, noon)
	for r.withdraw(ctx, nil, flow.Cause{Event: cause, Origin: origin}) != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// dieHalfway is a planner that dies after it has spent for a lead, and before it orders
// anything.
func (b *board) dieHalfway(id string) {
	b.t.Helper()
	p := &Planner{Streams: b.streams, Horizon: &Horizon{}, Now: func() time.Time { return noon }}
	for {
		state, cause, err := p.load(b.t.Context(), id)
		if err != nil {
			b.t.Fatal(err)
		}
		origin := decider.CauseOrigin(flows.Sales, "dispatch-lead", cause, noon)
		_, err = decider.Handle(b.t.Context(), b.streams, origin.Step(), grantStream(b.grants[0].Name), grantDecider,
			func(s spending) ([]proto.Message, error) { return spend(s, b.grants[0].Capacity, id, state.CustomerID) })
		if err == nil {
			return
		}
	}
}

// planOnce is a planner that looks, plans and dispatches, and dies at the first error.
func (b *board) planOnce(ctx context.Context) error {
	p := &Planner{Streams: b.streams, Horizon: &Horizon{}, Now: func() time.Time { return noon }}
	grants := slices.Clone(b.grants)
	if err := p.look(ctx, grants); err != nil {
		return err
	}
	var waiting []Waiting
	for _, w := range b.waiting {
		if b.state(w.LeadID).Status == statusAccepted {
			waiting = append(waiting, w)
		}
	}
	for _, a := range Plan(noon, waiting, grants) {
		if _, err := p.dispatch(ctx, a); err != nil {
			return err
		}
	}
	return nil
}

// count counts the events of a type in a lead's stream.
func (b *board) count(id, eventType string) (n int) {
	b.t.Helper()
	for raw, err := range b.streams.Log.ReadStream(b.t.Context(), Stream(id), eventlog.Forward, 0, 0) {
		if err != nil {
			b.t.Fatal(err)
		}
		if raw.Type == eventType {
			n++
		}
	}
	return n
}

// LM-2, MA-6: leads are withdrawn while several planners dispatch them, some of which
// die between what they spend and what they order, over a store that fails.
// Each lead that is withdrawn is dispatched or ends, and never both; where it came too
// late, that is on record once. What was spent for a lead that ended is given back: of
// the grant exactly what was dispatched is spent, and nothing waits while it has room.
func TestALeadIsWithdrawnOrDispatched(t *testing.T) {
	const seeds = 500
	became := map[salesv1.LeadStatus]int{}
	returned := 0
	for seed := range uint64(seeds) {
		rng := rand.New(rand.NewPCG(seed, 8))
		b := newBoard(t, rand.New(rand.NewPCG(seed, 9)))
		b.grants = []Grant{grantAt("email:a", email, uint32(1+rng.IntN(5)), 0)}
		var leads []Waiting
		withdrawn := map[string]bool{}
		for i := range 2 + rng.IntN(6) {
			w := Waiting{LeadID: fmt.Sprintf("l%02d", i), Channel: email, Priority: uint32(rng.IntN(3))}
			leads = append(leads, w)
			withdrawn[w.LeadID] = rng.IntN(2) == 0
		}
		b.issue(leads)
		if rng.IntN(3) == 0 {
			b.dieHalfway(leads[0].LeadID)
		}
		group, ctx := errgroup.WithContext(t.Context())
		for range 3 {
			group.Go(func() error {
				_ = b.planOnce(ctx) // it may die: what it left behind, the last one finds
				return nil
			})
		}
		for id, is := range withdrawn {
			if is {
				group.Go(func() error { return b.withdraw(ctx, id) })
			}
		}
		if err := group.Wait(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		for b.planOnce(t.Context()) != nil {
		}
		spent := b.spent("email:a")
		waits := 0
		for _, w := range leads {
			state := b.state(w.LeadID)
			became[state.Status]++
			dispatched, missed := b.count(w.LeadID, "sales.DispatchOrdered"), b.count(w.LeadID, "sales.LeadWithdrawalMissed")
			ok := false
			switch state.Status {
			case statusDispatched:
				ok = dispatched == 1 && spent[w.LeadID] && (missed == 1) == withdrawn[w.LeadID]
			case statusWithdrawn:
				ok = dispatched == 0 && missed == 0 && withdrawn[w.LeadID] && !spent[w.LeadID]
			case statusAccepted:
				ok = dispatched == 0 && !withdrawn[w.LeadID] && !spent[w.LeadID]
				waits++
			}
			if !ok {
				t.Errorf("seed %d: %s is %s: dispatched %d times, withdrawn %t, too late %d times, spent %t",
					seed, w.LeadID, state.Status, dispatched, withdrawn[w.LeadID], missed, spent[w.LeadID])
			}
		}
		if room := int(b.grants[0].Capacity) - len(spent); room < 0 || room > 0 && waits > 0 {
			t.Errorf("seed %d: %d leads wait, and the grant has room for %d", seed, waits, room)
		}
		returned += b.returned("email:a")
	}
	t.Logf("%v; %d were given back", became, returned)
	for _, status := range []salesv1.LeadStatus{statusAccepted, statusDispatched, statusWithdrawn} {
		if became[status] == 0 {
			t.Errorf("no lead is %s: it shows little", status)
		}
	}
	if returned == 0 {
		t.Error("nothing was ever given back: it shows little")
	}
}

// LM-2, MA-6: a lead is withdrawn between what is spent for it and what is ordered: its
// planner gives back at once what it spent, and looks again for who may have it.
func TestAPlannerGivesBackWhatItSpentForALeadThatIsWithdrawn(t *testing.T) {
	var b *board
	withdrawn := false
	b = boardOn(t, memory.New(memory.Options{BeforeAppend: func(stream string, events []eventlog.NewEvent) error {
		if stream == Stream("l1") && events[0].Type == "sales.DispatchOrdered" && !withdrawn {
			withdrawn = true
			return b.withdraw(context.Background(), "l1")
		}
		return nil
	}}))
	b.grants = []Grant{grantAt("email:a", email, 1, 0)}
	b.issue([]Waiting{{LeadID: "l1", Channel: email}})
	p := &Planner{Streams: b.streams, Horizon: &Horizon{}, Now: func() time.Time { return noon }}
	returned, err := p.dispatch(t.Context(), Assignment{LeadID: "l1", Grant: b.grants[0]})
	if err != nil || !returned || p.spent["email:a"] != 0 {
		t.Errorf("the planner has given it back: %t, and knows of %d that are spent (%v)", returned, p.spent["email:a"], err)
	}
	if spent, state := b.spent("email:a"), b.state("l1"); len(spent) != 0 || state.Status != statusWithdrawn || b.returned("email:a") != 1 {
		t.Errorf("the lead is %s, and spent are %v", state.Status, spent)
	}
}

// returned counts what was given back to a grant.
func (b *board) returned(grant string) (n int) {
	b.t.Helper()
	for raw, err := range b.streams.Log.ReadStream(b.t.Context(), grantStream(grant), eventlog.Forward, 0, 0) {
		if err != nil {
			return n // nobody has spent of it
		}
		if raw.Type == "sales.CapacityReturned" {
			n++
		}
	}
	return n
}
