package pebble

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"runtime"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"

	"kith/store"
	"kith/store/pebble/sst"
)

const (
	tableSize  = 32 << 20 // bytes of rows per ingested table
	batchLimit = 1 << 20  // runs up to this size are written as one batch: cheaper than tables
)

// WriteRun implements store.Store: runs that are small together as one batch, others as tables, built side by side and
// ingested together, so that all rows of a call become visible at once.
func (s *Store) WriteRun(ctx context.Context, runs ...store.Run) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	writers := make([]*runWriter, len(runs))
	defer func() {
		for _, w := range writers {
			w.discard()
		}
	}()
	slots := make(chan struct{}, 2*runtime.NumCPU())
	var wg sync.WaitGroup
	// The last ones first: callers put what is large last, and small ones fill the cores in the end.
	for i, run := range slices.Backward(runs) {
		w := &runWriter{s: s, ctx: ctx, batch: s.db.NewBatch()}
		writers[i] = w
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if err := w.write(run.Table, run.Rows); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return s.land(ctx, writers)
}

// land makes what the writers hold part of the store.
func (s *Store) land(ctx context.Context, writers []*runWriter) error {
	small := true
	size := 0
	for _, w := range writers {
		small = small && w.batch != nil
		if w.batch != nil {
			size += w.batch.Len()
		}
	}
	if small && size <= 2*batchLimit {
		all := s.db.NewBatch()
		defer all.Close()
		for _, w := range writers {
			if err := all.Apply(w.batch, nil); err != nil {
				return convert(err)
			}
		}
		if all.Empty() {
			return nil
		}
		s.watches.landing.RLock()
		defer s.watches.landing.RUnlock()
		s.watches.note(all)
		defer s.readers.changing()()
		return convert(all.Commit(pebble.Sync))
	}
	var paths []string
	for _, w := range writers {
		if err := w.finish(); err != nil {
			return convert(err)
		}
		paths = append(paths, w.paths...)
	}
	s.watches.landing.RLock()
	defer s.watches.landing.RUnlock()
	for _, w := range writers {
		s.watches.lose(w.rows)
	}
	defer s.readers.changing()()
	if err := s.db.Ingest(ctx, paths); err != nil {
		return convert(err)
	}
	for _, w := range writers {
		w.paths = nil
	}
	return nil
}

// runWriter collects the rows of a run: in a batch as long as they are few, then in tables.
type runWriter struct {
	s     *Store
	ctx   context.Context
	of    store.Table
	rows  span // where puts may be
	batch *pebble.Batch
	table tableWriter
	size  int    // of the present table's rows
	head  []byte // of a cell
	paths []string
	// closing are the tables that are being synced.
	closing sync.WaitGroup
	mu      sync.Mutex
	failed  error
}

func (w *runWriter) write(t store.Table, rows iter.Seq2[store.RunRow, error]) error {
	w.of = t
	var key, last []byte
	n := 0
	for row, err := range rows {
		if n++; err == nil && n&0xff == 1 {
			err = w.ctx.Err()
		}
		if err != nil {
			return err
		}
		m := &row.Mutation
		if len(row.Partition)+len(m.Key) > store.MaxKey || len(m.Value) > store.MaxValue {
			return store.CheckMutations(store.Partition{Table: t, Key: string(row.Partition)}, []store.Mutation{*m})
		}
		key, last = last, key
		key = store.AppendPartitionBytes(key[:0], t, row.Incarnation, row.Partition)
		prefix := len(key)
		key = append(key, m.Key...)
		if (w.table == nil || w.size >= tableSize) && last != nil && bytes.Compare(key, last) <= 0 { // the table's writer looks itself
			return store.ErrOrder
		}
		if n == 1 {
			w.rows.from = bytes.Clone(key)
		}
		if err := w.add(key, prefix, m); err != nil {
			if errors.Is(err, sst.ErrOrder) {
				return store.ErrOrder
			}
			return convert(err)
		}
	}
	w.rows.to = append(key, 0)
	return nil
}

// add adds a row whose partition ends after prefix bytes of its key.
func (w *runWriter) add(key []byte, prefix int, m *store.Mutation) error {
	if w.batch != nil {
		if w.batch.Len() < batchLimit {
			return addTo(w.batch, key, *m)
		}
		if err := w.spill(); err != nil {
			return err
		}
	}
	if w.table == nil || w.size >= tableSize {
		if err := w.nextTable(); err != nil {
			return err
		}
	}
	w.size += len(key) + len(m.Value) + store.CellHeader
	if m.Delete {
		return w.table.Delete(key[:prefix], key[prefix:])
	}
	w.head = store.AppendWriteCell(w.head[:0], m.Time, nil)
	return w.table.Set(key[:prefix], key[prefix:], w.head, m.Value, nil)
}

// spill moves the rows of the batch into the first table.
func (w *runWriter) spill() error {
	batch := w.batch
	w.batch = nil
	defer batch.Close()
	if batch.Empty() {
		return nil
	}
	if err := w.nextTable(); err != nil {
		return err
	}
	for r := batch.Reader(); ; {
		kind, key, value, ok, err := r.Next()
		if err != nil || !ok {
			return err
		}
		w.size += len(key) + len(value)
		if n := comparer.Split(key); kind == pebble.InternalKeyKindDelete {
			err = w.table.Delete(key[:n], key[n:])
		} else {
			err = w.table.Set(key[:n], key[n:], value, nil, nil)
		}
		if err != nil {
			return err
		}
	}
}

func (w *runWriter) nextTable() error {
	w.closeTable()
	options := w.s.tables
	if w.of == store.Profile {
		options.Compression = sstable.NoCompression // as in Stage
	}
	table, path, err := w.s.createTable(options)
	if err != nil {
		return err
	}
	w.table, w.paths, w.size = table, append(w.paths, path), 0
	return nil
}

// closeTable ends the present table in the background: it waits for the disk, and the next one needs not.
func (w *runWriter) closeTable() {
	if w.table == nil {
		return
	}
	table := w.table
	w.table = nil
	w.closing.Go(func() {
		if err := table.Close(); err != nil {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.failed = errors.Join(w.failed, err)
		}
	})
}

// finish leaves the run in tables, all of them synced.
func (w *runWriter) finish() error {
	if w.batch != nil {
		if err := w.spill(); err != nil {
			return err
		}
	}
	w.closeTable()
	w.closing.Wait()
	return w.failed
}

func (w *runWriter) discard() {
	if w == nil {
		return
	}
	if w.batch != nil {
		_ = w.batch.Close()
	}
	w.closeTable()
	w.closing.Wait()
	for _, path := range w.paths {
		_ = w.s.fs.Remove(path)
	}
}
