package fold

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"kith/schema"
)

func say(kind Kind, time int64, text string, change ...func(*Value)) Value {
	v := Value{Attr: first, Kind: kind, Text: text, Stamp: Stamp{Time: time}}
	for _, c := range change {
		c(&v)
	}
	return v
}

func priority(n int64) func(*Value)   { return func(v *Value) { v.Stamp.Priority = n } }
func sourceTime(n int64) func(*Value) { return func(v *Value) { v.Stamp.SourceTime = n } }
func row(n int64) func(*Value)        { return func(v *Value) { v.Stamp.Row = n } }
func blank(v *Value)                  { v.Blank = true }

// member returns a profile that has values: each import one of its own, the others in the head.
func member(id ID, values ...Value) *Member {
	m := &Member{ID: id, State: &State{}, Of: map[ID]*Member{}}
	for i, v := range values {
		if v.Kind == Import {
			m.Parts = append(m.Parts, Part{Source: fmt.Sprint(i), Contribution: &Contribution{Expires: 100, Stamp: v.Stamp, Values: []Value{v}}})
			continue
		}
		if m.Head == nil {
			m.Head = &Head{Expires: 100}
		}
		m.Head.Values = append(m.Head.Values, v)
	}
	if m.Head != nil {
		slices.SortStableFunc(m.Head.Values, byAttr)
	}
	return m
}

// mergeAt makes others members of m at a time.
func (m *Member) mergeAt(at int64, fields map[string]ID, of ...*Member) *Member {
	g := Merge{ID: NewMergeID(at, 1), At: at, Fields: fields}
	for _, o := range of {
		g.From = append(g.From, o.ID)
		m.Of[o.ID] = o
	}
	m.State.Merges = append(m.State.Merges, g)
	return m
}

// TestFold is the table of docs/spec/core.md 4.5, and what imports do beside it.
func TestFold(t *testing.T) {
	for name, c := range map[string]struct {
		values []Value
		want   string
	}{
		"newest import":                    {[]Value{say(Import, 1, "a"), say(Import, 2, "b")}, "b"},
		"later row of one import":          {[]Value{say(Import, 1, "a", row(9)), say(Import, 1, "b", row(3))}, "a"},
		"import replaces manual":           {[]Value{say(Manual, 1, "m"), say(Import, 2, "i")}, "i"},
		"manual after import":              {[]Value{say(Import, 1, "i"), say(Manual, 2, "m")}, "m"},
		"object leaves manual":             {[]Value{say(Manual, 1, "m"), say(Object, 2, "o")}, "m"},
		"object with priority over manual": {[]Value{say(Manual, 1, "m"), say(Object, 2, "o", priority(9))}, "o"},
		"manual over priority":             {[]Value{say(Object, 1, "o", priority(1)), say(Manual, 2, "m")}, "m"},
		"stronger priority":                {[]Value{say(Object, 1, "a", priority(2)), say(Object, 2, "b", priority(1))}, "b"},
		"weaker priority":                  {[]Value{say(Object, 1, "a", priority(1)), say(Object, 2, "b", priority(2))}, "a"},
		"none is weakest":                  {[]Value{say(Object, 1, "a", priority(5)), say(Object, 2, "b")}, "a"},
		"import leaves priority":           {[]Value{say(Object, 1, "o", priority(3)), say(Import, 2, "i")}, "o"},
		"import protects nothing":          {[]Value{say(Import, 5, "i"), say(Object, 6, "o", sourceTime(1))}, "o"},
		"older source time":                {[]Value{say(Object, 1, "a", sourceTime(50)), say(Object, 2, "b", sourceTime(40))}, "a"},
		"same source time, last write":     {[]Value{say(Object, 1, "a", sourceTime(50)), say(Object, 2, "b", sourceTime(50))}, "b"},
		"manual then import then object":   {[]Value{say(Manual, 1, "m"), say(Import, 2, "i"), say(Object, 3, "o")}, "o"},
		"a blank masks":                    {[]Value{say(Import, 1, "i"), say(Manual, 2, "", blank)}, ""},
		"an import fills a blank":          {[]Value{say(Manual, 1, "", blank), say(Import, 2, "i")}, "i"},
		"an object does not":               {[]Value{say(Manual, 1, "", blank), say(Object, 2, "o")}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			for range 10 { // the order in which parts are read must not matter
				rand.Shuffle(len(c.values), func(i, j int) { c.values[i], c.values[j] = c.values[j], c.values[i] })
				m := member(ID{}, c.values...)
				if got := m.Profile().Get(first); got != c.want {
					t.Fatalf("%q, want %q", got, c.want)
				}
				if got := m.mergeAt(50, nil).Profile().Get(first); got != c.want {
					t.Fatalf("by replaying %q, want %q", got, c.want)
				}
			}
		})
	}
}

