package link

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	mathbits "math/bits"
	"slices"
	"sync/atomic"

	"github.com/zeebo/xxh3"

	"kith/internal/extsort"
	"kith/profile/fold"
)

// records are all profiles as they are compared. They are numbered by the hash of their ids, whatever order they came in, and are in chunks: ranges
// of that hash. So a profile's number is the same into however many chunks they are cut, and whether these stay in memory or not.
type records struct {
	slots  int
	n      int
	first  []int    // the number of each chunk's first record, and of all
	kept   []*chunk // where all are in memory
	aside  *parted  // where they are not: the records of each chunk in their order, and its ids in the part behind
	answer map[fold.ID]uint32
	copies
}

// chunk is a run of records, outside of the heap.
type chunk struct {
	arena extsort.Table[byte]
	off   extsort.Table[uint32] // where each record begins
	ids   extsort.Table[fold.ID]
}

func (c *chunk) len() int { return len(c.off.All) }

// record is the n-th record of a chunk, and what is behind it.
func (c *chunk) record(n int) []byte { return c.arena.All[c.off.All[n]:] }

func (c *chunk) close() {
	c.arena.Close()
	c.off.Close()
	c.ids.Close()
}

// reading is the memory that a chunk is read into which is aside. That is good until the next one is read.
type reading struct {
	chunk
	at int // the chunk, and 1
}

// idSize is the length of an id before its record while profiles are read.
const idSize = len(fold.ID{})

// place is in which of n ranges of hashes one is.
func place(hash uint64, n int) int {
	hi, _ := mathbits.Mul64(hash, uint64(n))
	return int(hi)
}

// gatherer gathers the records of profiles, in no order.
type gatherer struct {
	*parted
	chunks int
	atOnce int
	all    []*gathering
}

// gathering is what one goroutine gathers.
type gathering struct {
	reader
	bufs [][]byte // of each chunk
	row  []byte
}

func newGatherer(o *Options, st *stats) *gatherer {
	chunks := int(st.bytes/(o.Memory/chunkShare)) + 1
	g := &gatherer{parted: newParted(o, chunks, o.Memory/recordsShare), chunks: chunks, all: make([]*gathering, o.Workers)}
	g.atOnce = min(15<<10, g.pool.Size()/2)
	for i := range g.all {
		g.all[i] = &gathering{reader: reader{custom: st.custom, habits: st.habits}, bufs: make([][]byte, chunks)}
	}
	return g
}

// row makes the row of a profile: its id and its record. It is good until the worker makes the next one.
func (g *gatherer) row(worker int, p *fold.Profile) []byte {
	k := g.all[worker]
	k.row = k.append(append(k.row[:0], p.ID[:]...), p)
	return k.row
}

// put keeps a row.
func (g *gatherer) put(worker int, row []byte) error {
	k := g.all[worker]
	part := place(xxh3.Hash(row[:idSize]), g.chunks)
	b := append(k.bufs[part], row...)
	if len(b) > g.atOnce {
		if err := g.add(part, b); err != nil {
			return err
		}
		b = b[:0]
	}
	k.bufs[part] = b
	return nil
}

// flush keeps what is still in buffers.
func (g *gatherer) flush() error {
	for _, k := range g.all {
		for part, b := range k.bufs {
			if err := g.add(part, b); err != nil {
				return err
			}
			k.bufs[part] = nil
		}
	}
	return nil
}

// read gathers all profiles of a source.
func (g *gatherer) read(ctx context.Context, src Source, o *Options) error {
	var done atomic.Int64
	since := make([]int64, o.Workers)
	return src(ctx, func(w int, p *fold.Profile) error {
		if since[w]++; since[w]%1000 == 0 {
			o.Progress(Preprocessing, done.Add(1000))
		}
		return g.put(w, g.row(w, p))
	})
}

