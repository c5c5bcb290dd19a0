package main

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The process that is killed is this one's own program, also in a test.
func TestMain(m *testing.M) {
	if os.Getenv(childRole) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// Every measure runs, small, and says something of all that it compares. What
// it says is no test's business.
func TestEveryMeasureSaysSomethingOfEveryContender(t *testing.T) {
	dir := shortFolder(t)
	file := filepath.Join(t.TempDir(), "figures.json")
	var stdout, stderr strings.Builder
	args := []string{"--rounds=2", "--slice=20ms", "--stored=2000", "--sizes=1000,3000", "--events=2000", "--keys=100,1000", "--more=200", "--dir=" + dir, "--json=" + file}
	if code := run(t.Context(), args, &stdout, &stderr); code != 0 {
		if strings.Contains(stderr.String(), "where a sync costs nothing") {
			t.Skip("folders of tests are not on a disk here")
		}
		t.Fatalf("ended with status %d: %s", code, &stderr)
	}
	if stderr.String() != "" { // a peer that does not start would only be left out
		t.Errorf("it was complained: %s", &stderr)
	}
	var all report
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	checkReport(t, all)
	for _, result := range all.Results {
		if !strings.Contains(stdout.String(), result.Name) {
			t.Errorf("nothing was printed of %q", result.Name)
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(left) != 0 {
		t.Errorf("%v was left behind", left)
	}
}

// shortFolder is a folder that PostgreSQL's own user can reach, with a name so
// short that a socket fits in, neither of which a test's usual folder is.
func shortFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	return dir
}

func checkReport(t *testing.T, all report) {
	t.Helper()
	const tables = 2 + 4 + 1 + 1 + 1 + 1 + 1 + 1 + 2 + 1 + 1 + 3 // of process, client, catchup, stalled, restart, scan, window, rebuild, cutover, blocked, growth, contact
	if len(all.Results) != tables {
		t.Errorf("there are %d tables, want %d", len(all.Results), tables)
	}
	for _, result := range all.Results {
		if len(result.Ratios) == 0 {
			t.Errorf("%s: nothing is compared", result.Name)
		}
		for _, c := range result.Contenders {
			if median := c.Quartiles.Median; c.Absent == "" && (len(c.Rounds) != all.Rounds || !(median > 0) || math.IsInf(median, 0)) {
				t.Errorf("%s: %s: median %v of %v", result.Name, c.Name, median, c.Rounds)
			}
		}
		for _, ratio := range result.Ratios {
			if median := ratio.Quartiles.Median; ratio.Absent == "" && (!(median > 0) || math.IsInf(median, 0)) {
				t.Errorf("%s: %s / %s is %v", result.Name, ratio.Of, ratio.To, median)
			}
		}
	}
}

// Without PostgreSQL its row says so, and the rest is measured.
func TestAPeerThatIsNotInstalledIsLeftOut(t *testing.T) {
	b := &bench{dir: t.TempDir(), stderr: os.Stderr}
	b.Measures, b.Rounds, b.Stored = []string{"catchup"}, 1, 100
	var stdout strings.Builder
	results, err := b.all(t.Context(), &stdout)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(stdout.String(), "watermill-sql") || !strings.Contains(stdout.String(), "not installed") {
		t.Errorf("it was not said that watermill-sql is left out:\n%s", &stdout)
	}
	for _, ratio := range results[0].Ratios {
		if got, want := ratio.Absent != "", ratio.To == theWatermill; got != want {
			t.Errorf("%s / %s is left out: %v, want %v", ratio.Of, ratio.To, got, want)
		}
	}
}

func TestWrongFlagsAreRefused(t *testing.T) {
	cases := map[string]struct{ arg, want string }{
		"no such measure": {"speed", `there is no measure "speed": name some of process, client`},
		"no rounds":       {"--rounds=0", "name at least 1 round"},
		"an empty store":  {"--sizes=10,0", "0 is no number of events"},
		"no stores":       {"--sizes=", "name one number of events"},
		"no customers":    {"--keys=0", "--keys: 0 is no number of customers"},
		"an empty window": {"--events=0", "2 events"},
		"no such flag":    {"--fast", "unknown flag"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr strings.Builder
			if code := run(t.Context(), []string{tc.arg}, &stdout, &stderr); code != statusUsage || !strings.Contains(stderr.String(), tc.want) {
				t.Errorf("ended with status %d and %q, want %d and %q", code, &stderr, statusUsage, tc.want)
			}
		})
	}
}
