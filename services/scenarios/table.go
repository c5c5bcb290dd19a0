package scenarios

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// update has a table written: go test -update.
var update = flag.Bool("update", false, "write the results into SCENARIOS.md")

// stages are the columns of the table.
var stages = []Stage{Processes, Simulation}

// notRun stands in the table for what nobody has run since the text is there.
const notRun = "not run"

// Passed and Failed are the results of a text.
const (
	Passed = "passed"
	Failed = "failed"
)

// Results are what came of texts on one stage, by the name of the text.
type Results map[string]string

// Record holds the table in a file against the results of one stage, and writes it
// where the test was told to update it. The other stage's column stays as whoever
// ran that has left it. It wants a text for every capability.
func Record(t *testing.T, file string, texts []Text, stage Stage, results Results) {
	t.Helper()
	if ids := Unshown(texts); len(ids) > 0 {
		t.Errorf("no text shows %s", strings.Join(ids, ", "))
	}
	for _, c := range Capabilities {
		for _, test := range c.Tests {
			if _, err := os.Stat(filepath.Join(filepath.Dir(file), test)); err != nil {
				t.Errorf("%s is shown by no test: %v", c.ID, err)
			}
		}
	}
	if len(results) < len(texts) {
		t.Logf("the table stays as it is: %d of %d texts were run", len(results), len(texts))
		return
	}
	before, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	now := table(texts, columns(string(before), stage, results))
	switch {
	case now == string(before):
	case *update:
		if err := os.WriteFile(file, []byte(now), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s is not as the scenarios came out; write it with -update. It should be:\n%s", filepath.Base(file), now)
	}
}

// columns are the results by stage: those of a table, with one column anew.
func columns(table string, stage Stage, results Results) map[Stage]Results {
	all := map[Stage]Results{}
	for _, s := range stages {
		all[s] = Results{}
	}
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 3+len(stages) {
			continue
		}
		for i, s := range stages {
			all[s][nameIn(cells[2])] = strings.TrimSpace(cells[3+i])
		}
	}
	all[stage] = results
	return all
}

// nameIn is the name of the text that a cell links to.
func nameIn(cell string) string {
	_, link, _ := strings.Cut(cell, "](scenarios/")
	name, _, _ := strings.Cut(link, ".txt)")
	return name
}

const head = `# Scenarios

Each capability by its id, the texts that show it, and what came of them on real processes (` + "`make e2e`" + `: event store, services and back office as processes of their own) and in simulation (` + "`make test`" + `: the same services in one process, in virtual time; once while nothing breaks, and with faults but where a text says why not). Each of the two writes its own column (` + "`make scenarios`" + `), and fails when it is not as it stands here.

| id | capability | scenario | real processes | simulation |
|---|---|---|---|---|
`

// table writes the results, a line for each capability of each text.
func table(texts []Text, results map[Stage]Results) string {
	var b strings.Builder
	b.WriteString(head)
	for _, c := range Capabilities {
		for _, test := range c.Tests {
			fmt.Fprintf(&b, "| %s | %s | [%s](%s) |%s\n", c.ID, c.What, path.Base(test), test, strings.Repeat(" not run: tests of the sources show it |", len(stages)))
		}
		for _, text := range texts {
			if !slices.Contains(text.IDs, c.ID) {
				continue
			}
			fmt.Fprintf(&b, "| %s | %s | [%s](scenarios/%s.txt) |", c.ID, c.What, text.Title, text.Name())
			for _, s := range stages {
				result := results[s][text.Name()]
				if result == "" {
					result = notRun
				}
				fmt.Fprintf(&b, " %s |", result)
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// Result words what came of a text; why is why it was not run, if it was not.
func Result(ok bool, why string) string {
	switch {
	case why != "":
		return notRun + ": " + why
	case ok:
		return Passed
	default:
		return Failed
	}
}
