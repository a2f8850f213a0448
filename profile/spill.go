package profile

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"kith/blob"
	"kith/profile/fold"
)

// shards is into how many parts persons of merges are cut, by their main ids. It is in cursors.
const shards = 16

// shardOf returns the shard of a person. The last byte of an id is random, however it was minted.
func shardOf(main ID) int { return int(main[15]) % shards }

// recordKeySize is the length of a spilled record's key: shard (1) | main id (16) | own id (16).
const recordKeySize = 1 + 2*len(ID{})

// spill takes in the rows of profiles that take part in merges, in the order of the sweep, and gives them back in the order of their
// persons. It is for one goroutine until it is full. What it has no memory for goes to files (blob.Spill).
//
// A record is: length of the rest (4) | key (recordKeySize) | value.
type spill struct {
	dir    string
	memory int // bytes of records

	blocks [][]byte // they never move: a block that is full is followed by another
	size   int
	refs   []spillRef
	one    []byte // a record that is being made
	runs   []*spilled
}

// prefix is the first half of a record's key.
type prefix [2]uint64

// prefixOf returns that of a record.
func prefixOf(r []byte) prefix {
	return prefix{binary.BigEndian.Uint64(r[4:]), binary.BigEndian.Uint64(r[12:])}
}

// compare returns how two records compare, by their prefixes and, if these are the same, by their whole keys.
func (a prefix) compare(b prefix, ofA, ofB []byte) int {
	if a[0] != b[0] {
		return cmp.Compare(a[0], b[0])
	}
	if a[1] != b[1] {
		return cmp.Compare(a[1], b[1])
	}
	return bytes.Compare(ofA[4:4+recordKeySize], ofB[4:4+recordKeySize])
}

// spillRef is a record in memory. There is no pointer in it: the collector need not look at hundreds of thousands of them.
type spillRef struct {
	prefix
	block, at uint32
}

// spillBlock is the size of a block.
const spillBlock = 1 << 20

// spilled is a sorted run of records on disk.
type spilled struct {
	*blob.Spill
	shards [shards + 1]int64 // where those of each shard begin
}

// add takes in a record.
func (s *spill) add(main, own ID, value func(dst []byte) []byte) error {
	r := append(s.one[:0], 0, 0, 0, 0, byte(shardOf(main)))
	r = append(append(r, main[:]...), own[:]...)
	r = value(r)
	binary.BigEndian.PutUint32(r, uint32(len(r)-4))
	s.one = r
	n := len(s.blocks) - 1
	if n < 0 || cap(s.blocks[n])-len(s.blocks[n]) < len(r) {
		s.blocks = append(s.blocks, make([]byte, 0, max(min(spillBlock, s.memory), len(r))))
		n++
	}
	start := len(s.blocks[n])
	s.blocks[n] = append(s.blocks[n], r...)
	s.refs = append(s.refs, spillRef{prefixOf(r), uint32(n), uint32(start)})
	if s.size += len(r); s.size < s.memory {
		return nil
	}
	return s.flush()
}

// record returns the record at the start of b, and its length.
func record(b []byte) (key, value []byte, n int) {
	n = 4 + int(binary.BigEndian.Uint32(b))
	return b[4 : 4+recordKeySize], b[4+recordKeySize : n], n
}

// record returns the record that a ref is of.
func (s *spill) record(r *spillRef) []byte {
	b := s.blocks[r.block][r.at:]
	return b[:4+binary.BigEndian.Uint32(b)]
}

// sort sorts what is in memory. It is a radix sort on the bytes of the prefixes, from the last to the first, that passes over those which
// all have in common; what agrees in them is compared, which is what belongs to one person.
func (s *spill) sort() {
	from, to := s.refs, make([]spillRef, len(s.refs))
	for word := 1; word >= 0 && len(from) > 1; word-- {
		var counts [8][256]int
		for i := range from {
			for d := range 8 {
				counts[d][byte(from[i].prefix[word]>>(8*d))]++
			}
		}
		for d := range 8 {
			c := &counts[d]
			if c[byte(from[0].prefix[word]>>(8*d))] == len(from) {
				continue
			}
			sum := 0
			for i, n := range c {
				c[i] = sum
				sum += n
			}
			for i := range from {
				b := byte(from[i].prefix[word] >> (8 * d))
				to[c[b]] = from[i]
				c[b]++
			}
			from, to = to, from
		}
	}
	s.refs = from
	for i := 0; i < len(from); {
		j := i + 1
		for j < len(from) && from[j].prefix == from[i].prefix {
			j++
		}
		slices.SortFunc(from[i:j], func(a, b spillRef) int { return a.compare(b.prefix, s.record(&a), s.record(&b)) })
		i = j
	}
}

