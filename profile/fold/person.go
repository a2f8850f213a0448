package fold

import (
	"slices"
	"strings"

	"kith/objecttype"
)

// Part is a contribution with where it comes from.
type Part struct {
	Source string
	*Contribution
}

// Member is what is visible of the rows of one profile, and of the profiles that were merged into it.
type Member struct {
	ID ID
	// State holds only links that are believed, closed; nil: there are none.
	State *State
	// Parts are the contributions of imports.
	Parts []Part
	// Head is what API writes say; nil: nothing.
	Head *Head
	// Of are the members that State.Merges name, by their ids. One that has gone is missing.
	Of map[ID]*Member
}

// Visible says whether the member has anything to show by itself: it was not deleted, and something in it or below it has not expired.
func (m *Member) Visible() bool {
	if m.State != nil && m.State.Deleted != nil {
		return false
	}
	if len(m.Parts) > 0 || m.Head != nil && m.Head.Expires != 0 {
		return true
	}
	visible := false
	m.eachMember(func(of *Member) { visible = visible || of.Visible() })
	return visible
}

// Profile returns the fold of a person whose main profile m is, or nil when nothing of it is visible.
func (m *Member) Profile() *Profile {
	if !m.Visible() {
		return nil
	}
	p := &Profile{ID: m.ID}
	p.gather(m)
	if m.State != nil && len(m.State.Merges) > 0 {
		p.Values = valuesOf(p.replay(m, EndOfTime))
		return p
	}
	if m.Head == nil && len(m.Parts) == 1 && !slices.ContainsFunc(m.Parts[0].Values, func(v Value) bool { return v.Blank || v.Expires != 0 }) {
		p.Values = m.Parts[0].Values
		return p
	}
	f := folding{}
	n := 0
	for _, part := range m.Parts {
		f.rest = append(f.rest, part.Values)
		n = max(n, len(part.Values))
	}
	if m.Head != nil {
		f.rest = append(f.rest, m.Head.Values)
		n = max(n, len(m.Head.Values))
	}
	p.Values = f.fold(make([]Value, 0, n))
	return p
}

// gather takes over what a profile has of its members besides their values.
func (p *Profile) gather(m *Member) {
	for _, part := range m.Parts {
		p.Expires = max(p.Expires, part.Expires)
		p.Private = append(p.Private, part.Private...)
	}
	if m.Head != nil {
		p.Expires = max(p.Expires, m.Head.Expires)
	}
	m.eachMember(func(of *Member) { p.gather(of) })
}

// eachMember calls do for the members directly below m, in the order of their merges.
func (m *Member) eachMember(do func(*Member)) {
	if m.State == nil {
		return
	}
	for _, g := range m.State.Merges {
		for _, id := range g.From {
			if of := m.Of[id]; of != nil {
				do(of)
			}
		}
	}
}

// Walk calls do for m and all members below it, each before those that were merged into it.
func (m *Member) Walk(do func(*Member)) {
	do(m)
	m.eachMember(func(of *Member) { of.Walk(do) })
}

// EndOfTime is later than everything.
const EndOfTime = int64(1)<<62 - 1

// Levels is how many levels of merges are below m.
func (m *Member) Levels() (n int) {
	m.eachMember(func(of *Member) { n = max(n, 1+of.Levels()) })
	return n
}

// appendBetween appends the values that m got after a time and until another, its own and those that members got after their merges.
func (m *Member) appendBetween(dst []Value, after, until int64) []Value {
	add := func(values []Value) {
		for _, v := range values {
			if v.Stamp.Time > after && v.Stamp.Time <= until {
				dst = append(dst, v)
			}
		}
	}
	for _, part := range m.Parts {
		add(part.Values)
	}
	if m.Head != nil {
		add(m.Head.Values)
	}
	if m.State == nil {
		return dst
	}
	for _, g := range m.State.Merges {
		for _, id := range g.From {
			if of := m.Of[id]; of != nil && g.At < until {
				dst = of.appendBetween(dst, max(after, g.At), until)
			}
		}
	}
	return dst
}

// state is the present value of each attribute while a fold is on its way.
type state map[objecttype.Attr]Value

