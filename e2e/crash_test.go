package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

var killed = []string{"event-store", "channel", "sales", "marketing"}

// TestKillsLeaveNoTrace plays the scenario once in peace, and then again and
// again while processes are killed: over the four plays each process dies at the
// beginning of each step. In the end every read model must hold what it holds
// without the kills.
//
// All plays have one key ring, as ids derive from its secret; what is drawn from
// a clock or names a process is left out of the comparison, see leftOut.
func TestKillsLeaveNoTrace(t *testing.T) {
	peace := t.TempDir()
	demo(t, peace, func(int) {})
	want := readModels(t, peace)
	plays := len(killed)
	if testing.Short() {
		plays = 1
	}
	for play := range plays {
		t.Run(fmt.Sprintf("play=%d", play+1), func(t *testing.T) {
			data := t.TempDir()
			copyKeys(t, peace, data)
			kills := 0
			demo(t, data, func(step int) {
				signalProcess(t, data, killed[(play+step)%len(killed)], syscall.SIGKILL)
				kills++
			})
			t.Logf("%d kills", kills)
			compare(t, want, readModels(t, data))
		})
	}
}

// TestTheScenarioPlaysAgainOnItsData plays the scenario twice on one data folder:
// each run has a visitor of its own, and the import adds nothing.
func TestTheScenarioPlaysAgainOnItsData(t *testing.T) {
	data := t.TempDir()
	demo(t, data, func(int) {})
	demo(t, data, func(int) {})
}

var services = []string{"channel", "sales", "marketing"}

func readModels(t *testing.T, data string) map[string][]string {
	t.Helper()
	models := map[string][]string{}
	for _, service := range services {
		models[service] = dump(t, filepath.Join(data, service+".db"))
		if len(models[service]) < 10 {
			t.Fatalf("%s has %d rows only: the comparison would say nothing", service, len(models[service]))
		}
	}
	return models
}

func copyKeys(t *testing.T, from, to string) {
	t.Helper()
	for _, suffix := range []string{"", "-wal"} {
		text, err := os.ReadFile(filepath.Join(from, "keys.db"+suffix))
		if os.IsNotExist(err) && suffix != "" {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, "keys.db"+suffix), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func compare(t *testing.T, want, got map[string][]string) {
	t.Helper()
	for _, service := range services {
		missing := difference(want[service], got[service])
		extra := difference(got[service], want[service])
		if len(missing)+len(extra) > 0 {
			t.Errorf("%s: %d rows of the peaceful play are missing, %d others are there:\n- %s\n+ %s", service,
				len(missing), len(extra), strings.Join(head(missing), "\n- "), strings.Join(head(extra), "\n+ "))
		}
	}
}

// difference returns the rows of a that b has not, both sorted.
func difference(a, b []string) (only []string) {
	for _, row := range a {
		if _, found := slices.BinarySearch(b, row); !found {
			only = append(only, row)
		}
	}
	return only
}

func head(rows []string) []string { return rows[:min(len(rows), 10)] }
