package stage

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"kith/profile/fold"
	"kith/schema"
)

// A bucket that is merged in steps, to bound its memory, has the groups of one that is merged at once, in whatever order its rows come.
func TestLoadInSteps(t *testing.T) {
	p := testPlan(t)
	var frames [][]byte
	for row := range int64(50_000) {
		key := fmt.Appendf(nil, "customer-%d", rand.IntN(500))
		var keys keyList
		keys.add(matchFamily, key)
		body := fold.AppendValue(nil, fold.Value{Text: fmt.Sprint("v", row), Stamp: p.stamp(row)}, p.stamp(row))
		frames = append(frames, appendRich(nil, &frame{rows: 1, first: row, key: key, keys: keys.appendTo(nil), body: body}))
	}
	load := func(step int) (all []string) {
		rand.Shuffle(len(frames), func(i, j int) { frames[i], frames[j] = frames[j], frames[i] })
		set := p.newRowSet(nil)
		for some := range slices.Chunk(frames, step) {
			if err := set.loadStream(t.Context(), bytes.NewReader(bytes.Join(some, nil))); err != nil {
				t.Fatal(err)
			}
			if err := set.compact(); err != nil {
				t.Fatal(err)
			}
			if set.size > 1_000_000 {
				t.Fatalf("%d bytes for 500 keys", set.size)
			}
		}
		if err := set.merge(); err != nil {
			t.Fatal(err)
		}
		for _, r := range set.refs {
			f := set.frame(r.At)
			var rows []int64
			f.eachRow(func(row int64) { rows = append(rows, row) })
			values, err := fold.DecodeValues(f.body, p.stamp(f.first))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, fmt.Sprintf("%s %d %v %v", f.key, f.rows, rows, values))
		}
		return all
	}
	want := load(1 << 30)
	if len(want) != 500 {
		t.Fatalf("%d groups", len(want))
	}
	for _, step := range []int{2_000, 30_000} {
		if got := load(step); !slices.Equal(got, want) {
			t.Fatalf("in steps of %d: %d groups, or others", step, len(got))
		}
	}
}

// Wherever reading a section begins, it begins no later than the profile that is looked for.
func TestEnterFindsEveryEntry(t *testing.T) {
	var data []byte
	var marks []mark
	var ids []fold.ID
	id := fold.ID{}
	const entries = 300
	for n := range entries {
		if n%3 != 0 { // some profiles have several entries
			binary.BigEndian.PutUint64(id[8:], binary.BigEndian.Uint64(id[8:])+1+rand.Uint64N(3))
		}
		if n%20 == 0 || n == entries-1 {
			marks = append(marks, mark{id, int64(len(data))})
		}
		data = append(append(data, 0), id[:]...)
		data = binary.AppendUvarint(data, uint64(n))
		ids = append(ids, id)
	}
	p := &Plan{time: 1}
	for _, id := range ids {
		from, ok := enter(marks, &id)
		if !ok {
			t.Fatalf("no place for %v", id)
		}
		r := runBlob{plainBlob{bytes.NewReader(data)}, 0}
		c := p.newRowCursor(r, section{from, int64(len(data))})
		c.lo = &id
		want := slices.Index(ids, id)
		if ok, err := c.Next(); !ok || err != nil || c.id != id || c.row != int64(want) {
			t.Fatalf("found row %d of %v, want row %d: %t, %v", c.row, c.id, want, ok, err)
		}
	}
	if _, ok := enter(marks, &fold.ID{0xff}); ok {
		t.Fatal("a profile behind all others has a place")
	}
}

