package flow_test

import (
	"cmp"
	"slices"
	"strings"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

// checkGate wants a flow whose gate is closed to stand at a marker: what comes
// behind it is the next window's. A gate that is open up to a marker, which is in
// the log, closes unless something fails.
func (s *schedule) checkGate() {
	s.t.Helper()
	s.quiet()
	if s.end == nil || s.frozen != nil {
		return
	}
	state := s.rt.Intake(tested).State()
	if state.Window && state.Err == nil {
		s.t.Errorf("the gate of a flow at %s is open up to a marker that does not come", state.Cadence)
	}
	if state.Cadence == "" || state.Cadence == flows.RealTime || state.Window || state.Err != nil || state.Position == (eventlog.Position{}) {
		return
	}
	for e, err := range s.log.ReadAll(s.t.Context(), eventlog.Forward, &state.Position, 1) {
		if err != nil {
			s.t.Fatal(err)
		}
		if !strings.HasPrefix(e.Stream, flows.ControlStream(tested)) {
			s.t.Errorf("the gate of a flow at %s is closed, and it stands at %s, behind its marker", state.Cadence, e.Type)
		}
	}
}

// loggedWindow is a window by the log alone: its marker, and what stands before it.
type loggedWindow struct {
	epoch, count uint64
	closed       []uint64 // with how many events it was told to have closed
}

// checkWindows wants each window closed once, with the events that the log has
// between its marker and the one before; and those that were missed to be one.
func (s *schedule) checkWindows() {
	s.t.Helper()
	windows := map[string]*loggedWindow{} // by marker
	var ends []*flowv1.WindowClosed
	epoch, cadence, waiting := uint64(1), flows.Daily, uint64(0)
	for e, err := range s.log.ReadAll(s.t.Context(), eventlog.Forward, &eventlog.Position{}, 0) {
		if err != nil {
			s.t.Fatal(err)
		}
		if !strings.HasPrefix(e.Stream, flows.ControlStream(tested)) && e.Type != "sales.RequestStatusChanged" {
			continue
		}
		event, err := s.streams.Codec.Decode(s.t.Context(), e)
		if err != nil {
			s.t.Fatal(err)
		}
		opens := false
		switch m := event.Message.(type) {
		case *flowv1.CadenceRequested:
			if m.GetEpoch() > epoch { // it is not out of date
				epoch, cadence, waiting = m.GetEpoch(), m.GetCadence(), 0
			}
		case *flowv1.WindowOpened:
			if opens = m.GetEpoch() == epoch; opens {
				s.checkDue(e, m, cadence)
			}
		case *flowv1.WindowRequested:
			opens = cadence != flows.RealTime && cadence != flows.Paused
		case *flowv1.WindowClosed:
			ends = append(ends, m)
		default:
			if e.Type == "sales.RequestStatusChanged" {
				waiting++
			}
		}
		if opens {
			windows[e.ID.String()], waiting = &loggedWindow{epoch: epoch, count: waiting}, 0
		}
	}
	for _, end := range ends {
		w := windows[end.GetMarkerId()]
		if w == nil || w.epoch != end.GetEpoch() {
			s.t.Errorf("a window of epoch %d closed at %s, where none ends", end.GetEpoch(), end.GetMarkerId())
			continue
		}
		w.closed = append(w.closed, end.GetCount())
	}
	for marker, w := range windows {
		if !slices.Equal(w.closed, []uint64{w.count}) {
			s.t.Errorf("the window of epoch %d at %s closed with %v events, want once with %d", w.epoch, marker, w.closed, w.count)
		}
	}
}

// checkDue wants a window to be the last that was due when it was opened.
func (s *schedule) checkDue(e eventlog.Event, m *flowv1.WindowOpened, cadence string) {
	s.t.Helper()
	parsed, err := flows.ParseCadence(cadence)
	if err != nil {
		s.t.Fatal(err)
	}
	due, next := m.GetDue().AsTime(), parsed.Next(m.GetDue().AsTime())
	if parsed.IsPeriodic() && (cmp.Compare(due.Unix(), e.Created.Unix()) > 0 || !next.After(e.Created)) {
		s.t.Errorf("the window that was due at %s was opened at %s, want the last one before that", due, e.Created)
	}
}
