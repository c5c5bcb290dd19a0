package simulation

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing/synctest"
	"time"

	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/control"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/eventlog/memory"
	"github.com/triangle-suite/triangle/services/internal/keyring"
)

// Report is what came of a run.
type Report struct {
	Seed        uint64
	Divergences []string
	Hits        Hits
	// Steps are how often the scheduler decided, by the await point, and Trace is a
	// digest of what.
	Steps [points]int
	Trace [sha256.Size]byte
	// Events are how many the log holds besides control events, by their type.
	Events map[string]int
}

// Total is how many events there are besides control events.
func (r Report) Total() (n int) {
	for _, of := range r.Events {
		n += of
	}
	return n
}

// world is everything in one run.
type world struct {
	*scheduler
	log        *memory.Log
	ring       *keyring.MemoryRing
	codec      *codec.Codec
	flows      *control.Flows
	services   map[flows.Service]*service
	arrived    sync.Map     // of each message that has arrived, how often: *atomic.Int64
	storeClock atomic.Int64 // how far it is ahead, in nanoseconds
	poisons    int
	leaps      int
	mending    atomic.Bool
	withheld   atomic.Pointer[string] // what the streams begin with that nobody can write to
	keeping    sync.WaitGroup
	office     backOffice
	patience   time.Duration                         // for which a visitor waits for the back office
	story      func(context.Context) <-chan struct{} // what is closed when it is over

	failed sync.Mutex
	report Report
}

// Play plays one seed, in the bubble that the caller is in, with databases in the
// folder dir. Each decision is told to tell, if it is given.
func Play(seed uint64, dir string, tell func(string)) Report {
	w := newWorld(seed, tell)
	w.story = w.play
	return w.perform(dir)
}

func newWorld(seed uint64, tell func(string)) *world {
	w := &world{scheduler: newScheduler(rand.New(rand.NewPCG(seed, 0))), ring: keyring.Memory(), services: map[flows.Service]*service{}}
	w.office, w.patience = w.byChance, time.Minute
	w.report = Report{Seed: seed, Events: map[string]int{}}
	w.tell, w.happen, w.crash = tell, w.occur, w.crashed
	w.log = memory.New(memory.Options{Now: w.now})
	return w
}

// perform runs the world until its story is over, and everything has come to rest.
func (w *world) perform(dir string) Report {
	if err := w.run(dir); err != nil {
		w.diverge("%v", err)
	}
	if err := w.log.Close(); err != nil {
		w.diverge("close the log: %v", err)
	}
	w.report.Hits, w.report.Steps = *w.hits, w.visits
	w.digest.Sum(w.report.Trace[:0])
	return w.report
}

func (w *world) run(dir string) (err error) {
	if w.codec, err = codec.New(w.ring); err != nil {
		return err
	}
	if w.flows, err = control.New(w.log); err != nil {
		return err
	}
	ctx, end := context.WithCancel(context.Background())
	for _, name := range flows.Services {
		s := &service{world: w, name: name, where: filepath.Join(dir, string(name)+".db"), random: w.chance()}
		w.services[name] = s
		w.keeping.Go(func() { s.keep(ctx) })
	}
	w.until(w.story(ctx))
	err = w.mend()
	if err == nil {
		err = w.quiet()
	}
	end()
	w.stop()
	if err != nil {
		return err
	}
	return w.check(dir)
}

// chance is a source of chance of its own, for what runs beside the scheduler.
func (w *world) chance() *rand.Rand { return rand.New(rand.NewPCG(w.random.Uint64(), 1)) }

// diverge notes that something is not as it has to be.
func (w *world) diverge(format string, args ...any) {
	w.failed.Lock()
	defer w.failed.Unlock()
	if text := fmt.Sprintf(format, args...); !slices.Contains(w.report.Divergences, text) {
		w.report.Divergences = append(w.report.Divergences, text)
	}
}

// crashed ends the life of a service where it stands.
func (w *world) crashed(l *life) {
	w.kill(l)
	l.end()
}

func (w *world) mended() bool { return w.mending.Load() }

// mend lets nothing break any more, and has every flow go on in real time.
func (w *world) mend() error {
	w.calm = true
	w.mending.Store(true)
	w.storeClock.Store(0)
	for _, s := range w.services {
		s.clock.Store(0)
	}
	for _, f := range flows.Catalogue {
		for _, cadence := range []string{flows.Paused, flows.RealTime} { // a change at least, whatever it was at
			if _, err := w.flows.Set(context.Background(), f.Name, cadence, "simulation", "the end"); err != nil {
				return err
			}
		}
	}
	return nil
}

// settled is how long nothing happens where nothing is left to be done. It is
// longer than any pause before another try, and shorter than a heartbeat.
const settled = 15 * time.Minute

var errRestless = errors.New("it does not come to rest")

// quiet lets everything go on until there is nothing left to be done.
func (w *world) quiet() error {
	for deadline := time.Now().Add(48 * time.Hour); ; {
		for w.step() {
			if w.tooLong() {
				return fmt.Errorf("%w: %d decisions", errRestless, w.steps)
			}
		}
		w.idle(nil, settled)
		switch {
		case time.Since(w.active) > settled && w.allUp():
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("%w in %s", errRestless, 48*time.Hour)
		}
	}
}

func (w *world) allUp() bool {
	for _, s := range w.services {
		if !s.isUp() {
			return false
		}
	}
	return true
}

// stop ends all services, whatever they are at.
func (w *world) stop() {
	w.ending = true
	done := make(chan struct{})
	go func() {
		w.keeping.Wait()
		close(done)
	}()
	w.until(done)
	synctest.Wait()
}

// events returns the whole log.
func (w *world) events() []eventlog.Event {
	var all []eventlog.Event
	for e, err := range w.log.ReadAll(context.Background(), eventlog.Forward, nil, 0) {
		if err != nil {
			w.diverge("read the log: %v", err)
			return nil
		}
		all = append(all, e)
	}
	return all
}

// size is how many events there are.
func (w *world) size() int { return len(w.events()) }

// count counts the events besides control events.
func (w *world) count(all []eventlog.Event) {
	for _, e := range all {
		if !strings.HasPrefix(e.Type, "flow.") {
			w.report.Events[e.Type]++
		}
	}
}
