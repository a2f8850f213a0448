// Package lint keeps the house rules of ARCHITECTURE.md: every package has a comment, and imports point down.
package lint

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

// goFiles calls do for every Go file of the repository.
func goFiles(t *testing.T, do func(dir, path string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); strings.HasPrefix(name, ".") && name != "." && name != ".." || name == "testdata" || name == "bin" || name == "data" {
				return fs.SkipDir
			}
			return nil
		}
		if strings.HasSuffix(path, ".go") {
			rel, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			do(filepath.ToSlash(filepath.Dir(rel)), path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestEveryPackageHasAComment(t *testing.T) {
	has := map[string]bool{}
	goFiles(t, func(dir, path string) {
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		has[dir] = has[dir] || f.Doc != nil && len(f.Doc.Text()) > 40
	})
	for dir, ok := range has {
		if !ok {
			t.Errorf("package %s has no comment that says what it owns", dir)
		}
	}
}

// layers are the packages from bottom to top. A package may import those of lower layers, and those its own line names.
var layers = [][]string{
	{"fault", "schema", "internal/cache", "internal/restjson", "upload/table/charset", "upload/table/xlsx"},
	{"upload/table", "upload/suggest", "api", "store", "blob", "sigv4"},
	{"access", "job", "resource"},
	{"domain"},
	{"deadletter"},
	{"profile/fold"},
	{"match/link"},
	{"objecttype"},
	{"profile/index", "profile/fingerprint"},
	{"profile/change"},
	{"profile/write"},
	{"profile"},
	{"match/merge"},
	{"match/rule"},
	{"catalog"},
	{"upload/stage"},
	{"upload", "query"},
	{"integration"},
	{"match"},
	{"privacy"},
	{"server"},
	{"node"},
	{"conformance"},
	{"cmd/kith"},
}

// engines may import their contract, their own parts, and nothing else of ours; only cmd and tests import them.
var engines = []string{"store/mem", "store/pebble", "store/cql", "store/faulty", "blob/disk", "blob/s3"}

// parts are packages of one engine, below it: nobody else imports them.
var parts = map[string]string{"store/pebble/sst": "store/pebble"}

// forbidden are imports with the reason.
var forbidden = map[string]map[string]string{
	"server": {"kith/store": "the edge never touches the store", "kith/job": "the edge starts no background work"},
}

func TestImportsPointDown(t *testing.T) {
	level := map[string]int{}
	for i, names := range layers {
		for _, n := range names {
			level[n] = i + 1
		}
	}
	goFiles(t, func(dir, path string) {
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, imp := range f.Imports {
			target := strings.Trim(imp.Path.Value, `"`)
			if why := forbidden[dir][target]; why != "" {
				t.Errorf("%s imports %s: %s", dir, target, why)
			}
			ours, ok := strings.CutPrefix(target, "kith/")
			if !ok {
				continue
			}
			if slices.Contains(engines, ours) && dir != "cmd/kith" && !strings.HasPrefix(dir, "test/") {
				t.Errorf("%s imports the engine %s; engines are chosen in cmd", dir, ours)
			}
			if owner := parts[ours]; owner != "" {
				if dir != owner {
					t.Errorf("%s imports %s, which is a part of %s", dir, ours, owner)
				}
				continue
			}
			if (slices.Contains(engines, dir) || parts[dir] != "") && !strings.HasPrefix(dir, ours+"/") {
				t.Errorf("the engine %s imports %s; it may import its contract only", dir, ours)
			}
			from, known := level[dir]
			if to := level[ours]; known && to >= from {
				t.Errorf("%s imports %s, which is not below it", dir, ours)
			}
		}
		top, _, _ := strings.Cut(dir, "/")
		if _, known := level[dir]; !known && top != "test" && top != "internal" && !slices.Contains(engines, dir) && parts[dir] == "" && !strings.HasSuffix(dir, "test") {
			t.Errorf("package %s has no layer: add it to layers and to ARCHITECTURE.md", dir)
		}
	})
}

// Nothing in the project may name the place it was made at, or a package registry.
func TestNoForeignNames(t *testing.T) {
	out, err := exec.Command("git", "-C", root, "grep", "-nIE", `proxy\.golang\.org|registry\.npmjs|files\.pythonhosted|pypi\.org|repo1?\.maven`, "--", ".", ":!internal/lint", ":!go.sum").CombinedOutput()
	if err == nil {
		t.Errorf("a registry's host is named:\n%s", out)
	}
}

// maxFunction is how many lines a function may have: what is longer has a step that wants a name.
const maxFunction = 80

func TestFunctionsAreShort(t *testing.T) {
	goFiles(t, func(_, path string) {
		if strings.HasSuffix(path, "_test.go") || strings.HasPrefix(filepath.Base(path), "zz_") {
			return
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok {
				if n := fset.Position(fn.End()).Line - fset.Position(fn.Pos()).Line + 1; n > maxFunction {
					t.Errorf("%s: %s has %d lines, %d are enough", path, fn.Name.Name, n, maxFunction)
				}
			}
		}
	})
}
