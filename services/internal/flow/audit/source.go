package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

// Source is a flow as the log has it. It is the one thing here that reads.
type Source struct {
	Log  eventlog.Log
	Flow flows.Flow
	// Versions are those of the flow's types, as Steering tells them.
	Versions []Version
	// Decode reads an event, with the keys of persons or without.
	Decode func(context.Context, eventlog.Event) (codec.Event, error)
}

// Seen is an event of the log that was read.
type Seen struct {
	codec.Event
	// Own tells that it is of the flow's types, and As what it is to a Ledger.
	Own bool
	As  Event
	// Fault is why it can't be read, whoever tries. Message is nil then.
	Fault error
	// Origin is what its metadata says that it comes of.
	Origin string
}

// Head returns the last place in the log.
func (s Source) Head(ctx context.Context) (eventlog.Position, error) {
	for e, err := range s.Log.ReadAll(ctx, eventlog.Backward, nil, 1) {
		if err != nil {
			return eventlog.Position{}, fmt.Errorf("look where the log ends: %w", err)
		}
		return e.Position, nil
	}
	return eventlog.Position{}, nil
}

// Each calls do with the events of the log that are the flow's or may answer one
// of them, from one place to another.
func (s Source) Each(ctx context.Context, in Range, do func(Seen) error) error {
	versions := versionsOf(s.Flow, s.Versions)
	for e, err := range s.Log.ReadAll(ctx, eventlog.Forward, &in.From, 0) {
		if err != nil {
			return fmt.Errorf("read %s again: %w", s.Flow.Name, err)
		}
		if in.To.Compare(e.Position) < 0 {
			return nil
		}
		seen, err := s.see(ctx, e, versions)
		if err != nil {
			return err
		}
		if err := do(seen); err != nil {
			return err
		}
	}
	return nil
}

func (s Source) see(ctx context.Context, e eventlog.Event, versions []Version) (Seen, error) {
	seen := Seen{Event: codec.Event{Event: e}}
	if version, _ := place(versions, e.Type, e.Position); version >= 0 {
		seen.Own = true
		decoded, err := s.Decode(ctx, e)
		switch {
		case err == nil:
			seen.Event, seen.Origin = decoded, decoded.Metadata.Origin
		case codec.IsFault(err):
			seen.Fault = err
		default:
			return seen, fmt.Errorf("read %s %s again: %w", e.Type, e.ID, err)
		}
		seen.As = Event{ID: e.ID, Type: e.Type, Key: s.key(seen), Position: e.Position}
		return seen, nil
	}
	if bytes.Contains(e.Metadata, []byte(`"reaction:`)) {
		if md, err := codec.DecodeMetadata(e.Metadata); err == nil {
			seen.Origin = md.Origin
		}
	}
	return seen, nil
}

// key is the flow's key of an event, else its stream. It is spelt as a database
// holds it.
func (s Source) key(seen Seen) string {
	key := seen.Stream
	if seen.Message != nil {
		if own, ok := flows.KeyOf(s.Flow, seen.Message); ok {
			key = own
		}
	}
	return string(bytes.ReplaceAll([]byte(key), []byte{0}, []byte("\uFFFD")))
}

// Steering is what a flow's control stream says that an audit rests on: the
// markers, what operators asked, and which of it had an effect.
type Steering struct {
	Epochs []Epoch
	// Versions are those of the flow's types. Where each begins is the consumer's to
	// say: that is where it was when it learnt to read them.
	Versions []Version
	// Skipped are the events that were skipped with a reason.
	Skipped map[uuid.UUID]bool
	// Closed is what the consumer said at the end of each epoch.
	Closed map[uint64]*flowv1.EpochClosed
	// Audits are the requests for audits, and Completed what came of them, by the
	// request's id.
	Audits    []Request
	Completed map[string]*flowv1.AuditCompleted

	asked    map[string]uint64 // requests about parked events that are not answered: their revisions
	skipping map[string]string // and the events that they ask to skip
}

// Request is a request for an audit.
type Request struct {
	ID       uuid.UUID
	Revision uint64
	*flowv1.AuditRequested
}

// Steering reads the flow's control stream.
func (s Source) Steering(ctx context.Context) (*Steering, error) {
	t := &Steering{
		Skipped: map[uuid.UUID]bool{}, Closed: map[uint64]*flowv1.EpochClosed{}, Completed: map[string]*flowv1.AuditCompleted{},
		asked: map[string]uint64{}, skipping: map[string]string{},
	}
	var markers []Marker
	for e, err := range s.Log.ReadStream(ctx, flows.ControlStream(s.Flow.Name), eventlog.Forward, 0, 0) {
		if errors.Is(err, eventlog.ErrNoStream) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read what was asked of %s: %w", s.Flow.Name, err)
		}
		event, err := s.Decode(ctx, e)
		if errors.Is(err, codec.ErrUnknownType) {
			continue // a newer operator's: no marker, and nothing that an audit rests on
		}
		if err != nil {
			return nil, fmt.Errorf("read what was asked of %s: %w", s.Flow.Name, err)
		}
		if m, ok := event.Message.(*flowv1.CadenceRequested); ok {
			markers = append(markers, Marker{m.GetEpoch(), e.Position})
		}
		t.note(event)
	}
	t.Epochs, t.Versions = Epochs(markers), versionsOf(s.Flow, t.Versions)
	return t, nil
}

func (t *Steering) note(e codec.Event) {
	switch m := e.Message.(type) {
	case *flowv1.EpochClosed:
		t.Closed[m.GetEpoch()] = m
	case *flowv1.TypesAdopted:
		t.Versions = append(t.Versions, Version{m.GetVersion(), Place(m.GetPosition()), m.GetTypes()})
	case *flowv1.AuditRequested:
		t.Audits = append(t.Audits, Request{e.ID, e.Revision, m})
	case *flowv1.AuditCompleted:
		t.Completed[m.GetRequestId()] = m
	case *flowv1.RetryRequested:
		t.asked[e.ID.String()] = e.Revision
	case *flowv1.SkipRequested:
		t.asked[e.ID.String()] = e.Revision
		t.skipping[e.ID.String()] = m.GetEventId()
	case *flowv1.ParkingAnswered:
		delete(t.asked, m.GetRequestId())
		id, err := uuid.Parse(t.skipping[m.GetRequestId()])
		if err == nil && m.GetOutcome() == flowv1.ParkingOutcome_PARKING_OUTCOME_SKIPPED {
			t.Skipped[id] = true
		}
	}
}

// Answered tells whether it is known what came of all requests about parked
// events before a revision.
func (t *Steering) Answered(before uint64) bool {
	for _, revision := range t.asked {
		if revision < before {
			return false
		}
	}
	return true
}