// Rows of a key are one frame, byte for byte the same, in whatever order they come and in however many steps they are merged: with attributes that only some
// have, stamps, countries, and more rows than are known by number.
func TestMergingInAnyOrder(t *testing.T) {
	b := newBench(t, "id", nil, "id=AccountNumber", "first=FirstName", "middle=MiddleName", "last=LastName", "phone=PhoneNumber", "mail=EmailAddress", "note=Attributes.note")
	b.facts.Country, _ = schema.ParseCountry("DE")
	p := b.plan("any")
	attrs := []schema.Attr{{ID: schema.FirstName}, {ID: schema.MiddleName}, {ID: schema.LastName}, {ID: attrOf(t, "PhoneNumber")}, {ID: attrOf(t, "EmailAddress")}, {Custom: "note"}}
	slices.SortFunc(attrs, schema.Attr.Compare)
	var frames [][]byte
	for row := range int64(9000) {
		key := []byte(fmt.Sprint("key", rand.IntN(4)))
		if row%10 == 0 {
			key = fmt.Append(nil, "few", rand.IntN(300))
		}
		var values []fold.Value
		for i, a := range attrs {
			if rand.IntN(3) == 0 || i == 0 && row%7 == 0 {
				v := fold.Value{Attr: a, Text: fmt.Sprint("+49 30 ", rand.IntN(5)), Stamp: p.stamp(row)}
				if a.ID == attrOf(t, "PhoneNumber") && rand.IntN(2) == 0 {
					v.Text, v.Country = "030 12345", p.country
				}
				values = append(values, v)
			}
		}
		f := frame{rows: 1, first: row, key: key}
		for _, v := range values {
			f.body = fold.AppendValue(f.body, v, p.stamp(row))
		}
		var keys keyList
		p.keysOf(key, values, &keys)
		f.keys = keys.appendTo(nil)
		frames = append(frames, appendRich(nil, &f))
	}
	merge := func(frames [][]byte) (out [][]byte) {
		set := p.newRowSet(nil)
		if err := set.loadStream(t.Context(), bytes.NewReader(bytes.Join(frames, nil))); err != nil {
			t.Fatal(err)
		}
		if err := set.merge(); err != nil {
			t.Fatal(err)
		}
		for _, r := range set.refs {
			f := set.at(r.At)
			out = append(out, bytes.Clone(f[:frameSize(f)]))
		}
		return out
	}
	want := merge(frames)
	if n := frameOf(want[len(want)-1], 0).rows; n <= maxFrameRows {
		t.Fatalf("only %d rows of a key", n)
	}
	for range 20 {
		rand.Shuffle(len(frames), func(i, j int) { frames[i], frames[j] = frames[j], frames[i] })
		var steps [][]byte
		for rest := frames; len(rest) > 0; {
			n := min(len(rest), 1+rand.IntN(4000))
			some := merge(rest[:n])
			if rand.IntN(3) == 0 {
				some = rest[:n]
			}
			if steps, rest = append(steps, some...), rest[n:]; rand.IntN(2) == 0 {
				steps = merge(steps)
			}
		}
		got := merge(steps)
		if len(got) != len(want) {
			t.Fatalf("%d frames, want %d", len(got), len(want))
		}
		for i := range want {
			if !bytes.Equal(got[i], want[i]) {
				f, g := frameOf(got[i], 0), frameOf(want[i], 0)
				t.Fatalf("%s: %d rows from %d, want %d from %d; the same numbers: %t, keys: %t, values: %t", f.key, f.rows, f.first, g.rows, g.first,
					bytes.Equal(f.more, g.more), bytes.Equal(f.keys, g.keys), bytes.Equal(f.body, g.body))
			}
		}
	}
}

// The first rows of a key are known by number, whichever frames they were in: a row of an early frame may be behind all that are known.
func TestFirstRowsAreKnown(t *testing.T) {
	early := frame{rows: 2, first: 0, more: binary.AppendUvarint(nil, 5000)}
	all := []frame{early}
	for row := range int64(maxFrameRows + 50) {
		all = append(all, frame{rows: 1, first: row + 1})
	}
	more := rowNumbersOf(all)
	if want := bytes.Repeat([]byte{1}, maxFrameRows-1); !bytes.Equal(more, want) {
		t.Fatalf("%d distances, or others: %v", len(more), more[max(0, len(more)-3):])
	}
}