// replay folds a person as of a time. Each merge comes in at its time and adds what the others had then (spec/core.md 5.5); what they
// get later is replayed in the order of the main profile.
func (p *Profile) replay(m *Member, until int64) state {
	values := m.appendBetween(nil, 0, until)
	slices.SortStableFunc(values, inTime)
	now := state{}
	play := func(until int64) {
		for len(values) > 0 && values[0].Stamp.Time <= until {
			if cur, ok := now[values[0].Attr]; !ok || replaces(values[0], cur) {
				now[values[0].Attr] = values[0]
			}
			values = values[1:]
		}
	}
	for _, g := range m.merges() {
		if g.At > until {
			break
		}
		play(g.At)
		p.Branches = append(p.Branches, valuesOf(now))
		holders := []state{now}
		for _, id := range g.From {
			had := state{}
			if of := m.Of[id]; of != nil {
				had = p.replay(of, g.At)
				p.Branches = append(p.Branches, valuesOf(had))
			}
			holders = append(holders, had)
		}
		now = g.combine(m.ID, holders)
	}
	play(until)
	return now
}

func (m *Member) merges() []Merge {
	if m.State == nil {
		return nil
	}
	return m.State.Merges
}

// valuesOf returns the values of a state in order, without blanks.
func valuesOf(s state) (values []Value) {
	for _, v := range s {
		if !v.Blank {
			values = append(values, v)
		}
	}
	slices.SortFunc(values, func(a, b Value) int {
		if a.Attr.Less(b.Attr) {
			return -1
		}
		return 1
	})
	return values
}

// combine returns what a profile has after a merge; holders are what it and the others had, in the order of From.
func (g *Merge) combine(main ID, holders []state) state {
	byField := map[string][]objecttype.Attr{}
	for _, h := range holders {
		for a := range h {
			if f := fieldOf(a); !slices.Contains(byField[f], a) {
				byField[f] = append(byField[f], a)
			}
		}
	}
	out := state{}
	for field, attrs := range byField {
		has := func(h state) bool {
			return slices.ContainsFunc(attrs, func(a objecttype.Attr) bool { v, ok := h[a]; return ok && !v.Blank })
		}
		from := max(0, slices.IndexFunc(holders, has)) // nobody has it: blanks set by hand stay
		chosen, ok := g.Fields[field]
		if ok {
			from = 0
			if chosen != main {
				from = 1 + slices.Index(g.From, chosen)
			}
		}
		for _, a := range attrs {
			if v, has := holders[from][a]; has {
				out[a] = v
			} else if ok { // the caller wants it empty
				out[a] = Value{Attr: a, Kind: Manual, Blank: true, Stamp: Stamp{Time: g.At}}
			}
		}
	}
	return out
}

// fieldOf returns the field of FieldSourceProfileIds that decides about an attribute: addresses are taken as whole blocks, and the
// free forms of the party type and the gender go with them.
func fieldOf(a objecttype.Attr) string {
	if base, _ := a.AddressPart(); base != 0 {
		block, _, _ := strings.Cut(a.Path(), ".")
		return block
	}
	switch a.ID {
	case objecttype.PartyTypeString:
		a.ID = objecttype.PartyType
	case objecttype.GenderString:
		a.ID = objecttype.Gender
	}
	return a.Path()
}

// Newest is the latest time in a person: of its values, heads and merges.
func (m *Member) Newest() (at int64) {
	m.Walk(func(of *Member) {
		for _, part := range of.Parts {
			at = max(at, part.Stamp.Time)
			for _, v := range part.Values {
				at = max(at, v.Stamp.Time)
			}
		}
		if of.Head != nil {
			at = max(at, of.Head.Time)
		}
		for _, g := range of.merges() {
			at = max(at, g.At)
		}
	})
	return at
}

// WriteTime is the time of an API write: later than everything in the profile and than the job that holds the domain's turn,
// so that no edit is lost silently to an import that decided before it.
func WriteTime(now, newestInProfile, turnTime int64) int64 {
	return max(now, newestInProfile+1, turnTime+1)
}
