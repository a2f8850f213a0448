package fold

import (
	"slices"
	"strings"

	"kith/schema"
)

// Part is a contribution with where it comes from.
type Part struct {
	Source string
	// Repeats is the source of the contribution whose values these are; empty: its own. Who removes that one, stores this one with its values.
	Repeats string
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

// Memory is what folds are made in. It may be used again: then what the last fold returned is good no more.
type Memory struct {
	p        Profile
	values   []Value // slabs are cut from it
	branches [][]Value
	f        leftFold
}

// take returns an empty slice with room for n values.
func (mem *Memory) take(n int) []Value {
	if cap(mem.values)-len(mem.values) < n {
		mem.values = make([]Value, 0, max(2*cap(mem.values), 2*n)) // what was cut from the old one keeps it
	}
	at := len(mem.values)
	mem.values = mem.values[:at+n]
	return mem.values[at : at : at+n]
}

// Profile returns the fold of a person whose main profile m is, or nil when nothing of it is visible.
func (m *Member) Profile() *Profile { return m.ProfileIn(&Memory{}) }

// ProfileIn is Profile in memory that is used again.
func (m *Member) ProfileIn(mem *Memory) *Profile {
	if !m.Visible() {
		return nil
	}
	mem.values = mem.values[:0]
	p := &mem.p
	*p = Profile{ID: m.ID}
	p.gather(m)
	if len(m.merges()) > 0 {
		mem.branches = mem.branches[:0]
		p.Values = mem.replay(m, EndOfTime).values()
		p.Branches = mem.branches
		return p
	}
	if m.Head == nil && len(m.Parts) == 1 && !slices.ContainsFunc(m.Parts[0].Values, func(v Value) bool { return v.Blank || v.Expires != 0 }) {
		p.Values = m.Parts[0].Values
		return p
	}
	mem.f.rest = mem.f.rest[:0]
	n := 0
	for _, part := range m.Parts {
		mem.f.rest = append(mem.f.rest, part.Values)
		n = max(n, len(part.Values))
	}
	if m.Head != nil {
		mem.f.rest = append(mem.f.rest, m.Head.Values)
		n = max(n, len(m.Head.Values))
	}
	p.Values = mem.f.fold(mem.take(n))
	return p
}

// gather takes over what a profile has of its members besides their values.
func (p *Profile) gather(m *Member) {
	for _, part := range m.Parts {
		p.Expires = max(p.Expires, part.Expires)
		p.until(part.Expires)
		for i := range part.Values {
			p.until(part.Values[i].Expires)
		}
		p.Private = append(p.Private, part.Private...)
	}
	if m.Head != nil {
		p.Expires = max(p.Expires, m.Head.Expires)
		p.until(m.Head.Expires)
		for i := range m.Head.Values {
			p.until(m.Head.Values[i].Expires)
		}
		p.own(m.Head)
	}
	m.eachMember(func(of *Member) { p.gather(of) })
}

// own takes over how many objects a head lists.
func (p *Profile) own(h *Head) {
	n, b := h.Owned(h.asOf, nil)
	p.Objects, p.Bytes = p.Objects+n, p.Bytes+b
}

// Alone returns m without the profiles that were merged into it.
func (m *Member) Alone() *Member {
	a := *m
	a.State, a.Of = nil, nil
	return &a
}

// eachMember calls do for the members directly below m, in the order of their merges.
func (m *Member) eachMember(do func(*Member)) {
	for id := range m.State.Members() {
		if of := m.Of[id]; of != nil {
			do(of)
		}
	}
}

// FitsTogether says whether the links of a profile are there on both sides, as far as profiles at the other ends were read: of returns
// these, else nil. Profiles of merges are read one after another, and a merge that happens or is taken back meanwhile would show one in no
// person, or in two.
func (m *Member) FitsTogether(of func(ID) *Member) bool {
	if m.State == nil {
		return true
	}
	fits := func(id ID, merge MergeID) bool {
		other := of(id)
		if other == nil {
			return true
		}
		_, linked := other.State.Linked(merge)
		return linked
	}
	if into := m.State.Into; into != nil && !fits(into.Main, into.Merge) {
		return false
	}
	for _, g := range m.State.Merges {
		if slices.ContainsFunc(g.From, func(id ID) bool { return !fits(id, g.ID) }) {
			return false
		}
	}
	return true
}

// Walk calls do for m and all members below it, each before those that were merged into it.
func (m *Member) Walk(do func(*Member)) {
	do(m)
	m.eachMember(func(of *Member) { of.Walk(do) })
}

// Find returns m or the member below it that has an id, or nil.
func (m *Member) Find(id ID) (found *Member) {
	m.Walk(func(of *Member) {
		if of.ID == id {
			found = of
		}
	})
	return found
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

// state is the present value of each attribute while a fold is on its way, in the order of attributes. Blanks are values.
type state []Value

// replay folds a person as of a time. Each merge comes in at its time and adds what the others had then (docs/spec/core.md 5.5); what they
// get later is replayed in the order of the main profile.
func (mem *Memory) replay(m *Member, until int64) state {
	values := m.appendBetween(mem.take(m.count()), 0, until)
	if !slices.IsSortedFunc(values, byAttr) {
		slices.SortStableFunc(values, byAttr)
	}
	var now state
	from := int64(-1) << 62
	merges := m.merges()
	for i := range merges {
		g := &merges[i]
		if g.At > until {
			break
		}
		now = mem.play(now, values, from, g.At)
		from = g.At
		mem.branches = append(mem.branches, now.values())
		var few [4]state
		holders := append(few[:0], now)
		for _, id := range g.From {
			var had state
			if of := m.Of[id]; of != nil {
				had = mem.replay(of, g.At)
				mem.branches = append(mem.branches, had.values())
			}
			holders = append(holders, had)
		}
		now = mem.combine(g, m.ID, holders)
	}
	return mem.play(now, values, from, until)
}

// count is how many values a member and those below it have.
func (m *Member) count() (n int) {
	for i := range m.Parts {
		n += len(m.Parts[i].Values)
	}
	if m.Head != nil {
		n += len(m.Head.Values)
	}
	m.eachMember(func(of *Member) { n += of.count() })
	return n
}

// play returns the state after those of some values, which are by attribute and in time, that came after a time and until another.
func (mem *Memory) play(s state, values []Value, after, until int64) state {
	if !slices.ContainsFunc(values, func(v Value) bool { return v.Stamp.Time > after && v.Stamp.Time <= until }) {
		return s
	}
	out := state(mem.take(len(s) + len(values)))
	for len(values) > 0 {
		attr := values[0].Attr
		for len(s) > 0 && s[0].Attr.Less(attr) {
			out, s = append(out, s[0]), s[1:]
		}
		has := len(s) > 0 && s[0].Attr == attr
		if has {
			out, s = append(out, s[0]), s[1:]
		}
		for ; len(values) > 0 && values[0].Attr == attr; values = values[1:] {
			switch v := &values[0]; {
			case v.Stamp.Time <= after || v.Stamp.Time > until:
			case !has:
				out, has = append(out, *v), true
			case replaces(*v, out[len(out)-1]):
				out[len(out)-1] = *v
			}
		}
	}
	return append(out, s...)
}

// get returns the value of an attribute, or nil.
func (s state) get(a schema.Attr) *Value {
	for i := range s {
		if s[i].Attr == a {
			return &s[i]
		}
	}
	return nil
}

// values returns what a state shows: all but blanks.
func (s state) values() []Value {
	if !slices.ContainsFunc(s, func(v Value) bool { return v.Blank }) {
		return s
	}
	return slices.DeleteFunc(slices.Clone(s), func(v Value) bool { return v.Blank })
}

func (m *Member) merges() []Merge {
	if m.State == nil {
		return nil
	}
	return m.State.Merges
}

// combine returns what a profile has after a merge; holders are what it and the others had, in the order of From.
func (mem *Memory) combine(g *Merge, main ID, holders []state) state {
	n := 0
	for _, h := range holders {
		n += len(h)
	}
	all := append(mem.take(n), holders[0]...)
	for _, h := range holders[1:] {
		for i := range h {
			if at, ok := slices.BinarySearchFunc(all, h[i].Attr, func(v Value, a schema.Attr) int { return v.Attr.Compare(a) }); !ok {
				all = slices.Insert(all, at, Value{Attr: h[i].Attr})
			}
		}
	}
	out := all[:0]
	for i := range all {
		a := all[i].Attr
		from, chosen := g.decide(main, a, holders)
		if v := holders[from].get(a); v != nil {
			out = append(out, *v)
		} else if chosen { // the caller wants it empty
			out = append(out, Value{Attr: a, Kind: Manual, Blank: true, Stamp: Stamp{Time: g.At}})
		}
	}
	return out
}

// decide returns the number of the holder that an attribute is taken from, and whether the caller chose it.
func (g *Merge) decide(main ID, a schema.Attr, holders []state) (from int, chosen bool) {
	if len(g.Fields) > 0 {
		if id, ok := g.Fields[FieldName(a)]; ok {
			if id == main {
				return 0, true
			}
			return 1 + slices.Index(g.From, id), true
		}
	}
	field := fieldOf(a)
	for i, h := range holders { // the first that has any of the field
		for j := range h {
			if !h[j].Blank && (h[j].Attr == a || fieldOf(h[j].Attr) == field) {
				return i, false
			}
		}
	}
	return 0, false // nobody has it: blanks set by hand stay
}

// fieldOf returns the attribute that stands for what a merge decides about together: addresses and engagement preferences are taken as
// whole blocks, and the free forms of the party type and the gender go with them.
func fieldOf(a schema.Attr) schema.Attr {
	if base, _ := a.AddressPart(); base != 0 {
		a.ID = base
		return a
	}
	switch a.ID {
	case schema.PartyTypeString:
		a.ID = schema.PartyType
	case schema.GenderString:
		a.ID = schema.Gender
	case schema.EngagementEmail:
		a.ID = schema.EngagementPhone
	}
	return a
}

// FieldName returns the field of FieldSourceProfileIds that decides about an attribute.
func FieldName(a schema.Attr) string {
	a = fieldOf(a)
	if base, _ := a.AddressPart(); base != 0 || a.ID == schema.EngagementPhone {
		block, _, _ := strings.Cut(a.Path(), ".")
		return block
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
