package flow_test

import (
	"crypto/sha256"
	"fmt"
	"math/big"
	"strings"

	"github.com/google/uuid"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

// twinEpoch is what an epoch comes to by the log alone.
type twinEpoch struct {
	count  uint64
	chains map[string][]byte // by key
}

func (e *twinEpoch) add(key string, id [16]byte) {
	e.count++
	h := sha256.New()
	old := e.chains[key]
	if old == nil {
		old = make([]byte, 16)
	}
	h.Write(old)
	h.Write(id[:])
	e.chains[key] = h.Sum(nil)[:16]
}

// digest is worked out by other means than the flow's.
func (e *twinEpoch) digest() string {
	sum := new(big.Int)
	for _, c := range e.chains {
		sum.Add(sum, new(big.Int).SetBytes(c))
	}
	return fmt.Sprintf("%032x", sum.Mod(sum, new(big.Int).Lsh(big.NewInt(1), 128)))
}

// twinEpochs reads the log: an epoch ends where the next one is asked for. What
// asks for one that has been is out of date.
func (s *schedule) twinEpochs() (epochs map[uint64]*twinEpoch, now uint64) {
	epochs, now = map[uint64]*twinEpoch{1: {chains: map[string][]byte{}}}, 1
	for e, err := range s.log.ReadAll(s.t.Context(), eventlog.Forward, &eventlog.Position{}, 0) {
		if err != nil {
			s.t.Fatal(err)
		}
		if e.Stream != flows.ControlStream(tested) && e.Type != "sales.RequestStatusChanged" {
			continue
		}
		event, err := s.streams.Codec.Decode(s.t.Context(), e)
		if err != nil {
			s.t.Fatal(err)
		}
		switch m := event.Message.(type) {
		case *flowv1.CadenceRequested:
			if m.GetEpoch() > now {
				now = m.GetEpoch()
				epochs[now] = &twinEpoch{chains: map[string][]byte{}}
			}
		case *salesv1.RequestStatusChanged:
			epochs[now].add(m.GetRequestId(), e.ID)
		}
	}
	return epochs, now
}

// checkControl wants each control event told once, each request about a parked
// event answered, and each epoch closed once, with the count and the intake digest
// that the log gives it.
func (s *schedule) checkControl() {
	s.t.Helper()
	epochs, now := s.twinEpochs()
	told, closed := map[uuid.UUID]bool{}, map[uint64]int{}
	answered := map[string]bool{} // by request
	for e, err := range s.log.ReadAll(s.t.Context(), eventlog.Forward, &eventlog.Position{}, 0) {
		if err != nil {
			s.t.Fatal(err)
		}
		if !strings.HasPrefix(e.Stream, flows.ControlStream(tested)) {
			continue
		}
		if told[e.ID] {
			s.t.Errorf("%s %s is told twice in %s", e.Type, e.ID, e.Stream)
		}
		told[e.ID] = true
		event, err := s.streams.Codec.Decode(s.t.Context(), e)
		if err != nil {
			s.t.Fatal(err)
		}
		switch m := event.Message.(type) {
		case *flowv1.EventParked:
			s.checkParked(m)
		case *flowv1.RetryRequested, *flowv1.SkipRequested:
			answered[e.ID.String()] = false // the answer comes after it
		case *flowv1.ParkingAnswered:
			answered[m.GetRequestId()] = true
		case *flowv1.EpochClosed:
			closed[m.GetEpoch()]++
			if twin := epochs[m.GetEpoch()]; m.GetCount() != twin.count || m.GetIntakeDigest() != twin.digest() {
				s.t.Errorf("epoch %d closed with %d events and the digest %s, want %d and %s",
					m.GetEpoch(), m.GetCount(), m.GetIntakeDigest(), twin.count, twin.digest())
			}
		}
	}
	for request, yes := range answered {
		if !yes {
			s.t.Errorf("request %s about a parked event is not answered", request)
		}
	}
	for epoch := range epochs {
		if want := min(1, int(now-epoch)); closed[epoch] != want { //nolint:gosec // a few epochs
			s.t.Errorf("epoch %d closed %d times, want %d", epoch, closed[epoch], want)
		}
	}
}
