package story

import (
	"fmt"
	"slices"
	"strings"
	"time"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/control"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

// ways follow the events of a story over the flows, by what consumers say of
// themselves in the log.
type ways struct {
	carriers map[string][]flows.Flow // by the event type
	events   map[string]*Happening   // by the event's id
	all      map[string][]*Delivery  // by the flow's name, in the order of the log
	opened   map[string]string       // the markers of windows, and what opened them
}

func newWays() ways {
	w := ways{carriers: map[string][]flows.Flow{}, events: map[string]*Happening{}, all: map[string][]*Delivery{}, opened: map[string]string{}}
	for _, f := range flows.Catalogue {
		for _, t := range f.Types {
			w.carriers[t] = append(w.carriers[t], f)
		}
	}
	return w
}

// expect notes which flows carry an event.
func (w ways) expect(h *Happening) {
	w.events[h.ID] = h
	for _, f := range w.carriers[h.Type] {
		w.deliver(h, f)
	}
}

func (w ways) deliver(h *Happening, f flows.Flow) *Delivery {
	d := &Delivery{Flow: f.Name, To: f.To, State: Waiting, position: h.Position}
	h.Deliveries = append(h.Deliveries, d)
	w.all[f.Name] = append(w.all[f.Name], d)
	return d
}

// readers are the control events that tell of deliveries.
var readers = map[string]func(ways, codec.Event){
	"flow.FlowProgressed":  func(w ways, e codec.Event) { w.progressed(e.Message.(*flowv1.FlowProgressed), e.Created) },
	"flow.WindowClosed":    func(w ways, e codec.Event) { w.closed(e.Message.(*flowv1.WindowClosed), e.Created) },
	"flow.EventParked":     func(w ways, e codec.Event) { w.parked(e.Message.(*flowv1.EventParked), e.Created) },
	"flow.ParkingAnswered": func(w ways, e codec.Event) { w.answered(e.Message.(*flowv1.ParkingAnswered), e.Created) },
	"flow.WindowOpened": func(w ways, e codec.Event) {
		w.opened[e.ID.String()] = "the window due " + moment(e.Message.(*flowv1.WindowOpened).GetDue().AsTime())
	},
	"flow.WindowRequested": func(w ways, e codec.Event) {
		w.opened[e.ID.String()] = "a window that " + e.Message.(*flowv1.WindowRequested).GetBy() + " asked for"
	},
}

func moment(t time.Time) string { return t.UTC().Format("Mon 2006-01-02 15:04 MST") }

// see takes a control event in, and tells whether it is one about deliveries.
func (w ways) see(c *codec.Codec, e eventlog.Event) bool {
	read, ok := readers[e.Type]
	if !ok {
		return false
	}
	if flow, frequent := strings.CutPrefix(e.Stream, flows.ProgressStream("")); frequent && !w.waits(flow) {
		return true
	}
	if decoded, err := c.DecodeSealed(e); err == nil { // a newer build's: the state tells in the end
		read(w, decoded)
	}
	return true
}

func (w ways) waits(flow string) bool {
	return slices.ContainsFunc(w.all[flow], func(d *Delivery) bool { return d.State == Waiting })
}

// taken calls do with what waits in a flow up to a place.
func (w ways) taken(flow string, up *flowv1.Position, do func(*Delivery)) {
	to := Position{Commit: up.GetCommit(), Prepare: up.GetPrepare()}
	for _, d := range w.all[flow] {
		if d.position.Compare(to) <= 0 {
			do(d)
		}
	}
}

func (w ways) progressed(m *flowv1.FlowProgressed, at time.Time) {
	w.taken(m.GetFlow(), m.GetPosition(), func(d *Delivery) {
		if d.State == Waiting {
			d.State, d.At, d.epoch = TakenIn, at, m.GetEpoch()
		}
	})
}

// closed is told after the consumer's progress, or before: the first window of the
// epoch that closes behind an event is the one that it was taken in with.
func (w ways) closed(m *flowv1.WindowClosed, at time.Time) {
	w.taken(m.GetFlow(), m.GetPosition(), func(d *Delivery) {
		if d.State == Waiting {
			d.State, d.At, d.epoch = TakenIn, at, m.GetEpoch()
		}
		if d.State == TakenIn && d.Window == "" && d.epoch == m.GetEpoch() {
			d.Window = "a window"
			if opened := w.opened[m.GetMarkerId()]; opened != "" {
				d.Window = opened
			}
		}
	})
}

func (w ways) parked(m *flowv1.EventParked, at time.Time) {
	h := w.events[m.GetEventId()]
	if h == nil {
		return
	}
	i := slices.IndexFunc(h.Deliveries, func(d *Delivery) bool { return d.Flow == m.GetFlow() })
	var d *Delivery
	switch {
	case i >= 0:
		d = h.Deliveries[i]
	default: // one of a service's own flows
		d = w.deliver(h, flows.Flow{Name: m.GetFlow(), To: ownerOf(m.GetFlow())})
	}
	d.State, d.At, d.key, d.Note = Parked, at, m.GetKey(), m.GetReason()
}

func ownerOf(own string) flows.Service {
	for _, f := range flows.Own() {
		if f.Name == own {
			return f.To
		}
	}
	return ""
}

// answered notes what came of a request about a parked event. Those that waited
// behind it are taken in when none remains.
func (w ways) answered(m *flowv1.ParkingAnswered, at time.Time) {
	became := TakenIn
	switch m.GetOutcome() {
	case flowv1.ParkingOutcome_PARKING_OUTCOME_TAKEN_IN:
	case flowv1.ParkingOutcome_PARKING_OUTCOME_SKIPPED:
		became = Skipped
	default:
		return
	}
	h := w.events[m.GetEventId()]
	if h == nil {
		return
	}
	for _, d := range h.Deliveries {
		if d.Flow != m.GetFlow() || d.State != Parked {
			continue
		}
		d.State, d.At, d.Note = became, at, "after it had been parked"
		for _, behind := range w.all[d.Flow] {
			if m.GetRemaining() == 0 && behind.State == Parked && behind.key == d.key {
				behind.State, behind.At, behind.Note = TakenIn, at, "after it had waited behind a parked event"
			}
		}
	}
}

// settle completes what the log has told with where the flows are at now: what the
// log no longer tells of, and what is still to come.
func (w ways) settle(states map[string]control.State, now time.Time) {
	for flow, all := range w.all {
		state, ok := states[flow]
		for _, d := range all {
			if ok && d.State == Waiting {
				d.settle(state, now)
			}
		}
	}
}

// unread notes that it is not known where a flow is.
func (w ways) unread(flow string) {
	for _, d := range w.all[flow] {
		if d.State == Waiting {
			d.Note = "a way that this build can't read: run the triangle of the release that steered it last"
		}
	}
}

func (d *Delivery) settle(s control.State, now time.Time) {
	at := s.Progress.GetPosition()
	if at != nil && d.position.Compare(Position{Commit: at.GetCommit(), Prepare: at.GetPrepare()}) <= 0 || d.Answered {
		d.State = TakenIn
		return
	}
	d.Note = expectation(s)
	if cadence, err := flows.ParseCadence(s.Cadence); err == nil && cadence.IsPeriodic() {
		d.Due = cadence.Next(now)
	}
}

// expectation tells when a consumer will come to what it has not come to.
func expectation(s control.State) string {
	var text string
	switch s.Cadence {
	case flows.RealTime:
		text = "in real time, and is behind"
	case flows.Paused:
		text = "no more, as the flow is paused"
	default:
		text = s.Cadence
	}
	if !s.Settled() {
		text += fmt.Sprintf(" (%s has been asked for)", s.Requested)
	}
	if s.Progress == nil {
		text += "; it has told nothing of itself yet"
	}
	return text
}
