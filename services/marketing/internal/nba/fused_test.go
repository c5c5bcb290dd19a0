package nba

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// Where a product is added to something a compiler may round once in place of
// twice, unless the product is converted. So each product of the package stands
// in a conversion, or in times, which is one.
func TestNoProductCanBeFused(t *testing.T) {
	paths, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	products := 0
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		converted := map[ast.Node]bool{}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				if to, ok := n.Fun.(*ast.Ident); ok && to.Name == "float64" {
					converted[n.Args[0]] = true
				}
			case *ast.BinaryExpr:
				if n.Op != token.MUL {
					break
				}
				if products++; !converted[n] {
					t.Errorf("%s: a product that is not converted", files.Position(n.Pos()))
				}
			case *ast.AssignStmt:
				if n.Tok == token.MUL_ASSIGN {
					t.Errorf("%s: a product that is not converted", files.Position(n.Pos()))
				}
			}
			return true
		})
	}
	if products < 4 {
		t.Errorf("%d products were found: the test looks at nothing", products)
	}
}

// What the first model decided is replayed by what it wrote then.
func TestDecisionsOfTheFirstModelAreReplayed(t *testing.T) {
	e := firstModelsDecision()
	if err := Verify(e); err != nil {
		t.Error(err)
	}
	nudge(&e.Candidates[0].Propensity)
	if err := Verify(e); err == nil || !strings.Contains(err.Error(), "candidate a: propensity: 0.272727") {
		t.Errorf("a propensity by one bit: %v", err)
	}
}
