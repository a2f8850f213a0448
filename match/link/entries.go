package link

import (
	"cmp"
	"encoding/binary"
	"slices"

	"kith/internal/extsort"
)

// entry is a record with a key.
type entry struct {
	key uint64
	i   uint32
}

// entries are records by key, for several kinds of keys. Those of a kind are in parts, which are ranges of keys: all of a key are in one part. A part is
// sorted in memory if it is not too large for that; else it comes apart (apart).
type entries struct {
	*parted
	o      *Options
	ranges int // parts of a kind
	most   int // entries that are sorted at once, 32 bytes for each of them
}

const (
	// entrySize is how long an entry is in a part: key | record, little-endian.
	entrySize = 12
	// mostSorted and leastSorted are how many entries are sorted at once at most, with much memory and with little; a part has half as many, about.
	mostSorted, leastSorted = 512 << 10, 4 << 10
)

// newEntries returns an empty one that takes a share of the memory, for about n entries of each kind.
func newEntries(o *Options, kinds, n int, share int64) *entries {
	most := int(min(mostSorted, max(leastSorted, o.Memory/share/32)))
	if o.sorted > 0 {
		most = o.sorted
	}
	ranges := 1 + 2*n/most
	return &entries{newParted(o, kinds*ranges, o.Memory/share), o, ranges, most}
}

// entryWriter writes entries to their parts. It is for one goroutine.
type entryWriter struct {
	*entries
	bufs [][]byte
	most int // bytes of a buffer
}

// writers returns one for each worker.
func (e *entries) writers(workers int) []*entryWriter {
	all := make([]*entryWriter, workers)
	for i := range all {
		all[i] = &entryWriter{e, make([][]byte, len(e.parts)), e.bufferSize() / entrySize * entrySize}
	}
	return all
}

func (w *entryWriter) put(kind int, key uint64, i uint32) error {
	part := kind*w.ranges + place(key, w.ranges)
	b := w.bufs[part]
	if b == nil {
		b = make([]byte, 0, w.most)
	}
	b = binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint64(b, key), i)
	if len(b)+entrySize > w.most {
		if err := w.add(part, b); err != nil {
			return err
		}
		b = b[:0]
	}
	w.bufs[part] = b
	return nil
}

// flush hands on what writers have.
func flush(all []*entryWriter) error {
	for _, w := range all {
		for part, b := range w.bufs {
			if err := w.add(part, b); err != nil {
				return err
			}
		}
		w.bufs = nil
	}
	return nil
}

// begins marks the first record of a block, in a list of blocks.
const begins = 1 << 31

// eachBlock calls do for the records of each block in a list, which has the mark of the first one.
func eachBlock(list []uint32, do func(block []uint32)) {
	for len(list) > 0 {
		n := blockLen(list)
		do(list[:n])
		list = list[n:]
	}
}

// blockLen is how many records the first block of a list has.
func blockLen(list []uint32) int {
	n := 1
	for n < len(list) && list[n]&begins == 0 {
		n++
	}
	return n
}

// sortMemory is room to sort a part, for one goroutine.
type sortMemory struct{ all, spare extsort.Table[entry] }

func closeAll(ms []sortMemory) {
	for i := range ms {
		ms[i].close()
	}
}

func (m *sortMemory) close() {
	m.all.Close()
	m.spare.Close()
}

// count is how many entries a part has.
func (e *entries) count(kind, n int) int { return int(e.sizes[kind*e.ranges+n] / entrySize) }

// blocks appends the records of a part's keys that have two at least, in their order, and forgets the part. In what order keys come is not said. dst has room for all.
func (e *entries) blocks(kind, n int, m *sortMemory, dst []uint32) ([]uint32, error) {
	return e.blocksOf(e.parted, kind*e.ranges+n, m, dst)
}

func (e *entries) blocksOf(p *parted, part int, m *sortMemory, dst []uint32) ([]uint32, error) {
	count := int(p.sizes[part] / entrySize)
	if count > e.most {
		return e.apart(p, part, m, dst)
	}
	if cap(m.all.All) < count {
		m.close()
		room := min(count+count/8, e.most)
		m.all, m.spare = *extsort.NewTable[entry](room), *extsort.NewTable[entry](room)
	}
	all := m.all.All[:0]
	err := p.take(part, func(b []byte) error {
		for ; len(b) >= entrySize; b = b[entrySize:] {
			all = append(all, entry{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint32(b[8:])})
		}
		return nil
	})
	sortEntries(all, m.spare.All[:len(all)])
	for len(all) > 0 {
		n := 1
		for n < len(all) && all[n].key == all[0].key {
			n++
		}
		if n > 1 {
			from := len(dst)
			for _, x := range all[:n] {
				dst = append(dst, x.i)
			}
			dst[from] |= begins
		}
		all = all[n:]
	}
	return dst, err
}

