package fold

import (
	"bytes"
	"errors"
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
// Repeats are completed by what they name, through other repeats too; what is not there, or was compacted, can't be named.
func TestRepeats(t *testing.T) {
	said := someContribution()
	of := func(at int64) *Contribution { return &Contribution{Expires: 9000 + at, Stamp: Stamp{Time: at, Row: 7}} }
	rows := []struct {
		source string
		row    []byte
	}{
		{"f1", compactedContribution().Append(nil)},
		{"i1", said.Append(nil)},
		{"i2", of(2).AppendRepeat(nil, []byte("i1"))},
		{"i3", (&Contribution{Expires: 5, Stamp: Stamp{Time: 3}}).Append(nil)},
		{"i4", of(4).AppendRepeat(nil, []byte("i2"))},
	}
	for _, reuse := range []bool{false, true} {
		r := Repeats{Reuse: reuse}
		for range 2 { // its memory is used again
			r.Reset()
			var whole [][]byte
			for _, row := range rows {
				b, err := r.Complete([]byte(row.source), row.row)
				if err != nil {
					t.Fatalf("%s: %v", row.source, err)
				}
				whole = append(whole, b)
			}
			for i, at := range map[int]int64{2: 2, 4: 4} {
				want := *said
				want.Expires, want.Stamp, want.Values = of(at).Expires, of(at).Stamp, slices.Clone(said.Values)
				for n := range want.Values {
					if want.Values[n].Stamp == said.Stamp {
						want.Values[n].Stamp = want.Stamp
					}
				}
				if got, err := DecodeContribution(whole[i]); err != nil || !reflect.DeepEqual(got, &want) {
					t.Errorf("%s is %+v, %v; want %+v", rows[i].source, got, err, &want)
				}
			}
			if !bytes.Equal(whole[3], rows[3].row) {
				t.Error("one that repeats nothing came back as another")
			}
			for _, source := range []string{"f1", "i5", ""} {
				if _, err := r.Complete([]byte("i9"), of(9).AppendRepeat(nil, []byte(source))); !errors.Is(err, ErrNothingToRepeat) {
					t.Errorf("a repeat of %q: %v", source, err)
				}
			}
		}
	}
	repeat := rows[2].row
	if _, err := DecodeContribution(repeat); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a repeat that was not completed: %v", err)
	}
	if _, err := Open(repeat); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a repeat that was not completed: %v", err)
	}
	if at, err := Expiry(repeat); at != 9002 || err != nil {
		t.Errorf("it expires at %d, %v", at, err)
	}
	private, values := AppendPrivate(nil, said.Private), said.Append(nil)[len(said.AppendHeader(nil)):]
	for name, c := range map[string]struct {
		row, private, values []byte
		want                 bool
	}{
		"the same": {rows[1].row, private, values, true}, "other keys": {rows[1].row, AppendPrivate(nil, nil), values, false}, "other values": {rows[1].row, private, values[1:], false},
		"a repeat": {repeat, private, values, false}, "compacted": {rows[0].row, private, values, false}, "nothing": {nil, nil, nil, false},
	} {
		if got := Says(c.row, c.private, c.values); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func FuzzRepeats(f *testing.F) {
	f.Add([]byte("i1"), someContribution().Append(nil), []byte("i2"), (&Contribution{Expires: 9}).AppendRepeat(nil, []byte("i1")))
	f.Fuzz(func(t *testing.T, s1, b1, s2, b2 []byte) {
		r := Repeats{Reuse: true}
		r.Reset()
		first, err := r.Complete(s1, b1)
		if err != nil {
			return
		}
		if !bytes.Equal(first, b1) {
			t.Fatal("the first one repeats something")
		}
		second, err := r.Complete(s2, b2)
		if err != nil {
			return
		}
		of, repeats := RepeatOf(b2)
		if repeats != !bytes.Equal(second, b2) || repeats && !bytes.Equal(of, s1) {
			t.Fatalf("%x came back as %x", b2, second)
		}
		if _, err := DecodeContribution(first); err == nil && repeats {
			if _, err := DecodeContribution(second); err != nil {
				t.Fatalf("%x is completed to %x: %v", b2, second, err)
			}
		}
	})
}

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
