package stage

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"kith/internal/extsort"
	"kith/profile/fold"
)

// A bucket that is merged in steps, to bound its memory, has the groups of one that is merged at once.
func TestLoadInSteps(t *testing.T) {
	p := NewPlan(Facts{Mapping: &Mapping{index: "_account"}, Time: 1})
	var data []byte
	var keys keyList
	for row := range int64(150_000) {
		key := fmt.Appendf(nil, "customer-%d", rand.IntN(500))
		keys.reset()
		keys.add(matchFamily, key)
		body := fold.AppendValue(nil, fold.Value{Text: fmt.Sprint("v", row), Stamp: p.stamp(row)}, p.stamp(row))
		data = appendFrame(data, &frame{rows: 1, first: row, key: key, keys: keys.appendTo(nil), body: body})
	}
	load := func(step int) (all []string) {
		b := p.NewResolver(&Buckets{Memory: [][]byte{data}}, false, nil)
		b.loaded.Step = step
		if err := b.load(t.Context()); err != nil {
			t.Fatal(err)
		}
		if step < len(data)/2 && cap(b.loaded.Bytes()) > len(data)/2 {
			t.Fatalf("%d bytes for %d keys", cap(b.loaded.Bytes()), len(b.groups))
		}
		for i := range b.groups {
			f := b.frame(&b.groups[i])
			var rows []int64
			f.eachRow(func(row int64) { rows = append(rows, row) })
			values, err := fold.DecodeValues(f.body, p.stamp(f.first))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, fmt.Sprintf("%s %d %v %v", f.key, b.groups[i].rows, rows, values))
		}
		return all
	}
	want := load(1 << 30)
	if len(want) != 500 {
		t.Fatalf("%d groups", len(want))
	}
	for _, step := range []int{64 << 10, 1 << 20} {
		if got := load(step); !slices.Equal(got, want) {
			t.Fatalf("in steps of %d: %d groups, or others", step, len(got))
		}
	}
}

// However the rows of a run are cut into parts, every entry is in one of them.
func TestPartsHaveEveryEntryOnce(t *testing.T) {
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
		data = append(data, 1, 'x')
		ids = append(ids, id)
	}
	p := &Plan{time: 1}
	for range 200 {
		var pivots []fold.ID
		for range rand.IntN(6) {
			pivots = append(pivots, ids[rand.IntN(entries)])
		}
		slices.SortFunc(pivots, func(a, b fold.ID) int { return bytes.Compare(a[:], b[:]) })
		pivots = slices.Compact(pivots)
		next := int64(0)
		for i := range len(pivots) + 1 {
			var lo, hi *fold.ID
			if i > 0 {
				lo = &pivots[i-1]
			}
			if i < len(pivots) {
				hi = &pivots[i]
			}
			from, ok := enter(marks, lo, hi)
			if !ok {
				continue
			}
			r := runBlob{plainBlob{bytes.NewReader(data)}, 0}
			c := &rowCursor{who: p.newWho(r, section{from, int64(len(data))}), body: true, lo: lo, hi: hi}
			for e, err := range extsort.Merge([]*rowCursor{c}) {
				if err != nil {
					t.Fatal(err)
				}
				if e.row != next || e.id != ids[next] {
					t.Fatalf("part %d of %d has entry %d, want %d", i, len(pivots)+1, e.row, next)
				}
				next++
			}
		}
		if next != entries {
			t.Fatalf("%d of %d entries", next, entries)
		}
	}
}
