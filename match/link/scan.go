package link

import (
	"context"
	"slices"
)

// comparers are one for each worker.
func (s *run) comparers() []*comparer {
	all := make([]*comparer, s.o.Workers)
	for i := range all {
		all[i] = &comparer{Model: s.m}
	}
	return all
}

// between reads the records of a pair, the first only if it is another than before.
type between struct {
	*comparer
	r      *records
	ca, cb *chunk
	fa, fb int
	last   int
	// fetched is of no use, but that what it is made of is in the cache.
	fetched byte
}

func (b *between) read(p pair) {
	i, j := p.ends()
	if i != b.last {
		b.a.read(b.ca.record(i-b.fa), b.r.slots)
		b.last = i
	}
	b.b.read(b.cb.record(j-b.fb), b.r.slots)
}

// ahead is how many pairs' records are fetched at a time.
const ahead = 16

// fetch reads a little of the second records of pairs, all at once: they are anywhere in memory, and to wait for one after the other would take as long as to compare them.
func (b *between) fetch(pairs []pair) {
	var at [ahead]uint32
	for n, p := range pairs {
		_, j := p.ends()
		at[n] = b.cb.off.All[j-b.fb]
	}
	arena := b.cb.arena.All
	last := len(arena) - 1
	for n := range pairs {
		k := int(at[n])
		b.fetched += arena[k] + arena[min(k+64, last)] + arena[min(k+128, last)]
	}
}

// overParts calls do for the pairs of each part, sorted, in the order of the parts.
func (s *run) overParts(ctx context.Context, c comparison, do func(part int, ca, cb int, pairs []pair) error) error {
	var m pairMemory
	for part, size := range c.parts.sizes {
		if first := c.parts.numbers(part); size == 0 || first.from >= c.of.to || first.to <= c.of.from {
			continue
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		pairs, err := c.parts.sorted(part, &m, c.only)
		if err != nil {
			return err
		}
		a, b := c.parts.chunks(part)
		if err := do(part, a, b, c.of.of(pairs)); err != nil {
			return err
		}
	}
	return nil
}

// chunkCache keeps the two chunks that were used last.
type chunkCache struct {
	r    *records
	into [2]reading
}

// get returns two chunks, which are good until it is called again.
func (k *chunkCache) get(a, b int) (ca, cb *chunk, err error) {
	if k.into[1].at == a+1 {
		k.into[0], k.into[1] = k.into[1], k.into[0]
	}
	if ca, err = k.r.chunk(a, &k.into[0]); err != nil || a == b {
		return ca, ca, err
	}
	cb, err = k.r.chunk(b, &k.into[1])
	return ca, cb, err
}

func (k *chunkCache) close() {
	k.into[0].close()
	k.into[1].close()
}

const pairStep = 4096

// numbers are those of some records: from one, below another.
type numbers struct{ from, to int }

// of returns the pairs, which are sorted, whose first records have these numbers.
func (n numbers) of(pairs []pair) []pair {
	at := func(number int) int {
		k, _ := slices.BinarySearch(pairs, pair(number)<<32)
		return k
	}
	return pairs[at(n.from):at(n.to)]
}

// comparison says which pairs are compared.
type comparison struct {
	parts *pairParts
	of    numbers         // of first records
	whole bool            // what is surely of two people is compared to the end, too
	only  func(pair) bool // nil: all
	done  func(pairs int) // is told how many pairs have been looked at, from any goroutine
}

// compareAll compares pairs and calls take for each that is not surely of two people, or for all; calls of one task come in order, from one worker.
func (s *run) compareAll(ctx context.Context, c comparison, take func(worker, part, task int, p pair, e *comparer) error) error {
	cs, cache := s.comparers(), &chunkCache{r: s.r}
	defer cache.close()
	return s.overParts(ctx, c, func(part, a, b int, pairs []pair) error {
		ca, cb, err := cache.get(a, b)
		if err != nil {
			return err
		}
		return parallel(s.o.Workers, (len(pairs)+pairStep-1)/pairStep, func(w, t int) error {
			k := between{comparer: cs[w], r: s.r, ca: ca, cb: cb, fa: s.r.first[a], fb: s.r.first[b], last: -1}
			some := pairs[t*pairStep : min(len(pairs), (t+1)*pairStep)]
			for n, p := range some {
				if n%ahead == 0 {
					k.fetch(some[n:min(len(some), n+ahead)])
				}
				k.read(p)
				if k.compare(c.whole) {
					if err := take(w, part, t, p, k.comparer); err != nil {
						return err
					}
				}
			}
			c.done(len(some))
			return nil
		})
	})
}

// every is a comparison of all pairs.
func (s *run) every(parts *pairParts, whole bool) comparison {
	return comparison{parts: parts, of: numbers{0, s.r.n}, whole: whole, done: s.count}
}

// count counts pairs that were compared.
func (s *run) count(pairs int) { s.o.Progress(FindMatching, s.compared.Add(int64(pairs))) }

// say appends what is kept of a pair that was compared, a row of some fixed size, or nothing.
type say func(dst []byte, p pair, c *comparer) []byte

// slabSize is about how many bytes of rows are handed on at once.
const slabSize = 64 << 10

// compareRows compares pairs and hands on what say has to say of them, some whole rows at a time, from several goroutines, in no order.
func (s *run) compareRows(ctx context.Context, c comparison, say say, put func(rows []byte) error) error {
	bufs := make([][]byte, s.o.Workers)
	err := s.compareAll(ctx, c, func(w, _, _ int, p pair, e *comparer) error {
		if bufs[w] = say(bufs[w], p, e); len(bufs[w]) < slabSize {
			return nil
		}
		err := put(bufs[w])
		bufs[w] = bufs[w][:0]
		return err
	})
	for _, b := range bufs {
		if err == nil && len(b) > 0 {
			err = put(b)
		}
	}
	return err
}
