package profile

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"kith/objecttype"
	"kith/store"
)

// tiesKey is the row of a profile that has been merged with others. It sorts before the contributions, so that a reader knows the
// merges before it meets what they brought.
var tiesKey = []byte("a")

// mergeID names a merge: its time in microseconds (8 bytes, big-endian) and random bits (4).
type mergeID [12]byte

// at is the time of the merge.
func (m mergeID) at() int64 { return int64(binary.BigEndian.Uint64(m[:8])) }

// MarshalText implements encoding.TextMarshaler.
func (m mergeID) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, m[:]), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (m *mergeID) UnmarshalText(b []byte) error {
	if len(b) != 2*len(m) {
		return fmt.Errorf("a merge id of %d characters", len(b))
	}
	_, err := hex.Decode(m[:], b)
	return err
}

// ties is how a profile hangs together with others: the row tiesKey.
type ties struct {
	// Into is where the profile has gone; it is a profile no more.
	Into *passage `json:",omitzero"`
	// Of are the merges by which others have come into it, in the order of their times.
	Of []merged `json:",omitzero"`
}

// passage is the way of a profile that was merged into another.
type passage struct {
	Merge mergeID
	Main  ID
	// Open says that only the merge's record tells whether it happened.
	Open bool   `json:",omitzero"`
	By   string `json:",omitzero"` // who asked for it
}

// merged is a merge as the profile that others came into knows it.
type merged struct {
	Merge mergeID
	Open  bool   `json:",omitzero"` // as in passage
	By    string `json:",omitzero"`
	From  []branch
	// Fields are the profiles whose value the caller chose, by field: a name of FieldSourceProfileIds, with "Attributes." before
	// that of a custom attribute.
	Fields map[string]ID `json:",omitzero"`
}

// branch is a profile that has come into another, with what had come into it before.
type branch struct {
	ID ID
	Of []merged `json:",omitzero"`
}

// MarshalText implements encoding.TextMarshaler.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (id *ID) UnmarshalText(b []byte) error {
	var ok bool
	if *id, ok = ParseID(string(b)); !ok {
		return fmt.Errorf("%q is no profile id", b)
	}
	return nil
}

func decodeTies(b []byte) (*ties, error) {
	t := &ties{}
	if err := json.Unmarshal(b, t); err != nil {
		return nil, fmt.Errorf("row of merges: %w", err)
	}
	return t, nil
}

func (t *ties) encode() ([]byte, error) { return json.Marshal(t, json.Deterministic(true)) }

// empty says that the row says nothing.
func (t *ties) empty() bool { return t.Into == nil && len(t.Of) == 0 }

// settle drops what undecided merges have noted, and believes what decided ones have.
func (t *ties) settle(done func(mergeID) (bool, error)) error {
	if t.Into != nil && t.Into.Open {
		ok, err := done(t.Into.Merge)
		if err != nil {
			return err
		}
		if !ok {
			t.Into = nil
		}
	}
	var err error
	t.Of = slices.DeleteFunc(t.Of, func(m merged) bool {
		if !m.Open || err != nil {
			return false
		}
		var ok bool
		ok, err = done(m.Merge)
		return !ok
	})
	return err
}

// A contribution that a merge brought has the source: 'g', merge id (12), number of the merged profile (1), and the source it had
// there, which may again be of that form.
const (
	pathByte = 'g'
	pathSize = 1 + 12 + 1
)

// path is the beginning of the sources that the i-th profile of a merge brings.
func (m mergeID) path(i int) string { return string(pathByte) + string(m[:]) + string([]byte{byte(i)}) }

// splitSource cuts a source into the path by which it came, "" for a profile's own, and the source it had at first.
func splitSource(source string) (path, first string) {
	n := 0
	for len(source) >= n+pathSize && source[n] == pathByte {
		n += pathSize
	}
	return source[:n], source[n:]
}

// knows says whether a source is the profile's own or came by one of its merges.
func (t *ties) knows(source string) bool {
	path, _ := splitSource(source)
	if path == "" {
		return true
	}
	if t == nil {
		return false
	}
	of := t.Of
	for ; path != ""; path = path[pathSize:] {
		i := slices.IndexFunc(of, func(m merged) bool { return string(m.Merge[:]) == path[1:pathSize-1] })
		if i < 0 || int(path[pathSize-1]) >= len(of[i].From) {
			return false
		}
		of = of[i].From[path[pathSize-1]].Of
	}
	return true
}

