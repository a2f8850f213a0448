// Package mem is the reference engine: the whole contract in memory. Anything a caller can see it do differently from
// another engine is a bug in one of the two. It keeps nothing on disk, so it can't survive a crash and refuses Checkpoint.
package mem

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"

	"github.com/tidwall/btree"

	"kith/store"
)

// Store is the engine. Make it with New.
type Store struct {
	mu      sync.RWMutex
	rows    btree.Map[string, string] // encoded key → cell
	version uint64
}

// New returns an empty store.
func New() *Store { return &Store{} }

// snapshot returns an immutable copy; it costs a pointer.
func (s *Store) snapshot() *btree.Map[string, string] {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rows.Copy()
}

func decode(cell string, key []byte) (store.Row, error) {
	row, err := store.DecodeCell([]byte(cell))
	row.Key = key
	return row, err
}

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, p store.Partition, key []byte) (store.Row, error) {
	if err := ctx.Err(); err != nil {
		return store.Row{}, err
	}
	s.mu.RLock()
	cell, ok := s.rows.Get(string(store.AppendKey(nil, p, key)))
	s.mu.RUnlock()
	if !ok {
		return store.Row{}, store.ErrNotFound
	}
	return decode(cell, bytes.Clone(key))
}

// Scan implements store.Store.
func (s *Store) Scan(ctx context.Context, p store.Partition, r store.Range) iter.Seq2[store.Row, error] {
	return func(yield func(store.Row, error) bool) {
		scan(ctx, s.snapshot(), p, r, yield)
	}
}

// scan reports whether the consumer wants more.
func scan(ctx context.Context, rows *btree.Map[string, string], p store.Partition, r store.Range, yield func(store.Row, error) bool) bool {
	prefix := string(store.AppendPartition(nil, p))
	more, n := true, 0
	rows.Ascend(prefix+string(r.Start), func(k, cell string) bool {
		if err := ctx.Err(); err != nil {
			yield(store.Row{}, err)
			more = false
			return false
		}
		if len(k) < len(prefix) || k[:len(prefix)] != prefix {
			return false
		}
		key := []byte(k[len(prefix):])
		if r.End != nil && bytes.Compare(key, r.End) >= 0 {
			return false
		}
		if r.Limit > 0 && n == r.Limit {
			return false
		}
		n++
		more = yield(decode(cell, key))
		return more
	})
	return more
}

// Probe implements store.Store.
func (s *Store) Probe(ctx context.Context, t store.Table, inc store.Incarnation, probes iter.Seq[store.Probe]) iter.Seq2[store.Hit, error] {
	return func(yield func(store.Hit, error) bool) {
		rows := s.snapshot()
		var last []byte
		i := 0
		for pr := range probes {
			p := store.Partition{Table: t, Incarnation: inc, Key: pr.Partition}
			at := store.AppendKey(nil, p, pr.Range.Start)
			if bytes.Compare(at, last) < 0 {
				yield(store.Hit{}, fmt.Errorf("probe %d: %w", i, store.ErrOrder))
				return
			}
			last = at
			if !scan(ctx, rows, p, pr.Range, func(row store.Row, err error) bool { return yield(store.Hit{Index: i, Row: row}, err) }) {
				return
			}
			i++
		}
	}
}

// Write implements store.Store.
func (s *Store) Write(ctx context.Context, p store.Partition, ms []store.Mutation) error {
	if err := errors.Join(ctx.Err(), store.CheckMutations(p, ms)); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.write(store.PartitionWrite{Partition: p, Mutations: ms})
	return nil
}

// write applies the mutations that nothing newer stands against, where rows have many writers.
func (s *Store) write(w store.PartitionWrite) {
	for _, m := range w.Mutations {
		if !w.Partition.Table.ManyWriters() || !s.beaten(w.Partition, m) {
			s.apply(w.Partition, m)
		}
	}
}

// beaten says that a row keeps what it has.
func (s *Store) beaten(p store.Partition, m store.Mutation) bool {
	cell, ok := s.rows.Get(string(store.AppendKey(nil, p, m.Key)))
	if !ok {
		return false
	}
	row, err := decode(cell, nil)
	return err == nil && (row.Time > m.Time || !m.Delete && row.Time == m.Time && bytes.Compare(row.Value, m.Value) > 0)
}

func (s *Store) apply(p store.Partition, m store.Mutation) {
	k := string(store.AppendKey(nil, p, m.Key))
	if m.Delete {
		s.rows.Delete(k)
		return
	}
	s.rows.Set(k, string(store.AppendWriteCell(nil, m.Time, m.Value)))
}

// WriteRun implements store.Store.
func (s *Store) WriteRun(ctx context.Context, runs ...store.Run) error {
	for _, run := range runs {
		if err := s.writeRun(ctx, run.Table, run.Rows); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) writeRun(ctx context.Context, t store.Table, rows iter.Seq2[store.RunRow, error]) error {
	var last []byte
	var open store.Partition
	var pending []store.Mutation
	flush := func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, m := range pending {
			s.apply(open, m)
		}
		pending = pending[:0]
	}
	for row, err := range rows {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		p := store.Partition{Table: t, Incarnation: row.Incarnation, Key: string(row.Partition)}
		if err := store.CheckMutations(p, []store.Mutation{row.Mutation}); err != nil {
			return err
		}
		at := store.AppendKey(nil, p, row.Mutation.Key)
		if last != nil && bytes.Compare(at, last) <= 0 {
			return store.ErrOrder
		}
		last = at
		if p != open {
			flush()
			open = p
		}
		m := row.Mutation
		m.Key, m.Value = bytes.Clone(m.Key), bytes.Clone(m.Value)
		pending = append(pending, m)
	}
	flush()
	return nil
}

