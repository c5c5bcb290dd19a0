package simulation_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
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
//
// TRIANGLE_SEEDS says on how many schedules with faults, TRIANGLE_SEED_START which is
// the first, TRIANGLE_TRACE as for TestSimulation.
func TestScenariosInSimulation(t *testing.T) {
	start, seeds := number("TRIANGLE_SEED_START", 1), number("TRIANGLE_SEEDS", roughSeeds)
	texts, err := scenarios.Texts("../../scenarios")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	results := scenarios.Results{}
	note := func(text scenarios.Text, result string) {
		mu.Lock()
		defer mu.Unlock()
		results[text.Name()] = result
	}
	t.Cleanup(func() { // when all have been played
		scenarios.Record(t, "../../SCENARIOS.md", texts, scenarios.Simulation, results)
	})
	for _, text := range texts {
		if why := text.NotOn(scenarios.Simulation); why != "" {
			note(text, scenarios.Result(false, why))
			continue
		}
		t.Run(text.Name(), func(t *testing.T) {
			t.Parallel()
			played := 0
			play := func(name string, seed uint64, weather simulation.Weather) bool {
				return t.Run(name, func(t *testing.T) {
					played++
					perform(t, text, seed, weather)
				})
			}
			ok, want := play("fair", 1, simulation.Fair), 1
			// What a text is to show is written down in fair weather.
			for seed := start; ok && text.Fair == "" && !scenarios.IsRewriting() && seed < start+seeds; seed++ {
				ok, want = play(fmt.Sprintf("rough, seed=%d", seed), seed, simulation.Rough), want+1
			}
			if played == want { // else it was asked for a part only
				note(text, scenarios.Result(ok, ""))
			}
		})
	}
}

func perform(t *testing.T, text scenarios.Text, seed uint64, weather simulation.Weather) {
	dir := t.TempDir()
	var tell func(string)
	if os.Getenv("TRIANGLE_TRACE") != "" {
		tell = func(line string) { fmt.Fprintln(os.Stderr, line) }
	}
	synctest.Test(t, func(t *testing.T) {
		report := simulation.Perform(seed, dir, weather, tell, func(ctx context.Context, s *simulation.Stage) {
			scenarios.Play(ctx, quiet{t}, text, world(s))
		})
		for _, divergence := range report.Divergences {
			t.Error(divergence)
		}
	})
}

// world is the stage as a text is played on it.
func world(s *simulation.Stage) scenarios.World {
	return scenarios.World{
		Services: s.Services(), Flows: s.Flows(), Patience: 3 * time.Hour, Settled: time.Minute, Pass: s.Pass,
		BackOffice: func(answers bool) error {
			s.BackOffice(answers)
			return nil
		},
		Views: s.Views,
	}
}

// quiet keeps from the log that a line of a text takes long: hours pass in no time.
type quiet struct{ testing.TB }

// Logf logs nothing.
func (quiet) Logf(string, ...any) {}

// A text is not played in vain: what is not as it says fails it.
func TestATextThatIsNotSoFails(t *testing.T) {
	const header = "# CH-2: A text\n#\n# That is played.\n\n"
	tests := map[string]struct{ text, want string }{
		"so":              {"visitor anna comes to website\n----\nanna is in contact through website, and nobody knows who that is\n", ""},
		"not so":          {"visitor anna comes to website\n----\nanna is in contact through branch, as a customer\n", "nobody knows who that is"},
		"never so":        {"visitor anna comes to website email=a@b.org\n----\nanna is in contact through website, as a customer\n\ncustomer view of anna\n----\n7 orders, 1.00; no open request\n", "0 orders, 0.00"},
		"no such command": {"visitor anna flies\n----\n", `there is no command "visitor anna flies"`},
		"no such channel": {"visitor anna comes to fax\n----\n", `Channel has no value "fax"`},
		"nobody there":    {"visitor anna looks at jazz\n----\nnoted\n", "anna is not in contact"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "a-text.txt")
			if err := os.WriteFile(path, []byte(header+tc.text), 0o600); err != nil {
				t.Fatal(err)
			}
			heard := &listener{TB: t}
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				simulation.Perform(1, dir, simulation.Fair, nil, func(ctx context.Context, s *simulation.Stage) {
					scenarios.Play(ctx, heard, scenarios.Text{Path: path}, world(s))
				})
			})
			if tc.want == "" && heard.said != "" || !strings.Contains(heard.said, tc.want) {
				t.Errorf("heard %q, want %q", heard.said, tc.want)
			}
		})
	}
}

// listener hears why a text fails, and fails nothing itself.
type listener struct {
	testing.TB

	said string
}

// Fatalf ends the text.
func (l *listener) Fatalf(format string, args ...any) {
	l.said = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// Logf logs nothing.
func (*listener) Logf(string, ...any) {}
