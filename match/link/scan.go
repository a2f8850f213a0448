package link

import (
	"context"
	"maps"
	"slices"
	"sync"
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
}

func (b *between) read(p pair) {
	i, j := p.ends()
	if i != b.last {
		b.a.read(b.ca.arena[b.ca.off[i-b.fa]:], b.r.slots)
		b.last = i
	}
	b.b.read(b.cb.arena[b.cb.off[j-b.fb]:], b.r.slots)
}

// overParts calls do for the pairs of each part, sorted, in the order of the parts.
func (s *run) overParts(ctx context.Context, parts *pairParts, do func(part int, ca, cb int, pairs []pair) error) error {
	for part := range parts.sizes {
		if parts.sizes[part] == 0 {
			continue
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		pairs, err := parts.sorted(part)
		if err != nil {
			return err
		}
		a, b := parts.chunks(part)
		if err := do(part, a, b, pairs); err != nil {
			return err
		}
	}
	return nil
}

// chunkCache keeps the two chunks that were used last.
type chunkCache struct {
	r  *records
	at [2]int
	c  [2]*chunk
}

func (k *chunkCache) get(side, i int) (*chunk, error) {
	if k.c[side] != nil && k.at[side] == i {
		return k.c[side], nil
	}
	if k.c[1-side] != nil && k.at[1-side] == i {
		return k.c[1-side], nil
	}
	k.c[side] = nil
	c, err := k.r.chunk(i)
	k.at[side], k.c[side] = i, c
	return c, err
}

const pairStep = 4096

// compareAll compares pairs and calls take for each that is not surely of two people, or for all; calls of one task come in order.
func (s *run) compareAll(ctx context.Context, parts *pairParts, whole bool, choose func(pair) bool, take func(part, task int, p pair, e *comparer)) error {
	cs, cache := s.comparers(), &chunkCache{r: s.r}
	return s.overParts(ctx, parts, func(part, a, b int, pairs []pair) error {
		ca, err := cache.get(0, a)
		if err != nil {
			return err
		}
		cb, err := cache.get(1, b)
		if err != nil {
			return err
		}
		return parallel(s.o.Workers, (len(pairs)+pairStep-1)/pairStep, func(w, t int) error {
			k := between{comparer: cs[w], r: s.r, ca: ca, cb: cb, fa: s.r.first[a], fb: s.r.first[b], last: -1}
			for _, p := range pairs[t*pairStep : min(len(pairs), (t+1)*pairStep)] {
				if choose != nil && !choose(p) {
					continue
				}
				k.read(p)
				if k.compare(whole) {
					take(part, t, p, k.comparer)
				}
			}
			s.o.Progress(FindMatching, s.compared.Add(int64(min(len(pairs), (t+1)*pairStep)-t*pairStep)))
			return nil
		})
	})
}

// collect compares all pairs of parts, and returns what make makes of them, whatever worker does it in the same order.
func collect[T any](ctx context.Context, s *run, parts *pairParts, whole bool, make func(pair, *comparer) (T, bool)) (all []T, err error) {
	tasks := map[int]*[]T{}
	last := -1
	flush := func() {
		for _, t := range slices.Sorted(maps.Keys(tasks)) {
			all = append(all, *tasks[t]...)
		}
		clear(tasks)
	}
	var lock sync.Mutex
	err = s.compareAll(ctx, parts, whole, nil, func(part, t int, p pair, c *comparer) {
		x, ok := make(p, c)
		if !ok {
			return
		}
		lock.Lock()
		defer lock.Unlock()
		if part != last {
			flush()
			last = part
		}
		list := tasks[t]
		if list == nil {
			list = new([]T)
			tasks[t] = list
		}
		*list = append(*list, x)
	})
	flush()
	return all, err
}
