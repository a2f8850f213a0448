package link

import (
	"cmp"
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
)

// sample is pairs that were compared, for learning.
type sample struct {
	fields int
	n      int
	weight float64 // how many pairs each stands for
	level  []uint16
	log    []float32
	// one and home are the probabilities of the classes. For pairs that a person has judged they are given.
	one, home []float32
	// gap is by how much less likely a household is than one person, as a logarithm.
	gap []float32
	// pairs are which they are, while they are gathered.
	pairs []pair
}

func (s *sample) add(e *evidence) {
	s.n++
	s.level = append(s.level, e.level[:s.fields]...)
	s.log = append(s.log, e.log[:s.fields]...)
	s.one, s.home, s.gap = append(s.one, 0), append(s.home, 0), append(s.gap, 2*impossible)
}

// grow makes room for n more pairs.
func (s *sample) grow(n int) {
	s.level, s.log = slices.Grow(s.level, n*s.fields), slices.Grow(s.log, n*s.fields)
	s.one, s.home, s.gap = slices.Grow(s.one, n), slices.Grow(s.home, n), slices.Grow(s.gap, n)
}

func (s *sample) append(o *sample) {
	s.n += o.n
	s.level = append(s.level, o.level...)
	s.log = append(s.log, o.log...)
	s.one, s.home, s.gap = append(s.one, o.one...), append(s.home, o.home...), append(s.gap, o.gap...)
}

// sampling takes the samples to learn from.
func (s *run) sampling(ctx context.Context, parts *pairParts) (*learner, error) {
	f := s.m.fields()
	l := &learner{Model: s.m, workers: s.o.Workers, total: pairsOf(s.r.n), profiles: float64(s.r.n)}
	l.pool, l.random, l.judged = sample{fields: f, weight: 1}, sample{fields: f, weight: 1}, sample{fields: f, weight: 3}
	var raw int64
	for _, n := range parts.sizes {
		raw += n / 8
	}
	every := uint64(1)
	if raw > 2*poolPairs {
		every = uint64(raw / poolPairs)
	}
	l.pool.weight = float64(every)
	type task struct{ part, task int }
	samples := map[task]*sample{}
	var lock sync.Mutex
	of := s.every(parts, true)
	of.only = func(p pair) bool { return every == 1 || mix(uint64(p))%every == 0 }
	err := s.compareAll(ctx, of, func(_, part, t int, p pair, c *comparer) error {
		lock.Lock()
		k := samples[task{part, t}]
		if k == nil {
			k = &sample{fields: f}
			samples[task{part, t}] = k
		}
		lock.Unlock()
		k.add(&c.evidence)
		k.pairs = append(k.pairs, p)
		return nil
	})
	if err != nil {
		return nil, err
	}
	l.pool.inOrder(slices.Collect(maps.Values(samples)))
	clear(samples)
	if err := s.randomPairs(l); err != nil {
		return nil, err
	}
	return l, s.judge(l)
}

// inOrder appends samples in the order of their pairs: what is learned is added up, and sums of floats depend on the order, which is not to depend on the parts that
// pairs came from. Those of one sample are in that order.
func (s *sample) inOrder(all []*sample) {
	type row struct {
		p  pair
		of *sample
		at int
	}
	var rows []row
	for _, of := range all {
		for at, p := range of.pairs {
			rows = append(rows, row{p, of, at})
		}
	}
	slices.SortFunc(rows, func(a, b row) int { return cmp.Compare(a.p, b.p) })
	s.grow(len(rows))
	f := s.fields
	for _, r := range rows {
		s.n++
		s.level, s.log = append(s.level, r.of.level[r.at*f:(r.at+1)*f]...), append(s.log, r.of.log[r.at*f:(r.at+1)*f]...)
		s.one, s.home, s.gap = append(s.one, r.of.one[r.at]), append(s.home, r.of.home[r.at]), append(s.gap, r.of.gap[r.at])
	}
}

// mix is the finalizer of SplitMix64.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// randomPairs takes pairs by chance.
func (s *run) randomPairs(l *learner) error {
	n := s.r.n
	if n < 2 {
		return nil
	}
	const step = 8192
	var pairs [][2]uint32
	if pairsOf(n) <= float64(s.o.random) {
		for i := range n {
			for j := i + 1; j < n; j++ {
				pairs = append(pairs, [2]uint32{uint32(i), uint32(j)})
			}
		}
	} else {
		rng := rand.New(rand.NewPCG(1, uint64(n)))
		for len(pairs) < s.o.random {
			if i, j := rng.IntN(n), rng.IntN(n); i != j {
				pairs = append(pairs, [2]uint32{uint32(i), uint32(j)})
			}
		}
	}
	ends := make([]uint32, 0, 2*len(pairs))
	for _, p := range pairs {
		ends = append(ends, p[0], p[1])
	}
	records, err := s.r.pick(ends)
	if err != nil {
		return err
	}
	defer records.close()
	cs := s.comparers()
	samples := make([]sample, (len(pairs)+step-1)/step)
	err = parallel(s.o.Workers, len(samples), func(w, t int) error {
		samples[t].fields = l.random.fields
		samples[t].grow(step)
		for _, p := range pairs[t*step : min(len(pairs), (t+1)*step)] {
			cs[w].compareThese(records, p[0], p[1])
			samples[t].add(&cs[w].evidence)
		}
		return nil
	})
	l.random.grow(len(pairs))
	for i := range samples {
		l.random.append(&samples[i])
		samples[i] = sample{}
	}
	return err
}

// compareThese compares two picked records.
func (c *comparer) compareThese(records *picked, i, j uint32) {
	c.a.read(records.record(i), records.slots)
	c.b.read(records.record(j), records.slots)
	c.compare(true)
}

// judge takes the pairs that persons have answered.
func (s *run) judge(l *learner) error {
	pairs := slices.Sorted(maps.Keys(s.asked))
	ends := make([]uint32, 0, 2*len(pairs))
	for _, p := range pairs {
		i, j := p.ends()
		ends = append(ends, uint32(i), uint32(j))
	}
	records, err := s.r.pick(ends)
	if err != nil {
		return err
	}
	defer records.close()
	c := &comparer{Model: s.m}
	for _, p := range pairs {
		i, j := p.ends()
		c.compareThese(records, uint32(i), uint32(j))
		l.judged.add(&c.evidence)
		if s.asked[p] {
			l.judged.one[l.judged.n-1] = 1
		}
	}
	return nil
}