// eachBranch calls do for every path by which contributions come, the profile's own first, with the merges on it.
func (t *ties) eachBranch(do func(path string, of []merged)) {
	var walk func(string, []merged)
	walk = func(path string, of []merged) {
		do(path, of)
		for _, m := range of {
			for i, b := range m.From {
				walk(path+m.Merge.path(i), b.Of)
			}
		}
	}
	if t == nil {
		walk("", nil)
		return
	}
	walk("", t.Of)
}

// foldAll is fold for a profile that others may have come into.
func foldAll(id ID, parts []sourced, t *ties) *Profile {
	if t == nil || len(t.Of) == 0 {
		return fold(id, parts)
	}
	p := &Profile{ID: id}
	p.gather(parts)
	p.Values = valuesOf(p.foldPath(id, parts, "", t.Of))
	return p
}

// valuesOf returns the values of a state in order, without blanks.
func valuesOf(state map[objecttype.Attr]entry) (values []Value) {
	for _, e := range state {
		if !e.Blank {
			values = append(values, e.Value)
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

// foldPath folds what came by a path. Its own values are replayed in order; each merge comes in at its time and adds what the
// others had (spec/core.md 5.5). So a merge decides anew whenever something of the past is taken back.
func (p *Profile) foldPath(id ID, parts []sourced, path string, of []merged) map[objecttype.Attr]entry {
	var own []entry
	for _, part := range parts {
		if by, _ := splitSource(part.source); by != path {
			continue
		}
		for _, v := range part.Values {
			own = append(own, entry{v, part.Kind, part.source})
		}
	}
	slices.SortStableFunc(own, inTime)
	state := map[objecttype.Attr]entry{}
	replay := func(until int64) {
		for len(own) > 0 && own[0].Stamp.Time <= until {
			if cur, ok := state[own[0].Attr]; !ok || replaces(own[0], cur) {
				state[own[0].Attr] = own[0]
			}
			own = own[1:]
		}
	}
	for _, m := range of {
		replay(m.Merge.at())
		p.Branches = append(p.Branches, valuesOf(state))
		holders := []map[objecttype.Attr]entry{state}
		for i, b := range m.From {
			h := p.foldPath(b.ID, parts, path+m.Merge.path(i), b.Of)
			holders = append(holders, h)
			p.Branches = append(p.Branches, valuesOf(h))
		}
		state = m.combine(id, holders)
	}
	replay(int64(1)<<62 - 1)
	return state
}

// combine returns what a profile has after a merge; holders are what it and the others had.
func (m *merged) combine(main ID, holders []map[objecttype.Attr]entry) map[objecttype.Attr]entry {
	byField := map[string][]objecttype.Attr{}
	for _, h := range holders {
		for a := range h {
			if f := fieldOf(a); !slices.Contains(byField[f], a) {
				byField[f] = append(byField[f], a)
			}
		}
	}
	out := map[objecttype.Attr]entry{}
	for field, attrs := range byField {
		has := func(h map[objecttype.Attr]entry) bool {
			return slices.ContainsFunc(attrs, func(a objecttype.Attr) bool { e, ok := h[a]; return ok && !e.Blank })
		}
		from := max(0, slices.IndexFunc(holders, has)) // nobody has it: blanks set by hand stay
		chosen, ok := m.Fields[field]
		if ok {
			from = 0
			if chosen != main {
				from = 1 + slices.IndexFunc(m.From, func(b branch) bool { return b.ID == chosen })
			}
		}
		for _, a := range attrs {
			if e, has := holders[from][a]; has {
				out[a] = e
			} else if ok { // the caller wants it empty
				out[a] = entry{Value: Value{Attr: a, Blank: true, Stamp: Stamp{Time: m.Merge.at()}}, kind: Manual}
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

// newest is the latest time in a profile.
func newest(parts []sourced, t *ties) (at int64) {
	for _, part := range parts {
		at = max(at, part.Stamp.Time)
		for _, v := range part.Values {
			at = max(at, v.Stamp.Time)
		}
	}
	t.eachBranch(func(_ string, of []merged) {
		for _, m := range of {
			at = max(at, m.Merge.at())
		}
	})
	return at
}

// tiesOf reads the row of merges of a profile as it is, with its version; it is nil with version 0 when there is none.
func tiesOf(ctx context.Context, st store.Store, inc store.Incarnation, id ID) (*ties, uint64, error) {
	row, err := st.Get(ctx, Partition(inc, id), tiesKey)
	if errors.Is(err, store.ErrNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	t, err := decodeTies(row.Value)
	return t, row.Version, err
}
