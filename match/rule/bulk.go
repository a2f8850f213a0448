package rule

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"kith/profile/fold"
	"kith/store"
)

const (
	// atOnce is how many holders of tuples that count are evaluated in memory: each takes about 50 bytes.
	atOnce = 5_000_000
	// settleMembers is how many members matches have, about, that are written together.
	settleMembers = 100_000
)

// bulk is an evaluation of all there is in memory. It finds what evaluation finds, from the same rows: holders alone, each of which is read once, in
// order.
type bulk struct {
	*pass
	levels  []numberSets
	crowded []Tuple

	numbers map[fold.ID]uint32 // of profiles that hold tuples that count
	ids     []fold.ID          // by number
	reached []Level            // by number: the first level with a tuple that counts
	placed  [][]bool           // by level - 1 and number: it is in a match
	taken   map[MatchID]bool   // what goes on already
	fresh   bool               // there have been no matches
}

// numberSets are the holders of the tuples of a level that count, one tuple's behind the other's, as numbers.
type numberSets struct {
	holders []uint32
	ends    []int
}

// matchAtOnce evaluates all tuples with several holders in memory. done: they did fit.
func (x *pass) matchAtOnce(ctx context.Context) (done bool, err error) {
	b := &bulk{pass: x, levels: make([]numberSets, len(x.rules.levels)), numbers: map[fold.ID]uint32{}, taken: map[MatchID]bool{}}
	if err := x.loadCrowds(ctx); err != nil {
		return false, err
	}
	if fits, err := b.read(ctx); err != nil || !fits {
		return false, err
	}
	any, err := x.anyMatch(ctx)
	if err != nil {
		return false, err
	}
	b.fresh = !any && !x.force
	e := x.evaluation()
	e.crowded = b.crowded
	if err := e.tellCrowds(ctx); err != nil {
		return false, err
	}
	var again []fold.ID
	large := 0
	for level := range b.levels {
		found, tooLarge := b.connect(level)
		large += tooLarge
		for len(found) > 0 {
			n, members := 0, 0
			for n < len(found) && members < settleMembers {
				members += len(found[n].members)
				n++
			}
			more, err := b.settle(ctx, found[:n])
			if err != nil {
				return false, err
			}
			again, found = append(again, more...), found[n:]
		}
		b.levels[level] = numberSets{}
	}
	if large > 0 {
		x.tellLarge(large)
	}
	return true, x.index(ctx, again, true)
}

// bulkPart is what a partition of holders has: those of tuples that count, one tuple's behind the other's.
type bulkPart struct {
	holders []fold.ID
	ends    []int
	crowded []Tuple
}

