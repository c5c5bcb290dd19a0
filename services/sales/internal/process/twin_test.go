package process

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/pgtest"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// happening is an event, when it was written, and the steps that it stands for.
type happening struct {
	message proto.Message
	written time.Time
	steps   []move
	forgets string // a sale of no lead that turns out to be a lead's
}

// move takes an instance to a step.
type move struct {
	process, instance, step string
	at                      time.Time
}

// history makes events of a seed: of few instances, whose steps come in any order,
// told at once or late, by builds that name them and by builds that do not.
func history(rng *rand.Rand) (all []happening) {
	written := noon
	inProgress := map[string]int{}
	for range 150 {
		written = written.Add(time.Duration(rng.IntN(600)) * time.Second)
		at, told := written, (*timestamppb.Timestamp)(nil)
		if rng.IntN(2) == 0 { // it happened elsewhere, before or, by another clock, after
			at = written.Add(time.Duration(rng.IntN(900)-800) * time.Second)
			told = timestamppb.New(at)
		}
		id := fmt.Sprint(rng.IntN(12))
		h := happening{written: written}
		switch rng.IntN(4) {
		case 0:
			h.message, h.steps = requested(rng, "r"+id, at, told, inProgress)
		case 1:
			h.message, h.steps = led(rng, "l"+id, at, told)
		case 2:
			h.message = &salesv1.DispatchOrdered{LeadId: "l" + id}
			h.steps = []move{{"lead", "l" + id, "dispatched", written}}
		case 3:
			order := fmt.Sprint("o", len(all))
			h.message, h.steps = &salesv1.OrderPlaced{OrderId: order}, []move{{"sale", order, "closed", written}}
			switch rng.IntN(3) {
			case 0: // its lead is told by the next event
				h.message, h.steps = &salesv1.OrderPlaced{OrderId: order, LeadId: "l" + id}, nil
				all = append(all, h)
				fallthrough
			case 1:
				if len(h.steps) > 0 { // nobody knew of its lead
					h.forgets = order
					all = append(all, happening{message: h.message, written: written, steps: h.steps})
				}
				h.message = &salesv1.LeadTransacted{LeadId: "l" + id, Transaction: &salesv1.Transaction{OrderId: order, HappenedAt: timestamppb.New(at)}}
				h.steps = []move{{"sale", "l" + id + " or " + "l" + id + "/" + order, "closed", at}}
			}
		}
		all = append(all, h)
	}
	return all
}

// requested is something that a request comes to. Requests of one number ask for
// the same.
func requested(rng *rand.Rand, id string, at time.Time, told *timestamppb.Timestamp, inProgress map[string]int) (proto.Message, []move) {
	kind := journeyv1.RequestKind(1 + len(id)%2)
	name, steps := "quote", []string{"asked", "taken-over", "being-priced", "quoted"}
	if kind == journeyv1.RequestKind_REQUEST_KIND_SERVICE {
		name, steps = "service", []string{"asked", "taken-over", "being-done", "served"}
	}
	place := rng.IntN(4)
	status := []journeyv1.RequestStatus{1, 2, 2, 3}[place]
	if place == 0 {
		return &salesv1.RequestOpened{RequestId: id, Kind: kind, HappenedAt: told}, []move{{name, id, steps[0], at}}
	}
	e := &salesv1.RequestStatusChanged{RequestId: id, Kind: kind, Status: status, HappenedAt: told, Step: steps[place]}
	if rng.IntN(3) == 0 && place != 2 && (place != 1 || inProgress[id] == 0) {
		e.Step = "" // the first time in progress, or done: what an older build told
	}
	if status == journeyv1.RequestStatus_REQUEST_STATUS_IN_PROGRESS {
		inProgress[id]++
	}
	return e, []move{{name, id, steps[place], at}}
}

func led(rng *rand.Rand, id string, at time.Time, told *timestamppb.Timestamp) (proto.Message, []move) {
	statuses := map[salesv1.LeadStatus]string{
		salesv1.LeadStatus_LEAD_STATUS_SENT: "sent", salesv1.LeadStatus_LEAD_STATUS_FAILED: "failed", salesv1.LeadStatus_LEAD_STATUS_CLOSED: "closed",
		salesv1.LeadStatus_LEAD_STATUS_CONVERTED: "converted", salesv1.LeadStatus_LEAD_STATUS_EXPIRED: "expired",
		salesv1.LeadStatus_LEAD_STATUS_WITHDRAWN: "withdrawn",
	}
	status := salesv1.LeadStatus(2 + rng.IntN(7))
	step, ok := statuses[status]
	if !ok {
		return &salesv1.LeadAccepted{LeadId: id, IssuedAt: told}, []move{{"lead", id, "issued", at}, {"lead", id, "accepted", time.Time{}}}
	}
	moves := []move{{"lead", id, step, at}}
	if step == "converted" {
		moves = append(moves, move{"sale", id, "agreed", at})
	}
	return &salesv1.LeadStatusChanged{LeadId: id, Status: status, HappenedAt: told}, moves
}

