package pebble

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2/sstable"

	"kith/store"
	"kith/store/pebble/sst"
)

var _ store.Stager = (*Store)(nil)

// staged is a table that waits to be ingested.
type staged struct {
	s      *Store
	o      store.StageOptions
	w      tableWriter
	path   string // empty when it is gone
	prefix []byte // of the last row's key; it begins with what all have, of inc bytes
	inc    int
	cell   []byte // header of all cells
	rows   int
	puts   bool // there are some
	closed bool
}

// Stage implements store.Stager.
func (s *Store) Stage(o store.StageOptions) (store.Staged, error) {
	if o.Time <= 0 {
		return nil, fmt.Errorf("stage a table: time %d, it must be above 0", o.Time)
	}
	options := s.tables
	options.Compression = sstable.NoCompression // compactions compress them: it was a tenth of an import
	w, path, err := s.createTable(options)
	if err != nil {
		return nil, convert(err)
	}
	t := &staged{s: s, o: o, w: w, path: path, prefix: store.AppendIncarnation(make([]byte, 0, 128), o.Table, o.Incarnation)}
	t.inc = len(t.prefix)
	t.cell = store.AppendWriteCell(nil, o.Time, nil)
	return t, nil
}

// Add implements store.Staged. It is the innermost loop of an import.
func (t *staged) Add(partition, key, value, more []byte) error {
	if len(partition)+len(key) > store.MaxKey || len(value)+len(more) > store.MaxValue {
		m := store.Mutation{Key: key, Value: append(bytes.Clone(value), more...)}
		return store.CheckMutations(store.Partition{Key: string(partition)}, []store.Mutation{m})
	}
	t.puts = true
	t.begin(partition)
	return t.added(t.w.Set(t.prefix, key, t.cell, value, more))
}

// Delete implements store.Staged.
func (t *staged) Delete(partition, key []byte) error {
	if len(partition)+len(key) > store.MaxKey {
		return store.CheckMutations(store.Partition{Key: string(partition)}, []store.Mutation{{Key: key}})
	}
	t.begin(partition)
	return t.added(t.w.Delete(t.prefix, key))
}

// begin makes a partition's prefix that of the next row.
func (t *staged) begin(partition []byte) {
	if bytes.IndexByte(partition, 0) < 0 {
		t.prefix = append(append(t.prefix[:t.inc], partition...), 0, 1)
	} else {
		t.prefix = store.AppendPartitionBytes(t.prefix[:0], t.o.Table, t.o.Incarnation, partition)
	}
}

func (t *staged) added(err error) error {
	if err != nil {
		if errors.Is(err, sst.ErrOrder) {
			return store.ErrOrder
		}
		return convert(err)
	}
	t.rows++
	return nil
}

// Rows implements store.Staged.
func (t *staged) Rows() int { return t.rows }

// Size implements store.Staged.
func (t *staged) Size() int64 { return t.w.Size() }

// Close implements store.Staged.
func (t *staged) Close() error {
	if err := t.w.Close(); err != nil {
		return convert(err)
	}
	t.closed = true
	return nil
}

// Discard implements store.Staged.
func (t *staged) Discard() {
	if t.path != "" {
		t.w.Abort()
		_ = t.s.fs.Remove(t.path)
		t.path = ""
	}
}

// Land implements store.Stager by one ingestion.
func (s *Store) Land(ctx context.Context, tables ...store.Staged) error {
	defer func() {
		for _, t := range tables {
			t.Discard()
		}
	}()
	var paths []string
	s.watches.landing.RLock()
	defer s.watches.landing.RUnlock()
	for _, staging := range tables {
		t, ok := staging.(*staged)
		if !ok || t.s != s || !t.closed || t.path == "" {
			return errors.New("land tables: one of them was not staged here, not closed, or landed before")
		}
		if t.rows > 0 {
			paths = append(paths, t.path)
			if t.puts {
				all := t.prefix[:t.inc]
				s.watches.lose(span{all, store.After(all)})
			}
		}
	}
	if err := ctx.Err(); err != nil || len(paths) == 0 {
		return err
	}
	defer s.readers.changing()()
	return convert(s.db.Ingest(ctx, paths))
}
