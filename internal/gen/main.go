// Command gen writes api/zz_*.go from the files in model/: shapes, checks of their constraints, binding of paths and
// queries, and the operation table. Run it with `make generate`; it takes the repository root as its argument.
package main

import (
	"fmt"
	"log"
	"os"
	"path/filepath"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("gen: ")
	root := "."
	if len(os.Args) > 1 {
		root = os.Args[1]
	}
	files, err := generate(root)
	if err != nil {
		log.Fatal(err)
	}
	old, err := filepath.Glob(filepath.Join(root, "api", "zz_*.go"))
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range old {
		if err := os.Remove(f); err != nil {
			log.Fatal(err)
		}
	}
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(root, "api", name), b, 0o644); err != nil {
			log.Fatal(err)
		}
	}
}

// generate returns the generated files by name.
func generate(root string) (map[string][]byte, error) {
	m, err := load(filepath.Join(root, "model", "customer-profiles-2020-08-15.json"))
	if err != nil {
		return nil, err
	}
	add, err := load(filepath.Join(root, "model", "additions.json"))
	if err != nil {
		return nil, err
	}
	if err := m.merge(add); err != nil {
		return nil, err
	}
	for _, pass := range []func(*model) error{placeNouns, nameShapes, markReach, markConstraints} {
		if err := pass(m); err != nil {
			return nil, err
		}
	}
	files, err := render(m)
	if err != nil {
		return nil, fmt.Errorf("render: %w", err)
	}
	return files, nil
}
