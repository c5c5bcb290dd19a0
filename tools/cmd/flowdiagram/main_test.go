package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/triangle-suite/triangle/contracts/flows"
)

var update = flag.Bool("update", false, "write the golden file")

func TestTheCatalogueAsItIsPrinted(t *testing.T) {
	const path = "testdata/flows.md"
	var out bytes.Buffer
	if err := run(nil, &out); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil { //nolint:gosec // a file of the source tree
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if out.String() != string(want) {
		t.Errorf("printed:\n%s\nwant %s; write it with go test ./cmd/flowdiagram -update", &out, path)
	}
}

func TestEveryFlowIsAnArrowAndARow(t *testing.T) {
	for _, flow := range flows.Catalogue {
		if strings.Count(diagram(flows.Catalogue), `|"`+flow.Name+"<br/>") != 1 {
			t.Errorf("the diagram has no arrow, or several, for %s", flow.Name)
		}
		if strings.Count(table(flows.Catalogue), "| `"+flow.Name+"` |") != 1 {
			t.Errorf("the table has no row, or several, for %s", flow.Name)
		}
	}
}

func TestAPipeDoesNotBreakTheTable(t *testing.T) {
	got := table([]flows.Flow{{Name: "f", From: "a", To: "b", Cadence: "daily", Owner: "this | that"}})
	if !strings.Contains(got, `this \| that |`) {
		t.Errorf("the pipe is not escaped: %s", got)
	}
}

func TestOnlyWhatIsBetweenTheMarkersIsRewritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "README.md")
	write(t, path, "# Before\n"+begin+"old\n"+end+"after\n")
	for range 2 { // the second time nothing is left to do
		if err := run([]string{path}, nil); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		want := "# Before\n" + begin + "\n" + render(flows.Catalogue) + "\n" + end + "after\n"
		if string(got) != want {
			t.Fatalf("the file is:\n%s\nwant:\n%s", got, want)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v (%v), want what it was", info.Mode(), err)
	}
}

func TestAFileWithoutMarkersIsLeftAlone(t *testing.T) {
	for name, document := range map[string]string{
		"none":        "# Nothing\n",
		"no end":      begin,
		"no begin":    end,
		"twice":       begin + end + begin + end,
		"wrong order": end + begin,
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "README.md")
			write(t, path, document)
			if err := run([]string{path}, nil); err == nil {
				t.Error("the file was taken")
			}
			if got, err := os.ReadFile(path); err != nil || string(got) != document {
				t.Errorf("the file is %q (%v)", got, err)
			}
		})
	}
	if err := run([]string{filepath.Join(t.TempDir(), "missing.md")}, nil); err == nil {
		t.Error("a file that is not there was rewritten")
	}
	if err := run([]string{"a", "b"}, nil); err == nil {
		t.Error("two files were taken")
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil { //nolint:gosec // the mode is what is tested
		t.Fatal(err)
	}
}
