package simulation_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/triangle-suite/triangle/services/scenarios"
	"github.com/triangle-suite/triangle/services/simulation"
)

// roughSeeds is how many schedules with faults each text is played on.
const roughSeeds = 3

// TestScenariosInSimulation plays every text of the folder scenarios, each on a
// suite of its own, and records what came of them: see package scenarios.
func TestScenariosInSimulation(t *testing.T) {
	texts, err := scenarios.Texts("../../scenarios")
	if err != nil {
		t.Fatal(err)
	}
	results := scenarios.Results{}
	for _, text := range texts {
		if why := text.NotOn(scenarios.Simulation); why != "" {
			results[text.Name()] = scenarios.Result(false, why)
			continue
		}
		t.Run(text.Name(), func(t *testing.T) {
			played := 0
			play := func(name string, seed uint64, weather simulation.Weather) bool {
				return t.Run(name, func(t *testing.T) {
					played++
					perform(t, text, seed, weather)
				})
			}
			ok, want := play("fair", 1, simulation.Fair), 1
			for seed := uint64(1); ok && text.Fair == "" && seed <= roughSeeds; seed++ {
				ok, want = play(fmt.Sprintf("rough, seed=%d", seed), seed, simulation.Rough), want+1
			}
			if played == want { // else it was asked for a part only
				results[text.Name()] = scenarios.Result(ok, "")
			}
		})
	}
	scenarios.Record(t, "../../SCENARIOS.md", texts, scenarios.Simulation, results)
}

func perform(t *testing.T, text scenarios.Text, seed uint64, weather simulation.Weather) {
	dir := t.TempDir()
	var tell func(string)
	if os.Getenv("TRIANGLE_TRACE") != "" {
		tell = func(line string) { fmt.Fprintln(os.Stderr, line) }
	}
	synctest.Test(t, func(t *testing.T) {
		report := simulation.Perform(seed, dir, weather, tell, func(ctx context.Context, s *simulation.Stage) {
			scenarios.Play(ctx, quiet{t}, text, scenarios.World{
				Services: s.Services(), Flows: s.Flows(), Patience: 3 * time.Hour, Settled: time.Minute, Pass: s.Pass,
				BackOffice: func(answers bool) error { s.BackOffice(answers); return nil },
			})
		})
		for _, divergence := range report.Divergences {
			t.Error(divergence)
		}
	})
}

// quiet keeps from the log that a line of a text takes long: hours pass in no time.
type quiet struct{ testing.TB }

// Logf logs nothing.
func (quiet) Logf(string, ...any) {}