// read reads the holders of all tuples that count, on all cores. It is false when there are too many.
func (b *bulk) read(ctx context.Context) (fits bool, err error) {
	parts := make([]bulkPart, len(b.levels)*256)
	most := int64(cmp.Or(b.AtOnce, atOnce))
	var next, held atomic.Int64
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for range b.workers() {
		wg.Go(func() {
			for ctx.Err() == nil && held.Load() <= most {
				i := int(next.Add(1)) - 1
				if i >= len(parts) {
					return
				}
				if err := b.readPart(ctx, Level(i/256+1), byte(i%256), &parts[i]); err != nil {
					cancel(err)
				}
				held.Add(int64(len(parts[i].holders)))
			}
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return false, err
	}
	if held.Load() > most {
		return false, nil
	}
	for i := range parts {
		b.reach(i/256, &parts[i])
		parts[i] = bulkPart{}
	}
	for range b.levels {
		b.placed = append(b.placed, make([]bool, len(b.ids)))
	}
	return true, nil
}

// readPart reads a partition of holders.
func (b *bulk) readPart(ctx context.Context, level Level, first byte, p *bulkPart) error {
	t := Tuple{Level: level}
	t.Hash[0] = first
	from := 0 // where the holders of the present tuple begin
	settle := func() {
		n := len(p.holders) - from
		if n > b.maxHolders() && !b.common[t] {
			p.crowded = append(p.crowded, t)
		}
		if n > 1 && n <= b.maxHolders() {
			p.ends = append(p.ends, len(p.holders))
		} else {
			p.holders = p.holders[:from]
		}
		from = len(p.holders)
	}
	at := store.Partition{Table: store.Match, Incarnation: b.inc, Key: holderPartition(b.st.Gen, level, first)}
	for row, err := range b.Store.Scan(ctx, at, store.Range{}) {
		if err != nil {
			return fmt.Errorf("read the holders of tuples: %w", err)
		}
		hash, id, err := holderOf(row.Key)
		if err != nil {
			return err
		}
		if string(t.Hash[1:]) != string(hash) {
			settle()
			copy(t.Hash[1:], hash)
		}
		if len(p.holders)-from <= b.maxHolders() { // one more than may be tells that there are too many
			p.holders = append(p.holders, id)
		}
	}
	settle()
	return nil
}

// reach takes in the holders of a partition: it gives profiles numbers, and finds the level of each. Levels ascend.
func (b *bulk) reach(level int, p *bulkPart) {
	l := &b.levels[level]
	from := len(l.holders)
	for _, id := range p.holders {
		n, ok := b.numbers[id]
		if !ok {
			n = uint32(len(b.ids))
			b.numbers[id] = n
			b.ids, b.reached = append(b.ids, id), append(b.reached, Level(level+1))
		}
		l.holders = append(l.holders, n)
	}
	for _, end := range p.ends {
		l.ends = append(l.ends, from+end)
	}
	b.crowded = append(b.crowded, p.crowded...)
}

// connect finds what is connected by the live tuples of a level, by lowest member, and how many would be too large.
func (b *bulk) connect(level int) (found []match, large int) {
	sets := &b.levels[level]
	parent := make([]uint32, len(b.ids))
	for n := range parent {
		parent[n] = uint32(n)
	}
	root := func(n uint32) uint32 {
		for parent[n] != n {
			parent[n] = parent[parent[n]]
			n = parent[n]
		}
		return n
	}
	from := 0
	var connected []uint32
	for _, end := range sets.ends {
		numbers := sets.holders[from:end]
		live := slices.ContainsFunc(numbers, func(n uint32) bool { return b.reached[n] == Level(level+1) })
		if from = end; !live {
			continue
		}
		for _, n := range numbers {
			parent[root(n)] = root(numbers[0])
		}
		connected = append(connected, numbers...)
	}
	slices.SortFunc(connected, func(x, y uint32) int { return b.ids[x].Compare(b.ids[y]) })
	connected = slices.Compact(connected)
	of := map[uint32]int{} // the match of a root
	for _, n := range connected {
		r := root(n)
		i, ok := of[r]
		if !ok {
			i = len(found)
			of[r] = i
			found = append(found, match{level: Level(level + 1)})
		}
		if m := &found[i]; len(m.members) <= b.maxMembers() {
			m.members = append(m.members, b.ids[n])
		}
	}
	for _, n := range connected {
		b.placed[level][n] = len(found[of[root(n)]].members) <= b.maxMembers()
	}
	n := len(found)
	found = slices.DeleteFunc(found, func(m match) bool { return len(m.members) > b.maxMembers() })
	return found, n - len(found)
}

// settle writes matches. It returns who is to be evaluated one by one: those that are to be merged, and those of whom some are not the same.
func (b *bulk) settle(ctx context.Context, found []match) (again []fold.ID, err error) {
	var ids []fold.ID
	for _, m := range found {
		ids = append(ids, m.members...)
	}
	apart := map[fold.ID]bool{}
	if b.Apart != nil {
		sorted := slices.Clone(ids)
		slices.SortFunc(sorted, fold.ID.Compare)
		pairs, err := b.Apart(ctx, b.inc, slices.Compact(sorted))
		if err != nil {
			return nil, fmt.Errorf("read who is not the same: %w", err)
		}
		for _, p := range pairs {
			apart[p[0]], apart[p[1]] = true, true
		}
	}
	found = slices.DeleteFunc(found, func(m match) bool {
		alone := m.level <= b.rules.merging || slices.ContainsFunc(m.members, func(id fold.ID) bool { return apart[id] })
		if alone {
			again = append(again, m.members...)
		}
		return alone
	})
	e := b.evaluation()
	if b.fresh {
		e.baptize(found)
		return again, e.write(ctx, found)
	}
	if err := b.loadOld(ctx, e, found, ids); err != nil {
		return nil, err
	}
	e.name(found)
	for _, m := range found {
		b.taken[m.id] = true
	}
	return again, e.write(ctx, found)
}

// loadOld reads the matches that these go on from, and their members, that are perhaps in none any more.
func (b *bulk) loadOld(ctx context.Context, e *evaluation, found []match, ids []fold.ID) error {
	if err := e.loadMatches(ctx, ids); err != nil {
		return err
	}
	want := map[MatchID]bool{}
	for _, m := range found {
		for _, id := range m.members {
			switch old, ok := e.in[id][m.level]; {
			case ok && b.taken[old]:
				delete(e.in[id], m.level)
			case ok:
				want[old] = true
			}
		}
	}
	if err := e.loadGroups(ctx, want); err != nil {
		return err
	}
	var left []fold.ID
	for _, g := range e.groups {
		for _, id := range g.membersOf() {
			if n, ok := b.numbers[id]; !ok || int(g.level) > len(b.placed) || !b.placed[g.level-1][n] {
				e.places[place{g.level, id}] = 0
				left = append(left, id)
			}
		}
	}
	return e.loadMatches(ctx, left)
}

// membersOf returns the members of a match, none of nil.
func (g *group) membersOf() []fold.ID {
	if g == nil {
		return nil
	}
	return g.members
}

// anyMatch says whether there are matches.
func (x *pass) anyMatch(ctx context.Context) (bool, error) {
	probes := func(yield func(store.Probe) bool) {
		for first := range 256 {
			if !yield(store.Probe{Partition: groupPartition(x.st.Series, byte(first)), Range: store.Range{Limit: 1}}) {
				return
			}
		}
	}
	for _, err := range x.Store.Probe(ctx, store.Match, x.inc, probes) {
		return err == nil, err
	}
	return false, nil
}
