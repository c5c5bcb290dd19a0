package flow_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/control"
	"github.com/triangle-suite/triangle/services/internal/flow"
)

// TestSimulation plays schedules of everything that can happen to a flow: events
// of many keys, changes of cadence, windows asked for, crashes, appends whose
// answer is lost, a database that fails, events that can't be taken in, an
// operator who retries or skips them, a process that stands still, is replaced and
// wakes up, time that passes. Whatever happened, in the
// end each event has been taken in once and in the order of its key, or is parked,
// or was skipped; each cause that was taken in has been answered once, and the
// epochs' counts and digests are those of the log. A new database comes to the
// same.
//
// TRIANGLE_SEEDS says how many schedules, TRIANGLE_SEED_START the first seed.
func TestSimulation(t *testing.T) {
	playSeeds(t, number("TRIANGLE_SEED_START", 1), number("TRIANGLE_SEEDS", seeds(15)), playSchedule)
}

// playSeeds plays a schedule per seed, of some on PostgreSQL too, and says how many
// diverged.
func playSeeds(t *testing.T, start, seeds uint64, play func(w *world, seed uint64)) {
	t.Helper()
	var played, divergences atomic.Int64
	t.Run("seeds", func(t *testing.T) {
		for seed := start; seed < start+seeds; seed++ {
			for name, database := range databases() {
				if name != "SQLite" && seed%everySeed != 0 {
					continue
				}
				t.Run(fmt.Sprintf("%s, seed=%d", name, seed), func(t *testing.T) {
					sound := false
					defer func() {
						if played.Add(1); !sound && !t.Skipped() {
							divergences.Add(1)
						}
					}()
					inBubbleOn(t, database, func(w *world) { play(w, seed) })
					sound = !t.Failed()
				})
			}
		}
	})
	t.Logf("schedules run: %d, divergences: %d", played.Load(), divergences.Load())
}

// everySeed is which seeds are played on PostgreSQL too, which takes longer.
const everySeed = 5

func number(variable string, otherwise uint64) uint64 {
	if n, err := strconv.ParseUint(os.Getenv(variable), 10, 32); err == nil && n > 0 {
		return n
	}
	return otherwise
}

// schedule is one run of the simulation.
type schedule struct {
	*world
	random   *rand.Rand
	produced map[string][]string // event ids per key
	events   int
	rot      rot
	frozen   *frozen // a process that was replaced while it stood still
}

// mostWork is how many transactions a schedule takes at most: some six times as
// many as it does.
const mostWork = 10_000

func playSchedule(w *world, seed uint64) {
	w.most = mostWork
	s := &schedule{world: w, random: rand.New(rand.NewPCG(seed, 0)), produced: map[string][]string{}}
	w.late = flow.LatePolicy{Do: flow.Lateness(s.random.IntN(3)), After: time.Duration(1+s.random.IntN(100)) * time.Minute}
	w.heartbeat, w.lease = time.Hour, 24*time.Hour // schedules last for weeks
	w.noTables = s.random.IntN(3) == 0
	s.freezable = true
	s.breakThings()
	s.letRot()
	w.start()
	for range 30 + s.random.IntN(50) {
		s.step()
		s.checkGate()
	}
	s.thaw()
	s.mendThings()
	if w.end == nil {
		w.start()
	}
	w.set(flows.Paused)
	w.set(flows.RealTime)
	w.pass(5 * time.Minute)
	s.settle()
	if s.check(); s.t.Failed() {
		return // an audit waits for what has not been told, and the rest follows from that
	}
	s.checkAudit()
	s.checkAnew()
	s.checkAudit()
}

var cadences = []string{flows.RealTime, flows.RealTime, flows.Hourly, flows.Daily, flows.Weekly, flows.Paused, "0 */5 * * *"}

func (s *schedule) step() {
	switch s.random.IntN(12) {
	case 11:
		s.freezeOrThaw()
	case 10:
		s.operate()
	case 0:
		if epoch := s.rt.Intake(tested).State().Epoch; epoch > 0 && s.random.IntN(6) == 0 {
			s.requestAgain(epoch, cadences[s.random.IntN(len(cadences))])
			return
		}
		s.set(cadences[s.random.IntN(len(cadences))])
	case 1:
		// A paused flow, or one in real time, refuses; that is as it should be.
		_, _ = s.flows.RunWindow(s.t.Context(), tested, "simulation", "now")
	case 2:
		if s.end == nil {
			s.mayRelease()
		}
		s.crashOrStart()
	case 3, 4:
		s.pass(time.Duration(s.random.Int64N(int64(36 * time.Hour))))
	case 5:
		s.pass(time.Duration(s.random.Int64N(int64(time.Second))))
	default:
		for range 1 + s.random.IntN(8) {
			s.produceOne()
		}
	}
}

