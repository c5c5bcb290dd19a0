package outbound

import (
	"time"

	"github.com/triangle-suite/triangle/services/internal/deadline"
)

// The pauses between two tries of a message that is not taken for now. A mail
// server that has somebody wait means minutes; a mailbox that is full stays so.
const (
	firstRetry   = time.Minute
	longestRetry = 4 * time.Hour
)

// retry is when a message is tried again, and how long that is after the last try.
type retry struct {
	at    time.Time
	pause time.Duration
}

// postpone has a message wait for longer than it did before.
func (s *Sender) postpone(id string) {
	if s.later == nil {
		s.later = map[string]retry{}
	}
	pause := min(max(2*s.later[id].pause, firstRetry), longestRetry)
	s.later[id] = retry{at: s.Now().Add(pause), pause: pause}
}

// due returns the messages that wait, but for those that are tried later, and when
// the first of them is. It forgets those that wait no more.
func (s *Sender) due(waiting []string) (ids []string, again time.Time) {
	still := map[string]retry{}
	for _, id := range waiting {
		later, ok := s.later[id]
		if ok {
			still[id] = later
		}
		if ok && s.Now().Before(later.at) {
			again = deadline.Earlier(again, later.at)
			continue
		}
		ids = append(ids, id)
	}
	s.later = still
	return ids, again
}
