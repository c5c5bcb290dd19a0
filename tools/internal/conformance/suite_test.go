package conformance

import (
	"bytes"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"testing"
)

// TestTheSuiteIsCopied: the copy is the suite's, but for one file, which is ours
// and knows of no containers.
func TestTheSuiteIsCopied(t *testing.T) {
	m, dir := suiteModule(t), t.TempDir()
	if err := prepare(m, dir); err != nil {
		t.Fatal(err)
	}
	originals, err := filepath.Glob(filepath.Join(m.Dir, "esdb", "*"))
	if err != nil || len(originals) < 50 {
		t.Fatalf("the suite has %d files, %v", len(originals), err)
	}
	for _, path := range originals {
		original, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		copied, err := os.ReadFile(filepath.Join(dir, "esdb", filepath.Base(path)))
		if err != nil {
			t.Fatal(err)
		}
		if replaced := filepath.Base(path) == filepath.Base(replacedFile); bytes.Equal(original, copied) == replaced {
			t.Errorf("%s: replaced: %v, equal: %v", path, replaced, !replaced)
		}
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, filepath.FromSlash(replacedFile)), nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	for _, imported := range parsed.Imports {
		if bytes.Contains([]byte(imported.Path.Value), []byte("containers")) {
			t.Errorf("our file imports %s", imported.Path.Value)
		}
	}
	if err := prepare(Module{Path: "m", Dir: t.TempDir()}, t.TempDir()); err == nil {
		t.Error("a module without a suite was copied")
	}
}
