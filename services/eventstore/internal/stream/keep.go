package stream

import "time"

// Keep tells whether an event of stream name in state must stay: it is visible,
// or the store could not do without it. The last event of a stream always
// stays, since the numbering goes on from it; of a stream that was deleted for
// good only the end stays.
func Keep(name string, state State, revision int64, created, now time.Time) bool {
	switch {
	case revision == MaxRevision, revision == state.Last:
		return true
	case state.Tombstoned:
		return false
	}
	limits := LimitsOf(name, state)
	if revision < limits.First(state.Last) {
		return false
	}
	oldest, aged := limits.Oldest(now)
	return !aged || !created.Before(oldest)
}
