package link

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync/atomic"

	"kith/internal/extsort"
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
	toShare  int    // of the times that all pairs are compared, how many a team will share
	silent   string // what is said of profiles that say the same, and too little
}

// Shares of the memory, about. Where not all fits, there are at a time: while records are sorted, all that wait and two chunks; while keys are made, a
// chunk, keys and pairs; while pairs are compared, two chunks, all pairs, some of them again, and what some say. So a third is left for what each profile takes in any case.
const (
	recordsShare = 3  // records that wait, in no order
	sortedShare  = 16 // records in their order that are not in the file
	chunkShare   = 6
	entriesShare = 8  // half of it where records are aside: there are so many that tables of all of them take more
	pairsShare   = 8  // all pairs; likewise
	someShare    = 16 // those that are not unlikely, and as edges; those of bunches; what they say; keys of a part that is too large
)

const (
	defaultMemory    = 768 << 20
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
	o.arena = &extsort.Arena{Budget: o.Memory, Return: true}
	if o.Threshold == 0 {
		o.Threshold = defaultThreshold
	}
	if o.random == 0 {
		o.random = randomPairs
	}
	if o.secondLook == 0 {
		o.secondLook = secondLook
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
	if r.n > math.MaxInt32 { // begins is a bit of a number
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
	if err := r.findCopies(&o, s.asked); err != nil {
		return nil, nil, err
	}
	s.m.believe()
	if r.n < 2 {
		return s.m, s.report, nil
	}
	found := &clusters{}
	defer found.close()
	if err := s.search(ctx, found); err != nil {
		return nil, nil, err
	}
	if s.silent != "" {
		s.report.Refined = append(s.report.Refined, s.silent)
	}
	return s.m, s.report, s.emit(ctx, found, emit)
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
func (s *run) search(ctx context.Context, found *clusters) error {
	if err := s.m.countTerms(s.r, s.o.Workers, nil); err != nil {
		return err
	}
	parts, err := s.candidates(ctx)
	if err != nil {
		return err
	}
	defer parts.close()
	keyed := parts
	if pairsOf(s.r.n) <= allPairsBelow {
		if parts, err = s.allPairs(); err != nil {
			return err
		}
		defer parts.close()
	}
	l, err := s.sampling(ctx, keyed)
	if err != nil {
		return err
	}
	l.learn()
	if s.o.Team != nil {
		s.toShare = 2
	}
	var again *pairParts // of whom it is not unlikely, for the second look
	if s.r.n > s.o.secondLook {
		s.toShare = min(s.toShare, 1) // these few are compared as soon as shared
		again = newPairParts(s.r, s.ranges(), s.o, someShare)
		defer again.close()
	}
	if err := s.clusters(ctx, parts, again, found); err != nil {
		return err
	}
	person := found.persons(s.r.n)
	err = s.m.countTerms(s.r, s.o.Workers, person.All)
	person.Close()
	if err != nil {
		return err
	}
	if l, err = s.sampling(ctx, keyed); err != nil {
		return err
	}
	l.again = true
	l.learn()
	if again != nil {
		parts = again
	}
	return s.clusters(ctx, parts, nil, found)
}

// ranges are into how many ranges a chunk's pairs are cut.
func (s *run) ranges() int { return s.whole(max(s.o.Workers*4, s.r.n/s.r.chunks()/200_000)) }

// candidates finds the pairs that share a key: those that are learned from, and those to compare, unless there are so few profiles that all are.
func (s *run) candidates(ctx context.Context) (*pairParts, error) {
	parts := newPairParts(s.r, s.ranges(), s.o, s.r.share(pairsShare))
	b := &blocker{records: s.r, m: s.m, o: s.o, parts: parts, budget: max(500_000, int64(s.r.n)*3/2)}
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
	parts := newPairParts(s.r, s.ranges(), s.o, pairsShare)
	return parts.or((&blocker{records: s.r, parts: parts}).allPairs())
}

// clusters compares all pairs, and clusters the bunches that edges make, once all pairs within them are compared: batch by batch, so that of
// bunches and of what their pairs say no more is in memory than a batch has. Edges become the pairs of again, if that is not nil.
func (s *run) clusters(ctx context.Context, parts, again *pairParts, found *clusters) error {
	w, err := s.web(ctx, parts, again)
	if err != nil {
		return err
	}
	defer w.close()
	vectors, err := s.vectors(ctx, w)
	if err != nil {
		return err
	}
	defer vectors.close()
	k, err := s.keeper(found)
	if err != nil {
		return err
	}
	ks := make([]clusterer, s.o.Workers)
	const step = 64
	for n := range w.batches() {
		all, err := w.batch(n)
		if err != nil {
			return err
		}
		vectors, err := readVectors(vectors, n)
		if err != nil {
			return err
		}
		results := make([][]cluster, len(all))
		err = parallel(s.o.Workers, (len(all)+step-1)/step, func(worker, t int) error {
			ks[worker].m, ks[worker].least = s.m, w.least
			for i := t * step; i < min(len(all), (t+1)*step); i++ {
				results[i] = ks[worker].clusters(all[i], vectors.of(all[i].members))
			}
			return context.Cause(ctx)
		})
		if err != nil {
			return err
		}
		for _, some := range results {
			k.keep(some)
		}
	}
	s.silent = k.rest()
	return nil
}

// emitBatch is about of how many profiles groups are told at a time: ids that are aside are read once for each such batch.
const emitBatch = 1 << 20

// emit tells the groups.
func (s *run) emit(ctx context.Context, found *clusters, emit func(*Group) error) error {
	for from := 0; from < len(found.heads.All); {
		to := from
		var wanted []uint32
		for to < len(found.heads.All) && len(wanted) < emitBatch {
			c := found.at(to)
			wanted = append(wanted, c.members...)
			to++
		}
		ids, err := s.ids(wanted)
		if err != nil {
			return err
		}
		for ; from < to; from++ {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err := emit(s.group(found.at(from), ids)); err != nil {
				return err
			}
		}
	}
	s.report.Compared = s.compared.Load()
	return nil
}

// group makes a group of a cluster, and counts it.
func (s *run) group(c cluster, ids func(uint32) fold.ID) *Group {
	g := &Group{Score: c.score, Members: make([]fold.ID, len(c.members))}
	for k, i := range c.members {
		g.Members[k] = ids(i)
	}
	slices.SortFunc(g.Members, fold.ID.Compare)
	g.Weakest = [2]fold.ID{ids(c.weakest[0]), ids(c.weakest[1])}
	slices.SortFunc(g.Weakest[:], fold.ID.Compare)
	if c.glued != 0 {
		g.Glued = ids(c.glued - 1)
		s.report.Glued = append(s.report.Glued, g.Glued)
	}
	s.report.Groups++
	s.report.Pairs += int64(len(g.Members)) * int64(len(g.Members)-1) / 2
	return g
}

// ids returns what tells the ids of some records.
func (s *run) ids(wanted []uint32) (func(uint32) fold.ID, error) {
	if s.r.aside == nil {
		return func(i uint32) fold.ID {
			k := s.r.chunkOf(int(i))
			return s.r.kept[k].ids.All[int(i)-s.r.first[k]]
		}, nil
	}
	slices.Sort(wanted)
	wanted = slices.Compact(wanted)
	all := make([]fold.ID, 0, len(wanted))
	var ids []fold.ID
	for k := range s.r.chunks() {
		var err error
		if ids, err = s.r.chunkIDs(k, ids); err != nil {
			return nil, err
		}
		for len(all) < len(wanted) && int(wanted[len(all)]) < s.r.first[k+1] {
			all = append(all, ids[int(wanted[len(all)])-s.r.first[k]])
		}
	}
	return func(i uint32) fold.ID {
		n, _ := slices.BinarySearch(wanted, i)
		return all[n]
	}, nil
}
