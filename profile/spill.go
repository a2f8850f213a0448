package profile

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
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
// persons. It is for one goroutine until it is full. What it has no memory for goes to files that are sealed with a key that only this
// process has, and are unlinked before anything is written, so that nobody finds them, whatever happens.
//
// A record is: length of the rest (4) | key (recordKeySize) | value.
type spill struct {
	dir    string
	memory int // bytes of records

	buf  []byte
	at   []int // where the records in buf begin
	runs []*spilled
}

// spilled is a sorted run of records on disk.
type spilled struct {
	file   *os.File
	named  bool // close must remove it
	plain  *blob.Plain
	shards [shards + 1]int64 // where those of each shard begin
}

// add takes in a record.
func (s *spill) add(main, own ID, value func(dst []byte) []byte) error {
	start := len(s.buf)
	s.buf = append(s.buf, 0, 0, 0, 0, byte(shardOf(main)))
	s.buf = append(append(s.buf, main[:]...), own[:]...)
	s.buf = value(s.buf)
	binary.BigEndian.PutUint32(s.buf[start:], uint32(len(s.buf)-start-4))
	s.at = append(s.at, start)
	if len(s.buf) < s.memory {
		return nil
	}
	return s.flush()
}

// record returns the record at the start of b, and its length.
func record(b []byte) (key, value []byte, n int) {
	n = 4 + int(binary.BigEndian.Uint32(b))
	return b[4 : 4+recordKeySize], b[4+recordKeySize : n], n
}

// sort sorts what is in memory.
func (s *spill) sort() {
	key := func(at int) []byte { return s.buf[at+4 : at+4+recordKeySize] }
	slices.SortFunc(s.at, func(a, b int) int { return bytes.Compare(key(a), key(b)) })
}

// flush writes what is in memory to a file.
func (s *spill) flush() (err error) {
	if len(s.at) == 0 {
		return nil
	}
	s.sort()
	f, err := os.CreateTemp(s.dir, "kith-persons-*")
	if err != nil {
		return fmt.Errorf("spill persons of merges: %w", err)
	}
	run := &spilled{file: f, named: os.Remove(f.Name()) != nil} // not every system can unlink an open file
	s.runs = append(s.runs, run)
	var key blob.Key
	_, _ = rand.Read(key[:])
	out := bufio.NewWriterSize(f, 1<<20)
	w, err := blob.Seal(out, key)
	if err != nil {
		return err
	}
	size, shard := int64(0), 0
	for _, at := range s.at {
		key, _, n := record(s.buf[at:])
		for ; shard < int(key[0]); shard++ {
			run.shards[shard+1] = size
		}
		if _, err := w.Write(s.buf[at : at+n]); err != nil {
			return fmt.Errorf("spill persons of merges: %w", err)
		}
		size += int64(n)
	}
	for ; shard < shards; shard++ {
		run.shards[shard+1] = size
	}
	if err := errors.Join(w.Close(), out.Flush()); err != nil {
		return fmt.Errorf("spill persons of merges: %w", err)
	}
	end, err := f.Seek(0, io.SeekCurrent)
	if err == nil {
		run.plain, err = blob.Unseal(f, end, key)
	}
	s.buf, s.at = s.buf[:0], s.at[:0]
	return err
}

// close lets go of the files.
func (s *spill) close() {
	for _, r := range s.runs {
		_ = r.file.Close()
		if r.named {
			_ = os.Remove(r.file.Name())
		}
	}
}

// source is a sorted sequence of records.
type source struct {
	next func() (record []byte, err error) // nil at the end; good until the next call
	head []byte
}

// sources returns where the records of a shard are. sort must have been called.
func (s *spill) sources(shard int) (all []*source) {
	refs := s.at
	find := func(shard int) int {
		n, _ := slices.BinarySearchFunc(refs, shard, func(at, shard int) int { return int(s.buf[at+4]) - shard })
		return n
	}
	if refs = refs[find(shard):find(shard+1)]; len(refs) > 0 {
		all = append(all, &source{next: func() ([]byte, error) {
			if len(refs) == 0 {
				return nil, nil
			}
			at := refs[0]
			refs = refs[1:]
			return s.buf[at+4 : at+4+int(binary.BigEndian.Uint32(s.buf[at:]))], nil
		}})
	}
	for _, run := range s.runs {
		from, to := run.shards[shard], run.shards[shard+1]
		if from == to {
			continue
		}
		in := bufio.NewReaderSize(io.LimitReader(run.plain.Stream(from), to-from), 64<<10)
		var buf []byte
		all = append(all, &source{next: func() ([]byte, error) {
			var size [4]byte
			if _, err := io.ReadFull(in, size[:]); err != nil {
				if errors.Is(err, io.EOF) {
					return nil, nil
				}
				return nil, err
			}
			buf = slices.Grow(buf[:0], int(binary.BigEndian.Uint32(size[:])))[:binary.BigEndian.Uint32(size[:])]
			_, err := io.ReadFull(in, buf)
			return buf, err
		}})
	}
	return all
}

// persons calls do for each person of a shard in the order of main ids, with the records of its profiles one after the other, each as
// source.next returns it behind its length (4).
func persons(spills []*spill, shard int, do func(main ID, records []byte) error) error {
	var heap []*source // by their heads, the lowest first
	less := func(a, b *source) bool { return bytes.Compare(a.head[:recordKeySize], b.head[:recordKeySize]) < 0 }
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
			var err error
			if src.head, err = src.next(); err != nil {
				return fmt.Errorf("read spilled persons: %w", err)
			}
			heap = append(heap, src)
		}
	}
	for i := len(heap)/2 - 1; i >= 0; i-- {
		down(i)
	}
	var group []byte
	var main ID
	for len(heap) > 0 {
		head := heap[0].head
		if of := ID(head[1:]); of != main || len(group) == 0 {
			if len(group) > 0 {
				if err := do(main, group); err != nil {
					return err
				}
			}
			main, group = of, group[:0]
		}
		group = append(binary.BigEndian.AppendUint32(group, uint32(len(head))), head...)
		var err error
		if heap[0].head, err = heap[0].next(); err != nil {
			return fmt.Errorf("read spilled persons: %w", err)
		}
		if heap[0].head == nil {
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
