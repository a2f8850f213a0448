package pebble

import (
	"context"
	"math"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"kith/store"
)

// touched is, by table and incarnation, how many changes of the store had ended when the last one of it had: that of a place which several may share.
type touched [256]atomic.Uint64

func (t *touched) of(table store.Table, inc store.Incarnation) *atomic.Uint64 {
	return &t[(uint64(table)*41+uint64(inc))%uint64(len(t))]
}

// note notes a change that has ended as the n-th. Others may have noted later ones.
func (t *touched) note(table store.Table, inc store.Incarnation, n uint64) {
	for at := t.of(table, inc); ; {
		if was := at.Load(); was >= n || at.CompareAndSwap(was, n) {
			return
		}
	}
}

// noteGroup notes what a Commit has changed.
func (t *touched) noteGroup(g *store.Group, n uint64) {
	if len(g.Swap) > 0 {
		t.note(g.Partition.Table, g.Partition.Incarnation, n)
	}
	for _, part := range [...][]store.PartitionWrite{g.Before, g.After} {
		for i := range part {
			t.note(part[i].Partition.Table, part[i].Partition.Incarnation, n)
		}
	}
}

// Position implements store.Stager.
func (s *Store) Position(p store.Partition) string { return string(store.AppendPartition(nil, p)) }

// Cut implements store.Stager by range deletions, in one batch: tables that lie within a range go unread. Nobody writes between the look at what has changed and
// the batch: a Commit holds the stripes of what it writes until it is noted, or has no stripe because nobody else writes these rows; Land and WriteRun hold cutting.
func (s *Store) Cut(ctx context.Context, since uint64, ranges ...store.SweepRange) error {
	if err := ctx.Err(); err != nil || len(ranges) == 0 {
		return err
	}
	b := s.db.NewBatch()
	defer b.Close()
	for _, r := range ranges {
		lower, upper := sweepSpan(r)
		if err := b.DeleteRange(lower, upper, nil); err != nil {
			return convert(err)
		}
	}
	s.dropping.Lock()
	defer s.dropping.Unlock()
	s.cutting.Lock()
	defer s.cutting.Unlock()
	for i := range s.locks.locks {
		s.locks.locks[i].Lock()
		defer s.locks.locks[i].Unlock()
	}
	for _, r := range ranges {
		if s.touched.of(r.Table, r.Incarnation).Load() > since {
			return store.ErrConflict
		}
	}
	s.dropped.Store(math.MaxUint64)
	done := s.readers.changing()
	err := b.Commit(pebble.Sync)
	n := done()
	s.dropped.Store(n)
	for _, r := range ranges {
		s.touched.note(r.Table, r.Incarnation, n)
	}
	return convert(err)
}
