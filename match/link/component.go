package link

import (
	"cmp"
	"context"
	"encoding/binary"
	"slices"
	"sync"

	"kith/internal/extsort"
)

// edge is a pair with the logarithm of its odds.
type edge struct {
	i, j uint32
	odds float32
}

// edgeFloor are the least odds of an edge that is kept.
const edgeFloor = -4

// edges compares all pairs and returns those that count, in their order.
func (s *run) edges(ctx context.Context, parts *pairParts) (*extsort.Table[edge], error) {
	all := &extsort.Table[edge]{}
	var lock sync.Mutex
	err := s.compareAll(ctx, parts, false, nil, func(_, _ int, p pair, c *comparer) {
		odds := s.m.odds(&c.evidence)
		if odds < edgeFloor {
			return
		}
		i, j := p.ends()
		lock.Lock()
		defer lock.Unlock()
		all.Append(edge{uint32(i), uint32(j), odds})
	})
	if err != nil {
		all.Close()
		return nil, err
	}
	sortEdges(all.All)
	s.obey(all)
	return all, nil
}

func sortEdges(all []edge) {
	slices.SortFunc(all, func(a, b edge) int { return cmp.Or(cmp.Compare(a.i, b.i), cmp.Compare(a.j, b.j)) })
}

// obey puts the answers in the place of what was learned.
func (s *run) obey(edges *extsort.Table[edge]) {
	if len(s.asked) == 0 {
		return
	}
	edges.All = slices.DeleteFunc(edges.All, func(e edge) bool {
		_, ok := s.asked[pairOf(int(e.i), int(e.j))]
		return ok
	})
	for p, same := range s.asked {
		i, j := p.ends()
		e := edge{uint32(i), uint32(j), answeredNot}
		if same {
			e.odds = answeredSame
		}
		edges.Append(e)
	}
	sortEdges(edges.All)
}

// bunch is records and the edges between them.
type bunch struct {
	members []uint32
	edges   []edge
}

// web is what edges hold together: components of profiles that are likely enough of one person.
type web struct {
	least  float32                // odds that hold together
	root   forest                 // of each record, the lowest of its component
	memory *extsort.Table[uint32] // of root
	// edges are those within components, by the roots of these, then by their ends.
	edges *extsort.Table[edge]
	from  []int // where each batch of whole components begins, and the end
}

func (w *web) close() {
	w.memory.Close()
	w.edges.Close()
}

// batchEdges are about how many edges a batch has.
const batchEdges = 1 << 17

// web compares pairs and finds the components. Whoever is in one is the end of an edge that holds it together, so the edges say who is.
func (s *run) web(ctx context.Context, parts, again *pairParts) (*web, error) {
	edges, err := s.edges(ctx, parts)
	if err != nil {
		return nil, err
	}
	w := &web{least: logit(s.o.Threshold), edges: edges, memory: extsort.NewTable[uint32](s.r.n)}
	w.root = w.memory.All
	for i := range w.root {
		w.root[i] = uint32(i)
	}
	var out *pairWriter
	if again != nil {
		out = again.writer()
	}
	for _, e := range edges.All {
		if e.odds >= w.least {
			w.root.join(e.i, e.j)
		}
		if out != nil {
			out.put(e.i, e.j)
		}
	}
	if out != nil {
		if err := out.flush(); err != nil {
			w.close()
			return nil, err
		}
	}
	edges.All = slices.DeleteFunc(edges.All, func(e edge) bool { return w.root.find(e.i) != w.root.find(e.j) })
	slices.SortFunc(edges.All, func(a, b edge) int {
		return cmp.Or(cmp.Compare(w.root.find(a.i), w.root.find(b.i)), cmp.Compare(a.i, b.i), cmp.Compare(a.j, b.j))
	})
	for i := range edges.All {
		if n := len(w.from); n == 0 || i-w.from[n-1] >= batchEdges && w.rootOf(i) != w.rootOf(i-1) {
			w.from = append(w.from, i)
		}
	}
	w.from = append(w.from, len(edges.All))
	return w, nil
}

