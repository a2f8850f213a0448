package store

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// RowKind is how the rows of a family are written.
type RowKind string

// The kinds of rows.
const (
	WriteRows RowKind = "Write"
	SwapRows  RowKind = "Swap"
)

// Family is one kind of rows that a package keeps. Each package lists its own beside its keys; node.Families is all of them, and
// docs/rows.md their table. A row belongs to exactly one family.
type Family struct {
	// Name says what a row is, for people: in the table of rows, and where damage is told.
	Name string
	Table
	// Partition and Key are the shapes of the two keys.
	Partition, Key Pattern
	// Value says what a row holds.
	Value string
	Kind  RowKind
	// Writers says who writes the rows.
	Writers string
}

// Has says that a row belongs to the family.
func (f Family) Has(p Partition, key []byte) bool {
	return f.Table == p.Table && f.Partition.Match([]byte(p.Key)) && f.Key.Match(key)
}

// FamilyOf returns the family of a row, or nil. Two that both have it are an error in the list: the first one is returned.
func FamilyOf(all []Family, p Partition, key []byte) *Family {
	for i := range all {
		if all[i].Has(p, key) {
			return &all[i]
		}
	}
	return nil
}

// Pattern is the shape of a key: literal text with named parts in braces. {name} is any bytes up to the literal behind it, {name:8}
// exactly 8 bytes.
type Pattern string

// Match says that a key has the shape.
func (p Pattern) Match(key []byte) bool {
	text := string(p)
	open := strings.IndexByte(text, '{')
	if open < 0 {
		return string(key) == text
	}
	literal, rest := text[:open], text[open+1:]
	if !bytes.HasPrefix(key, []byte(literal)) {
		return false
	}
	key = key[len(literal):]
	name, rest, _ := strings.Cut(rest, "}")
	_, size, fixed := strings.Cut(name, ":")
	if fixed {
		n, err := strconv.Atoi(size)
		return err == nil && len(key) >= n && Pattern(rest).Match(key[n:])
	}
	if rest == "" {
		return true
	}
	for n := range len(key) + 1 {
		if Pattern(rest).Match(key[n:]) {
			return true
		}
	}
	return false
}

// String returns the pattern for people, unprintable bytes as \x01.
func (p Pattern) String() string {
	quoted := strconv.Quote(string(p))
	return quoted[1 : len(quoted)-1]
}

// FamilyTable returns families as a table in Markdown.
func FamilyTable(all []Family) string {
	var b strings.Builder
	b.WriteString("| table | rows | partition | row key | value | kind | written by |\n|---|---|---|---|---|---|---|\n")
	code := func(p Pattern) string {
		if p == "" {
			return "(empty)"
		}
		return "`" + strings.ReplaceAll(p.String(), "|", `\|`) + "`"
	}
	for _, f := range all {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s |\n", f.Table, f.Name, code(f.Partition), code(f.Key), f.Value, f.Kind, f.Writers)
	}
	return b.String()
}
