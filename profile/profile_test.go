package profile

import (
	"bytes"
	"iter"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"kith/objecttype"
	"kith/store"
)

var (
	first = objecttype.Attr{ID: objecttype.FirstName}
	tier  = objecttype.Attr{Custom: "tier"}
)

func say(kind Kind, time int64, text string, change ...func(*Value)) sourced {
	v := Value{Attr: first, Text: text, Stamp: Stamp{Time: time}}
	for _, c := range change {
		c(&v)
	}
	return sourced{string(rune(kind)) + text, &Contribution{Kind: kind, Expires: 100, Values: []Value{v}}}
}

func priority(n int64) func(*Value)   { return func(v *Value) { v.Stamp.Priority = n } }
func sourceTime(n int64) func(*Value) { return func(v *Value) { v.Stamp.SourceTime = n } }
func row(n int64) func(*Value)        { return func(v *Value) { v.Stamp.Row = n } }
func blank(v *Value)                  { v.Blank = true }

// TestFold is the table of spec/core.md 4.5, and what design says of imports.
func TestFold(t *testing.T) {
	for name, c := range map[string]struct {
		parts []sourced
		want  string
	}{
		"newest import":                    {[]sourced{say(Import, 1, "a"), say(Import, 2, "b")}, "b"},
		"later row of one import":          {[]sourced{say(Import, 1, "a", row(9)), say(Import, 1, "b", row(3))}, "a"},
		"import replaces manual":           {[]sourced{say(Manual, 1, "m"), say(Import, 2, "i")}, "i"},
		"manual after import":              {[]sourced{say(Import, 1, "i"), say(Manual, 2, "m")}, "m"},
		"object leaves manual":             {[]sourced{say(Manual, 1, "m"), say(Object, 2, "o")}, "m"},
		"object with priority over manual": {[]sourced{say(Manual, 1, "m"), say(Object, 2, "o", priority(9))}, "o"},
		"manual over priority":             {[]sourced{say(Object, 1, "o", priority(1)), say(Manual, 2, "m")}, "m"},
		"stronger priority":                {[]sourced{say(Object, 1, "a", priority(2)), say(Object, 2, "b", priority(1))}, "b"},
		"weaker priority":                  {[]sourced{say(Object, 1, "a", priority(1)), say(Object, 2, "b", priority(2))}, "a"},
		"none is weakest":                  {[]sourced{say(Object, 1, "a", priority(5)), say(Object, 2, "b")}, "a"},
		"import leaves priority":           {[]sourced{say(Object, 1, "o", priority(3)), say(Import, 2, "i")}, "o"},
		"import protects nothing":          {[]sourced{say(Import, 5, "i"), say(Object, 6, "o", sourceTime(1))}, "o"},
		"older source time":                {[]sourced{say(Object, 1, "a", sourceTime(50)), say(Object, 2, "b", sourceTime(40))}, "a"},
		"same source time, last write":     {[]sourced{say(Object, 1, "a", sourceTime(50)), say(Object, 2, "b", sourceTime(50))}, "b"},
		"manual then import then object":   {[]sourced{say(Manual, 1, "m"), say(Import, 2, "i"), say(Object, 3, "o")}, "o"},
		"a blank masks":                    {[]sourced{say(Import, 1, "i"), say(Manual, 2, "", blank)}, ""},
		"an import fills a blank":          {[]sourced{say(Manual, 1, "", blank), say(Import, 2, "i")}, "i"},
		"an object does not":               {[]sourced{say(Manual, 1, "", blank), say(Object, 2, "o")}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			for range 10 { // the order in which parts are read must not matter
				rand.Shuffle(len(c.parts), func(i, j int) { c.parts[i], c.parts[j] = c.parts[j], c.parts[i] })
				if got := fold(ID{}, c.parts).Get(first); got != c.want {
					t.Fatalf("%q, want %q", got, c.want)
				}
			}
		})
	}
}

func TestContributionSurvivesItsEncoding(t *testing.T) {
	base := Stamp{Time: 1700000000000000, Row: 12}
	c := &Contribution{
		Kind: Import, Expires: 1800000000000000, Stamp: base, Extra: []IndexKey{{"upload:x", "v"}},
		Values: []Value{
			{Attr: first, Text: "Zoë", Stamp: base},
			{Attr: objecttype.Attr{ID: objecttype.BillingAddress + 9}, Text: "1", Stamp: Stamp{Time: 5, Row: 2, Priority: 3, SourceTime: 4}},
			{Attr: tier, Blank: true, Stamp: base},
		},
	}
	b := c.Append(nil)
	back, err := DecodeContribution(b)
	if err != nil || !reflect.DeepEqual(back, c) {
		t.Fatalf("%v\ngot  %+v\nwant %+v", err, back, c)
	}
	for n := range b {
		if _, err := DecodeContribution(b[:n]); err == nil && n < fixedHeader {
			t.Fatalf("%d of %d bytes were accepted", n, len(b))
		}
	}
}