// gather reads all profiles.
func gather(ctx context.Context, src Source, o *Options, st *stats) (*records, error) {
	g := newGatherer(o, st)
	defer g.close()
	read := func() error { return g.read(ctx, src, o) }
	if o.Team != nil {
		read = func() error { return o.Team.gather(ctx, g, o) }
	}
	if err := read(); err != nil {
		return nil, err
	}
	if err := g.flush(); err != nil {
		return nil, err
	}
	r := &records{slots: g.all[0].slots(), first: []int{0}, answer: map[fold.ID]uint32{}}
	for _, a := range o.Answers {
		r.answer[a.A], r.answer[a.B] = nobody, nobody
	}
	if err := r.arrange(o, g.parted); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

// nobody is the number of a profile in an answer that there is not.
const nobody = 1<<32 - 1

// arrange sorts the records of all chunks. If they fitted into memory as they came they stay there; else they are put aside again, sorted, and are
// but copied when they are read.
func (r *records) arrange(o *Options, p *parted) error {
	spilled := p.spilled()
	if spilled {
		r.aside = newParted(o, 2*len(p.sizes), o.Memory/sortedShare)
	}
	raw := extsort.NewTable[byte](int(slices.Max(p.sizes)))
	defer raw.Close()
	var order []ref
	for i := range p.sizes {
		raw.All = raw.All[:0]
		err := p.take(i, func(b []byte) error {
			raw.All = append(raw.All, b...)
			return nil
		})
		if err != nil {
			return err
		}
		order = r.order(raw.All, order[:0])
		c := r.sorted(raw.All, order)
		for n, id := range c.ids.All {
			if _, asked := r.answer[id]; asked {
				r.answer[id] = uint32(r.n + n)
			}
		}
		r.n += c.len()
		r.first = append(r.first, r.n)
		if !spilled {
			r.kept = append(r.kept, c)
			continue
		}
		err = r.put(i, c)
		c.close()
		if err != nil {
			return err
		}
	}
	return nil
}

// ref is where a record is.
type ref struct {
	hash uint64
	at   int
}

// order puts records in the order of the hashes of their ids; those of one id, of a profile that was seen twice, in that of their bytes, whatever order they came in.
func (r *records) order(raw []byte, refs []ref) []ref {
	for at := 0; at < len(raw); {
		refs = append(refs, ref{xxh3.Hash(raw[at : at+idSize]), at})
		at += idSize + recordLen(raw[at+idSize:], r.slots)
	}
	slices.SortFunc(refs, func(a, b ref) int {
		if c := cmp.Compare(a.hash, b.hash); c != 0 {
			return c
		}
		if c := bytes.Compare(raw[a.at:a.at+idSize], raw[b.at:b.at+idSize]); c != 0 {
			return c
		}
		one, other := raw[a.at+idSize:], raw[b.at+idSize:]
		return bytes.Compare(one[:recordLen(one, r.slots)], other[:recordLen(other, r.slots)])
	})
	return refs
}

// sorted makes a chunk of records in their order. A profile that was seen twice counts once.
func (r *records) sorted(raw []byte, order []ref) *chunk {
	c := &chunk{arena: *extsort.NewTable[byte](len(raw)), off: *extsort.NewTable[uint32](len(order)), ids: *extsort.NewTable[fold.ID](len(order))}
	arena, off, ids := c.arena.All[:0], c.off.All[:0], c.ids.All[:0]
	for _, f := range order {
		id := fold.ID(raw[f.at:])
		if len(ids) > 0 && ids[len(ids)-1] == id {
			continue
		}
		ids = append(ids, id)
		off = append(off, uint32(len(arena)))
		b := raw[f.at+idSize:]
		arena = append(arena, b[:recordLen(b, r.slots)]...)
	}
	c.arena.All, c.off.All, c.ids.All = arena, off, ids
	return c
}

// put puts a sorted chunk aside, in its order: its records as they are, wherever that cuts them, and its ids.
func (r *records) put(i int, c *chunk) error {
	step := r.aside.pool.Size() / 4
	for b := range slices.Chunk(c.arena.All, step) {
		if err := r.aside.add(2*i, b); err != nil {
			return err
		}
	}
	var b []byte
	for ids := range slices.Chunk(c.ids.All, step/idSize) {
		b = b[:0]
		for _, id := range ids {
			b = append(b, id[:]...)
		}
		if err := r.aside.add(2*i+1, b); err != nil {
			return err
		}
	}
	return nil
}

// share is the part of the memory that keys and pairs take, of one that is theirs where all records are in memory.
func (r *records) share(of int64) int64 {
	if r.aside != nil {
		return 2 * of
	}
	return of
}

// chunks is how many there are.
func (r *records) chunks() int { return len(r.first) - 1 }

// chunk returns a chunk, which is read into memory if it is aside.
func (r *records) chunk(i int, into *reading) (*chunk, error) {
	if r.aside == nil {
		return r.kept[i], nil
	}
	if into.at == i+1 {
		return &into.chunk, nil
	}
	into.at = 0
	if n := int(slices.Max(r.aside.sizes)); cap(into.arena.All) < n { // of the largest, so that it is mapped once
		into.close()
		into.arena = *extsort.NewTable[byte](n)
	}
	arena, err := r.aside.read(2*i, into.arena.All[:0])
	if err != nil {
		return nil, err
	}
	into.arena.All = arena
	n := r.first[i+1] - r.first[i]
	if cap(into.off.All) < n {
		into.off.Close()
		into.off = *extsort.NewTable[uint32](n + n/16)
	}
	off, at := into.off.All[:0], 0
	for range n {
		off = append(off, uint32(at))
		at += recordLen(arena[at:], r.slots)
	}
	into.off.All, into.at = off, i+1
	return &into.chunk, nil
}

// chunkIDs returns the ids of a chunk. They may be read into b.
func (r *records) chunkIDs(i int, b []fold.ID) ([]fold.ID, error) {
	if r.aside == nil {
		return r.kept[i].ids.All, nil
	}
	raw, err := r.aside.read(2*i+1, nil)
	for b = b[:0]; len(raw) >= idSize; raw = raw[idSize:] {
		b = append(b, fold.ID(raw))
	}
	return b, err
}

// chunkOf returns the chunk of a record.
func (r *records) chunkOf(i int) int {
	if r.chunks() == 1 {
		return 0
	}
	n, found := slices.BinarySearch(r.first, i)
	if found {
		for r.first[n+1] == i { // empty chunks
			n++
		}
		return n
	}
	return n - 1
}

// each calls do for all records, from several goroutines; those of one call of do are in the order of their numbers.
func (r *records) each(workers int, do func(worker, i int, b []byte) error) error {
	const step = 4096
	var into reading
	defer into.close()
	for k := range r.chunks() {
		c, err := r.chunk(k, &into)
		if err != nil {
			return err
		}
		tasks := (c.len() + step - 1) / step
		err = parallel(workers, tasks, func(w, t int) error {
			for i := t * step; i < min(c.len(), (t+1)*step); i++ {
				if err := do(w, r.first[k]+i, c.record(i)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// picked are some records that are read in any order.
type picked struct {
	*records
	numbers []uint32 // in their order; nil: all are in memory
	chunk
}

// pick returns those of some numbers. Those that are aside are copied, in one pass over all.
func (r *records) pick(numbers []uint32) (*picked, error) {
	p := &picked{records: r}
	if r.aside == nil {
		return p, nil
	}
	slices.Sort(numbers)
	p.numbers = slices.Compact(numbers)
	p.off = *extsort.NewTable[uint32](len(p.numbers))
	var into reading
	defer into.close()
	var all int64
	for k := range r.chunks() {
		all += r.aside.sizes[2*k]
	}
	p.arena = *extsort.NewTable[byte](int(float64(all) / float64(r.n) * float64(len(p.numbers)) * 1.1)) // about, so that it need not grow
	p.arena.All = p.arena.All[:0]
	n := 0
	for k := 0; k < r.chunks() && n < len(p.numbers); k++ {
		if int(p.numbers[n]) >= r.first[k+1] {
			continue
		}
		c, err := r.chunk(k, &into)
		if err != nil {
			p.close()
			return nil, err
		}
		for ; n < len(p.numbers) && int(p.numbers[n]) < r.first[k+1]; n++ {
			b := c.record(int(p.numbers[n]) - r.first[k])
			p.off.All[n] = uint32(len(p.arena.All))
			p.arena.Append(b[:recordLen(b, r.slots)]...)
		}
	}
	return p, nil
}

// record is that of a number.
func (p *picked) record(i uint32) []byte {
	if p.numbers == nil {
		k := p.chunkOf(int(i))
		return p.kept[k].record(int(i) - p.first[k])
	}
	n, _ := slices.BinarySearch(p.numbers, i)
	return p.chunk.record(n)
}

func (p *picked) close() { p.chunk.close() }

func (r *records) close() {
	for _, c := range r.kept {
		c.close()
	}
	r.copies.close()
	r.aside.close()
}

// index is the number of a profile that somebody has answered for.
func (r *records) index(id fold.ID) (int, bool) {
	i, asked := r.answer[id]
	return int(i), asked && i != nobody
}

// pair is two records' numbers, the lower one in the high half.
type pair uint64

func pairOf(i, j int) pair {
	if i > j {
		i, j = j, i
	}
	return pair(i)<<32 | pair(j)
}

func (p pair) ends() (i, j int) { return int(p >> 32), int(p & (1<<32 - 1)) }

func appendPair(dst []byte, p pair) []byte { return binary.LittleEndian.AppendUint64(dst, uint64(p)) }
