package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// docs/operations.md lists the codes the program can end with, all of them and no others.
func TestExitCodesAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(text), "## Exit codes\n")
	table, _, _ = strings.Cut(table, "\n## ")
	documented := map[int]bool{}
	for _, m := range regexp.MustCompile(`(?m)^\| (\d+) \|`).FindAllStringSubmatch(table, -1) {
		n, _ := strconv.Atoi(m[1])
		documented[n] = true
	}
	if !ok || len(documented) == 0 {
		t.Fatal("there is no table of exit codes")
	}
	used := exitCodes(t, "../..")
	if got, want := slices.Sorted(maps.Keys(documented)), slices.Sorted(maps.Keys(used)); !slices.Equal(got, want) {
		t.Errorf("docs/operations.md has the exit codes %v, the program %v (%v)", got, want, used)
	}
}

// exitCodes finds the constants named exit… of this package, and every number or constant given to os.Exit in what the program is built of.
func exitCodes(t *testing.T, root string) map[int]string {
	t.Helper()
	used := map[int]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		if d.IsDir() && (rel == "test" || rel == "internal" || strings.HasPrefix(d.Name(), ".") && rel != ".") {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		note := func(e ast.Expr) bool {
			lit, ok := e.(*ast.BasicLit)
			if !ok || lit.Kind != token.INT {
				return false
			}
			n, err := strconv.Atoi(lit.Value)
			used[n] = rel
			return err == nil
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ValueSpec:
				for i, name := range n.Names {
					if strings.HasPrefix(strings.ToLower(name.Name), "exit") && i < len(n.Values) {
						note(n.Values[i])
					}
				}
			case *ast.CallExpr:
				fun, ok := n.Fun.(*ast.SelectorExpr)
				if !ok || fun.Sel.Name != "Exit" {
					return true
				}
				if pkg, ok := fun.X.(*ast.Ident); !ok || pkg.Name != "os" {
					return true
				}
				ident, constant := n.Args[0].(*ast.Ident)
				_, call := n.Args[0].(*ast.CallExpr) // run returns one of the constants
				if !note(n.Args[0]) && !call && !(constant && strings.HasPrefix(strings.ToLower(ident.Name), "exit")) {
					t.Errorf("%s: os.Exit of what is neither a number nor a constant named exit…", rel)
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return used
}
