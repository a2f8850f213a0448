package main

import (
	"fmt"
	"slices"
	"strings"

	"kith/schema"
	"kith/upload/suggest"
)

// suggestion is one column of a file with where it goes.
type suggestion = suggest.Column

// override applies a --map COLUMN=TARGET. TARGET is a path with or without _profile., or "-" to leave the column out.
func override(p *suggest.Proposal, text string) error {
	column, target, ok := strings.Cut(text, "=")
	if !ok {
		return fmt.Errorf("--map %q must be COLUMN=TARGET", text)
	}
	target = strings.TrimPrefix(target, "_profile.")
	if target == "-" {
		target = ""
	} else if _, err := schema.ParseTarget("_profile." + target); err != nil {
		return fmt.Errorf("--map %s: %w", text, err)
	}
	i := columnIndex(p.Columns, column)
	if i < 0 {
		return fmt.Errorf("--map %s: the file has no column %q%s", text, column, nearest(p.Columns, column))
	}
	p.Map(i, target)
	return nil
}

// onceEach returns an error if several columns have one name, and nobody has said what to do with them: they would be left out.
func onceEach(all []suggestion, maps []string) error {
	for i, c := range all {
		if !c.Twice || c.Target == "" && slices.ContainsFunc(maps, func(m string) bool {
			name, _, _ := strings.Cut(m, "=")
			return strings.EqualFold(schema.ColumnName(name), c.Name)
		}) {
			continue
		}
		again := slices.IndexFunc(all[i+1:], func(o suggestion) bool { return o.Name == c.Name })
		if again >= 0 {
			return fmt.Errorf("the header names column %q twice, as number %d and %d: name one of them differently, or leave both out with --map %q", c.Name, c.Number+1, all[i+1+again].Number+1, c.Name+"=-")
		}
	}
	return nil
}

func columnIndex(all []suggestion, column string) int {
	column = schema.ColumnName(column)
	same := func(s suggestion) bool { return s.Name == column }
	if i := slices.IndexFunc(all, same); i >= 0 {
		return i
	}
	same = func(s suggestion) bool { return strings.EqualFold(s.Name, column) }
	return slices.IndexFunc(all, same)
}

// chooseKey returns the column that identifies a customer: the one asked for, else the one proposed.
func chooseKey(p *suggest.Proposal, asked string) (suggestion, error) {
	if asked != "" {
		if i := columnIndex(p.Columns, asked); i >= 0 {
			p.TakeKey(i)
			return p.Columns[i], nil
		}
		return suggestion{}, fmt.Errorf("--key %s: the file has no such column%s", asked, nearest(p.Columns, asked))
	}
	if p.Key < 0 {
		return suggestion{}, fmt.Errorf("no column looks like a customer's number, e-mail or phone: say with --key COLUMN which one identifies a customer")
	}
	return p.Columns[p.Key], nil
}

// nearest names the column whose name is most like another, if one is.
func nearest(all []suggestion, name string) string {
	best, least := "", 1+len(name)/3
	for _, c := range all {
		if d := distance(strings.ToLower(c.Name), strings.ToLower(name)); d < least {
			best, least = c.Name, d
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
