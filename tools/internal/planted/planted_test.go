package planted_test

import (
	"path/filepath"
	"testing"

	"github.com/triangle-suite/triangle/tools/internal/planted"
)

const root = "../../.."

// A bug that fits the sources no more would be found by nobody, and missed by
// nobody.
func TestEveryBugFitsTheSources(t *testing.T) {
	bugs, err := planted.Bugs()
	if err != nil {
		t.Fatal(err)
	}
	if len(bugs) < 40 {
		t.Errorf("there are %d bugs, want 40 at least", len(bugs))
	}
	for _, bug := range bugs {
		t.Run(bug.Name, func(t *testing.T) {
			if _, err := bug.Plant(root, t.TempDir()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestABugThatDoesNotFitIsRefused(t *testing.T) {
	for name, edit := range map[string]planted.Edit{
		"text that is not there":        {Path: "tools/internal/planted/planted.go", Old: "nobody wrote this", New: ""},
		"a file that is not there":      {Path: "tools/internal/planted/nowhere.go", Old: "a", New: "b"},
		"text that is there many times": {Path: "tools/internal/planted/planted.go", Old: "return", New: ""},
	} {
		t.Run(name, func(t *testing.T) {
			bug := planted.Bug{Name: "unfit", Edits: []planted.Edit{edit}}
			if overlay, err := bug.Plant(root, t.TempDir()); err == nil {
				t.Errorf("it was planted as %s", filepath.Base(overlay))
			}
		})
	}
}
