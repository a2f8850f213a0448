package link

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"kith/internal/extsort"
)

// smallMemory are options with which everything that can be is spilled.
func smallMemory(t *testing.T) *Options {
	o := &Options{Workers: 2, Memory: 64 << 10, Dir: t.TempDir()}
	o.defaults()
	return o
}

// allocated is how many bytes do takes from the heap.
func allocated(do func()) int64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}

// However many records share a key, no more are sorted at once than may be, and blocks are the same.
func TestFrequentKeysAreSortedInBounds(t *testing.T) {
	for name, keys := range map[string][]int{"one of all": {1}, "a few": {2, 3, 4, 5, 5, 5}, "one of most, and rare ones": {1, 1, 1, 0}, "all rare": {0}} {
		o := smallMemory(t)
		o.sorted = 500
		const records = 20_000
		e := newEntries(o, 2, 100, entriesShare) // fewer are expected than there are
		ws := e.writers(1)
		want := map[uint64][]uint32{}
		rng := rand.New(rand.NewPCG(1, 2))
		for i := range uint32(records) {
			key := mix(uint64(keys[int(i)%len(keys)]))
			if key == 0 {
				key = mix(uint64(rng.IntN(records)))
			}
			want[key] = append(want[key], i)
			if i%7 == 0 { // twice, as somebody with two e-mail addresses that begin alike
				want[key] = append(want[key], i)
				_ = ws[0].put(1, key, i)
			}
			if err := ws[0].put(1, key, i); err != nil {
				t.Fatal(err)
			}
		}
		if err := flush(ws); err != nil {
			t.Fatal(err)
		}
		got := map[string]bool{}
		var m sortMemory
		for n := range e.ranges {
			list, err := e.blocks(1, n, &m, make([]uint32, 0, e.count(1, n)))
			if err != nil {
				t.Fatal(err)
			}
			eachBlock(list, func(block []uint32) {
				if block[0]&begins == 0 {
					t.Fatal("a block has no mark")
				}
				block[0] &^= begins
				got[fmt.Sprint(block)] = true
			})
		}
		blocks := 0
		for _, records := range want {
			if len(records) > 1 {
				blocks++
				if !got[fmt.Sprint(records)] {
					t.Errorf("%s: the block of %d records is missing", name, len(records))
				}
			}
		}
		if len(got) != blocks {
			t.Errorf("%s: %d blocks, want %d", name, len(got), blocks)
		}
		if held := max(cap(m.all.All), cap(m.spare.All)); held > 500 {
			t.Errorf("%s: room for %d entries, want 500 at most", name, held)
		}
		m.close()
		e.close()
		if !o.arena.Empty() {
			t.Errorf("%s: something is still in memory", name)
		}
	}
}

// slowly takes the pairs of a block with a copy for each division, compared and not counted.
func slowly(r *refinement, all []uint32, used uint32, n int, put func(i, j uint32)) {
	pairs := func(all []uint32, most int) {
		for i := range all {
			for j := i + 1; j < min(len(all), i+1+most); j++ {
				put(all[i], all[j])
			}
		}
	}
	if len(all) <= r.most {
		pairs(all, len(all))
		return
	}
	best := r.best(all, used, n)
	if len(best) == 0 {
		pairs(all, window)
	}
	for _, k := range best {
		byValue := map[uint16][]uint32{}
		for _, i := range all {
			h := r.b.refine.All[i][k]
			byValue[h] = append(byValue[h], i)
		}
		for _, part := range byValue {
			slowly(r, part, used|1<<k, 1, put)
		}
	}
}

