package link

import (
	"context"
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
	err := s.compareAll(ctx, parts, true, func(p pair) bool {
		return every == 1 || mix(uint64(p))%every == 0
	}, func(part, t int, p pair, c *comparer) {
		lock.Lock()
		k := samples[task{part, t}]
		if k == nil {
			k = &sample{fields: f}
			samples[task{part, t}] = k
		}
		lock.Unlock()
		k.add(&c.evidence)
	})
	if err != nil {
		return nil, err
	}
	var keys []task
	for k := range samples {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b task) int {
		if a.part != b.part {
			return a.part - b.part
		}
		return a.task - b.task
	})
	rows := 0
	for _, k := range keys {
		rows += samples[k].n
	}
	l.pool.grow(rows)
	for _, k := range keys {
		l.pool.append(samples[k])
		delete(samples, k)
	}
	if err := s.randomPairs(l); err != nil {
		return nil, err
	}
	return l, s.judge(l)
}

// mix is the finalizer of SplitMix64.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// randomPairs takes pairs by chance: of the first chunk, for numbers are hashes.
func (s *run) randomPairs(l *learner) error {
	k := 0
	for s.r.first[k+1]-s.r.first[k] < 2 && k+1 < len(s.r.chunks) {
		k++
	}
	c, err := s.r.chunk(k)
	if err != nil {
		return err
	}
	n := len(c.off)
	if n < 2 {
		return nil
	}
	const step = 8192
	var pairs [][2]int
	if pairsOf(n) <= float64(s.o.random) {
		for i := range n {
			for j := i + 1; j < n; j++ {
				pairs = append(pairs, [2]int{i, j})
			}
		}
	} else {
		rng := rand.New(rand.NewPCG(1, uint64(n)))
		for len(pairs) < s.o.random {
			if i, j := rng.IntN(n), rng.IntN(n); i != j {
				pairs = append(pairs, [2]int{i, j})
			}
		}
	}
	cs := s.comparers()
	samples := make([]sample, (len(pairs)+step-1)/step)
	err = parallel(s.o.Workers, len(samples), func(w, t int) error {
		samples[t].fields = l.random.fields
		samples[t].grow(step)
		for _, p := range pairs[t*step : min(len(pairs), (t+1)*step)] {
			cs[w].a.read(c.arena[c.off[p[0]]:], s.r.slots)
			cs[w].b.read(c.arena[c.off[p[1]]:], s.r.slots)
			cs[w].compare(true)
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

// judge takes the pairs that persons have answered.
func (s *run) judge(l *learner) error {
	pairs := make([]pair, 0, len(s.asked))
	for p := range s.asked {
		pairs = append(pairs, p)
	}
	slices.Sort(pairs)
	cache, c := &chunkCache{r: s.r}, &comparer{Model: s.m}
	for _, p := range pairs {
		i, j := p.ends()
		for side, at := range [...]int{i, j} {
			k := s.r.chunkOf(at)
			ch, err := cache.get(side, k)
			if err != nil {
				return err
			}
			v := &c.a
			if side == 1 {
				v = &c.b
			}
			v.read(ch.arena[ch.off[at-s.r.first[k]]:], s.r.slots)
		}
		c.compare(true)
		l.judged.add(&c.evidence)
		if s.asked[p] {
			l.judged.one[l.judged.n-1] = 1
		}
	}
	return nil
}
