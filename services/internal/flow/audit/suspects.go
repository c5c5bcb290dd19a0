package audit

import (
	"fmt"

	"github.com/google/uuid"
)

// Bounds of what is looked into. What is beyond them is counted as unexplained.
const (
	suspectsMax = 1000    // keys
	eventsMax   = 10_000  // of one key
	effort      = 500_000 // hashes for one key
)

// Suspects looks into the keys whose chains are not what they should be: it
// takes their events from the log, which is read once more for them.
type Suspects struct {
	ledger *Ledger
	known  map[string]*Suspect // by epoch and key
	beyond map[string]bool     // those that are not looked into
	all    []*Suspect
}

// Fault is what was found out about a key.
type Fault struct {
	// Kind is what is wrong, unless nothing explains it.
	Kind      Kind
	Explained bool
	Key       string
	Epoch     uint64
	// Events are those at fault: all of the key's when nothing explains it.
	Events []Event
}

// Look returns the Suspects of some comparisons.
func (l *Ledger) Look(differ []*Suspect) *Suspects {
	s := &Suspects{ledger: l, known: map[string]*Suspect{}, beyond: map[string]bool{}}
	for _, one := range differ {
		name := nameOf(one.Epoch, one.Key)
		s.known[name], s.beyond[name] = one, len(s.all) >= suspectsMax
		s.all = append(s.all, one)
	}
	return s
}

func nameOf(epoch uint64, key string) string { return fmt.Sprintf("%d:%s", epoch, key) }

// Add adds an event of the log, in the log's order.
func (s *Suspects) Add(e Event) {
	version, due := place(s.ledger.versions, e.Type, e.Position)
	if !due {
		return
	}
	for _, a := range s.ledger.accounts {
		if !a.has(e.Position) {
			continue
		}
		name := nameOf(a.Number, e.Key)
		one := s.known[name]
		switch {
		case one == nil:
		case s.beyond[name] || len(one.Events) >= eventsMax:
			s.beyond[name] = true
			if s.ledger.Range.has(e.Position) {
				s.ledger.Lines[version].Unexplained++
			}
		default:
			one.Events = append(one.Events, e)
		}
	}
}

// Faults tells what is wrong with each key, and counts it in the ledger's lines.
func (s *Suspects) Faults() (all []Fault) {
	for _, one := range s.all {
		f := Fault{Key: one.Key, Epoch: one.Epoch, Events: one.Events}
		if !s.beyond[nameOf(one.Epoch, one.Key)] {
			if e, ok := Explain(idsOf(one.Events), one.Got, effort); ok {
				f.Kind, f.Explained, f.Events = e.Kind, true, one.Events[e.First:e.First+e.Events]
			}
		}
		s.count(f)
		all = append(all, f)
	}
	return all
}

func (s *Suspects) count(f Fault) {
	for _, e := range f.Events {
		version, _ := place(s.ledger.versions, e.Type, e.Position)
		if !s.ledger.Range.has(e.Position) {
			continue
		}
		line := &s.ledger.Lines[version]
		switch {
		case !f.Explained:
			line.Unexplained++
		case f.Kind == Missing:
			line.Missing++
			s.back(line, e)
		case f.Kind == Twice:
			line.Twice++
		case f.Kind == OutOfOrder:
			line.OutOfOrder++
		}
	}
}

// back takes an event that is missing out of what is aside: it is one or the
// other.
func (s *Suspects) back(line *Line, e Event) {
	switch s.ledger.Aside[e.ID] {
	case Parked:
		line.Parked--
	case Skipped:
		line.Filtered--
	}
}

func idsOf(events []Event) []uuid.UUID {
	ids := make([]uuid.UUID, len(events))
	for i, e := range events {
		ids[i] = e.ID
	}
	return ids
}
