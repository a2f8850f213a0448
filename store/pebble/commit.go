package pebble

import (
	"bytes"
	"context"
	"errors"
	"hash/maphash"
	"io"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"kith/store"
)

// How writes are ordered. Everything that looks before it writes does so under the lock of its partition's stripe, until its
// batch is in the memtable; the wait for the disk comes behind the lock, so that many share one sync. The log is written in the
// order of the memtable: what a later writer saw is durable before its own batch is.
//
//	Swap                      exclusive: versions are read, then written
//	delete, many writers      exclusive: the row's time is read; a newer put stays
//	put, many writers         shared: it reads nothing. It is a merge operand, and whoever reads the row takes the latest of its puts
//	mutation, one writer      no lock: nobody else writes the row
//
// Whoever removes rows by a look at all of them (remove.go) takes all stripes for moments, before it looks and when ranges of them go.
//
// A Swap that tells since when it knows its versions (store.Group.Since) need not read them where no row of its stripe has been swapped since.
//
// Deletes are not merge operands as well, although that would save the look: a compaction that merges a delete with a put leaves
// nothing in their place, and older puts in lower levels would come back.

// numStripes is how many locks all partitions share.
const numStripes = 256

// stripes are the locks of all partitions.
type stripes struct {
	seed  maphash.Seed
	locks [numStripes]sync.RWMutex
	// swapped is, by stripe and under its lock, how many changes of the store had ended when the last Swap of it had.
	swapped [numStripes]uint64
}

// held is which stripes a group holds: a bit each.
type held struct {
	stripes           *stripes
	shared, exclusive [numStripes / 64]uint64
	swap              int // the stripe of the Swap's partition
}

func newStripes() *stripes { return &stripes{seed: maphash.MakeSeed()} }

// lock takes what a group needs, in one order for all.
func (s *stripes) lock(g store.Group) held {
	h := held{stripes: s}
	var buf [128]byte
	want := func(p store.Partition, set *[numStripes / 64]uint64) int {
		at := maphash.Bytes(s.seed, store.AppendPartition(buf[:0], p)) % numStripes
		set[at/64] |= 1 << (at % 64)
		return int(at)
	}
	if len(g.Swap) > 0 {
		h.swap = want(g.Partition, &h.exclusive)
	}
	for _, part := range [][]store.PartitionWrite{g.Before, g.After} {
		for _, w := range part {
			switch {
			case !w.Partition.Table.ManyWriters():
			case deletes(w.Mutations):
				want(w.Partition, &h.exclusive)
			default:
				want(w.Partition, &h.shared)
			}
		}
	}
	for i := range h.shared {
		h.shared[i] &^= h.exclusive[i]
	}
	h.each((*sync.RWMutex).RLock, (*sync.RWMutex).Lock)
	return h
}

// unlock lets go of them.
func (h held) unlock() { h.each((*sync.RWMutex).RUnlock, (*sync.RWMutex).Unlock) }

// each calls one of two functions for each stripe that is held, in their order.
func (h *held) each(shared, exclusive func(*sync.RWMutex)) {
	for i := range h.shared {
		for set := h.shared[i] | h.exclusive[i]; set != 0; set &= set - 1 {
			bit := bits.TrailingZeros64(set)
			if l := &h.stripes.locks[64*i+bit]; h.exclusive[i]>>bit&1 == 1 {
				exclusive(l)
			} else {
				shared(l)
			}
		}
	}
}

func deletes(ms []store.Mutation) bool {
	return slices.ContainsFunc(ms, func(m store.Mutation) bool { return m.Delete })
}

// Write implements store.Store.
func (s *Store) Write(ctx context.Context, p store.Partition, ms []store.Mutation) error {
	_, err := s.Commit(ctx, store.Group{Before: []store.PartitionWrite{{Partition: p, Mutations: ms}}})
	return err
}

// Swap implements store.Store.
func (s *Store) Swap(ctx context.Context, p store.Partition, ops []store.Swap) (uint64, error) {
	return s.Commit(ctx, store.Group{Partition: p, Swap: ops})
}

// Commit implements store.Store: one batch.
func (s *Store) Commit(ctx context.Context, g store.Group) (uint64, error) {
	if err := errors.Join(ctx.Err(), store.CheckGroup(g)); err != nil {
		return 0, err
	}
	b := s.db.NewBatch()
	defer b.Close()
	version, err := s.apply(b, g)
	if err != nil {
		return 0, err
	}
	if g.Visible != nil {
		g.Visible()
	}
	if g.Lazy || b.Empty() {
		return version, nil
	}
	if err := s.waits.sync(b); err != nil {
		// Readers may have seen what is not in the log, and never will be.
		s.logger.Fatalf("the log can't be written: %v", err)
		return 0, convert(err)
	}
	return version, nil
}

// waits spaces out the syncs of the log while many commits wait for one: each takes more of them then. A few wait for nothing but the disk.
type waits struct{ commits atomic.Int64 }

const (
	// fewCommits wait for nothing but the disk.
	fewCommits = 8
	// syncEvery is how long after a sync the next one begins when more of them wait: they wait for a processor longer than that.
	syncEvery = 500 * time.Microsecond
)

// sync waits until a batch is durable.
func (w *waits) sync(b *pebble.Batch) error {
	w.commits.Add(1)
	defer w.commits.Add(-1)
	return b.SyncWait()
}

// interval is asked for by the engine after each sync.
func (w *waits) interval() time.Duration {
	if w.commits.Load() > fewCommits {
		return syncEvery
	}
	return 0
}

