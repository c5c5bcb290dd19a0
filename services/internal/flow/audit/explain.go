package audit

import "github.com/google/uuid"

// Kind is what is wrong with the events of a key.
type Kind int

// The kinds.
const (
	// Missing events are not in the chain.
	Missing Kind = iota
	// Twice means that they are in it once more, later on.
	Twice
	// OutOfOrder means that they come later than they should.
	OutOfOrder
)

// Explanation is the simplest history of a key that makes its chain: a run of the
// key's events is missing, there twice, or late, and all else is as it should be.
type Explanation struct {
	Kind Kind
	// First and Events tell which run.
	First, Events int
}

// Explain looks for the explanation of a chain that is not that of ids. Short
// runs come first, and it gives up when it has hashed as often as budget says.
func Explain(ids []uuid.UUID, got Chain, budget int) (Explanation, bool) {
	s := search{ids: ids, got: got, left: budget, prefix: make([]Chain, len(ids)+1)}
	for i, id := range ids {
		s.prefix[i+1] = s.prefix[i].Next(id)
	}
	// A checkpoint that moved alone, or that went back, is about a key's last
	// events, however many: these histories cost little.
	for first := len(ids) - 1; first >= 0; first-- {
		if s.prefix[first] == got {
			return Explanation{Missing, first, len(ids) - first}, true
		}
	}
	for first := len(ids) - 1; first >= 0 && s.left > 0; first-- {
		if s.is(s.prefix[len(ids)], ids[first:]) {
			return Explanation{Twice, first, len(ids) - first}, true
		}
	}
	for n := 1; n <= len(ids) && s.left > 0; n++ {
		for first := 0; first+n <= len(ids) && s.left > 0; first++ {
			if kind, ok := s.try(first, first+n); ok {
				return Explanation{kind, first, n}, true
			}
		}
	}
	return Explanation{}, false
}

// search looks for a history.
type search struct {
	ids    []uuid.UUID
	got    Chain
	prefix []Chain // of the first so many events
	left   int     // how many hashes may be made yet
}

// try tries the histories in which the run from first to end is at fault.
func (s *search) try(first, end int) (Kind, bool) {
	run, rest := s.ids[first:end], s.ids[end:]
	without := s.prefix[first]
	if s.is(without, rest) {
		return Missing, true
	}
	// The run once more, or late, behind each of the events after it.
	for i := 0; i <= len(rest) && s.left > 0; i++ {
		if s.is(s.prefix[end+i], run, rest[i:]) {
			return Twice, true
		}
		if i > 0 && s.is(without, rest[:i], run, rest[i:]) {
			return OutOfOrder, true
		}
	}
	return 0, false
}

// is tells whether a chain, with some more events, is the one that is looked for.
func (s *search) is(c Chain, more ...[]uuid.UUID) bool {
	for _, ids := range more {
		s.left -= len(ids)
		c = c.through(ids)
	}
	return c == s.got
}