// twin is the report, computed naively of everything at once.
type twin struct {
	at   map[string][]move // by process and instance, what counted
	took map[string][]time.Duration
}

func (w *twin) follow(h happening) {
	delete(w.at, "sale "+h.forgets)
	for _, m := range h.steps {
		if m.at.IsZero() {
			m.at = h.written
		}
		p, _ := Find(m.process)
		var lead, order string
		if n, _ := fmt.Sscanf(m.instance, "%s or %s", &lead, &order); n == 2 { // a further order of a lead is a sale of its own
			m.instance = lead
			if been := w.at["sale "+lead]; len(been) > 0 && been[len(been)-1].step == "closed" {
				m.instance = order
			}
		}
		key := m.process + " " + m.instance
		been := w.at[key]
		if len(been) > 0 && p.Place(m.step) <= p.Place(been[len(been)-1].step) {
			continue
		}
		if len(been) > 0 {
			from := been[len(been)-1]
			for _, to := range []string{"", m.step} {
				k := fmt.Sprint(m.process, " ", from.step, " ", to)
				w.took[k] = append(w.took[k], max(0, m.at.Sub(from.at)))
			}
		}
		w.at[key] = append(been, m)
	}
}

// quantile is the smallest of all times that are there for which enough of them
// are no larger: by the definition, and by looking at each.
func quantile(all []time.Duration, percent int) *durationpb.Duration {
	best := time.Duration(-1)
	for _, candidate := range all {
		within := 0
		for _, d := range all {
			if d <= candidate {
				within++
			}
		}
		if within*100 >= percent*len(all) && (best < 0 || candidate < best) {
			best = candidate
		}
	}
	return durationpb.New(best)
}

func (w *twin) times(key string) *salesv1.Times {
	all := w.took[key]
	if len(all) == 0 {
		return &salesv1.Times{}
	}
	return &salesv1.Times{Count: uint64(len(all)), P50: quantile(all, 50), P90: quantile(all, 90)}
}

func (w *twin) report(p Process, asOf time.Time) *salesv1.Process {
	r := &salesv1.Process{Process: p.Name}
	for i, s := range p.Steps {
		step := &salesv1.ProcessStep{Step: s.Name, Kind: salesv1.StepKind_STEP_KIND_PASSING, Times: w.times(p.Name + " " + s.Name + " ")}
		if s.Ends {
			step.Kind = salesv1.StepKind_STEP_KIND_ENDING
		}
		for _, by := range s.MovedBy {
			step.MovedBy = append(step.MovedBy, string(by))
		}
		for _, to := range p.Steps[i+1:] {
			if took := w.times(p.Name + " " + s.Name + " " + to.Name); took.GetCount() > 0 {
				step.Passages = append(step.Passages, &salesv1.Passage{To: to.Name, Times: took})
			}
		}
		var first time.Time
		for _, been := range w.at {
			last := been[len(been)-1]
			if last.process != p.Name {
				continue
			}
			for _, m := range been {
				if m.step == s.Name {
					step.Entered++
				}
			}
			if last.step != s.Name {
				continue
			}
			step.Standing++
			r.Instances++
			if s.Ends {
				continue
			}
			if first.IsZero() || last.at.Before(first) {
				first = last.at
			}
			if step.GetTimes().GetCount() > 0 && asOf.Sub(last.at) > step.GetTimes().GetP90().AsDuration() {
				step.Stalled++
			}
		}
		if !first.IsZero() {
			step.StandingSince = timestamppb.New(first)
		}
		if step.GetStalled() > 0 {
			step.StalledSince = timestamppb.New(first.Add(step.GetTimes().GetP90().AsDuration()))
		}
		r.Steps = append(r.Steps, step)
	}
	return r
}

// SA-2: the report against a naive twin, on each database, whatever order steps
// come in.
func TestTheReportAgreesWithANaiveTwin(t *testing.T) {
	const seeds = 20
	stalled := uint64(0)
	for seed := range uint64(seeds) {
		db, err := projection.Open(t.Context(), pgtest.Somewhere(t), "sales")
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Create(t.Context(), projection.Schema{Name: "crm", Version: 1, Tables: Tables}); err != nil {
			t.Fatal(err)
		}
		w := &twin{at: map[string][]move{}, took: map[string][]time.Duration{}}
		asOf := noon
		err = db.Update(t.Context(), func(tx *projection.Tx) error {
			for _, h := range history(rand.New(rand.NewPCG(seed, 2))) {
				w.follow(h)
				asOf = h.written
				if err := Project(t.Context(), tx, codec.Event{Event: eventlog.Event{Created: h.written}, Message: h.message}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		for _, p := range All {
			got, err := report(t.Context(), db, p, asOf)
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if diff := cmp.Diff(w.report(p, asOf), got, protocmp.Transform()); diff != "" {
				t.Fatalf("seed %d, %s (-twin +report):\n%s", seed, p.Name, diff)
			}
			for _, s := range got.GetSteps() {
				stalled += s.GetStalled()
			}
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if stalled < seeds {
		t.Errorf("only %d stalled over %d seeds: it shows little", stalled, seeds)
	}
}
