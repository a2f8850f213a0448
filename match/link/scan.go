package link

import (
	"context"
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
		b.a.read(b.ca.record(i-b.fa), b.r.slots)
		b.last = i
	}
	b.b.read(b.cb.record(j-b.fb), b.r.slots)
}

// overParts calls do for the pairs of each part, sorted, in the order of the parts.
func (s *run) overParts(ctx context.Context, parts *pairParts, do func(part int, ca, cb int, pairs []pair) error) error {
	var m pairMemory
	for part := range parts.sizes {
		if parts.sizes[part] == 0 {
			continue
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		pairs, err := parts.sorted(part, &m)
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

// compareAll compares pairs and calls take for each that is not surely of two people, or for all; calls of one task come in order.
func (s *run) compareAll(ctx context.Context, parts *pairParts, whole bool, choose func(pair) bool, take func(part, task int, p pair, e *comparer)) error {
	cs, cache := s.comparers(), &chunkCache{r: s.r}
	defer cache.close()
	return s.overParts(ctx, parts, func(part, a, b int, pairs []pair) error {
		ca, cb, err := cache.get(a, b)
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
