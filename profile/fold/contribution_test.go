package fold

import (
	"reflect"
	"slices"
	"testing"

	"kith/schema"
)

func someContribution() *Contribution {
	base := Stamp{Time: 1700000000000000, Row: 12}
	return &Contribution{
		Expires: 1800000000000000, Stamp: base, Private: []Key{{"upload:x", "v"}},
		Values: []Value{
			{Attr: first, Kind: Import, Text: "Zoë", Stamp: base},
			{Attr: schema.Attr{ID: schema.BillingAddress + 9}, Kind: Import, Text: "1", Stamp: Stamp{Time: 5, Row: 2, Priority: 3, SourceTime: 4}},
			{Attr: tier, Kind: Import, Blank: true, Stamp: base},
		},
	}
}

func compactedContribution() *Contribution {
	c := someContribution()
	c.Private, c.PrivateExpires = append(c.Private, Key{"upload:y", "w"}), []int64{50, 99}
	c.Values = append([]Value{{Attr: first, Kind: Import, Text: "old", Stamp: Stamp{Time: 1}, Expires: 60}}, c.Values...)
	c.Values[1].Expires = 40
	return c
}

func TestContributionSurvivesItsEncoding(t *testing.T) {
	for _, c := range []*Contribution{someContribution(), compactedContribution()} {
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
		if private, err := DecodePrivate(AppendPrivate(nil, c.Private)); err != nil || !slices.Equal(private, c.Private) {
			t.Errorf("%v, %v", private, err)
		}
	}
	c := someContribution()
	var body []byte
	for _, v := range c.Values {
		body = AppendValue(body, v, c.Stamp)
	}
	if values, err := DecodeValues(body, c.Stamp); err != nil || !slices.Equal(values, c.Values) {
		t.Errorf("%v, %v", values, err)
	}
}

// What has expired alone is left out, and what is read first does not show through.
func TestDecodeLeavesOutWhatHasExpired(t *testing.T) {
	c := &Contribution{}
	for _, round := range []struct {
		of      *Contribution
		now     int64
		values  int
		private []Key
	}{
		{compactedContribution(), 10, 4, []Key{{"upload:x", "v"}, {"upload:y", "w"}}},
		{compactedContribution(), 55, 3, []Key{{"upload:y", "w"}}},
		{someContribution(), 1 << 40, 3, []Key{{"upload:x", "v"}}},
		{compactedContribution(), 99, 2, nil},
	} {
		if err := c.Decode(round.of.Append(nil), round.now); err != nil || len(c.Values) != round.values || !slices.Equal(c.Private, round.private) {
			t.Errorf("at %d: %v: %+v", round.now, err, c)
		}
	}
}

// A Cursor and a Scanner see what DecodeContribution sees.
func FuzzDecodeContribution(f *testing.F) {
	f.Add(someContribution().Append(nil), int64(0))
	f.Add(compactedContribution().Append(nil), int64(45))
	f.Fuzz(func(t *testing.T, b []byte, now int64) {
		c, err := DecodeContribution(b)
		cursor, openErr := Open(b)
		n := 0
		for openErr == nil && cursor.Next() {
			v := Value{Attr: cursor.Attr(), Text: cursor.Text, Kind: Import, Blank: cursor.Blank, Stamp: cursor.Stamp, Expires: cursor.Until}
			if err == nil && (n == len(c.Values) && v.Expires > 0 || n < len(c.Values) && v.Expires >= 0 && c.Values[n] != v) {
				t.Fatalf("value %d: %+v, a cursor has %+v", n, c.Values[n], v)
			}
			n++
		}
		if (err == nil) != (openErr == nil && cursor.Err() == nil) {
			t.Fatalf("%v, a cursor has %v and %v", err, openErr, cursor.Err())
		}
		if err != nil {
			return
		}
		if cursor.Expires != c.Expires || cursor.Base != c.Stamp {
			t.Fatalf("%+v, a cursor has %+v", c, cursor)
		}
		again, err := DecodeContribution(c.Append(nil))
		if err != nil || !reflect.DeepEqual(again, c) {
			t.Fatalf("%v: %+v and %+v", err, c, again)
		}
	})
}

func TestMergeRows(t *testing.T) {
	v := func(a schema.Attr, s string) Value { return Value{Attr: a, Text: s} }
	last := schema.Attr{ID: schema.LastName}
	got := MergeRows([]Value{v(first, "a"), v(tier, "x")}, []Value{v(last, "l"), v(tier, "y")})
	if want := []Value{v(first, "a"), v(last, "l"), v(tier, "y")}; !slices.Equal(got, want) {
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
	if !slices.IsSortedFunc(ids, ID.Compare) {
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

func TestBetweenMerges(t *testing.T) {
	var parts []Part
	for _, at := range []int64{5, 1, 3, 10, 12} {
		parts = append(parts, Part{Contribution: &Contribution{Stamp: Stamp{Time: at}}})
	}
	var got [][]int64
	for _, group := range BetweenMerges(parts, []int64{0, 3, 4, 10}) {
		var times []int64
		for _, p := range group {
			times = append(times, p.Stamp.Time)
		}
		got = append(got, times)
	}
	if want := [][]int64{{1, 3}, {5, 10}, {12}}; !reflect.DeepEqual(got, want) {
		t.Errorf("%v", got)
	}
}
