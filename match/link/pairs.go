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

func newPairParts(r *records, ranges int, limit int64, dir string) *pairParts {
	k := len(r.chunks)
	return &pairParts{newParted(k*k*ranges, limit, dir), r, ranges}
}

// or returns the pairs, or an error if there is one: then nothing is left of them.
func (p *pairParts) or(err error) (*pairParts, error) {
	if err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// part is the part of a pair, whose first record has the lower number.
func (p *pairParts) part(i, j int) int {
	a, b := p.r.chunkOf(i), p.r.chunkOf(j)
	n := p.r.first[a+1] - p.r.first[a]
	return (a*len(p.r.chunks)+b)*p.ranges + (i-p.r.first[a])*p.ranges/n
}

// chunks are the chunks of a part.
func (p *pairParts) chunks(part int) (a, b int) {
	k := part / p.ranges
	return k / len(p.r.chunks), k % len(p.r.chunks)
}

// sorted returns a part's pairs in order, each once.
func (p *pairParts) sorted(part int) ([]pair, error) {
	raw, err := p.bytes(part)
	if err != nil {
		return nil, err
	}
	all := make([]pair, 0, len(raw)/8)
	for ; len(raw) >= 8; raw = raw[8:] {
		all = append(all, pair(binary.LittleEndian.Uint64(raw)))
	}
	sortPairs(all)
	return slices.Compact(all), nil
}

// sortPairs is a radix sort that passes over bytes that all have in common.
func sortPairs(all []pair) {
	if len(all) < 256 {
		slices.Sort(all)
		return
	}
	from, to := all, make([]pair, len(all))
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
	err  error
}

func (p *pairParts) writer() *pairWriter {
	return &pairWriter{p: p, bufs: make([][]byte, len(p.parts))}
}

func (w *pairWriter) put(i, j uint32) {
	if i == j {
		return
	}
	if i > j {
		i, j = j, i
	}
	part := w.p.part(int(i), int(j))
	w.bufs[part] = appendPair(w.bufs[part], pairOf(int(i), int(j)))
	if len(w.bufs[part]) >= 32<<10 && w.err == nil {
		w.err = w.p.add(part, w.bufs[part])
		w.bufs[part] = w.bufs[part][:0]
	}
}

func (w *pairWriter) flush() error {
	for part, b := range w.bufs {
		if w.err == nil && len(b) > 0 {
			w.err = w.p.add(part, b)
		}
		w.bufs[part] = nil
	}
	return w.err
}
