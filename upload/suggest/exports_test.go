package suggest

import (
	"encoding/csv"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/exports.txt anew")

// Exports of common products, in their real layouts, are mapped without a word of a person. testdata/exports.txt says to what: what is not listed
// stays an attribute of its own name.
func TestKnownExports(t *testing.T) {
	files, err := filepath.Glob("testdata/exports/*.csv")
	if err != nil || len(files) < 20 {
		t.Fatal(files, err)
	}
	var all strings.Builder
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(f).ReadAll()
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		p, err := For(Table{Header: rows[0], Rows: rows[1:], Whole: true}, Wishes{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		fmt.Fprintf(&all, "%s: %s\n", strings.TrimSuffix(filepath.Base(name), ".csv"), p.Product)
		for i, c := range p.Columns {
			if c.Target == "" || strings.HasPrefix(c.Target, "Attributes.") && i != p.Key {
				continue
			}
			key := ""
			if i == p.Key {
				key = " (key)"
			}
			fmt.Fprintf(&all, "  %s: %s%s\n", c.Name, c.Target, key)
		}
		for _, w := range p.Warnings {
			fmt.Fprintf(&all, "  %s %s %s\n", []string{"-", "!", "STOP"}[w.Level], w.Code, w.Column)
		}
	}
	const golden = "testdata/exports.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(all.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if all.String() != string(want) {
		t.Errorf("the mapping of exports is another; go test ./upload/suggest -update, and read the difference:\n%s", all.String())
	}
}
