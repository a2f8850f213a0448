package link

import (
	"encoding/binary"
	"slices"
)

// pairParts are pairs, by the chunks that their records are in and, within these, by ranges of the first record, so that a part is sorted in memory.
type pairParts struct {
	*parted
	r      *records
	ranges int // of the first records of a chunk
}

// newPairParts returns an empty one that takes a share of the memory.
func newPairParts(r *records, ranges int, o *Options, share int64) *pairParts {
	k := r.chunks()
	return &pairParts{newParted(o, k*(k+1)/2*ranges, o.Memory/share), r, ranges}
}

// or returns the pairs, or an error if there is one: then nothing is left of them.
func (p *pairParts) or(err error) (*pairParts, error) {
	if err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// part is the part of a pair, whose first record has the lower number. The chunks of two records are ordered as they are: (0, 0), (0, 1), …, (1, 1), (1, 2), …
func (p *pairParts) part(i, j int) int {
	a, b := p.r.chunkOf(i), p.r.chunkOf(j)
	n := p.r.first[a+1] - p.r.first[a]
	return (p.before(a)+b-a)*p.ranges + (i-p.r.first[a])*p.ranges/n
}

// before is how many pairs of chunks come before those whose first one is a.
func (p *pairParts) before(a int) int { return a*p.r.chunks() - a*(a-1)/2 }

// chunks are the chunks of a part.
func (p *pairParts) chunks(part int) (a, b int) {
	k := part / p.ranges
	for p.before(a+1) <= k {
		a++
	}
	return a, a + k - p.before(a)
}

// numbers are those of the first records of a part's pairs.
func (p *pairParts) numbers(part int) numbers {
	a, _ := p.chunks(part)
	from, n, k := p.r.first[a], p.r.first[a+1]-p.r.first[a], part%p.ranges
	return numbers{from + startOf(k, p.ranges, n), from + startOf(k+1, p.ranges, n)}
}

// startOf is where the k-th of some ranges of n numbers begins, i being in the range i*ranges/n.
func startOf(k, ranges, n int) int { return (k*n + ranges - 1) / ranges }

// pairMemory is room for the pairs of a part.
type pairMemory struct {
	raw        []byte
	all, spare []pair
}

// sorted returns a part's pairs in order, each once, or only some of them. They are good until the memory is used again.
func (p *pairParts) sorted(part int, m *pairMemory, only func(pair) bool) ([]pair, error) {
	var err error
	if m.raw, err = p.read(part, m.raw[:0]); err != nil {
		return nil, err
	}
	m.all = m.all[:0]
	if only == nil {
		m.all = slices.Grow(m.all, len(m.raw)/8)
	}
	for b := m.raw; len(b) >= 8; b = b[8:] {
		if pair := pair(binary.LittleEndian.Uint64(b)); only == nil || only(pair) {
			m.all = append(m.all, pair)
		}
	}
	n := len(m.all)
	m.spare = slices.Grow(m.spare[:0], n)[:n]
	sortNumbers(m.all, m.spare)
	return slices.Compact(m.all), nil
}

// sortNumbers is a radix sort that passes over bytes that all have in common. It needs as much room again.
func sortNumbers[N ~uint64](all, spare []N) {
	if len(all) < 256 {
		slices.Sort(all)
		return
	}
	from, to := all, spare
	var counts [8][256]uint32
	for _, p := range from {
		for d := range 8 {
			counts[d][byte(p>>(8*d))]++
		}
	}
	for d := range 8 {
		c := &counts[d]
		if c[byte(from[0]>>(8*d))] == uint32(len(from)) {
			continue
		}
		sum := uint32(0)
		for i, n := range c {
			c[i] = sum
			sum += n
		}
		for _, p := range from {
			b := byte(p >> (8 * d))
			to[c[b]] = p
			c[b]++
		}
		from, to = to, from
	}
	if &from[0] != &all[0] {
		copy(all, from)
	}
}

// pairWriter writes pairs to their parts. It is for one goroutine.
type pairWriter struct {
	p    *pairParts
	bufs [][]byte
	most int // bytes of a buffer
	err  error
}

func (p *pairParts) writer() *pairWriter {
	return &pairWriter{p: p, bufs: make([][]byte, len(p.parts)), most: p.bufferSize()}
}

func (w *pairWriter) put(i, j uint32) {
	if i == j {
		return
	}
	if i > j {
		i, j = j, i
	}
	part := w.p.part(int(i), int(j))
	b := w.bufs[part]
	if b == nil {
		b = make([]byte, 0, w.most)
	}
	if b = appendPair(b, pairOf(int(i), int(j))); len(b)+8 > w.most {
		if w.err == nil {
			w.err = w.p.add(part, b)
		}
		b = b[:0]
	}
	w.bufs[part] = b
}

func (w *pairWriter) flush() error {
	for part, b := range w.bufs {
		if w.err == nil {
			w.err = w.p.add(part, b)
		}
		w.bufs[part] = b[:0]
	}
	return w.err
}
