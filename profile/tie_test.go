package profile

import (
	"context"
	"reflect"
	"strings"
	"testing"
	"time"

	"kith/api"
	"kith/objecttype"
	"kith/store"
	"kith/store/mem"
)

func mergeAt(at int64) (m mergeID) {
	m[7] = byte(at)
	return m
}

// by puts what a source says on the path of a merged profile.
func by(path string, part sourced) sourced {
	part.source = path + part.source
	return part
}

// TestFoldOfMerges is spec/core.md 5.5, and that a merge stands at its time among what is written.
func TestFoldOfMerges(t *testing.T) {
	m, inner, main, other := mergeAt(10), mergeAt(5), ID{1}, ID{2}
	from := []branch{{ID: other}, {ID: ID{3}, Of: []merged{{Merge: inner, From: []branch{{ID: ID{4}}}}}}}
	p0, p1 := m.path(0), m.path(1)
	nested := p1 + inner.path(0)
	chosen := func(id ID) map[string]ID { return map[string]ID{"FirstName": id} }
	for name, c := range map[string]struct {
		parts  []sourced
		fields map[string]ID
		want   string
	}{
		"main wins whatever is newer":             {[]sourced{say(Import, 1, "a"), by(p0, say(Import, 2, "b"))}, nil, "a"},
		"the first that has it":                   {[]sourced{by(p1, say(Import, 1, "b")), by(p0, say(Import, 2, "a"))}, nil, "a"},
		"a merged one of a merged one":            {[]sourced{by(nested, say(Import, 1, "n"))}, nil, "n"},
		"its main before it":                      {[]sourced{by(nested, say(Import, 1, "n")), by(p1, say(Import, 2, "b"))}, nil, "b"},
		"what is written later counts":            {[]sourced{say(Import, 1, "a"), by(p0, say(Import, 2, "b")), say(Import, 11, "c")}, nil, "c"},
		"what was written before lost":            {[]sourced{by(p0, say(Object, 1, "b", priority(1))), say(Import, 2, "a")}, nil, "a"},
		"a priority stays with its value":         {[]sourced{by(p0, say(Object, 1, "b", priority(1))), say(Import, 11, "c")}, nil, "b"},
		"the caller's choice":                     {[]sourced{say(Import, 1, "a"), by(p0, say(Import, 2, "b"))}, chosen(other), "b"},
		"the caller's choice of the main":         {[]sourced{by(p0, say(Import, 2, "b"))}, chosen(main), ""},
		"the caller's choice of nothing":          {[]sourced{say(Import, 1, "a")}, chosen(other), ""},
		"nothing that was chosen masks":           {[]sourced{say(Import, 1, "a"), say(Object, 11, "o")}, chosen(other), ""},
		"an import writes over it":                {[]sourced{say(Import, 1, "a"), say(Import, 11, "i")}, chosen(other), "i"},
		"a blank by hand is no value":             {[]sourced{say(Manual, 1, "", blank), by(p0, say(Import, 2, "b"))}, nil, "b"},
		"a blank by hand stays if nobody has one": {[]sourced{say(Manual, 1, "", blank), say(Object, 11, "o")}, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			ties := &ties{Of: []merged{{Merge: m, From: from, Fields: c.fields}}}
			if got := foldAll(main, c.parts, ties).Get(first); got != c.want {
				t.Fatalf("%q, want %q", got, c.want)
			}
		})
	}
}

