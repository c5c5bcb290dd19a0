package lead

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/triangle-suite/triangle/contracts/flows"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/eventlog/memory"
	"github.com/triangle-suite/triangle/services/internal/keyring"
)

// board is a log with leads that wait, for planners who know nothing of each
// other.
type board struct {
	t       *testing.T
	streams *decider.Streams
	waiting []Waiting
	grants  []Grant
}

// newBoard is a log that forgets ids at once and fails at times, before an append
// took effect or after.
func newBoard(t *testing.T, rng *rand.Rand) *board {
	var mu sync.Mutex
	fails := func(string, []eventlog.NewEvent) error {
		mu.Lock()
		defer mu.Unlock()
		if rng.IntN(20) == 0 {
			return fmt.Errorf("the store is away")
		}
		return nil
	}
	return boardOn(t, memory.New(memory.Options{BeforeAppend: fails, AfterAppend: fails}))
}

func boardOn(t *testing.T, log *memory.Log) *board {
	t.Helper()
	t.Cleanup(func() {
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	c, err := codec.New(keyring.Memory())
	if err != nil {
		t.Fatal(err)
	}
	return &board{t: t, streams: &decider.Streams{Log: log, Codec: c}}
}

// issue has leads accepted.
func (b *board) issue(leads []Waiting) {
	b.t.Helper()
	for _, w := range leads {
		e, err := b.streams.Codec.Encode(b.t.Context(), &salesv1.LeadAccepted{LeadId: w.LeadID, CustomerId: "c-" + w.LeadID, Channel: w.Channel, Priority: w.Priority},
			uuid.NewSHA1(uuid.Nil, []byte(w.LeadID)), codec.Metadata{Source: codec.Source(flows.Sales), Time: noon})
		if err != nil {
			b.t.Fatal(err)
		}
		for { // until it is there, whatever the store says
			if _, err := b.streams.Log.Append(b.t.Context(), Stream(w.LeadID), eventlog.NoStream, e); err == nil || b.state(w.LeadID).Accepted != nil {
				break
			}
		}
	}
	b.waiting = append(b.waiting, leads...)
}

func (b *board) state(id string) State {
	b.t.Helper()
	s, _, err := decider.Load(b.t.Context(), b.streams, Stream(id), Decider)
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

func (b *board) spent(grant string) spending {
	b.t.Helper()
	s, _, err := decider.Load(b.t.Context(), b.streams, grantStream(grant), grantDecider)
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

// plan has a planner dispatch as often as it takes until it meets no error. What
// it knows is what it read before it began, and so is old.
func (b *board) plan(ctx context.Context) error {
	p := &Planner{Streams: b.streams, Horizon: &Horizon{}, Now: func() time.Time { return noon }}
	plan := Plan(noon, b.waiting, b.grants)
	for _, a := range plan {
		for {
			if _, err := p.dispatch(ctx, a); err == nil {
				break
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
	}
	return nil
}

// LM-2: several planners at once, each with what it knew at first, over a store
// that fails: of each grant exactly what it holds is spent, and never more; each
// lead is dispatched once, by the grant that it was spent from, or waits on.
func TestCapacityHoldsExactlyUnderConcurrency(t *testing.T) {
	const seeds = 500
	dispatches := 0
	for seed := range uint64(seeds) {
		rng := rand.New(rand.NewPCG(seed, 5))
		b := newBoard(t, rand.New(rand.NewPCG(seed, 6)))
		b.grants = []Grant{grantAt("email:a", email, uint32(rng.IntN(8)), 0), grantAt("print:a", print, uint32(rng.IntN(8)), 0)}
		var leads []Waiting
		wanted := map[string]int{}
		for i := range 1 + rng.IntN(16) {
			w := Waiting{LeadID: fmt.Sprintf("l%02d", i), Channel: email, Priority: uint32(rng.IntN(3))}
			if rng.IntN(2) == 0 {
				w.Channel = print
			}
			wanted[grantName(w.Channel, "a")]++
			leads = append(leads, w)
		}
		b.issue(leads)
		group, ctx := errgroup.WithContext(t.Context())
		for range 4 {
			group.Go(func() error { return b.plan(ctx) })
		}
		if err := group.Wait(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		placed := map[string]bool{}
		for _, g := range b.grants {
			spent := b.spent(g.Name)
			if want := min(int(g.Capacity), wanted[g.Name]); len(spent) != want {
				t.Errorf("seed %d: %d are spent of %s, which holds %d for %d leads", seed, len(spent), g.Name, g.Capacity, wanted[g.Name])
			}
			for id := range spent {
				placed[id] = true
			}
		}
		for _, w := range leads {
			dispatches += b.checkLead(seed, w.LeadID, placed[w.LeadID])
		}
	}
	if dispatches < 3*seeds {
		t.Errorf("only %d dispatches over %d seeds: it shows little", dispatches, seeds)
	}
	t.Logf("%d seeds, %d dispatches", seeds, dispatches)
}

// checkLead wants a lead to be dispatched once where it has a place, and else to
// wait: never lost. It returns how often it was dispatched.
func (b *board) checkLead(seed uint64, id string, placed bool) (dispatched int) {
	b.t.Helper()
	for raw, err := range b.streams.Log.ReadStream(b.t.Context(), Stream(id), eventlog.Forward, 0, 0) {
		if err != nil {
			b.t.Fatal(err)
		}
		if raw.Type == "sales.DispatchOrdered" {
			dispatched++
		}
	}
	switch status := b.state(id).Status; {
	case placed && (dispatched != 1 || status != statusDispatched):
		b.t.Errorf("seed %d: %s has a place, was dispatched %d times and is %s", seed, id, dispatched, status)
	case !placed && (dispatched != 0 || status != statusAccepted):
		b.t.Errorf("seed %d: %s has no place, was dispatched %d times and is %s", seed, id, dispatched, status)
	}
	return dispatched
}

// LM-2: a lead that its planner dispatches while another one has it expire is
// dispatched or expired, and never both.
func TestALeadExpiresOrIsDispatched(t *testing.T) {
	became := map[salesv1.LeadStatus]int{}
	for seed := range uint64(500) {
		b := newBoard(t, rand.New(rand.NewPCG(seed, 7)))
		b.grants = []Grant{grantAt("email:a", email, 1, 0)}
		b.issue([]Waiting{{LeadID: "l", Channel: email}})
		group, ctx := errgroup.WithContext(t.Context())
		group.Go(func() error { return b.plan(ctx) })
		group.Go(func() error {
			p := &Planner{Streams: b.streams, Horizon: &Horizon{}, Now: func() time.Time { return noon }}
			for p.expireLead(ctx, "l", time.Hour) != nil {
				if ctx.Err() != nil {
					return ctx.Err()
				}
			}
			return nil
		})
		if err := group.Wait(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		types := 0
		for _, err := range b.streams.Log.ReadStream(t.Context(), Stream("l"), eventlog.Forward, 0, 0) {
			if err != nil {
				t.Fatal(err)
			}
			types++
		}
		state := b.state("l")
		became[state.Status]++
		recorded := types == 2 || types == 3 // that there was nothing to dispatch any more may be on record
		if !recorded || state.Status != statusDispatched && state.Status != statusExpired {
			t.Errorf("seed %d: %s, after %d events", seed, state.Status, types)
		}
	}
	t.Logf("%v", became)
}
