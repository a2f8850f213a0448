package rule

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"kith/profile/fold"
	"kith/store"
)

// evaluation finds the matches of some profiles, and of everybody whose matches depend on them. What it finds is a function of documents
// and holders alone:
//
//	a tuple counts    if 2 to MaxHolders profiles hold it
//	level of P        the first level at which P holds a tuple that counts: the waterfall ends there
//	a tuple is live   if it counts, and its level is that of one of its holders
//	match             what is connected by live tuples of one level, 2 to MaxMembers profiles
//
// So a profile whose level is 2 is in a match of level 2 with all with whom it satisfies rule 2, also with one that has a better match, and
// the latter is in two matches.
//
// What has to be looked at again when tuples have got or lost holders: these profiles, all holders of these tuples, and all members of the
// matches that any of them was in (closure); from there, what is connected now. Profiles beyond that keep their level and their
// tuples, so their matches are what they were.
type evaluation struct {
	*pass
	changed []fold.ID      // to be evaluated
	tuples  map[Tuple]bool // whose holders have changed

	docs    map[fold.ID]*doc // that were read, or are about to be written
	buckets map[Tuple]*bucket
	levels  map[fold.ID]reached
	in      map[fold.ID]map[Level]MatchID // the matches that profiles are said to be in
	groups  map[MatchID]*group            // that were read; nil: there is none

	places map[place]int // numbers in nodes
	nodes  []node
	queue  []place

	crowded, uncrowded []Tuple // that have too many holders now, and no more
	large              int     // matches that would be too large
}

// bucket is the holders of a tuple.
type bucket struct {
	holders []fold.ID
	crowded bool // there are more than MaxHolders, not all of which are listed
}

func (b *bucket) counts() bool { return !b.crowded && len(b.holders) > 1 }

// reached is how far the level of a profile is known: it is level, or, if that is 0, not among the first upTo levels.
type reached struct{ level, upTo Level }

// place is a profile at a level.
type place struct {
	level Level
	id    fold.ID
}

// node is a place among those that are connected: a set with a size, by its parent.
type node struct {
	place
	parent, size int
}

func (x *pass) evaluation() *evaluation {
	return &evaluation{pass: x, tuples: map[Tuple]bool{}, docs: map[fold.ID]*doc{}, buckets: map[Tuple]*bucket{}, levels: map[fold.ID]reached{},
		in: map[fold.ID]map[Level]MatchID{}, groups: map[MatchID]*group{}, places: map[place]int{}}
}

// run evaluates, merges, and writes matches. It returns the profiles that are to be evaluated again, because they were merged.
func (e *evaluation) run(ctx context.Context) (again []fold.ID, err error) {
	if err := e.crowds(ctx); err != nil {
		return nil, err
	}
	if err := e.begin(ctx, e.changed); err != nil {
		return nil, err
	}
	if err := e.expand(ctx); err != nil {
		return nil, err
	}
	return e.conclude(ctx)
}

// crowds notes who has to be looked at because tuples have got or lost holders, and which tuples have become common, or have ceased to be.
func (e *evaluation) crowds(ctx context.Context) error {
	tuples := slices.SortedFunc(maps.Keys(e.tuples), Tuple.compare)
	if err := e.loadBuckets(ctx, tuples); err != nil {
		return err
	}
	if err := e.loadCrowds(ctx); err != nil {
		return err
	}
	for _, t := range tuples {
		b := e.buckets[t]
		was := e.common[t]
		switch {
		case b.crowded && was:
			continue
		case b.crowded:
			e.crowded = append(e.crowded, t)
			at := store.Partition{Table: store.Match, Incarnation: e.inc, Key: holderPartition(e.st.Gen, t.Level, t.Hash[0])}
			for row, err := range e.Store.Scan(ctx, at, holdersOf(t, 0)) {
				if err != nil {
					return fmt.Errorf("read the holders of a tuple: %w", err)
				}
				_, id, err := holderOf(row.Key)
				if err != nil {
					return err
				}
				e.changed = append(e.changed, id)
			}
			continue
		case was:
			e.uncrowded = append(e.uncrowded, t)
		}
		e.changed = append(e.changed, b.holders...)
	}
	return nil
}

// loadCrowds reads which tuples have had too many holders, once for a pass.
func (x *pass) loadCrowds(ctx context.Context) error {
	if x.common != nil && x.commonOf == x.st.Gen {
		return nil
	}
	x.common, x.commonOf = map[Tuple]bool{}, x.st.Gen
	at := store.Partition{Table: store.Match, Incarnation: x.inc, Key: crowdPartition(x.st.Gen)}
	for row, err := range x.Store.Scan(ctx, at, store.Range{}) {
		if err == nil && len(row.Key) != 1+hashLen {
			err = fold.ErrCorrupt
		}
		if err != nil {
			x.common = nil
			return fmt.Errorf("read the tuples with too many holders: %w", err)
		}
		x.common[Tuple{Level(row.Key[0]), [hashLen]byte(row.Key[1:])}] = true
	}
	return nil
}