// Refining a block takes hardly anything from the heap, however many records it has and however often it is divided, and finds all pairs.
func TestLargeBlocksAreRefinedInBounds(t *testing.T) {
	const n = 60_000
	o := &Options{Workers: 1}
	o.defaults()
	parts := newPairParts(&records{n: n, first: []int{0, n}}, 1, o, 1)
	defer parts.close()
	b := &blocker{refine: extsort.NewTable[refined](n)}
	defer b.refine.Close()
	rng := rand.New(rand.NewPCG(3, 4))
	block := make([]uint32, n)
	for i := range b.refine.All {
		block[i] = uint32(i)
		for k := range 8 {
			b.refine.All[i][k] = uint16(rng.IntN(2)) // divides a block, but not enough
		}
	}
	r := refinement{b: b, out: parts.writer(), most: 12, refineMemory: &refineMemory{}, bounded: &bounded{}}
	block[0] |= begins
	if held := allocated(func() { r.block(block, 0) }); held > 4*n {
		t.Errorf("%d bytes were taken from the heap for %d records", held, n)
	}
	if held := cap(r.all.All) + cap(r.spare.All); held > 3*n {
		t.Errorf("room for %d records, of %d", held, n)
	}
	if err := r.out.flush(); err != nil {
		t.Fatal(err)
	}
	got, err := parts.sorted(0, &pairMemory{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	block[0] &^= begins
	var want []pair
	slowly(&r, block, 0, branches, func(i, j uint32) { want = append(want, pairOf(int(i), int(j))) })
	slices.Sort(want)
	if want = slices.Compact(want); !slices.Equal(got, want) || len(got) < n {
		t.Errorf("%d pairs, want %d", len(got), len(want))
	}
	r.all.Close()
	r.spare.Close()
}

// split breaks a component that is too large at its weakest edges, as web.hold does, with all of it in memory.
func split(c bunch, least float32) (all []bunch) {
	if len(c.members) <= maxDense || least+1 >= strongest {
		return []bunch{c}
	}
	for _, p := range pieces(c, least+1) {
		all = append(all, split(p, least+1)...)
	}
	return all
}

// A batch has no more pairs within bunches than it may have, however dense these are and whatever component they come from, and bunches are those of whole components
// that come apart.
func TestBatchesAreBounded(t *testing.T) {
	const records, dense = 12_000, 190
	o := smallMemory(t)
	edges := newParted(o, 1, 1)
	defer edges.close()
	rng := rand.New(rand.NewPCG(5, 6))
	var all []edge
	add := func(i, j int, odds float32) { all = append(all, edge{uint32(i), uint32(j), odds}) }
	for i := 1; i < 6000; i++ { // stars, each a component
		if i%dense != 0 {
			add(i-i%dense, i, 4)
		}
	}
	for i := 6001; i < 11_000; i++ { // a chain, which comes apart
		add(i-1, i, float32(rng.IntN(9)))
	}
	for i := 11_001; i < 11_500; i++ { // sure throughout
		add(i-1, i, 9)
	}
	for range 5000 { // what holds nothing together
		if i, j := rng.IntN(records), rng.IntN(records); i < j {
			add(i, j, -1)
		}
	}
	for _, e := range all {
		if err := edges.add(0, e.append(nil)); err != nil {
			t.Fatal(err)
		}
	}
	w := &web{least: 0, memory: extsort.NewTable[uint32](records)}
	defer w.close()
	w.root = w.memory.All
	for i := range w.root {
		w.root[i] = uint32(i)
	}
	if err := cmp.Or(w.hold(edges), w.deal(o, edges)); err != nil {
		t.Fatal(err)
	}
	var got []string
	for n := range w.batches() {
		bunches, err := w.batch(n)
		if err != nil {
			t.Fatal(err)
		}
		pairs := 0
		for _, b := range bunches {
			got = append(got, fmt.Sprint(b))
			if size := len(b.members); size <= maxDense {
				pairs += size * (size - 1) / 2
			}
			for _, i := range b.members {
				if w.batchOf(i) != n {
					t.Fatalf("record %d is in batch %d, not %d", i, w.batchOf(i), n)
				}
			}
		}
		if pairs > batchPairs+maxDense*maxDense/2 {
			t.Errorf("batch %d has %d pairs", n, pairs)
		}
	}
	if w.batches() < 4 {
		t.Errorf("%d batches", w.batches())
	}
	whole := bunch{edges: all}
	for i := range uint32(records) {
		whole.members = append(whole.members, i)
	}
	sortEdges(whole.edges)
	var want []string
	for _, c := range pieces(whole, 0) {
		for _, b := range split(c, 0) {
			want = append(want, fmt.Sprint(b))
		}
	}
	slices.Sort(got)
	if slices.Sort(want); !slices.Equal(got, want) {
		t.Errorf("%d bunches, want %d", len(got), len(want))
	}
}