func (s *schedule) produceOne() {
	key := name("r", s.random.IntN(6))
	s.events++
	id := uuid.NewSHA1(uuid.NameSpaceURL, []byte(strconv.Itoa(s.events)))
	s.mayRot(id)
	s.produceAs(id, key)
	s.produced[key] = append(s.produced[key], id.String())
}

func (s *schedule) crashOrStart() {
	if s.end != nil {
		s.stop()
		return
	}
	s.start()
}

// mayRelease has one start in three be that of another build, with other tables.
func (s *schedule) mayRelease() {
	if s.noTables || s.random.IntN(3) > 0 {
		return
	}
	if s.shape.schema.Version == plain.schema.Version {
		s.shape = richer
	} else {
		s.shape = plain
	}
}

// lapses are faults one time in ten, but at most mostLapses in a minute: a rebuild
// takes in many events at once, and comes to no end if each time one of them fails.
// They have a source of chance of their own: the service runs concurrently.
type lapses struct {
	mu     sync.Mutex
	random *rand.Rand
	minute time.Time
	count  int // in this minute
}

const mostLapses = 20

func (l *lapses) happens() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if minute := time.Now().Truncate(time.Minute); !minute.Equal(l.minute) {
		l.minute, l.count = minute, 0
	}
	if l.random.IntN(10) > 0 || l.count == mostLapses {
		return false
	}
	l.count++
	return true
}

// breakThings makes appends lose their answer, and projections fail. Producers are
// spared, so that the schedule knows what was produced.
func (s *schedule) breakThings() {
	appends := &lapses{random: rand.New(rand.NewPCG(s.random.Uint64(), 1))}
	projections := &lapses{random: rand.New(rand.NewPCG(s.random.Uint64(), 2))}
	fault := func(stream string) error {
		if !strings.HasPrefix(stream, "request-") && stream != flows.ControlStream(tested) && appends.happens() {
			return errors.New("the answer to the append is lost")
		}
		return nil
	}
	s.appendFault.Store(&fault)
	s.poison = func(string) error {
		if projections.happens() {
			return errors.New("the database is busy")
		}
		return nil
	}
}

func (s *schedule) mendThings() {
	s.appendFault.Store(nil)
	if s.end != nil { // nobody reads poison while it is replaced
		s.stop()
	}
	s.poison = func(string) error { return nil }
}

func (s *schedule) check() {
	s.t.Helper()
	s.checkKeys()
	if err := s.rt.Intake(tested).State().Err; err != nil {
		s.t.Errorf("the flow says %v", err)
	}
	s.checkParking()
	s.checkControl()
	s.checkWindows()
	closed := 0
	for _, line := range s.history() {
		var epoch, count int
		if n, _ := fmt.Sscanf(line, "epoch %d closed: %d events", &epoch, &count); n == 2 {
			closed += count
		}
	}
	if open := int(s.rt.Intake(tested).State().Taken); closed+open != s.events {
		s.t.Errorf("epochs closed with %d events and the open one has %d, of %d produced", closed, open, s.events)
	}
}

// checkAudit wants the sum over the whole log to close, for a party that does not
// trust the consumer.
func (s *schedule) checkAudit() {
	s.t.Helper()
	found := (auditor{s.world}).audit(control.AuditOf{From: &control.Position{}})
	if produced := found.Lines[0].Produced; !found.Closes() || produced != uint64(s.events) {
		s.t.Errorf("of %d events the audit finds %d, and says %q %v", s.events, produced, found.Objections, found.Faults)
	}
}

// checkAnswers wants each cause answered, or declined, exactly once, and none
// but these.
func (s *schedule) checkAnswers(key string, ids []string) {
	s.t.Helper()
	times := map[string]int{}
	for _, text := range s.answered(key) {
		times[text[strings.LastIndex(text, " ")+1:]]++
	}
	for _, id := range ids {
		if times[id] != 1 {
			s.t.Errorf("%s: cause %s was answered %d times", key, id, times[id])
		}
	}
	if len(times) != len(ids) {
		s.t.Errorf("%s: %d causes were answered, want %d", key, len(times), len(ids))
	}
	if n := len(ids); n > 0 && slices.Contains(s.answered(key), "none (a later one of its key was answered instead) to "+ids[n-1]) {
		s.t.Errorf("%s: cause %s was turned away for a later one, and is the last", key, ids[n-1])
	}
}
