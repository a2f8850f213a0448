// Package sst writes tables of the format that Pebble calls v7, for rows that come in order and that nothing else is known of: puts and deletes of
// sequence number 0, as tables for ingestion have them.
//
// Pebble's own writer (sstable.Writer) adds each row to seven column builders, behind interfaces, and asks each for its size; half of an import's time
// went there. This one appends a row to a few buffers, and makes the columns when a block is full. What it writes is, byte for byte, what
// sstable.Writer writes for the same rows and options: the tests of this package hold the two side by side, and there is no format of ours. Pebble's
// exported packages do what is done once a block or a table: compression, checksums, index blocks.
package sst

import (
	"errors"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2/objstorage"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/sstable/block"
	"github.com/cockroachdb/pebble/v2/sstable/block/blockkind"
	"github.com/cockroachdb/pebble/v2/sstable/colblk"
)

// ErrOrder says that a key does not come behind the one before it.
var ErrOrder = errors.New("table: keys are not in ascending order")

// errClosed is what a closed Writer answers.
var errClosed = errors.New("table: the writer is closed")

// MaxPrefix is how many bytes the prefix of a key may have.
const MaxPrefix = 1<<16 - 1

const (
	// writeSize is how much is written at once: few calls of the system, and memory that a writer can do with.
	writeSize = 256 << 10
	// maxKept bounds the buffers of a writer that are kept for the next one.
	maxKept = 1 << 20
)

// Writer writes one table. It is for one goroutine. Close or Abort ends it.
type Writer struct {
	o     sstable.WriterOptions
	dst   objstorage.Writable
	err   error
	comp  block.Compressor
	sum   block.Checksummer
	data  block.FlushGovernor
	low   int                 // size below which a block goes on whatever the next row is
	parts block.FlushGovernor // of the index
	*buffers
	off   uint64 // in the file, of what comes next
	index index
	props props
}

// buffers are what a writer needs memory for.
type buffers struct {
	block    rows
	encoded  []byte // a data block
	physical []byte // a block as it is in the file
	ready    block.PhysicalBlock
	out      []byte // what is to be written
	last     []byte // key of the last row of a block
	next     []byte // key of the first row of the next block
	sep      []byte // key between blocks
	entries  colblk.IndexBlockWriter
}

var pool = sync.Pool{New: func() any {
	b := &buffers{out: make([]byte, 0, writeSize+64<<10)}
	b.entries.Init()
	return b
}}

// Check returns an error that says why there can be no Writer with the options.
func Check(o sstable.WriterOptions) error {
	switch {
	case o.TableFormat != sstable.TableFormatPebblev7:
		return fmt.Errorf("table: format %v instead of %v", o.TableFormat, sstable.TableFormatPebblev7)
	case o.Comparer == nil || o.Compression == nil || o.BlockSize <= 0 || o.IndexBlockSize <= 0 || o.MergerName == "":
		return errors.New("table: the options must be complete")
	case o.KeySchema != nil && o.KeySchema.Name != schema(o.Comparer):
		return fmt.Errorf("table: key schema %s instead of %s", o.KeySchema.Name, schema(o.Comparer))
	case o.FilterPolicy != nil && o.FilterPolicy.Name() != "none":
		return errors.New("table: filters are not written")
	case !o.DisableValueBlocks:
		return errors.New("table: value blocks are not written")
	case o.WritingToLowestLevel || o.IsStrictObsolete:
		return errors.New("table: no row is marked as obsolete")
	case len(o.BlockPropertyCollectors) > 0:
		return errors.New("table: properties of blocks are not collected")
	case o.Checksum != block.ChecksumTypeNone && o.Checksum != block.ChecksumTypeCRC32c:
		return errors.New("table: checksums are CRC-32C")
	}
	return nil
}

// schema is the name of the only schema of keys: a column of prefixes in bundles, and a column of suffixes.
func schema(c *sstable.Comparer) string { return colblk.DefaultKeySchema(c, bundleSize).Name }

// New returns a Writer to w, which it ends. The options must pass Check: it panics otherwise.
func New(w objstorage.Writable, o sstable.WriterOptions) *Writer {
	if err := Check(o); err != nil {
		panic(err)
	}
	if o.BlockSizeThreshold <= 0 {
		o.BlockSizeThreshold = 90
	}
	if o.SizeClassAwareThreshold <= 0 {
		o.SizeClassAwareThreshold = 60
	}
	if o.NumDeletionsThreshold == 0 {
		o.NumDeletionsThreshold = sstable.DefaultNumDeletionsThreshold
	}
	if o.DeletionSizeRatioThreshold == 0 {
		o.DeletionSizeRatioThreshold = sstable.DefaultDeletionSizeRatioThreshold
	}
	t := &Writer{o: o, dst: w, comp: block.MakeCompressor(o.Compression), buffers: pool.Get().(*buffers)}
	t.data = block.MakeFlushGovernor(o.BlockSize, o.BlockSizeThreshold, o.SizeClassAwareThreshold, o.AllocatorSizeClasses)
	t.low = t.data.LowWatermark()
	t.parts = block.MakeFlushGovernor(o.IndexBlockSize, o.BlockSizeThreshold, o.SizeClassAwareThreshold, o.AllocatorSizeClasses)
	t.sum.Init(block.ChecksumTypeCRC32c)
	t.block.reset()
	t.entries.Reset()
	return t
}

