package flow_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/control"
	"github.com/triangle-suite/triangle/services/internal/flow"
)

// rot is the part of a schedule that makes events unfit to be taken in: some
// until they are mended, others for good.
type rot struct {
	spreads bool // whether events rot in this schedule
	drains  bool // whether nothing is parked in the end

	mu     sync.Mutex
	events map[string]bool // the rotten ones, and whether they can be mended
	ever   map[string]bool // those that have been rotten
	once   map[string]bool // those that fail once, and then no more
}

var errRotten = flow.Unprocessable(errors.New("rotten"))

func (s *schedule) letRot() {
	s.rot.events, s.rot.ever, s.rot.once = map[string]bool{}, map[string]bool{}, map[string]bool{}
	s.rot.drains = s.random.IntN(2) == 0
	s.parkMax = 10_000 // a flow that has stopped tries again every second, and here weeks pass
	// A service without tables notices when it answers; where late causes are not
	// answered at once, that is too late to park them, and they are declined.
	s.rot.spreads = !s.noTables || s.late.Do == flow.RunLate
	s.rotten = func(id uuid.UUID) error {
		s.rot.mu.Lock()
		defer s.rot.mu.Unlock()
		if _, rotten := s.rot.events[id.String()]; rotten || s.rot.once[id.String()] {
			delete(s.rot.once, id.String())
			return errRotten
		}
		return nil
	}
}

// mayRot makes one event in ten rotten, before it is produced, and another one
// fail once.
func (s *schedule) mayRot(id uuid.UUID) {
	s.rot.mu.Lock()
	defer s.rot.mu.Unlock()
	switch luck := s.random.IntN(10); {
	case !s.rot.spreads:
	case luck == 0:
		s.rot.events[id.String()], s.rot.ever[id.String()] = s.random.IntN(2) == 0, true
	case luck == 1:
		s.rot.once[id.String()] = true
	}
}

// checkParked wants nothing parked, not even for a while, that has not been
// rotten: neither the database's faults nor a single fault of its own do that.
func (s *schedule) checkParked(m *flowv1.EventParked) {
	if !s.rot.ever[m.GetEventId()] && !strings.Contains(m.GetReason(), "waits behind") {
		s.t.Errorf("event %s was parked, and nothing was wrong with it: %s", m.GetEventId(), m.GetReason())
	}
}

func (s *schedule) isRotten(id string) (rotten, mendable bool) {
	s.rot.mu.Lock()
	defer s.rot.mu.Unlock()
	mendable, rotten = s.rot.events[id]
	return rotten, mendable
}

func (s *schedule) mend(id string) {
	s.rot.mu.Lock()
	defer s.rot.mu.Unlock()
	delete(s.rot.events, id)
}

// operate has an operator see to something that is parked, by the consumer's
// last word, which may be out of date; or retry it in vain.
func (s *schedule) operate() {
	all := (operator{s.world}).list()
	if len(all) == 0 {
		return
	}
	p := all[s.random.IntN(len(all))]
	if s.random.IntN(4) == 0 {
		s.ask(s.flows.Retry(s.t.Context(), tested, p.GetEventId(), "simulation", "in vain"))
		return
	}
	s.seeTo(p)
}

// seeTo mends and retries an event, or skips it when it can't be mended.
func (s *schedule) seeTo(p control.Parked) {
	rotten, mendable := s.isRotten(p.GetEventId())
	if rotten && !mendable {
		s.ask(s.flows.Skip(s.t.Context(), tested, p.GetEventId(), "simulation", "rotten for good"))
		return
	}
	s.mend(p.GetEventId())
	s.ask(s.flows.Retry(s.t.Context(), tested, p.GetEventId(), "simulation", "mended"))
}

// ask checks that a request fails for no other reason than that it is out of
// date.
func (s *schedule) ask(_ uuid.UUID, err error) {
	if err != nil && !errors.Is(err, control.ErrNotParked) && !errors.Is(err, control.ErrWaits) {
		s.t.Errorf("a request about a parked event: %v", err)
	}
}

// settle has the operator see to all that is parked, or to all that can be
// mended, and lets the flow come to rest.
func (s *schedule) settle() {
	for range 300 {
		s.pass(s.heartbeat + time.Minute) // until progress has told
		waits := false
		for _, p := range (operator{s.world}).list() {
			if rotten, mendable := s.isRotten(p.GetEventId()); !rotten || mendable || s.rot.drains {
				s.seeTo(p)
				waits = true
			}
		}
		if !waits {
			return
		}
	}
	s.t.Errorf("the operator comes to no end; parked is %v", parkedRows(s.world))
}

// skipped returns what was skipped, by the flow's history.
func (s *schedule) skipped() map[string]bool {
	all := map[string]bool{}
	for _, line := range s.history() {
		if id, _, ok := strings.Cut(strings.TrimPrefix(line, "event "), " was skipped"); ok {
			all[id] = true
		}
	}
	return all
}

// checkKeys wants of each key: what was produced, but for what was skipped, is
// taken in up to some place, and parked from there on, where a rotten event is.
func (s *schedule) checkKeys() {
	s.t.Helper()
	taken, parked, skipped := s.taken(), parkedRows(s.world), s.skipped()
	if s.rot.drains && len(parked) > 0 {
		s.t.Errorf("still parked: %v", parked)
	}
	for key, ids := range s.produced {
		isParked := func(id string) bool { return slices.Contains(parked, id) }
		left := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return skipped[id] })
		place := slices.IndexFunc(left, isParked)
		if place < 0 {
			place = len(left)
		} else if rotten, _ := s.isRotten(left[place]); !rotten {
			s.t.Errorf("%s: %s is parked, and nothing is wrong with it", key, left[place])
		}
		if waiting := left[place:]; !s.noTables && !slices.Equal(taken[key], left[:place]) || slices.ContainsFunc(waiting, func(id string) bool { return !isParked(id) }) {
			s.t.Errorf("%s: taken in %v and parked %v, of %v", key, taken[key], parked, left)
		}
		s.checkAnswers(key, left[:place])
	}
}

// checkParking wants each event that is parked no more to have been let go by a
// request, which says so.
func (s *schedule) checkParking() {
	s.t.Helper()
	parked, _ := told[*flowv1.EventParked](s.world, anyStream)
	answers, _ := told[*flowv1.ParkingAnswered](s.world, flows.ControlStream(tested))
	released := 0
	for _, a := range answers {
		released += int(a.GetReleased())
		if o := a.GetOutcome(); o == flowv1.ParkingOutcome_PARKING_OUTCOME_TAKEN_IN || o == flowv1.ParkingOutcome_PARKING_OUTCOME_SKIPPED {
			released++
		}
	}
	if left := len(parkedRows(s.world)); len(parked) != released+left {
		s.t.Errorf("%d events were parked; %d are still, and requests have let go %d", len(parked), left, released)
	}
}

// checkAnew wants a new database to come to the same rows and the same parked
// events, by the requests that were made.
func (s *schedule) checkAnew() {
	s.t.Helper()
	parked := parkedRows(s.world)
	s.stop()
	s.anew()
	s.start()
	s.pass(time.Hour)
	s.checkKeys()
	if got := parkedRows(s.world); !slices.Equal(got, parked) {
		s.t.Errorf("a new database has parked %v, want %v", got, parked)
	}
}