// apart is blocks for a part that is too large to be sorted at once, because very many records have one of its keys. One key is chosen that is frequent if any is: its
// records are appended as they come, four bytes each, and sorted where they are. Lower and higher keys are put aside again, and are parts of their own.
func (e *entries) apart(p *parted, part int, m *sortMemory, dst []uint32) ([]uint32, error) {
	sides := newParted(e.o, 2, e.o.Memory/someShare)
	defer sides.close()
	var pivot uint64
	chosen, from := false, len(dst)
	var bufs [2][]byte
	err := p.take(part, func(b []byte) error {
		if !chosen && len(b) > 0 {
			pivot, chosen = middleKey(b), true
		}
		for ; len(b) >= entrySize; b = b[entrySize:] {
			key, side := binary.LittleEndian.Uint64(b), 0
			switch {
			case key == pivot:
				dst = append(dst, binary.LittleEndian.Uint32(b[8:]))
				continue
			case key > pivot:
				side = 1
			}
			bufs[side] = append(bufs[side], b[:entrySize]...)
			if len(bufs[side]) >= sideBuffer {
				if err := sides.add(side, bufs[side]); err != nil {
					return err
				}
				bufs[side] = bufs[side][:0]
			}
		}
		return nil
	})
	switch len(dst) - from {
	case 0: // nothing could be read
	case 1:
		dst = dst[:from]
	default:
		slices.Sort(dst[from:])
		dst[from] |= begins
	}
	for side, b := range bufs {
		if err == nil {
			err = sides.add(side, b)
		}
		if err == nil {
			dst, err = e.blocksOf(sides, side, m, dst)
		}
	}
	return dst, err
}

const (
	// sideBuffer is how much is put aside again at once.
	sideBuffer = 256 * entrySize
	// middleOf are the entries of which the middle key is chosen.
	middleOf = 255
)

// middleKey is the middle one of some keys: the most frequent, if half of all entries have it.
func middleKey(b []byte) uint64 {
	n := len(b) / entrySize
	keys := make([]uint64, 0, middleOf)
	for i := range min(n, middleOf) {
		keys = append(keys, binary.LittleEndian.Uint64(b[i*n/min(n, middleOf)*entrySize:]))
	}
	slices.Sort(keys)
	return keys[len(keys)/2]
}

// sortEntries sorts by key, then by record. It is a radix sort, on the records' numbers first, that needs as much room again.
func sortEntries(all, spare []entry) {
	if len(all) < 512 {
		slices.SortFunc(all, func(a, b entry) int { return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.i, b.i)) })
		return
	}
	from, to := all, spare
	for pass := range 6 { // eleven bits at a time: three of the number, three of the key's upper half
		digit := func(e *entry) uint32 {
			if pass < 3 {
				return e.i >> (11 * pass) & 2047
			}
			return uint32(e.key>>(31+11*(pass-3))) & 2047
		}
		var counts [2048]uint32
		for k := range from {
			counts[digit(&from[k])]++
		}
		if counts[digit(&from[0])] == uint32(len(from)) {
			continue
		}
		sum := uint32(0)
		for k, n := range counts {
			counts[k] = sum
			sum += n
		}
		for k := range from {
			d := digit(&from[k])
			to[counts[d]] = from[k]
			counts[d]++
		}
		from, to = to, from
	}
	for k := 1; k < len(from); k++ { // keys that agree in their upper halves are few
		if from[k].key>>31 == from[k-1].key>>31 && from[k].key < from[k-1].key {
			n := k - 1
			for n > 0 && from[n-1].key>>31 == from[k].key>>31 {
				n--
			}
			slices.SortFunc(from[n:k+1], func(a, b entry) int { return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.i, b.i)) })
		}
	}
	if &from[0] != &all[0] {
		copy(all, from)
	}
}
