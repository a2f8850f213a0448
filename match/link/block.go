package link

import (
	"context"

	"kith/internal/extsort"
)

// blocker finds pairs that share a key.
//
// Records are read once for as many passes as there is room for, and all their keys made then; where records are aside, for all passes, since to put keys aside
// is much cheaper than to read records 26 times. Of a pass the keys are sorted part by part (entries.go), and what stays of it are its
// blocks of two and more: four bytes for each record in one. All blocks of a pass are there before the first pair is taken, for how large they may be depends
// on all of them.
type blocker struct {
	*records
	m     *Model
	o     *Options
	parts *pairParts
	// refine are the hashes of each record's refiners; 0: it has none.
	refine *extsort.Table[refined]
	budget int64 // pairs of one pass
	bound  []bounded
	outs   []*pairWriter // of each worker
}

// bounded is what was bounded of a pass.
type bounded struct{ blocks, windows, largest int }

// run finds the pairs of all passes.
func (b *blocker) run(ctx context.Context) error {
	b.refine = extsort.NewTable[refined](b.n)
	defer b.refine.Close()
	for range b.o.Workers {
		b.outs = append(b.outs, b.parts.writer())
	}
	all := passes(b.m)
	atOnce := len(all)
	if b.aside == nil { // so many that nothing is spilled, if possible
		atOnce = int(max(1, min(int64(atOnce), b.o.Memory/entriesShare/(entrySize*int64(b.n)*5/4))))
	}
	for i := 0; i < len(all); i += atOnce {
		if err := b.some(ctx, all[i:min(len(all), i+atOnce)], i == 0); err != nil {
			return err
		}
	}
	return nil
}

// some finds the pairs of some passes.
func (b *blocker) some(ctx context.Context, all [][]component, first bool) error {
	e := newEntries(b.o, len(all), b.n, b.share(entriesShare))
	defer e.close()
	out := e.writers(b.o.Workers)
	keyers := make([]keyer, b.o.Workers)
	for w := range keyers {
		keyers[w].need(all, first)
	}
	err := b.each(b.o.Workers, func(w, i int, raw []byte) error {
		k := &keyers[w]
		k.read(raw, b.slots)
		if first {
			k.refined(&b.refine.All[i])
		}
		if b.copy(i) {
			return nil
		}
		for n, p := range all {
			if err := k.keys(p, func(key uint64) error { return out[w].put(n, key, uint32(i)) }); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		err = flush(out)
	}
	for n := 0; n < len(all) && err == nil; n++ {
		if err = context.Cause(ctx); err == nil {
			err = b.pass(e, n, all[n])
		}
	}
	return err
}

// pass takes the pairs of all blocks of a pass.
func (b *blocker) pass(e *entries, kind int, p []component) error {
	blocks, sizes, err := b.blocks(e, kind)
	if err != nil {
		return err
	}
	defer blocks.Close()
	most := b.fit(sizes)
	all := blocks.All
	const step = 16384
	tasks := (len(all) + step - 1) / step
	outs := b.outs
	bounds := make([]bounded, tasks)
	ms := make([]refineMemory, b.o.Workers)
	defer func() {
		for w := range ms {
			ms[w].all.Close()
			ms[w].spare.Close()
		}
	}()
	err = parallel(b.o.Workers, tasks, func(w, t int) error {
		from, to := t*step, min(len(all), (t+1)*step)
		for from < to && all[from]&begins == 0 { // the task before has it
			from++
		}
		r := refinement{b: b, out: outs[w], most: most, refineMemory: &ms[w], bounded: &bounds[t]}
		for from < to {
			n := blockLen(all[from:])
			r.block(all[from:from+n], r.used(p))
			from += n
		}
		return outs[w].err
	})
	for _, out := range outs {
		if err == nil {
			err = out.flush()
		}
	}
	var sum bounded
	for _, x := range bounds {
		sum.blocks += x.blocks
		sum.windows += x.windows
		sum.largest = max(sum.largest, x.largest)
	}
	b.bound = append(b.bound, sum)
	return err
}

// blocks returns the blocks of a pass that have two records at least, one after the other, each with its first record marked. Parts are sorted by several goroutines; each
// has a place of its own in the list, which is closed up behind them.
func (b *blocker) blocks(e *entries, kind int) (*extsort.Table[uint32], *blockSizes, error) {
	from := make([]int, e.ranges+1)
	for n := range e.ranges {
		from[n+1] = from[n] + e.count(kind, n)
	}
	list := extsort.NewTable[uint32](from[e.ranges])
	lens, sizes := make([]int, e.ranges), make([]blockSizes, b.o.Workers)
	ms := make([]sortMemory, b.o.Workers)
	defer closeAll(ms)
	err := parallel(b.o.Workers, e.ranges, func(w, n int) error {
		out, err := e.blocks(kind, n, &ms[w], list.All[from[n]:from[n]:from[n+1]])
		eachBlock(out, func(block []uint32) { sizes[w].add(len(block)) })
		lens[n] = len(out)
		return err
	})
	if err != nil {
		list.Close()
		return nil, nil, err
	}
	end := 0
	for n, size := range lens {
		end += copy(list.All[end:], list.All[from[n]:from[n]+size])
	}
	list.All = list.All[:end]
	for w := range sizes[1:] {
		sizes[0].merge(&sizes[w+1])
	}
	return list, &sizes[0], nil
}

// blockSizes are how many blocks there are by size: all that fit asks.
type blockSizes struct {
	small [mostOfBlock + 1]int64
	// large are the records of the larger ones, and odd how many of these blocks have an odd number.
	large, odd int64
}

// mostOfBlock is how many records a block has at most whose pairs are all taken.
const mostOfBlock = 100

func (s *blockSizes) add(n int) {
	if n <= mostOfBlock {
		s.small[n]++
		return
	}
	s.large += int64(n)
	s.odd += int64(n & 1)
}

func (s *blockSizes) merge(o *blockSizes) {
	for n, k := range o.small {
		s.small[n] += k
	}
	s.large += o.large
	s.odd += o.odd
}

// pairs are about how many pairs are taken if blocks have so many records at most: half of the records times that, of each rounded down.
func (s *blockSizes) pairs(most int) (sum int64) {
	for n, k := range s.small {
		sum += k * (int64(n) * int64(min(n, most)) / 2)
	}
	return sum + (s.large*int64(most)-s.odd*int64(most&1))/2
}

// fit returns how large blocks may be so that a pass does not have more pairs than its budget.
func (b *blocker) fit(sizes *blockSizes) int {
	for most := mostOfBlock; ; most = most * 2 / 3 {
		if sizes.pairs(most) <= b.budget || most < 12 {
			return most
		}
	}
}

// words says what was bounded, by pass.
func (b *blocker) words() (all []string) {
	for i, p := range passes(b.m) {
		if i >= len(b.bound) || b.bound[i].blocks == 0 {
			continue
		}
		var key string
		for k, c := range p {
			if k > 0 {
				key += " and "
			}
			if c >= kCustom {
				key += b.m.fieldName(fCustom + int(c-kCustom))
			} else {
				key += componentNames[c]
			}
		}
		all = append(all, b.bound[i].sentence(key))
	}
	return all
}

// allPairs takes all pairs there are.
func (b *blocker) allPairs() error {
	out := b.parts.writer()
	for i := range b.n {
		for j := i + 1; j < b.n && !b.copy(i); j++ {
			if !b.copy(j) {
				out.put(uint32(i), uint32(j))
			}
		}
	}
	return out.flush()
}

// pairsOf is how many pairs n records have.
func pairsOf(n int) float64 { return float64(n) * float64(n-1) / 2 }