// TestFoldOfMerges is docs/spec/core.md 5.5, and that a merge stands at its time among what is written.
func TestFoldOfMerges(t *testing.T) {
	main, other, third, fourth := ID{1}, ID{2}, ID{3}, ID{4}
	chosen := func(id ID) map[string]ID { return map[string]ID{"FirstName": id} }
	v := func(values ...Value) []Value { return values }
	for name, c := range map[string]struct {
		main, other, third, fourth []Value
		fields                     map[string]ID
		want                       string
	}{
		"main wins whatever is newer":             {main: v(say(Import, 1, "a")), other: v(say(Import, 2, "b")), want: "a"},
		"the first that has it":                   {other: v(say(Import, 2, "a")), third: v(say(Import, 1, "b")), want: "a"},
		"a member of a member":                    {fourth: v(say(Import, 1, "n")), want: "n"},
		"its main before it":                      {fourth: v(say(Import, 1, "n")), third: v(say(Import, 2, "b")), want: "b"},
		"what is written later counts":            {main: v(say(Import, 1, "a"), say(Import, 11, "c")), other: v(say(Import, 2, "b")), want: "c"},
		"what a member gets later counts":         {main: v(say(Import, 1, "a")), other: v(say(Import, 11, "b")), want: "b"},
		"what a member's member gets later":       {main: v(say(Import, 1, "a")), fourth: v(say(Import, 11, "b")), want: "b"},
		"later, but before the main's own":        {main: v(say(Manual, 12, "a")), other: v(say(Import, 11, "b")), want: "a"},
		"what was written before lost":            {main: v(say(Import, 2, "a")), other: v(say(Object, 1, "b", priority(1))), want: "a"},
		"a priority stays with its value":         {main: v(say(Import, 11, "c")), other: v(say(Object, 1, "b", priority(1))), want: "b"},
		"the caller's choice":                     {main: v(say(Import, 1, "a")), other: v(say(Import, 2, "b")), fields: chosen(other), want: "b"},
		"the caller's choice of the main":         {other: v(say(Import, 2, "b")), fields: chosen(main)},
		"the caller's choice of nothing":          {main: v(say(Import, 1, "a")), fields: chosen(other)},
		"nothing that was chosen masks":           {main: v(say(Import, 1, "a"), say(Object, 11, "o")), fields: chosen(other)},
		"an import writes over it":                {main: v(say(Import, 1, "a"), say(Import, 11, "i")), fields: chosen(other), want: "i"},
		"a blank by hand is no value":             {main: v(say(Manual, 1, "", blank)), other: v(say(Import, 2, "b")), want: "b"},
		"a blank by hand stays if nobody has one": {main: v(say(Manual, 1, "", blank), say(Object, 11, "o"))},
	} {
		t.Run(name, func(t *testing.T) {
			m := member(main, c.main...).mergeAt(10, c.fields, member(other, c.other...), member(third, c.third...).mergeAt(5, nil, member(fourth, c.fourth...)))
			if got := m.Profile().Get(first); got != c.want {
				t.Fatalf("%q, want %q", got, c.want)
			}
			if m.Levels() != 2 {
				t.Error("levels of merges")
			}
		})
	}
}

// An address is taken as a block, and what was a key of one of the profiles of a merge stays one.
func TestMergesTakeBlocks(t *testing.T) {
	at := func(a schema.Attr, text string) Value { return say(Import, 1, text, func(v *Value) { v.Attr = a }) }
	city, state := schema.Attr{ID: schema.BillingAddress + 4}, schema.Attr{ID: schema.BillingAddress + 6}
	m := member(ID{1}, at(city, "Rome")).mergeAt(10, nil, member(ID{2}, at(city, "Bonn"), at(state, "NRW"), at(tier, "gold")))
	p := m.Profile()
	if p.Get(city) != "Rome" || p.Get(state) != "" || p.Get(tier) != "gold" {
		t.Errorf("%+v", p.Values)
	}
	if len(p.Branches) != 2 || find(p.Branches[0], city) != "Rome" || find(p.Branches[1], city) != "Bonn" || len(p.Branches[1]) != 3 {
		t.Errorf("%+v", p.Branches)
	}
	m.State.Merges[0].Fields = map[string]ID{"BillingAddress": {2}}
	if p = m.Profile(); p.Get(city) != "Bonn" || p.Get(state) != "NRW" {
		t.Errorf("%+v", p.Values)
	}
	m.Of = map[ID]*Member{} // it has gone
	if p = m.Profile(); p.Get(city) != "" {
		t.Errorf("what was chosen is empty now: %+v", p.Values)
	}
}