// begin puts profiles into the queue, at every level at which they have a tuple that counts, or are said to be in a match.
func (e *evaluation) begin(ctx context.Context, ids []fold.ID) error {
	ids = slices.Clone(ids)
	slices.SortFunc(ids, fold.ID.Compare)
	ids = slices.Compact(ids)
	if err := e.load(ctx, ids); err != nil {
		return err
	}
	var tuples []Tuple
	for _, id := range ids {
		if d := e.docs[id]; d != nil {
			tuples = append(tuples, d.tuples...)
		}
	}
	slices.SortFunc(tuples, Tuple.compare)
	if err := e.loadBuckets(ctx, slices.Compact(tuples)); err != nil {
		return err
	}
	for _, id := range ids {
		if d := e.docs[id]; d != nil {
			for _, t := range d.tuples {
				if e.buckets[t].counts() {
					e.add(place{t.Level, id})
				}
			}
		}
		for level := range e.in[id] {
			e.add(place{level, id})
		}
	}
	return nil
}

// add returns the number of a place, which is queued if it is new.
func (e *evaluation) add(p place) int {
	n, ok := e.places[p]
	if !ok {
		n = len(e.nodes)
		e.places[p] = n
		e.nodes = append(e.nodes, node{p, n, 1})
		e.queue = append(e.queue, p)
	}
	return n
}

func (e *evaluation) root(n int) int {
	for e.nodes[n].parent != n {
		e.nodes[n].parent = e.nodes[e.nodes[n].parent].parent
		n = e.nodes[n].parent
	}
	return n
}

func (e *evaluation) join(a, b int) {
	a, b = e.root(a), e.root(b)
	if a == b {
		return
	}
	if e.nodes[a].size < e.nodes[b].size {
		a, b = b, a
	}
	e.nodes[b].parent = a
	e.nodes[a].size += e.nodes[b].size
}

// expand follows what is connected, step by step for all places together, so that each step reads a few times only. What has grown beyond
// MaxMembers is followed no further: whoever begins in it meets as many.
func (e *evaluation) expand(ctx context.Context) error {
	for len(e.queue) > 0 {
		now := e.queue
		e.queue = nil
		now = slices.DeleteFunc(now, func(p place) bool { return e.nodes[e.root(e.places[p])].size > e.maxMembers() })
		var ids []fold.ID
		for _, p := range now {
			ids = append(ids, p.id)
		}
		if err := e.load(ctx, ids); err != nil {
			return err
		}
		if err := e.former(ctx, now); err != nil {
			return err
		}
		tuples := map[Tuple]bool{}
		for _, p := range now {
			for _, t := range e.at(p) {
				tuples[t] = true
			}
		}
		if err := e.loadBuckets(ctx, slices.SortedFunc(maps.Keys(tuples), Tuple.compare)); err != nil {
			return err
		}
		if err := e.reach(ctx, tuples); err != nil {
			return err
		}
		for t := range tuples {
			if !e.live(t) {
				continue
			}
			holders := e.buckets[t].holders
			first := e.add(place{t.Level, holders[0]})
			for _, id := range holders[1:] {
				e.join(first, e.add(place{t.Level, id}))
			}
		}
	}
	return nil
}

// at returns the tuples of a place.
func (e *evaluation) at(p place) []Tuple {
	d := e.docs[p.id]
	if d == nil {
		return nil
	}
	from, _ := slices.BinarySearchFunc(d.tuples, p.level, func(t Tuple, l Level) int { return int(t.Level) - int(l) })
	to := from
	for to < len(d.tuples) && d.tuples[to].Level == p.level {
		to++
	}
	return d.tuples[from:to]
}

// former queues all members of the matches that places were in.
func (e *evaluation) former(ctx context.Context, now []place) error {
	want := map[MatchID]bool{}
	for _, p := range now {
		if id, ok := e.in[p.id][p.level]; ok {
			want[id] = true
		}
	}
	if err := e.loadGroups(ctx, want); err != nil {
		return err
	}
	var ids []fold.ID
	for id := range want {
		if g := e.groups[id]; g != nil {
			for _, m := range g.members {
				e.add(place{g.level, m})
				ids = append(ids, m)
			}
		}
	}
	return e.load(ctx, ids)
}

// reach finds out the levels of the holders of tuples, as far as that decides whether these are live.
func (e *evaluation) reach(ctx context.Context, tuples map[Tuple]bool) error {
	highest := map[fold.ID]Level{} // up to below which level each has to be known
	var ids []fold.ID
	for t := range tuples {
		if b := e.buckets[t]; t.Level > 1 && b.counts() {
			for _, id := range b.holders {
				if highest[id] == 0 {
					ids = append(ids, id)
				}
				highest[id] = max(highest[id], t.Level)
			}
		}
	}
	if err := e.load(ctx, ids); err != nil {
		return err
	}
	for level := Level(1); len(ids) > 0; level++ {
		var look []Tuple
		for _, id := range ids {
			if e.levels[id].upTo < level {
				look = append(look, e.at(place{level, id})...)
			}
		}
		slices.SortFunc(look, Tuple.compare)
		if err := e.loadBuckets(ctx, slices.Compact(look)); err != nil {
			return err
		}
		for _, id := range ids {
			r := e.levels[id]
			if r.upTo >= level {
				continue
			}
			r.upTo = level
			if slices.ContainsFunc(e.at(place{level, id}), func(t Tuple) bool { return e.buckets[t].counts() }) {
				r = reached{level, MaxLevels}
			}
			e.levels[id] = r
		}
		ids = slices.DeleteFunc(ids, func(id fold.ID) bool { return e.levels[id].level != 0 || level >= highest[id] })
	}
	return nil
}

// live says whether a tuple connects its holders.
func (e *evaluation) live(t Tuple) bool {
	b := e.buckets[t]
	if !b.counts() {
		return false
	}
	return t.Level == 1 || slices.ContainsFunc(b.holders, func(id fold.ID) bool { return e.levels[id].level == t.Level })
}