func FuzzDecodeContribution(f *testing.F) {
	f.Add((&Contribution{Kind: Import, Stamp: Stamp{Time: 1}, Values: []Value{{Attr: tier, Text: "x", Stamp: Stamp{Time: 1}}}}).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := DecodeContribution(b)
		if err != nil {
			return
		}
		again, err := DecodeContribution(c.Append(nil))
		if err != nil || !reflect.DeepEqual(again, c) {
			t.Fatalf("%v: %+v and %+v", err, c, again)
		}
	})
}

func TestMergeRows(t *testing.T) {
	v := func(a objecttype.Attr, s string) Value { return Value{Attr: a, Text: s} }
	got := MergeRows([]Value{v(first, "a"), v(tier, "x")}, []Value{v(objecttype.Attr{ID: objecttype.LastName}, "l"), v(tier, "y")})
	want := []Value{v(first, "a"), v(objecttype.Attr{ID: objecttype.LastName}, "l"), v(tier, "y")}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%+v", got)
	}
}

func TestImportIDsAscend(t *testing.T) {
	const at = 1795435200123456
	var ids []ID
	for _, job := range []int64{at, at + 1000} {
		for bucket := range 3 {
			for n := range uint32(3) {
				ids = append(ids, ImportID(job, bucket, n, 42))
			}
		}
	}
	if !slices.IsSortedFunc(ids, func(a, b ID) int { return bytes.Compare(a[:], b[:]) }) {
		t.Fatalf("%v", ids)
	}
	id := ids[0]
	if id[6]>>4 != 7 || id[8]>>6 != 2 {
		t.Fatalf("%s is no UUIDv7", id)
	}
	if back, ok := ParseID(id.String()); !ok || back != id {
		t.Fatal("an id must survive its text")
	}
	for _, bad := range []string{"", "0", "G0000000000000000000000000000000", "A0000000000000000000000000000000"} {
		if _, ok := ParseID(bad); ok {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestWriteTimeIsBehindEverything(t *testing.T) {
	for _, c := range [][4]int64{{10, 0, 0, 10}, {10, 20, 0, 21}, {10, 5, 30, 31}, {10, 40, 30, 41}} {
		if got := WriteTime(c[0], c[1], c[2]); got != c[3] {
			t.Errorf("WriteTime%v = %d", c[:3], got)
		}
	}
}

func TestUnionAndIntersection(t *testing.T) {
	id := func(n byte) ID { return ID{n} }
	stream := func(ns ...byte) func(func(ID, error) bool) {
		return func(yield func(ID, error) bool) {
			for _, n := range ns {
				if !yield(id(n), nil) {
					return
				}
			}
		}
	}
	collect := func(seq func(func(ID, error) bool)) (got []byte) {
		for i, err := range seq {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, i[0])
		}
		return got
	}
	type seqs = []func(func(ID, error) bool)
	for _, c := range []struct {
		in   seqs
		or   []byte
		both []byte
	}{
		{seqs{}, nil, nil},
		{seqs{stream(1, 3)}, []byte{1, 3}, []byte{1, 3}},
		{seqs{stream(1, 3, 5), stream(2, 3, 4, 5), stream(3, 5, 9)}, []byte{1, 2, 3, 4, 5, 9}, []byte{3, 5}},
		{seqs{stream(1), stream()}, []byte{1}, nil},
	} {
		var list []func(func(ID, error) bool)
		list = append(list, c.in...)
		if got := collect(union(toSeq(list))); !slices.Equal(got, c.or) {
			t.Errorf("union %v, want %v", got, c.or)
		}
		if got := collect(intersection(toSeq(list))); !slices.Equal(got, c.both) {
			t.Errorf("intersection %v, want %v", got, c.both)
		}
	}
}

func toSeq(list []func(func(ID, error) bool)) (out []iter.Seq2[ID, error]) {
	for _, s := range list {
		out = append(out, s)
	}
	return out
}

func TestMayCombine(t *testing.T) {
	v := func(id uint16, s string, priority int64) Value {
		return Value{Attr: objecttype.Attr{ID: id}, Text: s, Stamp: Stamp{Priority: priority}}
	}
	ann, lee, q := v(objecttype.FirstName, "Ann", 0), v(objecttype.LastName, "Lee", 0), v(objecttype.MiddleName, "Q", 0)
	for name, c := range map[string]struct {
		have, add []Value
		want      bool
	}{
		"nothing there":       {nil, []Value{ann, lee}, false},
		"all replaced":        {[]Value{ann, lee}, []Value{ann, lee}, false},
		"none brought":        {[]Value{ann, lee}, nil, false},
		"one of two":          {[]Value{ann}, []Value{lee}, true},
		"middle stays":        {[]Value{ann, q, lee}, []Value{ann, lee}, true},
		"a priority may stay": {[]Value{v(objecttype.FirstName, "Anna", 1), lee}, []Value{ann, lee}, true},
	} {
		if got := MayCombine(c.have, c.add, nil); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
		var body []byte
		for _, v := range c.add {
			body = AppendValue(body, v, Stamp{})
		}
		if got := MayCombineNames(c.have, body); got != c.want {
			t.Errorf("%s, encoded: %t", name, got)
		}
	}
}

// Whenever a glance knows an answer, it is that of the fold; that names combine it may say without need.
func FuzzGlanceAgainstTheFold(f *testing.F) {
	f.Add("Ann", "", "Lee", "+1 206 555 0100", "a@X.com", "2065550100", "Anna", "", int64(5))
	f.Fuzz(func(t *testing.T, first, middle, last, phone, mail, key, newFirst, newLast string, expires int64) {
		c := &Contribution{Kind: Import, Expires: expires & 7, Stamp: Stamp{Time: 1, Row: 1}, Values: stamped(1, map[uint16]string{
			objecttype.FirstName: first, objecttype.MiddleName: middle, objecttype.LastName: last, objecttype.MobilePhoneNumber: phone, objecttype.EmailAddress: mail})}
		checkGlance(t, []*Contribution{c}, key, map[uint16]string{objecttype.FirstName: newFirst, objecttype.LastName: newLast})
	})
}

// The same for profiles with several contributions: of different jobs and of one, expired ones, edits, and folded ones.
func TestGlanceAtSeveral(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	some := func(of ...string) string { return of[rng.IntN(len(of))] }
	known := 0
	const rounds = 100_000
	for range rounds {
		var all []*Contribution
		at := int64(1)
		for range 1 + rng.IntN(5) {
			at += int64(min(1, rng.IntN(12))) // rarely two of one job
			c := &Contribution{Kind: Import, Expires: int64(4 + rng.IntN(40)/39*-2), Stamp: Stamp{Time: at, Row: int64(1 + rng.IntN(3))}}
			c.Values = stamped(at, map[uint16]string{objecttype.FirstName: some("", "Ann", "Anna"), objecttype.MiddleName: some("", "", "Q"), objecttype.LastName: some("", "Lee"),
				objecttype.MobilePhoneNumber: some("", "206 555 0100", "206 555 0101"), objecttype.PhoneNumber: some("", "206 555 0100"), objecttype.EmailAddress: some("", "a@x.com", "b@x.com")})
			for i := range c.Values {
				c.Values[i].Stamp.Row = c.Stamp.Row
				if rng.IntN(60) == 0 {
					c.Values[i].Stamp.Row = 9
				}
			}
			switch {
			case rng.IntN(40) == 0:
				c.Kind = Manual
			case len(all) == 0 && rng.IntN(3) == 0: // folded
				for i := range c.Values {
					c.Values[i].Expires = int64(2 + rng.IntN(4))
				}
			}
			all = append(all, c)
		}
		name := map[uint16]string{objecttype.FirstName: some("", "Ann"), objecttype.LastName: some("", "Lee")}
		if checkGlance(t, all, some("a@x.com", "b@x.com", "2065550100", "2065550101"), name) {
			known++
		}
		if t.Failed() {
			return
		}
	}
	if known < rounds/3 {
		t.Errorf("only %d of %d profiles were known", known, rounds)
	}
}

// stamped returns values of one job's first row.
func stamped(at int64, attrs map[uint16]string) (vs []Value) {
	for id := uint16(1); id < 40; id++ {
		if attrs[id] != "" {
			vs = append(vs, Value{Attr: objecttype.Attr{ID: id}, Text: attrs[id], Stamp: Stamp{Time: at, Row: 1}})
		}
	}
	return vs
}

// checkGlance compares a glance with the fold, and says whether it knew the answer for all keys that it can know.
func checkGlance(t *testing.T, all []*Contribution, key string, brings map[uint16]string) bool {
	t.Helper()
	const now = 3
	added := stamped(1, brings)
	var add []byte
	for _, v := range added {
		add = AppendValue(add, v, Stamp{Time: 1, Row: 1})
	}
	var r Reader
	var rows [][]byte
	for i, c := range all {
		source := string(AppendImportSource(nil, c.Stamp.Time, c.Stamp.Row)) + strings.Repeat("x", i)
		if c.folded() {
			source = string(appendFoldedSource(nil, c.Stamp.Time, 0))
		}
		rows = append(rows, c.Append(nil))
		if err := r.Add(store.Row{Key: ContributionKey(source), Value: rows[i]}, now); err != nil {
			t.Fatal(err)
		}
	}
	p := r.Profile(ID{})
	knew := true
	for _, name := range []string{objecttype.KeyPhone, objecttype.KeyEmail, objecttype.KeyAccount, objecttype.KeyFullName} {
		has, combine, known := Glance(rows, now, name, []byte(key), add)
		if !known {
			knew = knew && name == objecttype.KeyFullName
			continue
		}
		if want := p != nil && p.Has(name, key, nil); has != want {
			t.Fatalf("%s %q: %t, the fold has %t", name, key, has, want)
		}
		if has && !combine && MayCombine(p.Values, added, nil) {
			t.Fatalf("names combine, and a glance did not see it")
		}
		if has && combine && len(all) == 1 && !MayCombine(p.Values, added, nil) {
			t.Fatal("names do not combine, and a glance says so")
		}
	}
	return knew
}
