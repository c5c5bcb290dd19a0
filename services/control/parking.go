package control

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

// Errors about parked events.
var (
	// ErrNotParked says that there is nothing to retry or to skip.
	ErrNotParked = errors.New("the event is not parked; triangle flow parked list shows what is")
	// ErrWaits says that an event is only held up by another one of its key.
	ErrWaits = errors.New("the event waits behind another one of its key; see to that one, and this one follows")
	// ErrNoReason says that a skip does not say why.
	ErrNoReason = errors.New("an event is skipped for good: say why, with --reason")
	// ErrNoEventID says that a text is no id of an event.
	ErrNoEventID = errors.New("not the id of an event, which is a UUID; triangle flow parked list shows the ids")
)

// Parked is an event that a flow's consumer has parked.
type Parked struct {
	Flow flows.Flow
	*flowv1.ParkedEvent
	// Waiting is the events that wait behind it, in order.
	Waiting []*flowv1.ParkedEvent
}

// ParkedEvent is a parked event and what it says.
type ParkedEvent struct {
	Parked
	// Stream, Revision and Created tell where and when the store has it; Stream is
	// empty when it has it no more.
	Stream   string
	Revision uint64
	Created  time.Time
	// Veiled is its metadata and data, without a personal value. Data is nil when
	// it can't be read; Unreadable says why.
	codec.Veiled
	Unreadable error
}

// parkingRequest is a RetryRequested or a SkipRequested.
type parkingRequest interface {
	proto.Message
	request
	GetEventId() string
}

// parking is what a control stream says of requests about parked events.
type parking struct {
	open     map[string]parkingRequest          // by the request's id
	revision map[string]uint64                  // of each request
	answers  map[string]*flowv1.ParkingAnswered // by the request's id
	last     map[string]*flowv1.ParkingAnswered // the last that did something, by the event's id
}

func newParking() parking {
	return parking{
		open: map[string]parkingRequest{}, revision: map[string]uint64{},
		answers: map[string]*flowv1.ParkingAnswered{}, last: map[string]*flowv1.ParkingAnswered{},
	}
}

func (p parking) note(e codec.Event) {
	switch m := e.Message.(type) {
	case *flowv1.ParkingAnswered:
		delete(p.open, m.GetRequestId())
		p.answers[m.GetRequestId()] = m
		if m.GetOutcome() != flowv1.ParkingOutcome_PARKING_OUTCOME_NOT_PARKED || p.last[m.GetEventId()] == nil {
			p.last[m.GetEventId()] = m
		}
	case parkingRequest:
		id := e.ID.String()
		p.open[id], p.revision[id] = m, e.Revision
	}
}

// gone tells whether an event has been seen to since the consumer told its
// progress.
func (s State) gone(event string) bool {
	last := s.parking.last[event]
	if last == nil || s.parking.revision[last.GetRequestId()] < s.Progress.GetSteered() {
		return false
	}
	switch last.GetOutcome() {
	case flowv1.ParkingOutcome_PARKING_OUTCOME_STILL_PARKED, flowv1.ParkingOutcome_PARKING_OUTCOME_WAITS:
		return false
	default:
		return true
	}
}

// Parked returns what the flow's consumer has parked, by its last word: the first
// event of each key, with those that wait behind it.
func (s State) Parked() []Parked {
	var all []Parked
	place := map[string]int{}
	for _, e := range s.Progress.GetParkedEvents() {
		switch first, ok := place[e.GetWaitsFor()]; {
		case s.gone(e.GetEventId()):
		case ok:
			all[first].Waiting = append(all[first].Waiting, e)
		default:
			place[e.GetEventId()] = len(all)
			all = append(all, Parked{Flow: s.Flow, ParkedEvent: e})
		}
	}
	return all
}

// parked finds an event that can be retried or skipped.
func (s State) parked(event string) (Parked, error) {
	for _, p := range s.Parked() {
		if p.GetEventId() == event {
			return p, nil
		}
		for _, w := range p.Waiting {
			if w.GetEventId() == event {
				return Parked{Flow: s.Flow, ParkedEvent: w}, fmt.Errorf("%s waits behind %s: %w", event, p.GetEventId(), ErrWaits)
			}
		}
	}
	if last := s.parking.last[event]; last != nil {
		return Parked{}, fmt.Errorf("%s: %w", Outcome(last), ErrNotParked)
	}
	return Parked{}, fmt.Errorf("%s has no parked event %s: %w", s.Flow.Name, event, ErrNotParked)
}

// parkable looks up a flow whose events may be parked: those of the catalogue,
// and those of each service's own events to itself.
func (f *Flows) parkable(name string) (flows.Flow, error) {
	for _, own := range flows.Own() {
		if own.Name == name {
			return own, nil
		}
	}
	return f.find(name)
}

// ListParked returns what is parked in a flow, or in all of them when name is
// empty. It fails with ErrUnknownFlow.
func (f *Flows) ListParked(ctx context.Context, name string) ([]Parked, error) {
	chosen := append(append([]flows.Flow(nil), flows.Catalogue...), flows.Own()...)
	if name != "" {
		flow, err := f.parkable(name)
		if err != nil {
			return nil, err
		}
		chosen = []flows.Flow{flow}
	}
	var all []Parked
	for _, flow := range chosen {
		s, err := f.get(ctx, flow)
		if err != nil {
			return nil, err
		}
		all = append(all, s.Parked()...)
	}
	return all, nil
}

