package link

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"kith/profile/fold"
)

// run is one search on its way.
type run struct {
	o      *Options
	m      *Model
	r      *records
	report *Report
	// asked are the answers by records.
	asked    map[pair]bool
	compared atomic.Int64
	silent   string // what is said of profiles that say the same, and too little
}

const (
	defaultMemory    = 1 << 30
	defaultThreshold = 0.5
	// poolPairs and randomPairs are about how many pairs are learned from.
	poolPairs   = 200_000
	randomPairs = 300_000
	// allPairsBelow is up to how many pairs all there are get compared.
	allPairsBelow = 1_500_000
	// secondLook is up to how many profiles the second look compares all pairs again; of more, those that were not unlikely.
	secondLook = 200_000
)

func (o *Options) defaults() {
	if o.Workers == 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.Memory == 0 {
		o.Memory = defaultMemory
	}
	if o.Threshold == 0 {
		o.Threshold = defaultThreshold
	}
	if o.Progress == nil {
		o.Progress = func(Stage, int64) {}
	}
}

func find(ctx context.Context, src Source, o Options, emit func(*Group) error) (*Model, *Report, error) {
	o.defaults()
	st, err := survey(ctx, src, &o)
	if err != nil {
		return nil, nil, err
	}
	r, err := gather(ctx, src, &o, st)
	if err != nil {
		return nil, nil, err
	}
	defer r.close()
	if r.n > math.MaxUint32-1 {
		return nil, nil, fmt.Errorf("%d profiles are too many to match", r.n)
	}
	s := &run{o: &o, r: r, report: &Report{Reviewed: int64(r.n)}, m: &Model{custom: st.custom, account: st.account, dayFirst: st.dayFirst}}
	if st.more {
		s.report.Refined = append(s.report.Refined, fmt.Sprintf("there are more than %d custom attributes; those met first were looked at", maxNames))
	}
	s.ask()
	if err := r.findCopies(o.Workers, s.asked); err != nil {
		return nil, nil, err
	}
	s.m.believe()
	if r.n < 2 {
		return s.m, s.report, nil
	}
	clusters, err := s.search(ctx)
	if err != nil {
		return nil, nil, err
	}
	if s.silent != "" {
		s.report.Refined = append(s.report.Refined, s.silent)
	}
	return s.m, s.report, s.emit(ctx, clusters, emit)
}

// ask finds the answers' records.
func (s *run) ask() {
	s.asked = map[pair]bool{}
	for _, a := range s.o.Answers {
		i, ok := s.r.index(a.A)
		j, also := s.r.index(a.B)
		if ok && also && i != j {
			s.asked[pairOf(i, j)] = a.Same
		}
	}
}

// search finds the clusters.
func (s *run) search(ctx context.Context) ([]cluster, error) {
	if err := s.m.countTerms(s.r, s.o.Workers, nil); err != nil {
		return nil, err
	}
	parts, err := s.candidates(ctx)
	if err != nil {
		return nil, err
	}
	defer parts.close()
	l, err := s.sampling(parts)
	if err != nil {
		return nil, err
	}
	l.learn()
	clusters, edges, err := s.clusters(ctx, parts)
	if err != nil {
		return nil, err
	}
	person := make([]uint32, s.r.n)
	for i := range person {
		person[i] = uint32(i)
	}
	for _, c := range clusters {
		for _, i := range c.members {
			person[i] = c.members[0]
		}
	}
	if err := s.m.countTerms(s.r, s.o.Workers, person); err != nil {
		return nil, err
	}
	if l, err = s.sampling(parts); err != nil {
		return nil, err
	}
	l.again = true
	l.learn()
	if s.r.n > secondLook {
		again, err := s.pairsOf(edges)
		if err != nil {
			return nil, err
		}
		defer again.close()
		parts = again
	}
	clusters, _, err = s.clusters(ctx, parts)
	return clusters, err
}

// pairsOf are the pairs of edges.
func (s *run) pairsOf(edges []edge) (*pairParts, error) {
	parts := newPairParts(s.r, s.ranges(), s.o.Memory/6, s.o.Dir)
	out := parts.writer()
	for _, e := range edges {
		out.put(e.i, e.j)
	}
	return parts, out.flush()
}

// ranges are into how many ranges a chunk's pairs are cut.
func (s *run) ranges() int { return max(s.o.Workers*4, s.r.n/len(s.r.chunks)/200_000) }

// candidates finds the pairs to compare.
func (s *run) candidates(ctx context.Context) (*pairParts, error) {
	parts := newPairParts(s.r, s.ranges(), s.o.Memory/6, s.o.Dir)
	b := &blocker{records: s.r, m: s.m, o: s.o, parts: parts, most: 100, budget: max(500_000, int64(s.r.n)*3/2)}
	if pairsOf(s.r.n) <= allPairsBelow {
		return parts, b.allPairs()
	}
	if err := b.run(ctx); err != nil {
		parts.close()
		return nil, err
	}
	s.report.Refined = append(s.report.Refined, b.words()...)
	return parts, nil
}

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

