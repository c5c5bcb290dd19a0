package flow

import (
	"slices"

	"github.com/google/uuid"
)

// suspect is the event at which taking in failed last. It is tried again alone;
// when it fails again, by its own fault, it is condemned to be parked.
type suspect struct {
	id     uuid.UUID
	faults int
	reason error
}

const faultsToPark = 2

func (s *suspect) blame(id uuid.UUID, err error) {
	if s.id != id {
		*s = suspect{id: id}
	}
	if isOwnFault(err) {
		s.faults++
		s.reason = err
	}
}

func (s *suspect) condemned(id uuid.UUID) bool { return s.id == id && s.faults >= faultsToPark }

func (s *suspect) clear(batch []*incoming) {
	if slices.ContainsFunc(batch, func(i *incoming) bool { return i.Event.ID == s.id }) {
		*s = suspect{}
	}
}
