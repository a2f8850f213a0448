package node

import (
	"flag"
	"os"
	"testing"

	"kith/store"
)

var update = flag.Bool("update", false, "write docs/rows.md")

const rowsHeader = `# Rows

What the program keeps in its tables, made from the lists beside the keys of each package (` + "`go test ./node -run Rows -update`" + `). Keys are patterns:
` + "`{name:8}`" + ` is 8 bytes, ` + "`{name}`" + ` any number. Every key is preceded by its domain's incarnation, 0 in the catalogue. What Write and Swap rows are
stands in the documentation of package store.

`

// TestRowsAreDocumented holds docs/rows.md to the families that are listed.
func TestRowsAreDocumented(t *testing.T) {
	const path = "../docs/rows.md"
	want := rowsHeader + store.FamilyTable(Families)
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("docs/rows.md is not what the families say (%v): run go test ./node -run Rows -update", err)
	}
	names := map[string]bool{}
	for _, f := range Families {
		if names[f.Name] || f.Name == "" || f.Value == "" || f.Writers == "" || f.Key == "" || f.Kind != store.WriteRows && f.Kind != store.SwapRows {
			t.Errorf("family %q is named twice or lacks something", f.Name)
		}
		names[f.Name] = true
	}
}
