package pebble

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/objstorage"
	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"kith/store/pebble/sst"
)

// tableWriter writes a table that is going to be ingested. Keys come in two parts, cut where the comparer cuts them, values in three.
type tableWriter interface {
	Set(prefix, suffix, head, value, more []byte) error
	Delete(prefix, suffix []byte) error
	// Size is that of the file so far, roughly.
	Size() int64
	// Close ends the table and returns when it is on the disk. Abort ends it otherwise, at any time.
	Close() error
	Abort()
}

// createTable creates a table among those that wait to be ingested. A crash leaves them there, and the next start removes them.
func (s *Store) createTable(o sstable.WriterOptions) (tableWriter, string, error) {
	if s.readOnly {
		return nil, "", pebble.ErrReadOnly
	}
	path := s.fs.PathJoin(s.dir, ingestDir, fmt.Sprintf("%d.sst", s.runs.Add(1)))
	f, err := s.fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, "", err
	}
	if s.stock || sst.Check(o) != nil {
		return &stockTable{w: sstable.NewWriter(objstorageprovider.NewFileWritable(f), o)}, path, nil
	}
	return sst.New(tableFile{f}, o), path, nil
}

// tableOptions are those of level 0: a writer for the lowest level marks deletes as obsolete, and readers skip them although the table may land above
// an older put. The rows are scanned, never got, so they need no filters.
func tableOptions(format sstable.TableFormat) sstable.WriterOptions {
	o := &pebble.Options{Comparer: comparer, Merger: merger}
	o.EnsureDefaults()
	o.Levels[0].BlockSize, o.Levels[0].IndexBlockSize = blockSize, indexBlockSize
	o.Levels[0].Compression = compression
	w := o.MakeWriterOptions(0, format)
	w.DisableValueBlocks = true // see inPlace
	return w
}

// tableFile is the file of a table.
type tableFile struct{ f vfs.File }

var _ objstorage.Writable = tableFile{}

// Write implements objstorage.Writable.
func (t tableFile) Write(p []byte) error {
	_, err := t.f.Write(p)
	return err
}

// Finish implements objstorage.Writable.
func (t tableFile) Finish() error { return errors.Join(t.f.Sync(), t.f.Close()) }

// Abort implements objstorage.Writable.
func (t tableFile) Abort() { _ = t.f.Close() }

// stockTable is the engine's own writer. It is slower, and there in case that a new version of the engine has tables of a format that package sst does
// not write.
type stockTable struct {
	w          *sstable.Writer
	key, spare []byte
	value      []byte
	size       int64
	ended      bool
}

// Set implements tableWriter.
func (t *stockTable) Set(prefix, suffix, head, value, more []byte) error {
	if err := t.next(prefix, suffix); err != nil {
		return err
	}
	t.value = append(append(append(t.value[:0], head...), value...), more...)
	t.size += int64(len(t.value))
	return t.w.Set(t.key, t.value)
}

// Delete implements tableWriter.
func (t *stockTable) Delete(prefix, suffix []byte) error {
	if err := t.next(prefix, suffix); err != nil {
		return err
	}
	return t.w.Delete(t.key)
}

// next makes the key the present one.
func (t *stockTable) next(prefix, suffix []byte) error {
	last := t.key
	t.key, t.spare = append(append(t.spare[:0], prefix...), suffix...), t.key
	if len(last) > 0 && bytes.Compare(t.key, last) <= 0 {
		t.key, t.spare = last, t.key
		return sst.ErrOrder
	}
	t.size += int64(len(t.key))
	return nil
}

// Size implements tableWriter: it is that of the rows.
func (t *stockTable) Size() int64 { return t.size }

// Close implements tableWriter.
func (t *stockTable) Close() error {
	t.ended = true
	return t.w.Close()
}

// Abort implements tableWriter. The engine's writer ends in no other way.
func (t *stockTable) Abort() {
	if !t.ended {
		_ = t.Close()
	}
}
