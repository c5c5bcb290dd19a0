package flow_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/control"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/flow"
)

// TestSimulationOfAShadow plays schedules of what can happen to a flow and its
// shadow: events of several keys, a service that ends at whatever moment, appends
// whose answer is lost, a database that fails, windows and comparisons that are
// asked for, time that passes. No comparison finds a difference, the last one is
// made, and each event has been answered once. The variables are those of
// TestSimulation.
func TestSimulationOfAShadow(t *testing.T) {
	pairs := [][2]string{
		{flows.Weekly, flows.RealTime},
		{flows.Daily, flows.Hourly},
		{flows.RealTime, flows.Daily},
		{flows.Hourly, "0 */5 * * *"},
		{flows.Daily, flows.RealTime},
	}
	playSeeds(t, number("TRIANGLE_SEED_START", 1), number("TRIANGLE_SEEDS", seeds(10)), func(w *world, seed uint64) {
		s := &schedule{world: w, random: rand.New(rand.NewPCG(seed, 7)), produced: map[string][]string{}}
		pair := pairs[seed%uint64(len(pairs))]
		s.playShadow(pair[0], pair[1])
	})
}

func (s *schedule) playShadow(cadence, shadow string) {
	s.t.Helper()
	s.most = mostWork
	s.late = flow.LatePolicy{Do: flow.Lateness(s.random.IntN(3)), After: time.Duration(1+s.random.IntN(100)) * time.Minute}
	s.breakThings()
	s.startAt(cadence)
	s.produceOne()
	s.pass(time.Minute) // a shadow begins when the flow has begun
	if _, err := s.flows.StartShadow(s.t.Context(), tested, shadow, "ada", ""); err != nil {
		s.t.Fatal(err)
	}
	for range 40 {
		s.stepWithShadow()
		s.checkNotAhead()
	}
	s.mendThings()
	if s.end == nil {
		s.start()
	}
	s.pass(time.Hour)
	marker := s.askToCompare()
	s.pass(8 * 24 * time.Hour) // over the windows of both
	last := s.awaitCompared(marker)
	equal := 0
	for _, c := range s.compared() {
		switch c.GetOutcome() {
		case flowv1.ShadowOutcome_SHADOW_OUTCOME_EQUAL:
			equal++
		case flowv1.ShadowOutcome_SHADOW_OUTCOME_DIFFERENT:
			s.t.Errorf("%s: %v", control.Compared(c), c.GetFirst())
		default:
		}
	}
	if equal == 0 || last.GetOutcome() == flowv1.ShadowOutcome_SHADOW_OUTCOME_UNSPECIFIED {
		s.t.Errorf("none of %d comparisons found both equal; the last: %s", len(s.compared()), control.Compared(last))
	}
	s.settle()
	s.checkKeys()
}

// checkNotAhead wants no cause answered that the flow itself has not come to: its
// shadow says nothing.
func (s *schedule) checkNotAhead() {
	s.t.Helper()
	s.quiet()
	if s.end == nil {
		return
	}
	state := s.rt.Intake(tested).State()
	if state.Cadence == "" || state.Err != nil {
		return
	}
	for e, err := range s.log.ReadAll(s.t.Context(), eventlog.Forward, &eventlog.Position{}, 0) {
		if err != nil {
			s.t.Fatal(err)
		}
		if !strings.HasPrefix(e.Stream, "answers-") {
			continue
		}
		answer, err := s.streams.Codec.Decode(s.t.Context(), e)
		if err != nil {
			s.t.Fatal(err)
		}
		if cause := answer.Metadata.CausePosition; cause.Compare(state.Position) > 0 {
			s.t.Errorf("a cause at %s is answered, and the flow has come to %s only", cause, state.Position)
		}
	}
}

func (s *schedule) stepWithShadow() {
	switch s.random.IntN(9) {
	case 0, 1:
		s.crashOrStart()
	case 2:
		s.pass(time.Duration(s.random.Int64N(int64(30 * time.Hour))))
	case 3:
		s.pass(time.Duration(s.random.Int64N(int64(time.Second))))
	case 4:
		// A flow in real time refuses a window; that is as it should be.
		_, _ = s.flows.RunWindow(s.t.Context(), tested, "simulation", "now")
	case 5:
		// One that has not started yet, as the service is away, can't be compared.
		_, _ = s.flows.CompareShadow(s.t.Context(), tested, "simulation")
	default:
		for range 1 + s.random.IntN(5) {
			s.produceOne()
		}
	}
}

// Wherever in a comparison the process ends, the comparison is made when it is
// back: the flow stands at the marker still, and the shadow has kept what it held.
func TestAComparisonOutlivesTheService(t *testing.T) {
	inBubble(t, func(w *world) {
		w.startAt(flows.Weekly)
		w.startShadow(flows.RealTime)
		w.produce("r00")
		w.quiet()
		marker := w.askToCompare()
		w.pass(time.Minute) // the shadow has taken it in, the flow has not
		w.stop()
		w.start()
		w.pass(time.Minute)
		w.produce("r01") // after the marker
		w.pass(time.Minute)
		w.stop()
		if _, err := w.flows.RunWindow(t.Context(), tested, "ada", "now"); err != nil {
			t.Fatal(err)
		}
		w.start()
		if c := w.awaitCompared(marker); c.GetOutcome() != flowv1.ShadowOutcome_SHADOW_OUTCOME_EQUAL || c.GetLive().GetRows() != 1 {
			t.Errorf("%s: %v", control.Compared(c), c)
		}
	})
}
