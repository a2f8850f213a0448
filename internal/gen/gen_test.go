package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Generated code and model must not differ.
func TestGeneratedCodeIsFresh(t *testing.T) {
	root := filepath.Join("..", "..")
	files, err := generate(root)
	if err != nil {
		t.Fatal(err)
	}
	have, err := filepath.Glob(filepath.Join(root, "api", "zz_*.go"))
	if err != nil {
		t.Fatal(err)
	}
	if len(have) != len(files) {
		t.Errorf("api/ has %d generated files, the model makes %d: run `make generate`", len(have), len(files))
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(root, "api", name))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("api/%s is not what the model makes: run `make generate` (%v)", name, err)
		}
	}
}

func TestEveryShapeAndOperation(t *testing.T) {
	m, err := load(filepath.Join("..", "..", "model", "customer-profiles-2020-08-15.json"))
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Operations) != 115 || len(m.Shapes) != 663 {
		t.Fatalf("%d operations and %d shapes", len(m.Operations), len(m.Shapes))
	}
	paging := 0
	for _, op := range m.operations() {
		if m.Shapes[op.Input.Shape].has("NextToken") {
			paging++
		}
	}
	if paging != 29 {
		t.Fatalf("%d paging inputs", paging)
	}
}

func TestRefusals(t *testing.T) {
	m := &model{Operations: map[string]*operation{"New": {Name: "New"}}, Shapes: map[string]*shape{}}
	if err := placeNouns(m); err == nil {
		t.Error("an operation without a noun, or a noun without its operation, must be refused")
	}
	m = &model{Shapes: map[string]*shape{"a": {name: "a", Type: "structure"}, "A": {name: "A", Type: "structure"}}}
	if err := nameShapes(m); err == nil || !strings.Contains(err.Error(), "one Go name") {
		t.Errorf("a collision of names: %v", err)
	}
	add := &model{Shapes: map[string]*shape{"a": {name: "a"}}}
	if err := m.merge(add); err == nil {
		t.Error("an addition that redefines a shape must be refused")
	}
	add.Shapes["a"] = &shape{name: "a", Type: "structure", Members: members{{name: "New"}}}
	if err := m.merge(add); err == nil {
		t.Error("an addition that adds a member to a shape of the API must be refused")
	}
}
