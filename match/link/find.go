package link

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
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
	o.Memory = o.Memory * 3 / 5 // the rest is for garbage
	if o.Threshold == 0 {
		o.Threshold = defaultThreshold
	}
	if o.random == 0 {
		o.random = randomPairs
	}
	if o.Progress == nil {
		o.Progress = func(Stage, int64) {}
	}
}

// Find reads all profiles, learns how they agree, and emits the groups, in any order, from one goroutine. The outcome is the same for the
// same profiles, however many workers there are and in whatever order profiles come.
func Find(ctx context.Context, src Source, o Options, emit func(*Group) error) (*Model, *Report, error) {
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
	s := &run{o: &o, r: r, report: &Report{Reviewed: int64(r.n)}, m: &Model{custom: st.custom, account: st.account, habits: st.habits}}
	if st.more {
		s.report.Refined = append(s.report.Refined, attributesBounded())
	}
	if n := len(st.void); n > 0 {
		s.report.Refined = append(s.report.Refined, countAsEmpty(n))
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
	keyed := parts
	if pairsOf(s.r.n) <= allPairsBelow {
		if parts, err = s.allPairs(); err != nil {
			return nil, err
		}
		defer parts.close()
	}
	l, err := s.sampling(ctx, keyed)
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
	if l, err = s.sampling(ctx, keyed); err != nil {
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
	parts := newPairParts(s.r, s.ranges(), s.o.Memory/8, s.o.Dir)
	out := parts.writer()
	for _, e := range edges {
		out.put(e.i, e.j)
	}
	return parts.or(out.flush())
}

// ranges are into how many ranges a chunk's pairs are cut.
func (s *run) ranges() int { return max(s.o.Workers*4, s.r.n/len(s.r.chunks)/200_000) }

// candidates finds the pairs that share a key: those that are learned from, and those to compare, unless there are so few profiles that all are.
func (s *run) candidates(ctx context.Context) (*pairParts, error) {
	parts := newPairParts(s.r, s.ranges(), s.o.Memory/8, s.o.Dir)
	b := &blocker{records: s.r, m: s.m, o: s.o, parts: parts, most: 100, budget: max(500_000, int64(s.r.n)*3/2)}
	if err := b.run(ctx); err != nil {
		return parts.or(err)
	}
	if pairsOf(s.r.n) <= allPairsBelow { // nothing is missed where blocks are bounded
		return parts, nil
	}
	s.report.Refined = append(s.report.Refined, b.words()...)
	return parts, nil
}

// allPairs are all pairs there are.
func (s *run) allPairs() (*pairParts, error) {
	parts := newPairParts(s.r, s.ranges(), s.o.Memory/8, s.o.Dir)
	return parts.or((&blocker{records: s.r, parts: parts}).allPairs())
}

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