// Set adds a row. Its key comes in two parts: the prefix as the comparer splits it, which is never empty, and the rest. Its value comes in three, any
// of which may be nil. Nothing is kept of the bytes.
func (w *Writer) Set(prefix, suffix, head, value, more []byte) error {
	n := len(head) + len(value) + len(more)
	if err := w.begin(prefix, suffix, n, kindSet); err != nil {
		return err
	}
	r := &w.block
	r.values = append(append(append(r.values, head...), value...), more...)
	r.valueEnds = append(r.valueEnds, uint32(len(r.values)))
	w.props.rawValues += uint64(n)
	return nil
}

// Delete adds the deletion of a row.
func (w *Writer) Delete(prefix, suffix []byte) error {
	if err := w.begin(prefix, suffix, 0, kindDelete); err != nil {
		return err
	}
	r := &w.block
	r.valueEnds = append(r.valueEnds, uint32(len(r.values)))
	r.deletions++
	r.deleted += len(prefix) + len(suffix)
	w.props.deletions++
	w.props.rawDeleted += uint64(len(prefix) + len(suffix))
	return nil
}

// begin adds a row's key and kind, to a new block if its value of n bytes makes the present one too large.
func (w *Writer) begin(prefix, suffix []byte, n int, kind byte) error {
	if w.err != nil {
		return w.err
	}
	if len(prefix) == 0 || len(prefix) > MaxPrefix {
		return fmt.Errorf("table: a prefix of %d bytes, it may have 1 to %d", len(prefix), MaxPrefix)
	}
	r := &w.block
	shared, same, ok := r.compare(prefix, suffix)
	if !ok {
		return ErrOrder
	}
	var before sizing
	full := r.rows > 0 && r.size >= w.low // else there is room for a row of any size
	if full {
		before = r.sizing
	}
	r.grow(len(prefix), shared, same, kind)
	size := r.bytes(len(r.suffixes)+len(suffix), len(r.values)+n)
	if full && w.data.ShouldFlush(r.size, size) {
		r.sizing = before
		// The longest key of a block includes the key that had no room any more, for sstable.Writer has added it by then.
		r.maxKey = max(r.maxKey, len(prefix)+len(suffix))
		w.next = append(append(w.next[:0], prefix...), suffix...)
		if err := w.flush(true); err != nil {
			return err
		}
		r.grow(len(prefix), 0, false, kind)
		size = r.bytes(len(suffix), n)
	}
	r.add(prefix, suffix, kind, same)
	r.size = size
	w.props.entries++
	w.props.rawKeys += uint64(len(prefix) + len(suffix) + 8)
	return nil
}

// flush ends the present block. A key between it and the next one, or behind it, leads to it.
func (w *Writer) flush(more bool) error {
	r := &w.block
	w.last = r.appendLast(w.last[:0])
	w.encoded = r.encode(w.encoded[:0])
	if r.deletions > w.o.NumDeletionsThreshold || float32(r.deleted) > w.o.DeletionSizeRatioThreshold*float32(len(w.encoded)) {
		w.props.denseBlocks++
	}
	if more {
		w.sep = w.o.Comparer.Separator(w.sep[:0], w.last, w.next)
	} else {
		w.sep = w.o.Comparer.Successor(w.sep[:0], w.last)
	}
	h, err := w.write(w.encoded, blockkind.SSTableData)
	if err != nil {
		return err
	}
	r.reset()
	w.addEntry(h)
	return nil
}

// write compresses a block and writes it.
func (w *Writer) write(b []byte, kind block.Kind) (block.Handle, error) {
	return w.append(block.CompressAndChecksum(&w.physical, b, kind, &w.comp, &w.sum))
}

func (w *Writer) append(b block.PhysicalBlock) (block.Handle, error) {
	w.ready = b
	h := block.Handle{Offset: w.off, Length: uint64(b.LengthWithoutTrailer())}
	n, err := w.ready.WriteTo(output{w})
	w.off += uint64(n)
	if err != nil {
		w.err = err
	}
	return h, err
}

// output collects what is written.
type output struct{ w *Writer }

// Write implements objstorage.Writable.
func (o output) Write(p []byte) error {
	w := o.w
	w.out = append(w.out, p...)
	if len(w.out) < writeSize {
		return nil
	}
	err := w.dst.Write(w.out)
	w.out = w.out[:0]
	return err
}

// Finish implements objstorage.Writable. Nobody calls it.
func (o output) Finish() error { return nil }

// Abort implements objstorage.Writable. Nobody calls it.
func (o output) Abort() {}

// Size returns how many bytes the table has: those of finished blocks, and those of the present one as it is before compression.
func (w *Writer) Size() int64 {
	if w.buffers == nil {
		return int64(w.off)
	}
	return int64(w.off) + int64(w.block.size)
}

// Close ends the table and the file, and returns when it is on the disk.
func (w *Writer) Close() error {
	if w.buffers == nil {
		return errClosed
	}
	err := w.err
	if err == nil {
		err = w.finish()
	}
	if err == nil {
		err = w.dst.Write(w.out)
	}
	if err != nil {
		w.Abort()
		return err
	}
	w.release()
	return w.dst.Finish()
}

// Abort ends a Writer whose table is not wanted. It may be called at any time, after Close too.
func (w *Writer) Abort() {
	if w.buffers != nil {
		w.release()
		w.dst.Abort()
	}
}

func (w *Writer) release() {
	w.comp.Close()
	b := w.buffers
	w.buffers, w.err = nil, errClosed
	b.out = b.out[:0]
	if b.block.cap()+cap(b.encoded)+cap(b.physical)+cap(b.out) <= maxKept {
		pool.Put(b)
	}
}