// eachPart calls do for all pairs of all parts, in order within a task; whole tasks go to workers.
func (s *run) eachPart(ctx context.Context, parts *pairParts, do func(part int, ca, cb int, pairs []pair) error) error {
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
	return s.eachPart(ctx, parts, func(part, a, b int, pairs []pair) error {
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

// sampling takes the samples to learn from.
func (s *run) sampling(parts *pairParts) (*learner, error) {
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
	err := s.compareAll(context.Background(), parts, true, func(p pair) bool {
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
	if pairsOf(n) <= randomPairs {
		for i := range n {
			for j := i + 1; j < n; j++ {
				pairs = append(pairs, [2]int{i, j})
			}
		}
	} else {
		rng := rand.New(rand.NewPCG(1, uint64(n)))
		for len(pairs) < randomPairs {
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

// edges compares all pairs and returns those that count.
func (s *run) edges(ctx context.Context, parts *pairParts) ([]edge, error) {
	return collect(ctx, s, parts, false, func(p pair, c *comparer) (edge, bool) {
		odds := s.m.odds(&c.evidence)
		i, j := p.ends()
		return edge{uint32(i), uint32(j), odds}, odds >= edgeFloor
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

// edgeFloor are the least odds of an edge that is kept.
const edgeFloor = -4

// clusters compares all pairs, and clusters the components that edges make, once all pairs within them are compared.
func (s *run) clusters(ctx context.Context, parts *pairParts) ([]cluster, []edge, error) {
	edges, err := s.edges(ctx, parts)
	if err != nil {
		return nil, nil, err
	}
	edges = s.obey(edges)
	least := logit(s.o.Threshold)
	var all []bunch
	for _, b := range s.components(edges, least) {
		all = append(all, split(b, least)...)
	}
	vectors, err := s.vectors(ctx, all)
	if err != nil {
		return nil, nil, err
	}
	results := make([][]cluster, len(all))
	ks := make([]clusterer, s.o.Workers)
	const step = 64
	err = parallel(s.o.Workers, (len(all)+step-1)/step, func(w, t int) error {
		ks[w].m, ks[w].least = s.m, least
		for i := t * step; i < min(len(all), (t+1)*step); i++ {
			results[i] = ks[w].clusters(all[i], vectors.of(all[i].members))
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	s.silent = ""
	clusters, err := s.withCopies(slices.Concat(results...))
	return clusters, edges, err
}

// vectorList are vectors in the order of their pairs.
type vectorList []vector

// of returns the vectors of all pairs of some records; nil for two, whose edge says all.
func (l vectorList) of(members []uint32) (all []vector) {
	if len(members) == 2 || len(members) > maxDense {
		return nil
	}
	for _, i := range members {
		n, _ := slices.BinarySearchFunc(l, i, func(v vector, i uint32) int { return cmp.Compare(v.i, i) })
		for ; n < len(l) && l[n].i == i; n++ {
			all = append(all, l[n])
		}
	}
	return all
}

// vectors compares all pairs within bunches of three and more.
func (s *run) vectors(ctx context.Context, all []bunch) (vectorList, error) {
	parts := newPairParts(s.r, max(1, s.o.Workers), s.o.Memory/6, s.o.Dir)
	defer parts.close()
	out := parts.writer()
	for _, b := range all {
		if n := len(b.members); n > 2 && n <= maxDense {
			for i := range b.members {
				for j := i + 1; j < n; j++ {
					out.put(b.members[i], b.members[j])
				}
			}
		}
	}
	if err := out.flush(); err != nil {
		return nil, err
	}
	list, err := collect(ctx, s, parts, true, func(p pair, c *comparer) (vector, bool) {
		i, j := p.ends()
		return s.m.vector(uint32(i), uint32(j), &c.evidence), true
	})
	slices.SortFunc(list, func(a, b vector) int { return cmp.Or(cmp.Compare(a.i, b.i), cmp.Compare(a.j, b.j)) })
	return list, err
}

// obey puts the answers in the place of what was learned.
func (s *run) obey(edges []edge) []edge {
	sortEdges(edges)
	if len(s.asked) == 0 {
		return edges
	}
	edges = slices.DeleteFunc(edges, func(e edge) bool {
		_, ok := s.asked[pairOf(int(e.i), int(e.j))]
		return ok
	})
	for p, same := range s.asked {
		i, j := p.ends()
		e := edge{uint32(i), uint32(j), answeredNot}
		if same {
			e.odds = answeredSame
		}
		edges = append(edges, e)
	}
	sortEdges(edges)
	return edges
}

// components returns what edges of some odds hold together.
func (s *run) components(edges []edge, least float32) []bunch {
	f := newForest(s.r.n)
	for _, e := range edges {
		if e.odds >= least {
			f.join(e.i, e.j)
		}
	}
	size := make([]uint32, s.r.n)
	for i := range f {
		size[f.find(uint32(i))]++
	}
	place := make([]uint32, s.r.n) // of a root, and 1
	var all []bunch
	for i := range f {
		root := f.find(uint32(i))
		if size[root] < 2 {
			continue
		}
		if place[root] == 0 {
			all = append(all, bunch{})
			place[root] = uint32(len(all))
		}
		c := &all[place[root]-1]
		c.members = append(c.members, uint32(i))
	}
	for _, e := range edges {
		if root := f.find(e.i); root == f.find(e.j) && size[root] > 1 {
			c := &all[place[root]-1]
			c.edges = append(c.edges, e)
		}
	}
	return all
}

// emit tells the groups.
func (s *run) emit(ctx context.Context, clusters []cluster, emit func(*Group) error) error {
	for _, c := range clusters {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		g := &Group{Score: c.score}
		for _, i := range c.members {
			g.Members = append(g.Members, s.r.ids[i])
		}
		slices.SortFunc(g.Members, fold.ID.Compare)
		g.Weakest = [2]fold.ID{s.r.ids[c.weakest[0]], s.r.ids[c.weakest[1]]}
		slices.SortFunc(g.Weakest[:], fold.ID.Compare)
		if c.glued != 0 {
			g.Glued = s.r.ids[c.glued-1]
			s.report.Glued = append(s.report.Glued, g.Glued)
		}
		s.report.Groups++
		s.report.Pairs += int64(len(g.Members)) * int64(len(g.Members)-1) / 2
		if err := emit(g); err != nil {
			return err
		}
	}
	s.report.Compared = s.compared.Load()
	return nil
}
