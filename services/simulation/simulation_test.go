package simulation_test

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"testing/synctest"

	"github.com/triangle-suite/triangle/services/simulation"
)

func number(variable string, otherwise uint64) uint64 {
	if n, err := strconv.ParseUint(os.Getenv(variable), 10, 32); err == nil && n > 0 {
		return n
	}
	return otherwise
}

func play(t *testing.T, seed uint64) (r simulation.Report) {
	t.Helper()
	dir := t.TempDir()
	var tell func(string)
	if os.Getenv("TRIANGLE_TRACE") != "" {
		tell = func(line string) { fmt.Fprintln(os.Stderr, line) }
	}
	synctest.Test(t, func(t *testing.T) { r = simulation.Play(seed, dir, tell) })
	return r
}

func TestSome(t *testing.T) {
	start := number("TRIANGLE_SEED_START", 1)
	for seed := start; seed < start+number("TRIANGLE_SEEDS", 10); seed++ {
		t.Run(strconv.Itoa(int(seed)), func(t *testing.T) {
			r := play(t, seed)
			t.Logf("%d steps %v, %d events, trace %x", r.Steps, r.Visits, r.Total(), r.Trace[:4])
			for _, d := range r.Divergences {
				t.Error(d)
			}
		})
	}
}
