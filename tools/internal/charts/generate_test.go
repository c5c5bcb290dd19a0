package charts_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/triangle-suite/triangle/tools/internal/charts"
)

// folder is where the charts are.
const folder = "../../../charts"

func TestTheChartsHoldWhatTheirSourcesSay(t *testing.T) {
	made, err := charts.Generate(folder)
	if err != nil {
		t.Fatal(err)
	}
	stale, err := charts.Stale(folder, made)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range stale {
		t.Errorf("charts/%s is not what its sources make of it: run make gen", name)
	}
}

// A copy that nobody makes any more, or that somebody has changed, is found.
func TestWhatDriftsIsFound(t *testing.T) {
	made, err := charts.Generate(folder)
	if err != nil {
		t.Fatal(err)
	}
	drifted := t.TempDir()
	for name, text := range made {
		put(t, filepath.Join(drifted, name), string(text))
	}
	put(t, filepath.Join(drifted, "triangle-operator/files/crd/old.yaml"), "kind: CustomResourceDefinition")
	put(t, filepath.Join(drifted, "triangle-operator/files/rbac/operator.yaml"), "kind: Role")
	stale, err := charts.Stale(drifted, made)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(stale)
	if want := []string{"triangle-operator/files/crd/old.yaml", "triangle-operator/files/rbac/operator.yaml"}; !slices.Equal(stale, want) {
		t.Errorf("stale is %q, want %q", stale, want)
	}
}

func put(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Every value is used by a template: one that does nothing would be believed.
func TestEveryValueDoesSomething(t *testing.T) {
	for _, name := range charts.Names {
		values, err := os.ReadFile(filepath.Join(folder, name, "values.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		all, err := charts.Values(values)
		if err != nil {
			t.Fatal(err)
		}
		text := templates(t, name)
		for _, v := range all {
			checkUsed(t, name, text, v)
		}
	}
}

func checkUsed(t *testing.T, chart, templates string, v *charts.Value) {
	t.Helper()
	// A map that goes as it is into a field of its own name, or is named by a text.
	whole := strings.Contains(templates, "toYaml $v."+v.Path) || strings.Contains(templates, `omit .`+v.Key)
	if !strings.Contains(templates, "."+v.Key) && !strings.Contains(templates, `"`+v.Key+`"`) {
		t.Errorf("%s: no template uses %s", chart, v.Path)
	}
	for _, inner := range v.Within {
		if !whole && !strings.Contains(v.Schema, "like Triangle") && !strings.Contains(v.Schema, "additionalProperties") {
			checkUsed(t, chart, templates, inner)
		}
	}
}

func templates(t *testing.T, chart string) string {
	t.Helper()
	var all strings.Builder
	for _, pattern := range []string{"templates/*", "templates/*/*"} {
		files, err := filepath.Glob(filepath.Join(folder, chart, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if info, err := os.Stat(file); err != nil || info.IsDir() {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			all.Write(text)
		}
	}
	return all.String()
}

func TestValuesThatSayTooLittle(t *testing.T) {
	kinds, err := charts.ReadKinds()
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct{ values, refused string }{
		"no comment":                {"a: 1\n", "a: no comment says what it is for"},
		"no comment, within":        {"# A.\na:\n  b: 1\nc:\n  d: 1\n", "c: no comment says what it is for"},
		"a list of what":            {"# A.\na: []\n", "a: its default does not tell what it may be"},
		"a map of what":             {"# A.\na: {}\n", "a: its default does not tell what it may be"},
		"nothing at all":            {"# A.\na: null\n", "a: its default does not tell what it may be"},
		"like a kind there is not":  {"# A.\n# @schema like Square.spec\na: 1\n", "there is no kind Square"},
		"like a field there is not": {"# A.\n# @schema like Triangle.spec.edges\na: 1\n", "there is no edges"},
		"like items of no list":     {"# A.\n# @schema like Triangle.spec.pods[].x\na: 1\n", "pods is no list"},
		"a schema that is none":     {"# A.\n# @schema {\na: 1\n", "@schema"},
		"no map":                    {"- 1\n", "the values are no map"},
	} {
		t.Run(name, func(t *testing.T) {
			values, err := charts.Values([]byte(tc.values))
			if err == nil {
				_, err = charts.Schema(values, kinds)
			}
			if err == nil || !strings.Contains(err.Error(), tc.refused) {
				t.Errorf("it ends with %v, want %q", err, tc.refused)
			}
		})
	}
}

func TestAReadmeWithoutAPlaceForTheValues(t *testing.T) {
	for name, readme := range map[string]string{
		"none":            "# A chart\n",
		"twice":           strings.Repeat("<!-- values:begin -->\n<!-- values:end -->\n", 2),
		"the wrong order": "<!-- values:end -->\n<!-- values:begin -->\n",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := charts.Readme([]byte(readme), nil); err == nil {
				t.Error("it is taken")
			}
		})
	}
}
