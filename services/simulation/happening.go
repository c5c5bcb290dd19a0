package simulation

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

// occur has something happen meanwhile. It returns false where there is nothing
// that it could happen to.
func (w *world) occur(f Fault) bool {
	var happened bool
	var err error
	switch f {
	case Migrate:
		happened, err = w.migrate()
	case Window:
		happened, err = w.window()
	case Operate:
		happened, err = w.operate()
	case Poison:
		happened, err = w.poison()
	case ClockStep:
		happened = w.stepClock()
	default:
		return true // the service's own: see crash
	}
	if err != nil {
		w.diverge("%s: %v", f, err)
	}
	return happened
}

var cadences = []string{flows.RealTime, flows.RealTime, flows.Hourly, flows.Daily, flows.Weekly, flows.Paused, "0 */5 * * *"}

// migrate asks a flow, any of the catalogue, to go on at another cadence.
func (w *world) migrate() (bool, error) {
	name := w.anyFlow()
	before := w.size()
	_, err := w.flows.Set(context.Background(), name, cadences[w.random.IntN(len(cadences))], "simulation", "at random")
	return w.size() > before, err
}

// window asks for a window, of a flow that has any.
func (w *world) window() (bool, error) {
	for range 10 {
		state, err := w.flows.Get(context.Background(), w.anyFlow())
		if err != nil {
			return false, err
		}
		if state.Requested == flows.RealTime || state.Requested == flows.Paused {
			continue
		}
		_, err = w.flows.RunWindow(context.Background(), state.Flow.Name, "simulation", "at random")
		return err == nil, err
	}
	return false, nil
}

func (w *world) anyFlow() string { return flows.Catalogue[w.random.IntN(len(flows.Catalogue))].Name }

// operate retries or skips an event that is parked, as far as progress tells.
func (w *world) operate() (bool, error) {
	all, err := w.flows.ListParked(context.Background(), "")
	if err != nil || len(all) == 0 {
		return false, err
	}
	p := all[w.random.IntN(len(all))]
	before := w.size()
	if w.random.IntN(2) == 0 {
		_, err = w.flows.Retry(context.Background(), p.Flow.Name, p.GetEventId(), "simulation", "")
	} else {
		_, err = w.flows.Skip(context.Background(), p.Flow.Name, p.GetEventId(), "simulation", "it never will")
	}
	return w.size() > before, err
}

// poison appends an event that can't be taken in. It stands in a stream of its
// own, as who does not understand a stream must not decide on it.
func (w *world) poison() (bool, error) {
	w.poisons++
	key := fmt.Sprintf("poison-%d", w.poisons)
	var events []eventlog.NewEvent
	var err error
	switch w.random.IntN(3) {
	case 0: // of any flow, and nobody can read it
		f := flows.Catalogue[w.random.IntN(len(flows.Catalogue))]
		events = []eventlog.NewEvent{{
			ID: seeded(w.random.Uint64()), Type: f.Types[w.random.IntN(len(f.Types))], Data: []byte(`{"not": "an event"`), Metadata: []byte(`{}`),
		}}
	case 1: // read by whoever is not concerned; others of its key wait behind it
		events, err = w.encode(flows.Sales,
			&salesv1.DispatchOrdered{LeadId: key, CustomerId: "nobody"},
			&salesv1.DispatchOrdered{LeadId: key, CustomerId: "nobody", MessageId: key, Channel: journeyv1.Channel_CHANNEL_EMAIL, Content: "to nobody"})
	default:
		events, err = w.encode(flows.Channel,
			&channelv1.RequestHandled{RequestId: key, ContactId: key, Reference: "of a request that never was"},
			&channelv1.RequestHandledInPart{RequestId: key, ContactId: key, Reason: "of a request that never was"})
	}
	if err != nil {
		return false, err
	}
	_, err = w.log.Append(context.Background(), key, eventlog.Any, events...)
	return err == nil, err
}

func (w *world) encode(from flows.Service, messages ...proto.Message) (events []eventlog.NewEvent, err error) {
	for _, m := range messages {
		e, err := w.codec.Encode(context.Background(), m, seeded(w.random.Uint64()), codec.Metadata{Source: codec.Source(from), Time: w.now()})
		if err != nil {
			return nil, err
		}
		events = append(events, e)
	}
	return events, nil
}

// leaps bounds how often time leaps: a story has its length.
const leaps = 2

// stepClock sets a clock forward or back by up to a day: the store's, or that of
// a service's calls. Virtual time itself only goes forward, and leaps as far.
func (w *world) stepClock() bool {
	const day = 24 * time.Hour
	step := time.Duration(w.random.Int64N(int64(2*day))) - day
	switch which := w.random.IntN(5); which {
	case 0:
		w.storeClock.Store(int64(step))
	case 1, 2, 3:
		w.services[flows.Services[which-1]].clock.Store(int64(step))
	default:
		if w.leaps++; w.leaps > leaps {
			return false
		}
		w.leap = max(step, -step)
	}
	return true
}

// now is the store's time.
func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.storeClock.Load())).UTC() }
