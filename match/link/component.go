package link

import (
	"cmp"
	"context"
	"encoding/binary"
	"math"
	"slices"

	"kith/internal/extsort"
)

// edge is a pair with the logarithm of its odds.
type edge struct {
	i, j uint32
	odds float32
}

// edgeFloor are the least odds of an edge that is kept.
const edgeFloor = -4

// edgeSize is how long an edge is in a part: both records | the bits of its odds, little-endian.
const edgeSize = 4 + 4 + 4

func (e edge) append(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(dst, e.i), e.j)
	return binary.LittleEndian.AppendUint32(dst, math.Float32bits(e.odds))
}

// eachEdge calls do for the edges of a part, in no order.
func eachEdge(parts *parted, part int, do func(edge)) error {
	return parts.each(part, func(b []byte) error {
		for ; len(b) >= edgeSize; b = b[edgeSize:] {
			do(edge{binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:]), math.Float32frombits(binary.LittleEndian.Uint32(b[8:]))})
		}
		return nil
	})
}

// edges compares all pairs and returns those that count, in no order. What persons have answered is in the place of what was learned.
func (s *run) edges(ctx context.Context, parts *pairParts) (*parted, error) {
	all := newParted(s.o, 1, s.o.Memory/someShare)
	put := func(rows []byte) error {
		for some := range slices.Chunk(rows, leastChunk/edgeSize*edgeSize) {
			if err := all.add(0, some); err != nil {
				return err
			}
		}
		return nil
	}
	compare := s.compareRows
	if s.toShare > 0 {
		compare = s.compareTogether
	}
	err := compare(ctx, s.every(parts, false), func(dst []byte, p pair, c *comparer) []byte {
		odds := s.m.odds(&c.evidence)
		if _, asked := s.asked[p]; asked || odds < edgeFloor {
			return dst
		}
		i, j := p.ends()
		return edge{uint32(i), uint32(j), odds}.append(dst)
	}, put)
	var answered []byte
	for p, same := range s.asked {
		i, j := p.ends()
		e := edge{uint32(i), uint32(j), answeredNot}
		if same {
			e.odds = answeredSame
		}
		answered = e.append(answered)
	}
	if err = cmp.Or(err, put(answered)); err != nil {
		all.close()
		return nil, err
	}
	return all, nil
}

// bunch is records and the edges between them.
type bunch struct {
	members []uint32
	edges   []edge
}

// web is what edges hold together: bunches of profiles that are likely enough of one person.
type web struct {
	least  float32                // odds that hold together
	root   forest                 // of each record, the lowest of its bunch
	memory *extsort.Table[uint32] // of root
	first  []uint32               // the root of the first bunch of each batch
	edges  *parted                // those within bunches, by batch
}

func (w *web) close() {
	w.memory.Close()
	w.edges.close()
}

// batchPairs are about how many pairs there are within the bunches of a batch: so many edges and vectors it has at most, and those of one bunch. Of bunches of more
// than maxDense there are edges only.
const batchPairs = 1 << 17

