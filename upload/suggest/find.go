package suggest

import (
	"fmt"
	"slices"
	"strings"

	"kith/schema"
)

// find returns the column of a name: as it is, else without regard to case, else without regard to accents and signs. The error names the nearest.
func (p *Proposal) find(name string) (int, error) {
	name = schema.ColumnName(name)
	folded := fold(name)
	for _, same := range []func(c Column) bool{
		func(c Column) bool { return c.Name == name },
		func(c Column) bool { return strings.EqualFold(c.Name, name) },
		func(c Column) bool { return folded != "" && fold(c.Name) == folded },
	} {
		if i := slices.IndexFunc(p.Columns, same); i >= 0 {
			return i, nil
		}
	}
	var all []string
	for _, c := range p.Columns {
		all = append(all, c.Name)
	}
	return 0, fmt.Errorf("the file has no column %q%s", short(name), nearest(all, name))
}

// attribute returns the path below _profile that a text means, without regard to case. The error names the nearest.
func attribute(text string) (string, error) {
	path := strings.TrimPrefix(strings.TrimSpace(text), "_profile.")
	if path == "" {
		return "", nil
	}
	if name, ok := strings.CutPrefix(strings.ToLower(path), "attributes."); ok {
		path = "Attributes." + path[len(path)-len(name):]
	}
	all := schema.StandardPaths()
	if i := slices.IndexFunc(all, func(p string) bool { return strings.EqualFold(p, path) }); i >= 0 {
		path = all[i]
	}
	if _, err := schema.ParseTarget("_profile." + path); err != nil {
		return "", fmt.Errorf("%w%s", err, nearest(all, path))
	}
	return path, nil
}

// excludes says whether two attributes can't both be filled.
func excludes(a, b string) bool {
	if a == "" || b == "" {
		return false
	}
	if a == b {
		return true
	}
	attr, ok := schema.ParsePath(a)
	if !ok {
		return false
	}
	twin, ok := attr.Twin()
	return ok && twin.Path() == b
}

// nearest names the one of some names that is most like another, if one is.
func nearest(all []string, name string) string {
	best, least := "", 1+max(min(2, len(name)-2), len(name)/3)
	for _, n := range all {
		if len(n) > 3*len(name)+10 {
			continue
		}
		if d := distance(strings.ToLower(n), strings.ToLower(name)); d < least {
			best, least = n, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// distance is how many letters have to be changed, added or left out to make one text of another.
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	row := make([]int, len(y)+1)
	for j := range row {
		row[j] = j
	}
	for i := range x {
		before := row[0]
		row[0] = i + 1
		for j := range y {
			d := before
			if x[i] != y[j] {
				d = 1 + min(before, row[j], row[j+1])
			}
			before, row[j+1] = row[j+1], d
		}
	}
	return row[len(y)]
}

// short cuts a name that would fill a screen.
func short(name string) string {
	if r := []rune(name); len(r) > 60 {
		return string(r[:59]) + "…"
	}
	return name
}
