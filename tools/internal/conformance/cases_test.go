package conformance

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestCasesOfTheSuite pins what there is to run. Another version of the suite
// may hold more: then exclusions and modes are to be looked at again.
func TestCasesOfTheSuite(t *testing.T) {
	s, err := parseSource(filepath.Join(suiteModule(t).Dir, "esdb"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int{"insecure": 63, "secure": 72, "no server": 29}
	for _, m := range modes {
		wanted := m.wanted(s)
		if len(wanted) != want[m.name] {
			t.Errorf("mode %s wants %d cases, want %d: %v", m.name, len(wanted), want[m.name], wanted)
		}
		for _, e := range exclusions {
			for _, name := range e.skips(s) {
				if slices.Contains(wanted, name) {
					t.Errorf("mode %s wants %s, which is left out", m.name, name)
				}
			}
		}
		if grouped := slices.Concat(m.groups(s)...); !slices.Equal(grouped, m.tests(s)) {
			t.Errorf("mode %s runs %v, want %v", m.name, grouped, m.tests(s))
		}
	}
	wantOut := map[string]int{"TestProjections": 8, "TestPlugins": 4, "ClusterTests": 1}
	for _, e := range exclusions {
		if got := len(e.skips(s)); got != wantOut[e.function] {
			t.Errorf("%d cases of %s are left out, want %d", got, e.function, wantOut[e.function])
		}
	}
}

func TestCases(t *testing.T) {
	dir := t.TempDir()
	code := `package p
func TestA(t *testing.T) {
	db := open(t)
	if db.ok {
		t.Run("first case", first(db))
	}
	t.Run("group", func(t *testing.T) {
		t.Run("x", func(t *testing.T) { check(t) })
		t.Run("y", y)
		Others(t, db)
		Never(t)
	})
	other.Run("no", nil)
	t.Run(computed, nil)
}
func Others(t *testing.T, db *DB) { t.Run("z", z(db)) }
func Never(t *testing.T) { t.Run("never", z) }
func TestB(t *testing.T) { Never(t) }
func TestMain(m *testing.M, n int) {}
func (x X) TestC(t *testing.T) {}
func check(t *testing.T) {}
`
	if err := os.WriteFile(filepath.Join(dir, "a_test.go"), []byte(code), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := parseSource(dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"TestA", "TestB"}, s.tests()); diff != "" {
		t.Errorf("tests (-want +got):\n%s", diff)
	}
	out := func(function string) bool { return function == "Never" }
	if diff := cmp.Diff([]string{"TestA/first_case", "TestA/group/x", "TestA/group/y", "TestA/group/z"}, s.cases("TestA", "TestA", out)); diff != "" {
		t.Errorf("cases (-want +got):\n%s", diff)
	}
	if got := s.cases("TestB", "TestB", out); got != nil {
		t.Errorf("cases that are left out: %v", got)
	}
	if err := os.WriteFile(filepath.Join(dir, "b_test.go"), []byte("no Go"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := parseSource(dir); err == nil || !strings.Contains(err.Error(), "b_test.go") {
		t.Errorf("a file that is no Go: got %v", err)
	}
}