// Taking a merge back gives everybody exactly what they had, whatever was merged.
func TestUnmergeGivesBackWhatEachHad(t *testing.T) {
	for seed := range uint64(300) {
		h := newHistory(seed)
		for range 10 {
			h.now += h.rng.Int64N(9*second) + 10
			h.write()
			h.imports()
		}
		shown := func() (all []string) {
			for _, p := range h.profiles {
				all = append(all, show(h.member(p, h.now, false).Profile()))
			}
			return all
		}
		before := shown()
		for range 4 {
			h.merge()
		}
		for range 200 {
			h.unmerge()
		}
		if after := shown(); !slices.Equal(before, after) {
			t.Fatalf("seed %d:\n%v\n%v", seed, before, after)
		}
	}
}

func TestVisible(t *testing.T) {
	part := say(Import, 1, "a")
	deleted := member(ID{3}, part)
	deleted.State.Deleted = &Deletion{}
	for name, c := range map[string]struct {
		m    *Member
		want bool
	}{
		"nothing":                      {member(ID{1}), false},
		"a fence":                      {&Member{Head: &Head{Time: 5}}, false},
		"an empty head":                {&Member{Head: &Head{Expires: 5}}, true},
		"an import":                    {member(ID{1}, part), true},
		"deleted":                      {deleted, false},
		"a member":                     {member(ID{1}).mergeAt(5, nil, member(ID{2}, part)), true},
		"a member with nothing":        {member(ID{1}).mergeAt(5, nil, member(ID{2})), false},
		"a member that no merge names": {&Member{Of: map[ID]*Member{{2}: member(ID{2}, part)}}, false},
	} {
		if got := c.m.Visible(); got != c.want || (c.m.Profile() != nil) != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
	m := member(ID{1}, say(Manual, 7, "m")).mergeAt(30, nil, member(ID{2}, part, say(Import, 20, "b")))
	m.Head.Time = 9
	m.Parts = append(m.Parts, Part{Source: "p", Contribution: &Contribution{Expires: 200, Private: []Key{{"upload:x", "1"}}}})
	if m.Newest() != 30 || m.Profile().Expires != 200 || len(m.Profile().Private) != 1 {
		t.Errorf("%d, %+v", m.Newest(), m.Profile())
	}
	if b := m.Barriers(40, 5); !slices.Equal(b.Merges, []int64{30}) || !slices.Equal(b.Imports, []int64{5, 0, 1, 20}) || b.Now != 40 {
		t.Errorf("%+v", b)
	}
}

func TestStateSurvivesItsEncoding(t *testing.T) {
	full := &State{
		Deleted: &Deletion{At: 7, By: "someone"},
		Into:    &Link{Merge: NewMergeID(3, 9), Main: ID{9}, Open: Ending, At: 4, By: "me"},
		Merges: []Merge{
			{ID: NewMergeID(1, 2), At: 2, From: []ID{{1}, {2}}, Fields: map[string]ID{"Attributes.ü": {4}, "FirstName": {5}}},
			{ID: NewMergeID(5, 0), Open: Making, By: "x", From: []ID{{3}}},
		},
	}
	for _, s := range []*State{{}, full, {Into: full.Into}, {Merges: full.Merges}, {Deleted: full.Deleted}} {
		b := s.Append([]byte("x"))
		b = b[1:]
		back, err := DecodeState(b)
		if err != nil || !reflect.DeepEqual(back, s) {
			t.Fatalf("%v: %+v, want %+v", err, back, s)
		}
		again := back.Append(nil)
		if !slices.Equal(again, b) {
			t.Fatal("the encoding of a map must not depend on its order")
		}
	}
	b := full.Append(nil)
	for n := range b {
		if _, err := DecodeState(b[:n]); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%d of %d bytes: %v", n, len(b), err)
		}
	}
	var m MergeID
	text, _ := full.Into.Merge.MarshalText()
	if err := m.UnmarshalText(text); err != nil || m != full.Into.Merge || m.Asked() != 3 {
		t.Errorf("%v, %v", m, err)
	}
	if m.UnmarshalText([]byte("00")) == nil || m.UnmarshalText([]byte("zz0000000000000000000000")) == nil {
		t.Error("a bad merge id was accepted")
	}
}

