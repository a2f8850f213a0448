package link

import (
	"cmp"
	"context"
	"slices"
)

// edge is a pair with the logarithm of its odds.
type edge struct {
	i, j uint32
	odds float32
}

// edgeFloor are the least odds of an edge that is kept.
const edgeFloor = -4

// edges compares all pairs and returns those that count.
func (s *run) edges(ctx context.Context, parts *pairParts) ([]edge, error) {
	return collect(ctx, s, parts, false, func(p pair, c *comparer) (edge, bool) {
		odds := s.m.odds(&c.evidence)
		i, j := p.ends()
		return edge{uint32(i), uint32(j), odds}, odds >= edgeFloor
	})
}

func sortEdges(all []edge) {
	slices.SortFunc(all, func(a, b edge) int { return cmp.Or(cmp.Compare(a.i, b.i), cmp.Compare(a.j, b.j)) })
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

// bunch is records and the edges between them.
type bunch struct {
	members []uint32
	edges   []edge
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

// split breaks a component that is too large at its weakest edges, and returns pieces that are not; those which are sure throughout stay
// whole however large they are.
func split(c bunch, least float32) []bunch {
	if len(c.members) <= maxDense {
		return []bunch{c}
	}
	for t := least + 1; t < strongest; t++ {
		pieces := pieces(c, t)
		if len(pieces) == 1 && len(pieces[0].members) == len(c.members) {
			continue
		}
		var all []bunch
		for _, p := range pieces {
			all = append(all, split(p, t)...)
		}
		return all
	}
	return []bunch{c}
}

// pieces are the components of at least two that edges of some odds leave.
func pieces(c bunch, least float32) (all []bunch) {
	at := func(r uint32) int {
		n, _ := slices.BinarySearch(c.members, r)
		return n
	}
	f := newForest(len(c.members))
	for _, e := range c.edges {
		if e.odds >= least {
			f.join(uint32(at(e.i)), uint32(at(e.j)))
		}
	}
	index := map[uint32]int{}
	for k, r := range c.members {
		root := f.find(uint32(k))
		n, ok := index[root]
		if !ok {
			n = len(all)
			index[root] = n
			all = append(all, bunch{})
		}
		all[n].members = append(all[n].members, r)
	}
	for _, e := range c.edges {
		if a, b := f.find(uint32(at(e.i))), f.find(uint32(at(e.j))); a == b {
			n := index[a]
			all[n].edges = append(all[n].edges, e)
		}
	}
	return slices.DeleteFunc(all, func(p bunch) bool { return len(p.members) < 2 })
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
	parts := newPairParts(s.r, max(1, s.o.Workers), s.o.Memory/8, s.o.Dir)
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

// forest is a union-find structure.
type forest []uint32

func newForest(n int) forest {
	f := make(forest, n)
	for i := range f {
		f[i] = uint32(i)
	}
	return f
}

func (f forest) find(i uint32) uint32 {
	for f[i] != i {
		f[i] = f[f[i]]
		i = f[i]
	}
	return i
}

// join joins two trees under the lower root.
func (f forest) join(i, j uint32) {
	i, j = f.find(i), f.find(j)
	if i < j {
		f[j] = i
	} else {
		f[i] = j
	}
}