// What a merge has left that did not happen is nowhere to be seen.
func TestCopiesOfNoMergeAreNotSeen(t *testing.T) {
	ctx, st := context.Background(), mem.New()
	s := &Service{Store: st, Now: func() time.Time { return time.UnixMicro(50) }}
	id, aborted := ID{7}, mergeAt(20)
	put := func(source string) {
		t.Helper()
		c := Contribution{Kind: Import, Expires: 100, Values: []Value{{Attr: first, Text: "x"}}}
		if err := st.Write(ctx, Partition(1, id), []store.Mutation{{Key: ContributionKey(source), Value: c.Append(nil), Time: 1}}); err != nil {
			t.Fatal(err)
		}
	}
	seen := func(want int64) {
		t.Helper()
		p, err := s.Load(ctx, 1, id)
		if err != nil || (p != nil) != (want == 1) {
			t.Fatalf("%v, %v", p, err)
		}
		if n, err := s.count(ctx, 1); err != nil || n != want {
			t.Fatalf("%d profiles are counted, want %d: %v", n, want, err)
		}
	}
	put(aborted.path(0) + "i")
	seen(0)
	for key, own := range map[string]bool{"c" + aborted.path(0) + "i": false, "ci": true, "c": false, "t": false, "a": false} {
		if IsOwn([]byte(key)) != own {
			t.Errorf("IsOwn(%q) is %v", key, !own)
		}
	}
	// A tie of a merge that nobody knows counts as little.
	value, err := (&ties{Of: []merged{{Merge: aborted, Open: true, From: []branch{{ID: ID{8}}}}}}).encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.Swap(ctx, Partition(1, id), []store.Swap{{Key: tiesKey, Value: value}}); err != nil {
		t.Fatal(err)
	}
	seen(0)
	put("i")
	seen(1)
	if _, err := st.Swap(ctx, mergesPartition(1, 20), []store.Swap{{Key: aborted[:], Value: []byte(`{"State":"done","Main":"` + id.String() + `","From":[],"Began":1}`)}}); err != nil {
		t.Fatal(err)
	}
	r, err := s.read(ctx, 1, id)
	if err != nil || r.Depth() != 2 {
		t.Fatalf("%d contributions, %v", r.Depth(), err)
	}
}

func TestTiesSurviveTheirEncoding(t *testing.T) {
	want := &ties{
		Into: &passage{Merge: mergeAt(3), Main: ID{9}, Open: true},
		Of:   []merged{{Merge: mergeAt(1), From: []branch{{ID: ID{1}, Of: []merged{{Merge: mergeAt(2), From: []branch{{ID: ID{6}}}, Fields: map[string]ID{"Attributes.ü": {4}}}}}}}},
	}
	b, err := want.encode()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := decodeTies(b); err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("%+v, %v", got, err)
	}
	for _, bad := range []string{"", "{", `{"Into":{"Merge":"00","Main":"00"}}`, `{"Of":[{"Merge":"zz"}]}`} {
		if _, err := decodeTies([]byte(bad)); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestSplitSource(t *testing.T) {
	m := mergeAt(1)
	for _, path := range []string{"", m.path(0), m.path(3) + m.path(255)} {
		for _, first := range []string{"", "i12345678rrrrr", "f", "g"} {
			if p, f := splitSource(path + first); p != path || f != first {
				t.Errorf("%q is cut into %q and %q", path+first, p, f)
			}
		}
	}
	known := &ties{Of: []merged{{Merge: m, From: []branch{{}, {Of: []merged{{Merge: mergeAt(2), From: []branch{{}}}}}}}}}
	for source, want := range map[string]bool{
		"i": true, m.path(0) + "i": true, m.path(1) + mergeAt(2).path(0) + "i": true,
		m.path(2) + "i": false, mergeAt(2).path(0) + "i": false, m.path(0) + mergeAt(2).path(0) + "i": false, m.path(1) + mergeAt(2).path(1) + "i": false,
	} {
		if known.knows(source) != want {
			t.Errorf("%q: %v", source, !want)
		}
	}
}

func TestFieldOf(t *testing.T) {
	for attr, want := range map[objecttype.Attr]string{
		{ID: objecttype.GenderString}: "Gender", {ID: objecttype.PartyTypeString}: "PartyType", {ID: objecttype.Gender}: "Gender",
		{ID: objecttype.BillingAddress + 4}: "BillingAddress", {ID: objecttype.Address}: "Address", {Custom: "a.b"}: "Attributes.a.b",
	} {
		if got := fieldOf(attr); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	// Every field of the API is taken over, and has its attributes.
	in := &api.FieldSourceProfileIds{Attributes: map[string]string{}}
	id := ID{5}
	v := reflect.ValueOf(in).Elem()
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		if name == "Attributes" {
			continue
		}
		v.Field(i).Set(reflect.ValueOf(api.Ptr(id.String())))
		if fieldSources(in)[name] != id {
			t.Errorf("%s is not taken over", name)
		}
		path := name
		if strings.HasSuffix(name, "Address") && !strings.HasSuffix(name, "EmailAddress") {
			path += ".City"
		}
		if a, ok := objecttype.ParsePath(path); name != "EngagementPreferences" && (!ok || fieldOf(a) != name) { // which no profile has yet
			t.Errorf("no attribute for %s", name)
		}
	}
}