// Swap implements store.Store.
func (s *Store) Swap(ctx context.Context, p store.Partition, ops []store.Swap) (uint64, error) {
	if err := errors.Join(ctx.Err(), store.CheckSwaps(p, ops)); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.swap(p, ops)
}

// Commit implements store.Store.
func (s *Store) Commit(ctx context.Context, g store.Group) (version uint64, err error) {
	if err := errors.Join(ctx.Err(), store.CheckGroup(g)); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(g.Swap) > 0 {
		if version, err = s.swap(g.Partition, g.Swap); err != nil {
			return 0, err
		}
	}
	for _, w := range g.Before {
		s.write(w)
	}
	for _, w := range g.After {
		s.write(w)
	}
	if g.Visible != nil {
		g.Visible()
	}
	return version, nil
}

func (s *Store) swap(p store.Partition, ops []store.Swap) (uint64, error) {
	for _, op := range ops {
		var have uint64
		if cell, ok := s.rows.Get(string(store.AppendKey(nil, p, op.Key))); ok {
			row, err := decode(cell, nil)
			if err != nil {
				return 0, err
			}
			have = row.Version
			if have == 0 {
				return 0, fmt.Errorf("swap of a Write row in table %s", p.Table)
			}
		}
		if have != op.Expect {
			return 0, store.ErrConflict
		}
	}
	s.version++
	for _, op := range ops {
		k := string(store.AppendKey(nil, p, op.Key))
		switch op.Op {
		case store.Put:
			s.rows.Set(k, string(store.AppendSwapCell(nil, s.version, op.Value)))
		case store.Delete:
			s.rows.Delete(k)
		}
	}
	return s.version, nil
}

// Sweep implements store.Store. Cursors are encoded keys.
func (s *Store) Sweep(ctx context.Context, r store.SweepRange) iter.Seq2[store.SweepRow, error] {
	return func(yield func(store.SweepRow, error) bool) {
		from, to := bounds(r)
		s.snapshot().Ascend(from, func(k, cell string) bool {
			if to != "" && k >= to {
				return false
			}
			if err := ctx.Err(); err != nil {
				yield(store.SweepRow{}, err)
				return false
			}
			p, key, err := store.DecodeKey([]byte(k))
			if err != nil {
				return yield(store.SweepRow{}, err)
			}
			row, err := decode(cell, key)
			return yield(store.SweepRow{Partition: p, Row: row, Cursor: func() string { return k + "\x00" }}, err)
		})
	}
}

func bounds(r store.SweepRange) (from, to string) {
	prefix := []byte{byte(r.Table)}
	if r.Incarnation != 0 {
		prefix = store.AppendIncarnation(nil, r.Table, r.Incarnation)
	}
	from, to = string(prefix), string(store.After(prefix))
	if r.From != "" {
		from = r.From
	}
	if r.To != "" {
		to = r.To
	}
	return from, to
}

// Split implements store.Store.
func (s *Store) Split(ctx context.Context, r store.SweepRange, n int) ([]store.SweepRange, error) {
	from, to := bounds(r)
	var starts []string
	last := ""
	s.snapshot().Ascend(from, func(k, _ string) bool {
		if to != "" && k >= to {
			return false
		}
		if l := store.PartitionLen([]byte(k)); l > 0 && k[:l] != last {
			last = k[:l]
			starts = append(starts, last)
		}
		return true
	})
	ranges := []store.SweepRange{r}
	for i := 1; i < n && len(starts) >= n; i++ {
		cut := starts[i*len(starts)/n]
		ranges[len(ranges)-1].To = cut
		ranges = append(ranges, store.SweepRange{Table: r.Table, Incarnation: r.Incarnation, From: cut, To: r.To})
	}
	return ranges, ctx.Err()
}

// DropRange implements store.Store.
func (s *Store) DropRange(ctx context.Context, t store.Table, inc store.Incarnation) error {
	from, to := bounds(store.SweepRange{Table: t, Incarnation: inc})
	s.drop(from, to)
	return ctx.Err()
}

// DropPartitions implements store.Store.
func (s *Store) DropPartitions(ctx context.Context, t store.Table, inc store.Incarnation, from, to string, _ iter.Seq[string]) error {
	if err := ctx.Err(); err != nil || from >= to {
		return err
	}
	p := store.Partition{Table: t, Incarnation: inc, Key: from}
	lower := string(store.AppendPartition(nil, p))
	p.Key = to
	s.drop(lower, string(store.AppendPartition(nil, p)))
	return nil
}

// drop removes the rows from ≤ key < to.
func (s *Store) drop(from, to string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var gone []string
	s.rows.Ascend(from, func(k, _ string) bool {
		if k >= to {
			return false
		}
		gone = append(gone, k)
		return true
	})
	for _, k := range gone {
		s.rows.Delete(k)
	}
}

// Whole implements store.Store.
func (s *Store) Whole() bool { return true }

// Mark implements store.Store.
func (s *Store) Mark() uint64 { return 0 }

// Checkpoint implements store.Store.
func (s *Store) Checkpoint(context.Context, string) error {
	return errors.New("the in-memory store can't be copied: it has no files")
}

// Close implements store.Store.
func (s *Store) Close() error { return nil }