// flush writes what is in memory to a file.
func (s *spill) flush() (err error) {
	if len(s.refs) == 0 {
		return nil
	}
	s.sort()
	run := &spilled{}
	run.Spill, err = blob.NewSpill(s.dir, "persons", 1<<20, func(w io.Writer) error {
		size, shard := int64(0), 0
		for i := range s.refs {
			r := s.record(&s.refs[i])
			for ; shard < int(r[4]); shard++ {
				run.shards[shard+1] = size
			}
			if _, err := w.Write(r); err != nil {
				return err
			}
			size += int64(len(r))
		}
		for ; shard < shards; shard++ {
			run.shards[shard+1] = size
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.runs = append(s.runs, run)
	s.blocks, s.size, s.refs = s.blocks[:0], 0, s.refs[:0]
	return nil
}

// close lets go of the files.
func (s *spill) close() {
	for _, r := range s.runs {
		r.Close()
	}
}

// source is a sorted sequence of records.
type source struct {
	next func() (record []byte, err error) // behind its length; nil at the end; good until the next call
	head []byte
	prefix
}

// advance moves to the next record. It returns false at the end.
func (s *source) advance() (bool, error) {
	r, err := s.next()
	if err != nil {
		return false, fmt.Errorf("read spilled persons: %w", err)
	}
	if r == nil {
		return false, nil
	}
	s.head, s.prefix = r, prefixOf(r)
	return true, nil
}

// sources returns where the records of a shard are. sort must have been called.
func (s *spill) sources(shard int) (all []*source) {
	find := func(shard int) int {
		n, _ := slices.BinarySearchFunc(s.refs, shard, func(r spillRef, shard int) int { return int(r.prefix[0]>>56) - shard })
		return n
	}
	if refs := s.refs[find(shard):find(shard+1)]; len(refs) > 0 {
		all = append(all, &source{next: func() (r []byte, err error) {
			if len(refs) > 0 {
				r, refs = s.record(&refs[0]), refs[1:]
			}
			return r, nil
		}})
	}
	for _, run := range s.runs {
		from, to := run.shards[shard], run.shards[shard+1]
		if from == to {
			continue
		}
		in := bufio.NewReaderSize(io.LimitReader(run.Stream(from), to-from), 64<<10)
		var buf []byte
		all = append(all, &source{next: func() ([]byte, error) {
			var size [4]byte
			if _, err := io.ReadFull(in, size[:]); err != nil {
				if errors.Is(err, io.EOF) {
					return nil, nil
				}
				return nil, err
			}
			n := 4 + int(binary.BigEndian.Uint32(size[:]))
			buf = slices.Grow(buf[:0], n)[:n]
			copy(buf, size[:])
			_, err := io.ReadFull(in, buf[4:])
			return buf, err
		}})
	}
	return all
}

// persons calls do for each person of a shard in the order of main ids, with the records of its profiles one after the other, each as
// source.next returns it.
func persons(spills []*spill, shard int, do func(main ID, records []byte) error) error {
	var heap []*source // by their heads, the lowest first
	less := func(a, b *source) bool { return a.compare(b.prefix, a.head, b.head) < 0 }
	down := func(i int) {
		for {
			child := 2*i + 1
			if child+1 < len(heap) && less(heap[child+1], heap[child]) {
				child++
			}
			if child >= len(heap) || !less(heap[child], heap[i]) {
				return
			}
			heap[i], heap[child] = heap[child], heap[i]
			i = child
		}
	}
	for _, s := range spills {
		for _, src := range s.sources(shard) {
			if ok, err := src.advance(); err != nil {
				return err
			} else if ok {
				heap = append(heap, src)
			}
		}
	}
	for i := len(heap)/2 - 1; i >= 0; i-- {
		down(i)
	}
	var group []byte
	var main ID
	for len(heap) > 0 {
		head := heap[0].head
		if of := ID(head[5:]); of != main || len(group) == 0 {
			if len(group) > 0 {
				if err := do(main, group); err != nil {
					return err
				}
			}
			main, group = of, group[:0]
		}
		group = append(group, head...)
		ok, err := heap[0].advance()
		if err != nil {
			return err
		}
		if !ok {
			heap[0] = heap[len(heap)-1]
			heap = heap[:len(heap)-1]
		}
		if len(heap) > 0 {
			down(0)
		}
	}
	if len(group) == 0 {
		return nil
	}
	return do(main, group)
}

// appendRow appends a row of a spilled profile: lengths as uvarints, key, value.
func appendRow(dst, key, value []byte) []byte {
	dst = append(binary.AppendUvarint(dst, uint64(len(key))), key...)
	return append(binary.AppendUvarint(dst, uint64(len(value))), value...)
}

var errSpill = fmt.Errorf("%w: a spilled profile", fold.ErrCorrupt)

// nextRow returns the first row of a spilled profile, and the rest.
func nextRow(b []byte) (key, value, rest []byte, err error) {
	text := func() (t []byte) {
		n, k := binary.Uvarint(b)
		if k <= 0 || n > uint64(len(b)-k) {
			err = errSpill
			return nil
		}
		t, b = b[k:k+int(n)], b[k+int(n):]
		return t
	}
	key, value = text(), text()
	return key, value, b, err
}
