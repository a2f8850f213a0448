package link

import (
	"bytes"
	"context"
	"encoding/binary"
	"slices"
	"sync/atomic"

	"github.com/zeebo/xxh3"

	"kith/profile/fold"
)

// records are all profiles as they are compared, numbered by the hash of their ids, whatever order they came in. They are in chunks; those
// that don't fit into memory are spilled.
type records struct {
	slots  int
	n      int
	ids    []fold.ID
	first  []int // the number of each chunk's first record, and of all
	chunks []*chunk
	spill  *parted // where chunks are from that are not kept; nil: all are
	copies
}

// chunk is a run of records.
type chunk struct {
	arena []byte
	off   []uint32 // where each record begins
}

// idSize is the length of an id before its record while profiles are read.
const idSize = len(fold.ID{})

// gather reads all profiles.
func gather(ctx context.Context, src Source, o *Options, st *stats) (*records, error) {
	chunks := int(st.bytes/(o.Memory/12)) + 1
	p := newParted(chunks, o.Memory/2, o.Dir)
	type worker struct {
		reader
		bufs [][]byte
		done int64
	}
	all := make([]*worker, o.Workers)
	for i := range all {
		all[i] = &worker{reader: reader{custom: st.custom, habits: st.habits}, bufs: make([][]byte, chunks)}
	}
	var done atomic.Int64
	err := src(ctx, func(w int, profile *fold.Profile) error {
		k := all[w]
		part := int(xxh3.Hash(profile.ID[:]) >> 33 % uint64(chunks))
		b := append(k.bufs[part], profile.ID[:]...)
		b = k.append(b, profile)
		if k.done++; k.done%1000 == 0 {
			o.Progress(Preprocessing, done.Add(1000))
		}
		if len(b) > 64<<10 {
			if err := p.add(part, b); err != nil {
				return err
			}
			b = b[:0]
		}
		k.bufs[part] = b
		return nil
	})
	for _, k := range all {
		for part, b := range k.bufs {
			if err == nil {
				err = p.add(part, b)
			}
		}
	}
	if err != nil {
		p.close()
		return nil, err
	}
	if p.spilled() { // then nothing of it need stay in memory
		if err := p.flush(); err != nil {
			p.close()
			return nil, err
		}
	}
	r := &records{slots: all[0].slots(), spill: p, first: []int{0}}
	if err := r.arrange(); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

// arrange sorts all chunks, and keeps them if all are in memory.
func (r *records) arrange() error {
	for i := range r.spill.parts {
		c, ids, err := r.load(i)
		if err != nil {
			return err
		}
		r.ids = append(r.ids, ids...)
		r.first = append(r.first, len(r.ids))
		if r.spill.spilled() {
			c = nil
		} else {
			r.spill.drop(i)
		}
		r.chunks = append(r.chunks, c)
	}
	r.n = len(r.ids)
	return nil
}

// load sorts a chunk's records. A profile that was seen twice counts once.
func (r *records) load(i int) (*chunk, []fold.ID, error) {
	raw, err := r.spill.bytes(i)
	if err != nil {
		return nil, nil, err
	}
	type ref struct {
		hash uint64
		at   int
	}
	var refs []ref
	for at := 0; at < len(raw); {
		refs = append(refs, ref{xxh3.Hash(raw[at : at+idSize]), at})
		at += idSize + recordLen(raw[at+idSize:], r.slots)
	}
	slices.SortFunc(refs, func(a, b ref) int {
		if a.hash != b.hash {
			if a.hash < b.hash {
				return -1
			}
			return 1
		}
		return bytes.Compare(raw[a.at:a.at+idSize], raw[b.at:b.at+idSize])
	})
	c := &chunk{arena: make([]byte, 0, len(raw)-idSize*len(refs)), off: make([]uint32, 0, len(refs))}
	ids := make([]fold.ID, 0, len(refs))
	for _, f := range refs {
		id := fold.ID(raw[f.at:])
		if len(ids) > 0 && ids[len(ids)-1] == id {
			continue
		}
		ids = append(ids, id)
		c.off = append(c.off, uint32(len(c.arena)))
		b := raw[f.at+idSize:]
		c.arena = append(c.arena, b[:recordLen(b, r.slots)]...)
	}
	return c, ids, nil
}

// chunk returns a chunk.
func (r *records) chunk(i int) (*chunk, error) {
	if c := r.chunks[i]; c != nil {
		return c, nil
	}
	c, _, err := r.load(i)
	return c, err
}

// chunkOf returns the chunk of a record.
func (r *records) chunkOf(i int) int {
	if len(r.chunks) == 1 {
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
	for k := range r.chunks {
		c, err := r.chunk(k)
		if err != nil {
			return err
		}
		tasks := (len(c.off) + step - 1) / step
		err = parallel(workers, tasks, func(w, t int) error {
			for i := t * step; i < min(len(c.off), (t+1)*step); i++ {
				if err := do(w, r.first[k]+i, c.arena[c.off[i]:]); err != nil {
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

func (r *records) close() { r.spill.close() }

// index is the number of a profile.
func (r *records) index(id fold.ID) (int, bool) {
	h := xxh3.Hash(id[:])
	k := int(h >> 33 % uint64(len(r.chunks)))
	ids := r.ids[r.first[k]:r.first[k+1]]
	n, found := slices.BinarySearchFunc(ids, h, func(x fold.ID, h uint64) int {
		switch y := xxh3.Hash(x[:]); {
		case y < h:
			return -1
		case y > h:
			return 1
		}
		return 0
	})
	for ; found && n < len(ids); n++ {
		if ids[n] == id {
			return r.first[k] + n, true
		}
		if xxh3.Hash(ids[n][:]) != h {
			break
		}
	}
	return 0, false
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
