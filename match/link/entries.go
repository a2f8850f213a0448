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

// entries are records by key, for several kinds of keys. Those of a kind are in parts, which are ranges of keys: all of a key are in one part, parts one
// after the other are in the order of keys, and each is so small that it is sorted in memory.
//
// Of a key that very many records have the part is as large as they are many: 32 bytes for each while it is sorted, if need be of all profiles.
type entries struct {
	*parted
	ranges int // parts of a kind
}

const (
	// entrySize is how long an entry is in a part: key | record, little-endian.
	entrySize = 12
	// rangeEntries are about how many entries a part has.
	rangeEntries = 256 << 10
)

// newEntries returns an empty one, for about n entries of each kind.
func newEntries(o *Options, kinds, n int) *entries {
	ranges := 1 + n/rangeEntries
	return &entries{newParted(o, kinds*ranges, o.Memory/entriesShare), ranges}
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

// blocks calls do for all entries of each key of a kind, in the order of records, from several goroutines. The entries are good until it returns, and are used up.
func (e *entries) blocks(kind, workers int, do func(worker int, block []entry)) error {
	ms := make([]sortMemory, workers)
	defer closeAll(ms)
	return parallel(workers, e.ranges, func(w, n int) error {
		all, err := e.sorted(kind, n, &ms[w])
		if err != nil {
			return err
		}
		for len(all) > 0 {
			n := blockLen(all)
			do(w, all[:n])
			all = all[n:]
		}
		return nil
	})
}

// blockLen is how many entries from the first on have its key.
func blockLen(all []entry) int {
	n := 1
	for n < len(all) && all[n].key == all[0].key {
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

// sorted returns a part in the order of keys, then of records, and forgets it. The entries are good until the memory is used again.
func (e *entries) sorted(kind, n int, m *sortMemory) ([]entry, error) {
	part := kind*e.ranges + n
	count := int(e.sizes[part] / entrySize)
	if cap(m.all.All) < count {
		m.close()
		m.all, m.spare = *extsort.NewTable[entry](count + count/8), *extsort.NewTable[entry](count + count/8)
	}
	all := m.all.All[:0]
	err := e.take(part, func(b []byte) {
		for ; len(b) >= entrySize; b = b[entrySize:] {
			all = append(all, entry{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint32(b[8:])})
		}
	})
	sortEntries(all, m.spare.All[:len(all)])
	return all, err
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