// web compares pairs and finds the bunches. All edges become pairs of again, if that is not nil.
func (s *run) web(ctx context.Context, parts, again *pairParts) (*web, error) {
	edges, err := s.edges(ctx, parts)
	if err != nil {
		return nil, err
	}
	defer edges.close()
	w := &web{least: logit(s.o.Threshold), memory: extsort.NewTable[uint32](s.r.n)}
	w.root = w.memory.All
	for i := range w.root {
		w.root[i] = uint32(i)
	}
	if again != nil {
		out := again.writer()
		err = eachEdge(edges, 0, func(e edge) { out.put(e.i, e.j) })
		err = cmp.Or(err, out.flush())
	}
	if err == nil {
		err = w.hold(edges)
	}
	if err == nil {
		err = w.deal(s.o, edges)
	}
	if err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

// hold finds the bunches, and cuts batches. A component that is too large comes apart at its weakest edges; what is sure throughout stays whole however large it is.
func (w *web) hold(edges *parted) error {
	sizes := extsort.NewTable[uint32](len(w.root)) // of bunches, at their roots
	defer sizes.Close()
	for least := w.least; ; least++ {
		err := eachEdge(edges, 0, func(e edge) {
			if e.odds >= least {
				w.root.join(e.i, e.j)
			}
		})
		if err != nil {
			return err
		}
		if large := w.count(sizes.All); !large || least+1 >= strongest {
			break
		}
		for i, root := range w.root {
			if sizes.All[root] > maxDense {
				w.root[i] = uint32(i)
			}
		}
	}
	pairs := batchPairs
	for i, n := range sizes.All {
		if n < 2 {
			continue
		}
		if pairs >= batchPairs {
			w.first, pairs = append(w.first, uint32(i)), 0
		}
		pairs += int(n) * int(min(n, maxDense)-1) / 2
	}
	return nil
}

// count counts the records of each bunch, and says whether one has too many. Each record's root is told by root then.
func (w *web) count(sizes []uint32) (large bool) {
	clear(sizes)
	for i := range w.root {
		root := w.root.find(uint32(i))
		w.root[i] = root
		sizes[root]++
		large = large || sizes[root] > maxDense
	}
	return large
}

// deal hands the edges within bunches to their batches.
func (w *web) deal(o *Options, edges *parted) error {
	w.edges = newParted(o, max(1, w.batches()), o.Memory/someShare)
	var failed error
	err := eachEdge(edges, 0, func(e edge) {
		if w.root[e.i] == w.root[e.j] {
			var b [edgeSize]byte
			failed = cmp.Or(failed, w.edges.add(w.batchOf(e.i), e.append(b[:0])))
		}
	})
	return cmp.Or(err, failed)
}

func (w *web) batches() int { return len(w.first) }

// batchOf is the batch of a record that is in a bunch.
func (w *web) batchOf(i uint32) int {
	n, found := slices.BinarySearch(w.first, w.root[i])
	if !found {
		n--
	}
	return n
}

// batch returns the bunches of a batch, in the order of their roots; the edges of each are in their order.
func (w *web) batch(n int) (all []bunch, err error) {
	edges := make([]edge, 0, w.edges.sizes[n]/edgeSize)
	if err := eachEdge(w.edges, n, func(e edge) { edges = append(edges, e) }); err != nil {
		return nil, err
	}
	slices.SortFunc(edges, func(a, b edge) int {
		return cmp.Or(cmp.Compare(w.root[a.i], w.root[b.i]), cmp.Compare(a.i, b.i), cmp.Compare(a.j, b.j))
	})
	for len(edges) > 0 {
		root := w.root[edges[0].i]
		k := 1
		for k < len(edges) && w.root[edges[k].i] == root {
			k++
		}
		b := bunch{edges: slices.Clip(edges[:k]), members: make([]uint32, 0, k+1)}
		for _, e := range b.edges {
			b.members = append(b.members, e.i, e.j)
		}
		slices.Sort(b.members)
		b.members = slices.Compact(b.members)
		all = append(all, b)
		edges = edges[k:]
	}
	return all, nil
}

func sortEdges(all []edge) {
	slices.SortFunc(all, func(a, b edge) int { return cmp.Or(cmp.Compare(a.i, b.i), cmp.Compare(a.j, b.j)) })
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
		bunches, err := w.batch(n)
		if err != nil {
			return nil, err
		}
		for _, b := range bunches {
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
	err := s.compareRows(ctx, s.every(parts, true), func(dst []byte, p pair, c *comparer) []byte {
		i, j := p.ends()
		v := s.m.vector(uint32(i), uint32(j), &c.evidence)
		return v.append(dst)
	}, func(rows []byte) error {
		for b := range slices.Chunk(rows, vectorSize) {
			if err := vectors.add(w.batchOf(binary.LittleEndian.Uint32(b)), b); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
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
	err := parts.take(batch, func(b []byte) error {
		for ; len(b) >= vectorSize; b = b[vectorSize:] {
			v := vector{i: binary.LittleEndian.Uint32(b), j: binary.LittleEndian.Uint32(b[4:]), rest: int8(b[vectorSize-1])}
			for f := range v.fields {
				v.fields[f] = int8(b[8+f])
			}
			all = append(all, v)
		}
		return nil
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
