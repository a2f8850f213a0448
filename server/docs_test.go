package server

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"kith/api"
)

// built counts the API's operations of a noun, without our additions.
type built struct{ done, all int }

// countBuilt returns what is bound to a method, by noun and in all, and the nouns in the order of the operation table.
func countBuilt(s *Server) (byNoun map[string]built, nouns []string, total built) {
	byNoun = map[string]built{}
	for _, op := range api.Operations {
		if op.Addition {
			continue
		}
		n, known := byNoun[op.Noun]
		if !known {
			nouns = append(nouns, op.Noun)
		}
		n.all++
		total.all++
		if s.Implemented(op.Name) {
			n.done++
			total.done++
		}
		byNoun[op.Noun] = n
	}
	return byNoun, nouns, total
}

// compatibilityTable is the list of all operations in COMPATIBILITY.md.
func compatibilityTable(s *Server) string {
	_, _, total := countBuilt(s)
	byNoun := map[string][]string{}
	var nouns []string
	for _, op := range api.Operations {
		mark, name := "501", op.Name
		if s.Implemented(op.Name) {
			mark = "yes"
		}
		if op.Addition {
			name += " (addition)"
		}
		if byNoun[op.Noun] == nil {
			nouns = append(nouns, op.Noun)
		}
		byNoun[op.Noun] = append(byNoun[op.Noun], fmt.Sprintf("| %s | %s | `%s %s` | %s |", op.Noun, name, op.Method, op.Path, mark))
	}
	var table strings.Builder
	fmt.Fprintf(&table, "%d of the API's %d operations are built; the others answer 501 `NotImplementedException`.\n\n", total.done, total.all)
	table.WriteString("| noun | operation | request | built |\n|---|---|---|---|\n")
	for _, noun := range nouns {
		table.WriteString(strings.Join(byNoun[noun], "\n") + "\n")
	}
	return table.String()
}

// readmeSummary is what README.md says at its top about what is built and what is not.
func readmeSummary(s *Server) string {
	byNoun, nouns, total := countBuilt(s)
	var whole, part, none []string
	for _, noun := range nouns {
		switch n := byNoun[noun]; {
		case n.done == n.all:
			whole = append(whole, fmt.Sprintf("%s (%d)", noun, n.all))
		case n.done > 0:
			part = append(part, fmt.Sprintf("%s (%d of %d)", noun, n.done, n.all))
		default:
			none = append(none, fmt.Sprintf("%s (%d)", noun, n.all))
		}
	}
	text := fmt.Sprintf("**%d of the API's %d operations are built**; the others answer 501 ([list](COMPATIBILITY.md#operations)).\n", total.done, total.all)
	for _, group := range []struct {
		title string
		nouns []string
	}{{"Built", whole}, {"In part", part}, {"Not yet", none}} {
		if group.nouns != nil {
			text += "\n- " + group.title + ": " + strings.Join(group.nouns, ", ") + "."
		}
	}
	return text + "\n"
}

// What documents say about what is built is made from the routes, so that it can't lie.
func TestDocumentsSayWhatIsBuilt(t *testing.T) {
	s := New(Config{Log: slog.New(slog.DiscardHandler), Admin: &Admin{}})
	for path, want := range map[string]string{
		"../COMPATIBILITY.md": compatibilityTable(s),
		"../README.md":        readmeSummary(s),
	} {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		const start, end = "<!-- operations: generated from the routes -->\n", "<!-- /operations -->"
		before, rest, ok1 := strings.Cut(string(b), start)
		_, after, ok2 := strings.Cut(rest, end)
		if !ok1 || !ok2 {
			t.Fatalf("%s: the markers of the generated part are missing", path)
		}
		text := before + start + want + end + after
		if text == string(b) {
			continue
		}
		if !*update {
			t.Errorf("%s is out of date: run `make generate`", path)
		} else if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

var saidOperations = regexp.MustCompile(`(?:(\d+) of the API's )?(\d+) operations`)

// No document may give another number of operations than the model has.
func TestDocumentsCountTheOperations(t *testing.T) {
	_, _, total := countBuilt(New(Config{Log: slog.New(slog.DiscardHandler), Admin: &Admin{}}))
	var paths []string
	for _, pattern := range []string{"../*.md", "../docs/*.md", "../model/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, found...)
	}
	said := 0
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range saidOperations.FindAllSubmatch(b, -1) {
			said++
			if string(m[2]) != strconv.Itoa(total.all) || len(m[1]) > 0 && string(m[1]) != strconv.Itoa(total.done) {
				t.Errorf("%s says %q; %d of %d are built", path, m[0], total.done, total.all)
			}
		}
	}
	if said < 3 {
		t.Errorf("only %d documents give the number: README.md, COMPATIBILITY.md and model/README.md must", said)
	}
}
