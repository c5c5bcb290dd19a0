package simulation_test

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/triangle-suite/triangle/services/simulation"
)

const (
	// fewest is how many events a run has besides control events.
	fewest = 200
	// enough is how many seeds are to hit every fault at every await point.
	enough = 200
)

// TestSimulation plays seeds, each of which is a story that all three services
// take part in, under faults: see the package's own words.
//
// TRIANGLE_SEEDS says how many, TRIANGLE_SEED_START which is the first. With
// TRIANGLE_TRACE set, each decision of the scheduler is written to the standard
// error, and what the services log: for one seed at a time.
func TestSimulation(t *testing.T) {
	start, seeds := number("TRIANGLE_SEED_START", 1), number("TRIANGLE_SEEDS", 2)
	var mu sync.Mutex
	var hits simulation.Hits
	diverged, erased := 0, 0
	t.Run("seeds", func(t *testing.T) {
		for seed := start; seed < start+seeds; seed++ {
			t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
				t.Parallel()
				ended := false
				defer func() {
					mu.Lock()
					defer mu.Unlock()
					if t.Failed() || !ended {
						diverged++
					}
				}()
				report := play(t, seed)
				judge(t, report)
				mu.Lock()
				hits.Add(&report.Hits)
				erased += report.Events["sales.CustomerErased"]
				mu.Unlock()
				ended = true
			})
		}
	})
	t.Logf("faults by await point\n%s", hits.Table())
	if missed := hits.Missed(); seeds >= enough && len(missed) > 0 {
		t.Errorf("never hit: %v", missed)
	}
	if seeds >= enough && erased == 0 {
		t.Error("nobody was ever erased")
	}
	t.Logf("persons erased: %d", erased)
	t.Logf("schedules run: %d, divergences: %d", seeds, diverged)
}

// judge fails a test with what a run came to, and says how to see it again.
func judge(t *testing.T, r simulation.Report) {
	t.Helper()
	for _, divergence := range r.Divergences {
		t.Error(divergence)
	}
	if n := r.Total(); n < fewest {
		t.Errorf("the story has %d events, want at least %d", n, fewest)
	}
	if t.Failed() {
		t.Errorf("seed %d diverges; play it again: make sim SEEDS=1 SEED_START=%d", r.Seed, r.Seed)
	}
}

func TestOneSeedIsOneRun(t *testing.T) {
	first, again, other := play(t, 1), play(t, 1), play(t, 2)
	if diff := cmp.Diff(first, again); diff != "" {
		t.Errorf("a seed comes to something else when it is played again (-first +second):\n%s", diff)
	}
	if first.Trace == other.Trace {
		t.Error("two seeds are one run")
	}
}

func play(t *testing.T, seed uint64) (r simulation.Report) {
	t.Helper()
	dir := t.TempDir()
	var tell func(string)
	if os.Getenv("TRIANGLE_TRACE") != "" {
		tell = func(line string) { fmt.Fprintln(os.Stderr, line) }
	}
	synctest.Test(t, func(*testing.T) { r = simulation.Play(seed, dir, tell) })
	return r
}

func number(variable string, otherwise uint64) uint64 {
	if n, err := strconv.ParseUint(os.Getenv(variable), 10, 32); err == nil && n > 0 {
		return n
	}
	return otherwise
}