// rootOf is the component of the i-th edge.
func (w *web) rootOf(i int) uint32 { return w.root.find(w.edges.All[i].i) }

func (w *web) batches() int { return len(w.from) - 1 }

// batchOf is the batch of a record that is in a component.
func (w *web) batchOf(i uint32) int {
	root := w.root.find(i)
	n, found := slices.BinarySearchFunc(w.from[:w.batches()], root, func(at int, root uint32) int { return cmp.Compare(w.rootOf(at), root) })
	if !found {
		n--
	}
	return n
}

// batch returns the bunches of a batch, in the order of their components.
func (w *web) batch(n int) (all []bunch) {
	edges := w.edges.All[w.from[n]:w.from[n+1]]
	for len(edges) > 0 {
		root := w.root.find(edges[0].i)
		k := 1
		for k < len(edges) && w.root.find(edges[k].i) == root {
			k++
		}
		b := bunch{edges: slices.Clip(edges[:k]), members: make([]uint32, 0, k+1)}
		for _, e := range b.edges {
			b.members = append(b.members, e.i, e.j)
		}
		slices.Sort(b.members)
		b.members = slices.Compact(b.members)
		all = append(all, split(b, w.least)...)
		edges = edges[k:]
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

// vectors compares all pairs within bunches of three and more, and returns what they say by batch.
func (s *run) vectors(ctx context.Context, w *web) (*parted, error) {
	parts := newPairParts(s.r, max(1, s.o.Workers), s.o, someShare)
	defer parts.close()
	out := parts.writer()
	for n := range w.batches() {
		for _, b := range w.batch(n) {
			if n := len(b.members); n > 2 && n <= maxDense {
				for i := range b.members {
					for j := i + 1; j < n; j++ {
						out.put(b.members[i], b.members[j])
					}
				}
			}
		}
	}
	if err := out.flush(); err != nil {
		return nil, err
	}
	vectors := newParted(s.o, max(1, w.batches()), s.o.Memory/someShare)
	var lock sync.Mutex
	var failed error
	err := s.compareAll(ctx, parts, true, nil, func(_, _ int, p pair, c *comparer) {
		i, j := p.ends()
		v := s.m.vector(uint32(i), uint32(j), &c.evidence)
		var b [vectorSize]byte
		if err := vectors.add(w.batchOf(v.i), v.append(b[:0])); err != nil {
			lock.Lock()
			defer lock.Unlock()
			failed = err
		}
	})
	if err = cmp.Or(err, failed); err != nil {
		vectors.close()
		return nil, err
	}
	return vectors, nil
}

// vectorSize is how long a vector is in a part: both records, little-endian | what fields say | the rest
const vectorSize = 4 + 4 + maxFields + 1

func (v *vector) append(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(dst, v.i), v.j)
	for _, x := range v.fields {
		dst = append(dst, byte(x))
	}
	return append(dst, byte(v.rest))
}

// readVectors returns the vectors of a batch, in the order of their pairs.
func readVectors(parts *parted, batch int) (vectorList, error) {
	all := make(vectorList, 0, parts.sizes[batch]/vectorSize)
	err := parts.take(batch, func(b []byte) {
		for ; len(b) >= vectorSize; b = b[vectorSize:] {
			v := vector{i: binary.LittleEndian.Uint32(b), j: binary.LittleEndian.Uint32(b[4:]), rest: int8(b[vectorSize-1])}
			for f := range v.fields {
				v.fields[f] = int8(b[8+f])
			}
			all = append(all, v)
		}
	})
	slices.SortFunc(all, func(a, b vector) int { return cmp.Or(cmp.Compare(a.i, b.i), cmp.Compare(a.j, b.j)) })
	return all, err
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
