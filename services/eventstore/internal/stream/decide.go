package stream

import "github.com/google/uuid"

// Outcome is what becomes of an append.
type Outcome int

// The outcomes of Decide.
const (
	// Write: the events go to the end of the stream.
	Write Outcome = iota
	// Repeated: the events are there already; the first answer is given again.
	Repeated
	// WrongVersion: the stream is not where the writer believes.
	WrongVersion
	// Deleted: the stream takes no such write any more.
	Deleted
)

// Decision is the answer of Decide.
type Decision struct {
	Outcome Outcome
	Last    int64 // of Repeated: the revision that the last of the events has
}

// History is what Decide may ask about the events that a stream holds.
type History interface {
	// Recent returns the revision at which this stream has event id, if that
	// event was written lately. It may have forgotten.
	Recent(id uuid.UUID) (revision int64, ok bool)
	// IDAt returns the id of the event at a revision, uuid.Nil when there is none.
	IDAt(revision int64) (uuid.UUID, error)
}

// Decide tells what becomes of an append of events with ids to a stream in
// state, for a writer who expects expected. It fails only as history does.
//
// A retry is told from a conflict by the ids. With an expected revision the
// stream itself is compared, so that a retry is recognised however late it
// comes; without one only lately written events can be.
func Decide(state State, expected Expected, ids []uuid.UUID, history History) (Decision, error) {
	if state.Tombstoned {
		return Decision{Outcome: Deleted}, nil
	}
	switch {
	case expected == Exists && state.SoftDeleted():
		return Decision{Outcome: Deleted}, nil
	case expected == Exists && state.Last == None && !state.HasMetadata:
		return Decision{Outcome: WrongVersion}, nil
	case expected == Any || expected == Exists:
		return decideByRecency(ids, history), nil
	case int64(expected) < state.Last:
		return decideByComparison(state, expected, ids, history)
	case int64(expected) > state.Last:
		return Decision{Outcome: WrongVersion}, nil
	default:
		return Decision{Outcome: Write}, nil
	}
}

// decideByRecency is for writers who expect no revision: all ids were written
// lately, or none was, or something is wrong.
func decideByRecency(ids []uuid.UUID, history History) Decision {
	last := None
	for i, id := range ids {
		revision, ok := history.Recent(id)
		switch {
		case !ok && i == 0:
			return Decision{Outcome: Write}
		case !ok:
			return Decision{Outcome: WrongVersion}
		}
		last = revision
	}
	if last == None {
		return Decision{Outcome: Write} // no event at all
	}
	return Decision{Outcome: Repeated, Last: last}
}

// decideByComparison is for writers who are behind the stream: a retry of
// what follows the expected revision, or a conflict.
func decideByComparison(state State, expected Expected, ids []uuid.UUID, history History) (Decision, error) {
	for i, id := range ids {
		there, err := history.IDAt(int64(expected) + 1 + int64(i))
		if err != nil {
			return Decision{}, err
		}
		if there == id && there != uuid.Nil {
			continue
		}
		if i == 0 && expected == NoStream && state.SoftDeleted() {
			return Decision{Outcome: Write}, nil
		}
		return Decision{Outcome: WrongVersion}, nil
	}
	if len(ids) == 0 {
		return Decision{Outcome: WrongVersion}, nil
	}
	return Decision{Outcome: Repeated, Last: int64(expected) + int64(len(ids))}, nil
}