// What is accepted survives its encoding, and a peek at its links says the same.
func FuzzDecodeState(f *testing.F) {
	b := (&State{Deleted: &Deletion{At: 7}, Into: &Link{Main: ID{1}, Open: Making}, Merges: []Merge{{From: []ID{{1}}, Fields: map[string]ID{"x": {}}}}}).Append(nil)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := DecodeState(b)
		links, peekErr := PeekLinks(b)
		if (err == nil) != (peekErr == nil) {
			t.Fatalf("%v, and a peek %v", err, peekErr)
		}
		if err != nil {
			return
		}
		enc := s.Append(nil)
		again, err := DecodeState(enc)
		if err != nil {
			t.Fatal(err)
		}
		enc2 := again.Append(nil)
		if !slices.Equal(enc, enc2) {
			t.Fatalf("%+v and %+v", s, again)
		}
		want := Links{Deleted: s.Deleted != nil, Linked: s.Into != nil || len(s.Merges) > 0, Open: len(s.OpenMerges()) > 0}
		if s.Into != nil {
			want.Main = s.Into.Main
		}
		if links != want {
			t.Fatalf("%+v, want %+v", links, want)
		}
	})
}

func TestBelieve(t *testing.T) {
	making, ending, gone, closed := NewMergeID(1, 1), NewMergeID(2, 1), NewMergeID(3, 1), NewMergeID(4, 1)
	s := &State{Into: &Link{Merge: gone, Open: Making}, Merges: []Merge{{ID: closed, At: 50}, {ID: making, Open: Making}, {ID: gone, Open: Ending}, {ID: ending, Open: Ending, At: 10}}}
	c := s.Clone()
	if err := c.Believe(func(MergeID) (int64, bool, error) { return 0, false, errors.New("down") }); err == nil {
		t.Error("an error was passed over")
	}
	c = s.Clone()
	err := c.Believe(func(id MergeID) (int64, bool, error) {
		return map[MergeID]int64{making: 20, ending: 10}[id], id != gone, nil
	})
	if err != nil || c.Into != nil || len(c.OpenMerges()) > 0 {
		t.Fatalf("%v: %+v", err, c)
	}
	var times []int64
	if times = c.MergeTimes(nil); !slices.Equal(times, []int64{10, 20, 50}) {
		t.Errorf("merges by time: %v", times)
	}
	if len(s.Merges) != 4 || s.Into == nil || s.Into.Open != Making {
		t.Error("a clone must not share what it changes")
	}
	c.Reopen(closed)
	if open, ok := c.Linked(closed); !ok || open != Ending {
		t.Error("it was opened again")
	}
	c.Close(closed, 60)
	c.Unlink(making)
	if _, ok := c.Linked(making); ok || c.Empty() || !(&State{}).Empty() {
		t.Error("links")
	}
	into := &State{Into: &Link{Merge: making, Open: Making}}
	into.Close(making, 7)
	if open, ok := into.Linked(making); !ok || open != 0 || into.Into.At != 7 || !slices.Equal(into.MergeTimes(nil), []int64{7}) {
		t.Errorf("%+v", into.Into)
	}
	if into.Reopen(making); into.Into.Open != Ending {
		t.Error("it was opened again")
	}
	if into.Unlink(making); !into.Empty() || (*State)(nil).MergeTimes(nil) != nil {
		t.Error("it was unlinked")
	}
}

func TestFieldName(t *testing.T) {
	for attr, want := range map[schema.Attr]string{
		{ID: schema.GenderString}: "Gender", {ID: schema.PartyTypeString}: "PartyType", {ID: schema.Gender}: "Gender",
		{ID: schema.BillingAddress + 4}: "BillingAddress", {ID: schema.Address}: "Address", {Custom: "a.b"}: "Attributes.a.b",
	} {
		if got := FieldName(attr); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	all := NewAttrSet(schema.Attr{ID: schema.BillingAddress + 4}, schema.Attr{ID: schema.GenderString}, tier).WithFields()
	for attr, want := range map[schema.Attr]bool{{ID: schema.BillingAddress}: true, {ID: schema.Gender}: true, tier: true, first: false, {ID: schema.Address + 4}: false} {
		if all.Has(attr.ID, attr.Custom) != want {
			t.Errorf("%s", attr.Path())
		}
	}
}
