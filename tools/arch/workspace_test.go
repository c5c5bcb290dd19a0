package arch

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

const prefix = "github.com/triangle-suite/triangle/"

// pkg is what the go command tells of a package of ours.
type pkg struct {
	ImportPath   string
	Dir          string
	Standard     bool
	GoFiles      []string
	TestGoFiles  []string
	XTestGoFiles []string
	Imports      []string
}

// path is the package's path within the project.
func (p pkg) path() string { return strings.TrimPrefix(p.ImportPath, prefix) }

// under tells whether the package is at, or below, a path within the project.
func (p pkg) under(path string) bool { return under(p.path(), path) }

func under(path, parent string) bool { return path == parent || strings.HasPrefix(path, parent+"/") }

var workspace = sync.OnceValues(func() ([]pkg, error) {
	modules, err := goCommand("list", "-m", "-f", "{{.Dir}}/...")
	if err != nil {
		return nil, err
	}
	listed, err := goCommand(append([]string{"list", "-json=ImportPath,Dir,GoFiles,TestGoFiles,XTestGoFiles,Imports"}, strings.Fields(string(modules))...)...)
	if err != nil {
		return nil, err
	}
	var all []pkg
	for decoder := json.NewDecoder(bytes.NewReader(listed)); ; {
		var p pkg
		switch err := decoder.Decode(&p); {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, err
		}
		all = append(all, p)
	}
})

func goCommand(args ...string) ([]byte, error) {
	cmd := exec.Command("go", args...)
	cmd.Dir, cmd.Stderr = "../..", os.Stderr
	return cmd.Output()
}

func packages(t *testing.T) []pkg {
	t.Helper()
	all, err := workspace()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 20 {
		t.Fatalf("found only %d packages: the rules would hold of nothing", len(all))
	}
	return all
}

// ours returns the packages of the project that p imports, as paths within it.
func (p pkg) ours() (paths []string) {
	for _, imported := range p.Imports {
		if path, ok := strings.CutPrefix(imported, prefix); ok {
			paths = append(paths, path)
		}
	}
	return paths
}

// file is a parsed Go file.
type file struct {
	path string // on disk
	ast  *ast.File
	set  *token.FileSet
}

func (p pkg) parse(t *testing.T, names []string) (files []file) {
	t.Helper()
	for _, name := range names {
		path := filepath.Join(p.Dir, name)
		set := token.NewFileSet()
		parsed, err := parser.ParseFile(set, path, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file{path, parsed, set})
	}
	return files
}

func (f file) lines() int { return f.set.File(f.ast.Pos()).LineCount() }

func (f file) imports(path string) bool {
	for _, spec := range f.ast.Imports {
		if strings.Trim(spec.Path.Value, `"`) == path {
			return true
		}
	}
	return false
}

// calls returns where the file calls package.function.
func (f file) calls(name, function string) (at []token.Position) {
	ast.Inspect(f.ast, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == function {
			if id, ok := s.X.(*ast.Ident); ok && id.Name == name && id.Obj == nil {
				at = append(at, f.set.Position(n.Pos()))
			}
		}
		return true
	})
	return at
}