// ShowParked returns a parked event, waiting or not, and what it says. It fails
// with ErrUnknownFlow, ErrNoEventID and ErrNotParked.
func (f *Flows) ShowParked(ctx context.Context, name, event string) (ParkedEvent, error) {
	s, event, err := f.lookForParked(ctx, name, event)
	if err != nil {
		return ParkedEvent{}, err
	}
	p, err := s.parked(event)
	if err != nil && !errors.Is(err, ErrWaits) {
		return ParkedEvent{}, err
	}
	shown := ParkedEvent{Parked: p}
	at := eventlog.Position{Commit: p.GetPosition().GetCommit(), Prepare: p.GetPosition().GetPrepare()}
	for e, err := range f.log.ReadAll(ctx, eventlog.Forward, &at, 1) {
		if err != nil {
			return shown, fmt.Errorf("read the parked event: %w", err)
		}
		if e.ID.String() == event && e.Position == at {
			shown.Stream, shown.Revision, shown.Created = e.Stream, e.Revision, e.Created
			shown.Veiled, shown.Unreadable = f.codec.Veil(e)
		}
	}
	return shown, nil
}

func (f *Flows) lookForParked(ctx context.Context, name, event string) (State, string, error) {
	flow, err := f.parkable(name)
	if err != nil {
		return State{}, "", err
	}
	id, err := uuid.Parse(event)
	if err != nil {
		return State{}, "", fmt.Errorf("%q is %w", event, ErrNoEventID)
	}
	s, err := f.get(ctx, flow)
	return s, id.String(), err
}

// Retry asks a flow's consumer to take in a parked event again, and those that
// wait behind it, and returns the id of the request: that of an earlier one that
// is not answered yet, if there is one. It fails with ErrUnknownFlow,
// ErrNoEventID, ErrNotParked and ErrWaits.
func (f *Flows) Retry(ctx context.Context, name, event, by, reason string) (uuid.UUID, error) {
	return f.ask(ctx, name, event, by, func(p Parked) parkingRequest {
		return &flowv1.RetryRequested{Flow: name, EventId: p.GetEventId(), Position: p.GetPosition(), By: by, Reason: reason}
	})
}

// Skip says that a parked event is left out for good, so that those that wait
// behind it go on. It returns and fails as Retry does, and with ErrNoReason.
func (f *Flows) Skip(ctx context.Context, name, event, by, reason string) (uuid.UUID, error) {
	if strings.TrimSpace(reason) == "" {
		return uuid.Nil, ErrNoReason
	}
	return f.ask(ctx, name, event, by, func(p Parked) parkingRequest {
		return &flowv1.SkipRequested{Flow: name, EventId: p.GetEventId(), Position: p.GetPosition(), By: by, Reason: reason}
	})
}

func (f *Flows) ask(ctx context.Context, name, event, by string, what func(Parked) parkingRequest) (uuid.UUID, error) {
	s, event, err := f.lookForParked(ctx, name, event)
	if err != nil {
		return uuid.Nil, err
	}
	request := uuid.New()
	_, err = f.steer(ctx, s.Flow, by, request, func(s *State) (proto.Message, error) {
		p, err := s.parked(event)
		if err != nil {
			return nil, err
		}
		asked := what(p)
		for id, open := range s.parking.open {
			if open.GetEventId() == event && open.ProtoReflect().Type() == asked.ProtoReflect().Type() {
				request, err = uuid.Parse(id)
				return nil, err
			}
		}
		return asked, nil
	})
	return request, err
}

// WaitAnswered waits until a flow's consumer has answered a request about a
// parked event, and tells of it in its progress, or until ctx ends.
func (f *Flows) WaitAnswered(ctx context.Context, name string, request uuid.UUID) (*flowv1.ParkingAnswered, error) {
	flow, err := f.parkable(name)
	if err != nil {
		return nil, err
	}
	for {
		s, err := f.get(ctx, flow)
		if err != nil {
			return nil, err
		}
		id := request.String()
		if answer := s.parking.answers[id]; answer != nil && s.Progress.GetSteered() > s.parking.revision[id] {
			return answer, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%s has not answered yet: %w", name, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Outcome tells what came of a request about a parked event, in one line.
func Outcome(a *flowv1.ParkingAnswered) string {
	var text string
	switch a.GetOutcome() {
	case flowv1.ParkingOutcome_PARKING_OUTCOME_TAKEN_IN:
		text = fmt.Sprintf("event %s was taken in%s", a.GetEventId(), released(a))
	case flowv1.ParkingOutcome_PARKING_OUTCOME_SKIPPED:
		text = fmt.Sprintf("event %s was skipped%s", a.GetEventId(), released(a))
	case flowv1.ParkingOutcome_PARKING_OUTCOME_STILL_PARKED:
		return fmt.Sprintf("event %s failed again, and stays parked: %s", a.GetEventId(), a.GetReason())
	case flowv1.ParkingOutcome_PARKING_OUTCOME_WAITS:
		return fmt.Sprintf("event %s waits behind %s; nothing was done", a.GetEventId(), a.GetNextEventId())
	default:
		return fmt.Sprintf("event %s was not parked any more; nothing was done", a.GetEventId())
	}
	if a.GetRemaining() > 0 {
		text += fmt.Sprintf("; event %s failed, and is parked with %d behind it: %s", a.GetNextEventId(), a.GetRemaining()-1, a.GetReason())
	}
	return text
}

func released(a *flowv1.ParkingAnswered) string {
	switch a.GetReleased() {
	case 0:
		return ""
	case 1:
		return ", and after it one that waited behind it"
	default:
		return fmt.Sprintf(", and after it %d that waited behind it", a.GetReleased())
	}
}
