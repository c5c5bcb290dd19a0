package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// findModule asks the go command once for all tests.
var findModule = sync.OnceValues(func() (Module, error) { return FindModule(context.Background(), ".") })

// suiteModule is the suite as it was downloaded.
func suiteModule(t *testing.T) Module {
	t.Helper()
	m, err := findModule()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func suiteDataset(t *testing.T) (resources, []record) {
	t.Helper()
	r, err := readResources(filepath.Join(suiteModule(t).Dir, "resources", "test"))
	if err != nil {
		t.Fatal(err)
	}
	all, err := makeDataset(r)
	if err != nil {
		t.Fatal(err)
	}
	return r, all
}

// named returns the events that one file of the suite lists.
func named(t *testing.T, file string) []record {
	t.Helper()
	known := map[uint64]record{}
	if err := readEvents(filepath.Join(suiteModule(t).Dir, "resources", "test", file), known); err != nil {
		t.Fatal(err)
	}
	var all []record
	for _, one := range known {
		all = append(all, one)
	}
	slices.SortFunc(all, byPosition)
	return all
}

// TestTheDatasetIsWhatTheSuiteKnows reads the dataset as the suite's tests read
// the populated database.
func TestTheDatasetIsWhatTheSuiteKnows(t *testing.T) {
	r, all := suiteDataset(t)
	from := func(position uint64) int {
		return slices.IndexFunc(all, func(one record) bool { return one.Position >= position })
	}
	inStream := func(name string) (found []record) {
		for _, one := range all {
			if one.Stream == name {
				found = append(found, one)
			}
		}
		return found
	}
	second := inStream(secondDataset)
	cases := map[string]struct {
		file string
		got  []record
	}{
		"$all from its start":           {"all-e0-e10.json", all[:10]},
		"$all from a position":          {"all-c1788-p1788.json", all[from(1788) : from(1788)+10]},
		"$all backwards from its end":   {"all-back-e0-e10.json", all[len(all)-10:]},
		"$all backwards from elsewhere": {"all-back-c3386-p3386.json", all[from(3386)-10 : from(3386)]},
		"a stream from its start":       {"dataset20M-1800-e0-e10.json", second[:10]},
		"a stream from its end":         {"dataset20M-1800-e1999-e1990.json", second[len(second)-10:]},
	}
	for name, tc := range cases {
		if diff := cmp.Diff(named(t, tc.file), tc.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if all[from(3386)].Position != 3386 {
		t.Error("there is no event at position 3386 to read from")
	}
	if n := len(inStream(firstDataset)); n != 6_000 {
		t.Errorf("%s has %d events, want 6000", firstDataset, n)
	}
	if n := len(second); n != 2_000 {
		t.Errorf("%s has %d events, want 2000", secondDataset, n)
	}
	var filtered []filteredEvent
	for _, one := range all {
		if strings.HasPrefix(one.Type, filteredPrefix) && len(filtered) < len(r.filtered) {
			filtered = append(filtered, filteredEvent{one.Revision, one.Position})
		}
	}
	if !slices.Equal(filtered, r.filtered) {
		t.Errorf("the filter lets pass %v, want %v", filtered, r.filtered)
	}
}

// TestTypesFollowTheRule: what is made up for the dataset streams is what the
// resources tell of them elsewhere.
func TestTypesFollowTheRule(t *testing.T) {
	r, _ := suiteDataset(t)
	seen := 0
	for _, one := range r.records {
		if one.Stream != secondDataset {
			continue
		}
		seen++
		made := makeUp(place{one.Stream, one.Revision, one.Position})
		made.ID, made.Created = one.ID, one.Created
		if diff := cmp.Diff(one, made); diff != "" {
			t.Errorf("revision %d (-told +made up):\n%s", one.Revision, diff)
		}
	}
	if seen != 20 {
		t.Errorf("the resources tell %d events of %s, want 20", seen, secondDataset)
	}
}

func TestTheDatasetIsWrittenAsLines(t *testing.T) {
	_, all := suiteDataset(t)
	var text bytes.Buffer
	if err := writeDataset(&text, all); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")
	if len(lines) != len(all) {
		t.Fatalf("%d lines for %d events", len(lines), len(all))
	}
	const first = `{"position":167,"stream":"$$$stats-0.0.0.0:2113","revision":0,"id":"5ed0b2c9-dde9-4312-941e-19c494536f37","type":"$metadata",` +
		`"created":"2020-01-12T18:14:13.990951Z","contentType":"application/json","data":"eyIkbWF4QWdlIjo4NjQwMDB9","metadata":""}`
	if lines[0] != first {
		t.Errorf("the first line is\n%s, want\n%s", lines[0], first)
	}
	for i, line := range lines {
		var one record
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(all[i], one); diff != "" {
			t.Fatalf("line %d (-want +got):\n%s", i, diff)
		}
	}
}

func TestWhatAStoreCouldNotHold(t *testing.T) {
	at := func(second int) time.Time { return time.Unix(int64(second), 0) }
	cases := map[string][]record{
		"two events at one position": {{Position: 1, Stream: "a"}, {Position: 1, Stream: "b"}},
		"a time that goes back":      {{Position: 1, Stream: "a", Created: at(2)}, {Position: 2, Stream: "b", Created: at(1)}},
		"a gap in a stream":          {{Position: 1, Stream: "a"}, {Position: 2, Stream: "a", Revision: 2}},
		"a stream without a start":   {{Position: 1, Stream: "a", Revision: 1}},
	}
	for name, all := range cases {
		if err := check(all); !errors.Is(err, errContradiction) {
			t.Errorf("%s: got %v, want %v", name, err, errContradiction)
		}
	}
}

func TestResourcesThatContradictEachOther(t *testing.T) {
	from := filepath.Join(suiteModule(t).Dir, "resources", "test")
	dir := t.TempDir()
	if err := copyTree(from, dir); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "all-c1788-p1788.json")
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	changed := bytes.Replace(content, []byte("4936a85f"), []byte("4936a850"), 1)
	if err := os.WriteFile(file, changed, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readResources(dir); !errors.Is(err, errContradiction) {
		t.Errorf("got %v, want %v", err, errContradiction)
	}
}
