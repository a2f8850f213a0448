package stage

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"kith/profile/fold"
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
		c := &rowCursor{who: p.newWho(r, section{from, int64(len(data))}), lo: &id}
		want := slices.Index(ids, id)
		if ok, err := c.Next(); !ok || err != nil || c.id != id || c.row != int64(want) {
			t.Fatalf("found row %d of %v, want row %d: %t, %v", c.row, c.id, want, ok, err)
		}
	}
	if _, ok := enter(marks, &fold.ID{0xff}); ok {
		t.Fatal("a profile behind all others has a place")
	}
}