// apply fills the batch and puts it into the memtable.
func (s *Store) apply(b *pebble.Batch, g store.Group) (version uint64, err error) {
	held := s.locks.lock(g)
	defer held.unlock()
	var prefix []byte
	if len(g.Swap) > 0 {
		prefix = store.AppendPartition(make([]byte, 0, 128), g.Partition)
	}
	known := g.Since != 0 && s.locks.swapped[held.swap] <= g.Since && s.dropped.Load() <= g.Since
	if version, err = s.expect(prefix, g.Swap, known); err != nil {
		return 0, err
	}
	err = errors.Join(s.addWrites(b, g.Before), addSwaps(b, prefix, version, g.Swap), s.addWrites(b, g.After))
	if err != nil || b.Empty() {
		return version, err
	}
	s.watches.note(b)
	done := s.readers.changing()
	if g.Lazy {
		err = s.db.Apply(b, pebble.NoSync)
	} else {
		err = s.db.ApplyNoSyncWait(b, pebble.Sync)
	}
	if n := done(); len(g.Swap) > 0 {
		s.locks.swapped[held.swap] = n
	}
	return version, convert(err)
}

// Mark implements store.Store: what becomes visible from now on is a change that has yet to end.
func (s *Store) Mark() uint64 { return s.readers.changes.Load() }

// expect returns the next version of the rows of a Swap if all of them are as expected. known says that they are.
func (s *Store) expect(prefix []byte, ops []store.Swap, known bool) (uint64, error) {
	if len(ops) == 0 {
		return 0, nil
	}
	var newest uint64
	for _, op := range ops {
		if known {
			newest = max(newest, op.Expect)
			continue
		}
		have, err := s.versionOf(append(prefix, op.Key...))
		if err != nil {
			return 0, err
		}
		if have != op.Expect {
			return 0, store.ErrConflict
		}
		newest = max(newest, have)
	}
	return s.versions.Next(newest), nil
}

func (s *Store) versionOf(key []byte) (uint64, error) {
	row, err := s.look(key)
	if errors.Is(err, store.ErrNotFound) {
		return 0, nil
	}
	if err == nil && row.Version == 0 {
		err = errors.New("swap of a Write row")
	}
	return row.Version, err
}

// look reads a row's version and time.
func (s *Store) look(key []byte) (store.Row, error) {
	cell, closer, err := s.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return store.Row{}, store.ErrNotFound
	}
	if err != nil {
		return store.Row{}, convert(err)
	}
	defer closer.Close()
	row, err := store.DecodeCell(cell)
	return store.Row{Version: row.Version, Time: row.Time}, err
}

func addSwaps(b *pebble.Batch, prefix []byte, version uint64, ops []store.Swap) error {
	for _, op := range ops {
		key := append(prefix, op.Key...) // the batch copies it
		var err error
		switch op.Op {
		case store.Put:
			put := b.SetDeferred(len(key), store.CellHeader+len(op.Value))
			copy(put.Key, key)
			store.AppendSwapCell(put.Value[:0], version, op.Value)
			err = put.Finish()
		case store.Delete:
			err = b.Delete(key, nil)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) addWrites(b *pebble.Batch, writes []store.PartitionWrite) error {
	var key []byte // the batch copies it
	for _, w := range writes {
		ordered := w.Partition.Table.ManyWriters()
		for _, m := range w.Mutations {
			key = store.AppendKey(key[:0], w.Partition, m.Key)
			add := addTo
			if ordered {
				add = s.addOrdered
			}
			if err := add(b, key, m); err != nil {
				return err
			}
		}
	}
	return nil
}

// addTo adds a mutation of a row that has one writer.
func addTo(b *pebble.Batch, key []byte, m store.Mutation) error {
	if m.Delete {
		return b.Delete(key, nil)
	}
	return putCell(b.SetDeferred(len(key), store.CellHeader+len(m.Value)), key, m)
}

// putCell writes a row into the room that a batch has made for it.
func putCell(op *pebble.DeferredBatchOp, key []byte, m store.Mutation) error {
	copy(op.Key, key)
	store.AppendWriteCell(op.Value[:0], m.Time, m.Value)
	return op.Finish()
}

// addOrdered adds a mutation of a row that has many writers. The caller holds the lock of its stripe.
func (s *Store) addOrdered(b *pebble.Batch, key []byte, m store.Mutation) error {
	if !m.Delete {
		return putCell(b.MergeDeferred(len(key), store.CellHeader+len(m.Value)), key, m)
	}
	row, err := s.look(key)
	if errors.Is(err, store.ErrNotFound) || err == nil && row.Time > m.Time {
		return nil
	}
	if err != nil {
		return err
	}
	return b.Delete(key, nil)
}

// merger makes one cell of those that several writers put: the latest, of equal times the one with the greater value. A cell
// begins with its kind and its time, so that is the greatest of them. Its name is on disk.
var merger = &pebble.Merger{
	Name: "kith.latest",
	Merge: func(_, cell []byte) (pebble.ValueMerger, error) {
		l := latestPool.Get().(*latest)
		l.cell = append(l.cell[:0], cell...)
		return l, nil
	},
}

var latestPool = sync.Pool{New: func() any { return &latest{} }}

type latest struct{ cell []byte }

// MergeNewer implements pebble.ValueMerger.
func (l *latest) MergeNewer(cell []byte) error {
	if bytes.Compare(cell, l.cell) > 0 {
		l.cell = append(l.cell[:0], cell...)
	}
	return nil
}

// MergeOlder implements pebble.ValueMerger.
func (l *latest) MergeOlder(cell []byte) error { return l.MergeNewer(cell) }

// Finish implements pebble.ValueMerger.
func (l *latest) Finish(bool) ([]byte, io.Closer, error) { return l.cell, l, nil }

// Close gives the cell's memory back.
func (l *latest) Close() error {
	latestPool.Put(l)
	return nil
}
