package conformance

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// source is the suite's test code: it tells which cases there are, so that one
// that did not run is missed.
type source map[string]*ast.FuncDecl

func parseSource(dir string) (source, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		return nil, err
	}
	s := source{}
	set := token.NewFileSet()
	for _, file := range files {
		parsed, err := parser.ParseFile(set, file, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, fmt.Errorf("read the suite: %w", err)
		}
		for _, declaration := range parsed.Decls {
			if f, ok := declaration.(*ast.FuncDecl); ok && f.Recv == nil {
				s[f.Name.Name] = f
			}
		}
	}
	return s, nil
}

// tests returns the names of the functions that the go command runs.
func (s source) tests() []string {
	var names []string
	for name, f := range s {
		params := f.Type.Params.List
		if strings.HasPrefix(name, "Test") && len(params) == 1 && len(params[0].Names) == 1 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// cases returns the full names of the cases that function runs by its t, below
// the test called prefix: what it passes to t.Run, itself or by functions that
// it hands its t to. It does not look into functions that are left out. A test
// without any is a case itself.
func (s source) cases(prefix, function string, leftOut func(function string) bool) []string {
	f, ok := s[function]
	if !ok || f.Body == nil {
		return nil
	}
	found := s.casesIn(prefix, f.Body, leftOut)
	slices.Sort(found)
	return slices.Compact(found)
}

func (s source) casesIn(prefix string, body ast.Node, leftOut func(string) bool) (found []string) {
	ast.Inspect(body, func(node ast.Node) bool {
		call, ok := node.(*ast.CallExpr)
		if !ok {
			return true
		}
		if name, run, ok := subtest(call); ok {
			below := []string{prefix + "/" + name}
			if literal, ok := run.(*ast.FuncLit); ok {
				if inner := s.casesIn(below[0], literal.Body, leftOut); len(inner) > 0 {
					below = inner
				}
			}
			found = append(found, below...)
			return false
		}
		if function, ok := handsOver(call); ok && !leftOut(function) {
			found = append(found, s.cases(prefix, function, leftOut)...)
		}
		return true
	})
	return found
}

// subtest tells whether a call is t.Run with a name that is written out, and
// returns the name as the go command shows it.
func subtest(call *ast.CallExpr) (name string, run ast.Expr, ok bool) {
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || method.Sel.Name != "Run" || !isT(method.X) || len(call.Args) != 2 {
		return "", nil, false
	}
	literal, ok := call.Args[0].(*ast.BasicLit)
	if !ok {
		return "", nil, false
	}
	name, err := strconv.Unquote(literal.Value)
	return strings.ReplaceAll(name, " ", "_"), call.Args[1], err == nil
}

// handsOver tells whether a call is one of a function that gets the caller's t
// first.
func handsOver(call *ast.CallExpr) (function string, ok bool) {
	called, ok := call.Fun.(*ast.Ident)
	if !ok || len(call.Args) == 0 || !isT(call.Args[0]) {
		return "", false
	}
	return called.Name, true
}

func isT(e ast.Expr) bool {
	name, ok := e.(*ast.Ident)
	return ok && name.Name == "t"
}
