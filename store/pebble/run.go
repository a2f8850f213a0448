package pebble

import (
	"bytes"
	"context"
	"fmt"
	"iter"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"kith/store"
)

const (
	tableSize  = 64 << 20 // bytes of rows per ingested table
	batchLimit = 1 << 20  // a run up to this size is written as one batch: cheaper than a table
)

// WriteRun implements store.Store: small runs as batches, others as tables that are ingested together at the end.
func (s *Store) WriteRun(ctx context.Context, t store.Table, rows iter.Seq2[store.RunRow, error]) error {
	w := &runWriter{s: s, ctx: ctx, batch: s.db.NewBatch()}
	defer w.discard()
	var key, last []byte
	for row, err := range rows {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		p := store.Partition{Table: t, Incarnation: row.Incarnation, Key: row.Partition}
		m := row.Mutation
		if n := len(p.Key) + len(m.Key); n > store.MaxKey || len(m.Value) > store.MaxValue {
			return store.CheckMutations(p, []store.Mutation{m})
		}
		key = store.AppendKey(key[:0], p, m.Key)
		if last != nil && bytes.Compare(key, last) <= 0 {
			return store.ErrOrder
		}
		last = append(last[:0], key...)
		if err := w.add(key, m); err != nil {
			return err
		}
	}
	return w.finish()
}

// runWriter collects the rows of a run: in a batch as long as they are few, then in tables.
type runWriter struct {
	s     *Store
	ctx   context.Context
	batch *pebble.Batch
	table *sstable.Writer
	size  int
	cell  []byte
	paths []string
}

func (w *runWriter) add(key []byte, m store.Mutation) error {
	if w.batch != nil {
		if w.batch.Len() < batchLimit {
			return addTo(w.batch, key, m)
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
		return w.table.Delete(key)
	}
	w.cell = store.AppendWriteCell(w.cell[:0], m.Time, m.Value)
	return w.table.Set(key, w.cell)
}

// spill moves the rows of the batch into the first table.
func (w *runWriter) spill() error {
	if err := w.nextTable(); err != nil {
		return err
	}
	batch := w.batch
	w.batch = nil
	defer batch.Close()
	for r := batch.Reader(); ; {
		kind, key, value, ok, err := r.Next()
		if err != nil || !ok {
			return err
		}
		w.size += len(key) + len(value)
		if kind == pebble.InternalKeyKindDelete {
			err = w.table.Delete(key)
		} else {
			err = w.table.Set(key, value)
		}
		if err != nil {
			return err
		}
	}
}

func (w *runWriter) nextTable() error {
	if w.table != nil {
		if err := w.table.Close(); err != nil {
			return err
		}
		w.table = nil
	}
	path := w.s.fs.PathJoin(w.s.dir, ingestDir, fmt.Sprintf("%d.sst", w.s.runs.Add(1)))
	f, err := w.s.fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	w.paths = append(w.paths, path)
	opts := w.s.db.TableFormat()
	w.table = sstable.NewWriter(objstorageprovider.NewFileWritable(f), w.s.writerOptions(opts))
	w.size = 0
	return nil
}

// writerOptions are those of level 0: a writer for the lowest level marks deletes as obsolete, and readers skip them although
// the table may land above an older put.
func (s *Store) writerOptions(format sstable.TableFormat) sstable.WriterOptions {
	o := &pebble.Options{}
	o.EnsureDefaults()
	o.Levels[0].FilterPolicy = bloom.FilterPolicy(10)
	return o.MakeWriterOptions(0, format)
}

func (w *runWriter) finish() error {
	if w.batch != nil {
		if w.batch.Empty() {
			return nil
		}
		return w.batch.Commit(pebble.Sync)
	}
	if err := w.table.Close(); err != nil {
		return err
	}
	w.table = nil
	if err := w.s.db.Ingest(w.ctx, w.paths); err != nil {
		return err
	}
	w.paths = nil
	return nil
}

func (w *runWriter) discard() {
	if w.batch != nil {
		_ = w.batch.Close()
	}
	if w.table != nil {
		_ = w.table.Close()
	}
	for _, path := range w.paths {
		_ = w.s.fs.Remove(path)
	}
}
