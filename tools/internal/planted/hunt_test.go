package planted_test

import (
	"regexp"
	"runtime"
	"testing"

	"github.com/triangle-suite/triangle/tools/internal/planted"
)

// quick are bugs that a simulation finds within a few seeds, each by another check.
var quick = regexp.MustCompile(`^(checkpoint-before-effect|digest-goes-on)$`)

// make planted hunts all of them.
func TestQuickBugsAreFound(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds a simulation for each bug")
	}
	bugs, err := planted.Bugs()
	if err != nil {
		t.Fatal(err)
	}
	hunter := planted.Hunter{Root: root, Most: 4, Processors: runtime.NumCPU()}
	hunted := 0
	for _, bug := range bugs {
		if !quick.MatchString(bug.Name) {
			continue
		}
		hunted++
		hunt, err := hunter.Find(t.Context(), bug)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: found by the %q simulation at seed %d, in %s: %s", bug.Name, hunt.FoundBy, hunt.Seeds, hunt.Took, hunt.Divergence)
		if hunt.FoundBy == "" || hunt.Divergence == "" {
			t.Errorf("%s was not found in %d seeds, although: %s", bug.Name, hunt.Seeds, bug.About)
		}
	}
	if hunted != 2 {
		t.Errorf("%d bugs were hunted, want 2", hunted)
	}
}

// What does not compile is no bug, and is not found.
func TestABugThatDoesNotCompileIsNotFound(t *testing.T) {
	bug := planted.Bug{Name: "broken", Edits: []planted.Edit{{Path: "services/internal/flow/gate.go", Old: "package flow", New: "package of nonsense"}}}
	if hunt, err := (planted.Hunter{Root: root, Most: 1}).Find(t.Context(), bug); err == nil {
		t.Errorf("found by %q", hunt.FoundBy)
	}
}
