package simulation

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
)

// told is a control event by what it is about: it comes once.
func told(m proto.Message) (what string, ok bool) {
	switch m := m.(type) {
	case *flowv1.EpochClosed:
		return "epoch closed " + decimal(m.GetEpoch()), true
	case *flowv1.CadenceAdopted:
		return "cadence adopted " + decimal(m.GetEpoch()), true
	case *flowv1.WindowOpened:
		return "window opened " + decimal(m.GetEpoch()) + m.GetDue().String(), true
	case *flowv1.WindowClosed:
		return "window closed " + m.GetMarkerId(), true
	case *flowv1.EventParked:
		return "parked " + m.GetEventId(), true
	case *flowv1.ParkingAnswered:
		return "answered " + m.GetRequestId(), true
	default:
		return "", false
	}
}

// checkFlow wants each control event of a flow told once, each request of whoever
// steers followed, and each event of the flow in one epoch: a closed one, or the
// one that is open, in which so many have been taken in.
func (w *world) checkFlow(f flows.Flow, l history, open uint64) {
	times, closed := map[string]int{}, uint64(0)
	var due []string
	for _, e := range l.all {
		if e.Stream != flows.ControlStream(f.Name) && !strings.HasPrefix(e.Stream, flows.ControlStream(f.Name)+":") {
			continue
		}
		if what, ok := told(e.Message); ok {
			times[what]++
		}
		switch m := e.Message.(type) {
		case *flowv1.EpochClosed:
			closed += m.GetCount()
		case *flowv1.CadenceRequested:
			due = append(due, "epoch closed "+decimal(m.GetEpoch()-1), "cadence adopted "+decimal(m.GetEpoch()))
		case *flowv1.RetryRequested, *flowv1.SkipRequested:
			due = append(due, "answered "+e.ID.String())
		}
	}
	for what, n := range times {
		if n != 1 {
			w.diverge("%s told %d times: %s", f.Name, n, what)
		}
	}
	for _, what := range due {
		if times[what] == 0 {
			w.diverge("%s has not told: %s", f.Name, what)
		}
	}
	produced := uint64(0)
	for _, e := range l.raw {
		if slices.Contains(f.Types, e.Type) {
			produced++
		}
	}
	if closed+open != produced {
		w.diverge("%s: its epochs closed with %d events and the open one has %d, of %d in the log", f.Name, closed, open, produced)
	}
}
