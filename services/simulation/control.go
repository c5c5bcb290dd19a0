package simulation

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/codec"
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
// steers followed, by the flow that it is for alone, and each event of the flow in one
// epoch: a closed one, or the one that is open, in which so many have been taken in.
func (w *world) checkFlow(f flows.Flow, l history, open uint64) {
	times, closed := map[string]int{}, uint64(0)
	var due []string
	asked := steering{markers: map[string]bool{}, cadences: map[uint64]string{}}
	for _, e := range l.all {
		if e.Stream != flows.ControlStream(f.Name) && !strings.HasPrefix(e.Stream, flows.ControlStream(f.Name)+":") {
			continue
		}
		if what, ok := told(e.Message); ok {
			times[what]++
		}
		if wrong := asked.check(e); wrong != "" {
			w.diverge("%s %s", f.Name, wrong)
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
	if produced := l.produced(f); closed+open != produced {
		w.diverge("%s: its epochs closed with %d events and the open one has %d, of %d in the log", f.Name, closed, open, produced)
	}
}

// produced is how many events a flow has to take in.
func (l history) produced(f flows.Flow) (n uint64) {
	for _, e := range l.raw {
		if slices.Contains(f.Types, e.Type) {
			n++
		}
	}
	return n
}

// steering is what a flow has been asked for, as its own control streams have it.
type steering struct {
	markers  map[string]bool   // ids of what a window may end at
	cadences map[uint64]string // of each epoch, as it was asked for first
}

// check reads one control event after the other, and tells what a flow has done that
// nobody has asked it for. Who asks checks the cadence: one that can't be read is none.
func (s steering) check(e codec.Event) (wrong string) {
	switch m := e.Message.(type) {
	case *flowv1.CadenceRequested:
		if _, asked := s.cadences[m.GetEpoch()]; !asked {
			s.cadences[m.GetEpoch()] = m.GetCadence()
		}
	case *flowv1.WindowRequested, *flowv1.WindowOpened:
		s.markers[e.ID.String()] = true
	case *flowv1.WindowClosed:
		if !s.markers[m.GetMarkerId()] {
			return "closed a window at " + m.GetMarkerId() + ", which is no marker of its own"
		}
	case *flowv1.CadenceAdopted:
		cadence, asked := s.cadences[m.GetEpoch()]
		if _, err := flows.ParseCadence(cadence); !asked || err == nil && cadence != m.GetCadence() {
			return fmt.Sprintf("runs at %q in epoch %d, and was asked to run at %q", m.GetCadence(), m.GetEpoch(), cadence)
		}
	}
	return ""
}
