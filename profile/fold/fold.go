package fold

import (
	"cmp"
	"slices"

	"kith/schema"
)

// Profile is the fold of a person: what callers see.
type Profile struct {
	ID     ID
	Values []Value // the winners, in the order of schema.Attr.Less, no blanks
	// Branches are the values that the profiles of its merges had then, its own too: what was a key of one of them is a key of it.
	Branches [][]Value
	// Private are the keys that no attribute holds.
	Private []Key
	// Objects are how many objects it has, and Bytes how many bytes of JSON these are.
	Objects int
	Bytes   int64
	// Expires is when the last visible part expires, in microseconds, and Changes when the first one does, or a value: until then the
	// profile shows what it shows, unless it is written to.
	Expires, Changes int64
}

// until notes that something of a profile expires; 0 is nothing.
func (p *Profile) until(at int64) {
	if at != 0 && (p.Changes == 0 || at < p.Changes) {
		p.Changes = at
	}
}

// PrivatePrefix begins the names of keys that only upload jobs fill and match: a unique key without a Target.
const PrivatePrefix = "upload:"

// leftFold replays values that come in the order of their attributes from several lists. Its memory may be used again.
type leftFold struct {
	rest   [][]Value
	rivals []Value
}

// fold appends the winners of several lists, each in the order of schema.Attr.Less. It works attribute by attribute.
func (f *leftFold) fold(dst []Value) []Value {
	for {
		var next *schema.Attr
		for _, values := range f.rest {
			if len(values) > 0 && (next == nil || values[0].Attr.Less(*next)) {
				next = &values[0].Attr
			}
		}
		if next == nil {
			return dst
		}
		attr := *next
		f.rivals = f.rivals[:0]
		for i := range f.rest {
			for len(f.rest[i]) > 0 && f.rest[i][0].Attr == attr {
				f.rivals = append(f.rivals, f.rest[i][0])
				f.rest[i] = f.rest[i][1:]
			}
		}
		if winner := contest(f.rivals); !winner.Blank {
			dst = append(dst, winner)
		}
	}
}

// inTime is the order of the fold. Equal are only values of different members of a person.
func inTime(a, b Value) int {
	return cmp.Or(cmp.Compare(a.Stamp.Time, b.Stamp.Time), cmp.Compare(a.Stamp.Row, b.Stamp.Row), cmp.Compare(a.Kind, b.Kind))
}

// contest folds the values of one attribute. It sorts them.
func contest(rivals []Value) Value {
	if len(rivals) > 1 {
		slices.SortStableFunc(rivals, inTime)
	}
	winner := rivals[0]
	for _, r := range rivals[1:] {
		if replaces(r, winner) {
			winner = r
		}
	}
	return winner
}

// Fold returns what values show, which are in any order: of each attribute the winner, as for objects of one profile, no blanks.
func Fold(values []Value) []Value {
	slices.SortStableFunc(values, byAttr)
	return (&leftFold{rest: [][]Value{values}}).fold(nil)
}

// replaces says whether a value written later replaces the present one (docs/spec/core.md 4.5, and for imports 1.8: an operator
// ran it on purpose, so it replaces manual and unprioritised values, but it protects nothing afterwards).
func replaces(in, cur Value) bool {
	switch in.Kind {
	case Manual:
		return true
	case Import:
		return cur.Stamp.Priority == 0
	}
	switch cur.Kind {
	case Manual:
		return in.Stamp.Priority > 0
	case Import:
		return true
	}
	if in.Stamp.Priority != cur.Stamp.Priority {
		return in.Stamp.Priority > 0 && (cur.Stamp.Priority == 0 || in.Stamp.Priority < cur.Stamp.Priority)
	}
	return in.Stamp.sourceTime() >= cur.Stamp.sourceTime()
}

// sourceTime is the time the source claims, or the write time when it claims none.
func (s Stamp) sourceTime() int64 {
	if s.SourceTime != 0 {
		return s.SourceTime
	}
	return s.Time
}

// Get returns the value of an attribute, or "".
func (p *Profile) Get(a schema.Attr) string { return find(p.Values, a) }

func find(values []Value, a schema.Attr) string {
	for i := range values {
		if values[i].Attr == a {
			return values[i].Text
		}
	}
	return ""
}
