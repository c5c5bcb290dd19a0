package audit

import (
	"errors"
	"fmt"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

// Errors of a Scope.
var (
	// ErrRange says that a range can't be meant.
	ErrRange = errors.New("there is no such range")
	// ErrNotTakenIn says that a flow has not come to the end of a range.
	ErrNotTakenIn = errors.New("the flow has not taken the whole range in yet; audit what it has, without --to, or wait (triangle flow show tells how far it is)")
	// ErrNoEpoch says that nobody has asked for such an epoch.
	ErrNoEpoch = errors.New("there is no such epoch")
)

// Scope is what an audit looks at.
type Scope struct {
	Range
	// Epochs are those that the range touches, up to the last place that has been
	// taken in.
	Epochs []Epoch
	// Kept are those of them whose chains a consumer keeps: of the present epoch and
	// of the one before it.
	Kept []Epoch
}

// Scope finds out what a request is for, of a flow that has come to a place. It
// fails with ErrNoEpoch, ErrRange and ErrNotTakenIn.
func (t *Steering) Scope(r *flowv1.AuditRequested, at eventlog.Position) (Scope, error) {
	present := t.present(at)
	asked, epochs, err := t.asksFor(r, at, t.Epochs[present])
	if err != nil {
		return Scope{}, err
	}
	s := Scope{Range: asked}
	for _, e := range epochs {
		if at.Compare(e.Until) < 0 {
			e.Until, e.Ended = at, false
		}
		s.Epochs = append(s.Epochs, e)
		if e.Number == t.Epochs[present].Number || present > 0 && e.Number == t.Epochs[present-1].Number {
			s.Kept = append(s.Kept, e)
		}
	}
	return s, nil
}

// present is the place of the epoch that a flow is in that has come to a place.
func (t *Steering) present(at eventlog.Position) (i int) {
	for n, e := range t.Epochs {
		if e.After.Compare(at) <= 0 {
			i = n
		}
	}
	return i
}

func (t *Steering) asksFor(r *flowv1.AuditRequested, at eventlog.Position, present Epoch) (Range, []Epoch, error) {
	switch {
	case r.GetEpoch() > 0:
		e, ok := Find(t.Epochs, r.GetEpoch())
		if !ok {
			return Range{}, nil, fmt.Errorf("epoch %d: %w; the last one is epoch %d", r.GetEpoch(), ErrNoEpoch, t.Epochs[len(t.Epochs)-1].Number)
		}
		if at.Compare(e.After) < 0 || e.Ended && at.Compare(e.Until) < 0 {
			return Range{}, nil, fmt.Errorf("epoch %d: the flow is at %s: %w", e.Number, at, ErrNotTakenIn)
		}
		return e.whole(at), []Epoch{e}, nil
	case r.GetFrom() == nil && r.GetTo() == nil:
		return present.whole(at), []Epoch{present}, nil
	}
	asked := Range{From: Place(r.GetFrom()), To: at}
	if r.GetTo() != nil {
		asked.To = Place(r.GetTo())
	}
	switch {
	case r.GetTo() != nil && asked.To.Compare(asked.From) < 0:
		return Range{}, nil, fmt.Errorf("from %s to %s is a step back: %w", asked.From, asked.To, ErrRange)
	case at.Compare(asked.To) < 0, at.Compare(asked.From) < 0:
		return Range{}, nil, fmt.Errorf("the flow is at %s: %w", at, ErrNotTakenIn)
	}
	return asked, asked.touch(t.Epochs), nil
}

// whole is the range of an epoch, of a flow that has come to a place.
func (e Epoch) whole(at eventlog.Position) Range {
	if at.Compare(e.Until) < 0 {
		return Range{From: e.After, To: at}
	}
	return Range{From: e.After, To: e.Until}
}

// Begins is where the log has to be read from.
func (s Scope) Begins() eventlog.Position {
	begins := s.From
	for _, e := range s.Epochs {
		if e.After.Compare(begins) < 0 {
			begins = e.After
		}
	}
	return begins
}

// Place is a position as events write it.
func Place(p *flowv1.Position) eventlog.Position {
	return eventlog.Position{Commit: p.GetCommit(), Prepare: p.GetPrepare()}
}
