package pebble

import (
	"bytes"
	"context"
	"errors"
	"hash/maphash"
	"io"
	"sync"

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
// Deletes are not merge operands as well, although that would save the look: a compaction that merges a delete with a put leaves
// nothing in their place, and older puts in lower levels would come back.

// stripes are the locks of all partitions.
type stripes struct {
	seed  maphash.Seed
	locks [256]sync.RWMutex
}

// mode is how a stripe is held.
type mode byte

const (
	free mode = iota
	shared
	exclusive
)

func newStripes() *stripes { return &stripes{seed: maphash.MakeSeed()} }

// lock takes what a group needs, in one order for all, and returns how to let go of it.
func (s *stripes) lock(g store.Group) (unlock func()) {
	var held [256]mode
	var buf [64]byte
	want := func(p store.Partition, m mode) {
		at := &held[maphash.Bytes(s.seed, store.AppendPartition(buf[:0], p))%uint64(len(s.locks))]
		*at = max(*at, m)
	}
	if len(g.Swap) > 0 {
		want(g.Partition, exclusive)
	}
	for _, part := range [][]store.PartitionWrite{g.Before, g.After} {
		for _, w := range part {
			if w.Partition.Table.ManyWriters() {
				want(w.Partition, modeFor(w.Mutations))
			}
		}
	}
	for i, m := range held {
		switch m {
		case shared:
			s.locks[i].RLock()
		case exclusive:
			s.locks[i].Lock()
		}
	}
	return func() {
		for i, m := range held {
			switch m {
			case shared:
				s.locks[i].RUnlock()
			case exclusive:
				s.locks[i].Unlock()
			}
		}
	}
}

func modeFor(ms []store.Mutation) mode {
	for _, m := range ms {
		if m.Delete {
			return exclusive
		}
	}
	return shared
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
	if g.Lazy || b.Empty() {
		return version, nil
	}
	if err := b.SyncWait(); err != nil {
		// Readers may have seen what is not in the log, and never will be.
		s.logger.Fatalf("the log can't be written: %v", err)
		return 0, convert(err)
	}
	return version, nil
}

// apply fills the batch and puts it into the memtable.
func (s *Store) apply(b *pebble.Batch, g store.Group) (version uint64, err error) {
	defer s.locks.lock(g)()
	prefix := store.AppendPartition(nil, g.Partition)
	if version, err = s.expect(prefix, g.Swap); err != nil {
		return 0, err
	}
	err = errors.Join(s.addWrites(b, g.Before), addSwaps(b, prefix, version, g.Swap), s.addWrites(b, g.After))
	if err != nil || b.Empty() {
		return version, err
	}
	defer s.readers.changing()()
	if g.Lazy {
		return version, convert(s.db.Apply(b, pebble.NoSync))
	}
	return version, convert(s.db.ApplyNoSyncWait(b, pebble.Sync))
}

// expect returns the next version of the rows of a Swap if all of them are as expected.
func (s *Store) expect(prefix []byte, ops []store.Swap) (uint64, error) {
	if len(ops) == 0 {
		return 0, nil
	}
	var newest uint64
	for _, op := range ops {
		have, err := s.versionOf(append(prefix[:len(prefix):len(prefix)], op.Key...))
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
		key := append(prefix[:len(prefix):len(prefix)], op.Key...)
		var err error
		switch op.Op {
		case store.Put:
			err = b.Set(key, store.AppendSwapCell(nil, version, op.Value), nil)
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
	for _, w := range writes {
		add := addTo
		if w.Partition.Table.ManyWriters() {
			add = s.addOrdered
		}
		for _, m := range w.Mutations {
			if err := add(b, store.AppendKey(nil, w.Partition, m.Key), m); err != nil {
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
	return b.Set(key, store.AppendWriteCell(nil, m.Time, m.Value), nil)
}

// addOrdered adds a mutation of a row that has many writers. The caller holds the lock of its stripe.
func (s *Store) addOrdered(b *pebble.Batch, key []byte, m store.Mutation) error {
	if !m.Delete {
		return b.Merge(key, store.AppendWriteCell(nil, m.Time, m.Value), nil)
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
