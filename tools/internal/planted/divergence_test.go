package planted

import "testing"

func TestTheFirstDivergenceIsThatOfTheLeastSeed(t *testing.T) {
	tests := map[string]struct {
		said string
		want divergence
		ok   bool
	}{
		"nothing failed": {said: `=== RUN   TestSimulation
=== RUN   TestSimulation/SQLite,_seed=1
=== NAME  TestSimulation
    simulation_test.go:55: schedules run: 1, divergences: 0
--- PASS: TestSimulation (0.33s)
    --- PASS: TestSimulation/SQLite,_seed=1 (0.33s)
PASS
`},
		"one after the other": {said: `=== RUN   TestSimulation
=== RUN   TestSimulation/SQLite,_seed=7
=== RUN   TestSimulation/SQLite,_seed=8
    rot_test.go:12: first
    rot_test.go:13: second
=== NAME  TestSimulation
    simulation_test.go:55: schedules run: 2, divergences: 1
--- FAIL: TestSimulation (0.33s)
    --- FAIL: TestSimulation/SQLite,_seed=8 (0.33s)
FAIL
`, want: divergence{8, "first"}, ok: true},
		"side by side": {said: `=== RUN   TestSimulation/seeds/seed=1
=== PAUSE TestSimulation/seeds/seed=1
=== RUN   TestSimulation/seeds/seed=2
=== PAUSE TestSimulation/seeds/seed=2
=== CONT  TestSimulation/seeds/seed=2
=== CONT  TestSimulation/seeds/seed=1
=== NAME  TestSimulation/seeds/seed=2
    simulation_test.go:66: of the second
=== NAME  TestSimulation/seeds/seed=1
    simulation_test.go:66: of the first
--- FAIL: TestSimulation (1.00s)
    --- FAIL: TestSimulation/seeds (0.00s)
        --- FAIL: TestSimulation/seeds/seed=2 (0.90s)
        --- FAIL: TestSimulation/seeds/seed=1 (0.95s)
`, want: divergence{1, "of the first"}, ok: true},
		"a panic": {said: `=== RUN   TestSimulation/SQLite,_seed=3
panic: runtime error: index out of range [recovered]
`, want: divergence{3, "panic: runtime error: index out of range [recovered]"}, ok: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, ok := firstDivergence([]byte(tc.said))
			if got != tc.want || ok != tc.ok {
				t.Errorf("got %+v, %t, want %+v, %t", got, ok, tc.want, tc.ok)
			}
		})
	}
}
