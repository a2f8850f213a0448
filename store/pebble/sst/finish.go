package sst

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/sstable/block"
	"github.com/cockroachdb/pebble/v2/sstable/block/blockkind"
	"github.com/cockroachdb/pebble/v2/sstable/colblk"
)

// index is the part of the index that is finished: blocks of entries, each with the last key of it. There is none as long as one block is enough.
type index struct {
	parts []indexPart
	size  int // of the present block
}

type indexPart struct {
	last, encoded []byte
	entries       int
}

// props are what the properties of a table tell of its rows.
type props struct {
	entries, deletions, denseBlocks uint64
	rawKeys, rawValues, rawDeleted  uint64
}

// addEntry adds a data block to the index, under the key in sep.
func (w *Writer) addEntry(h block.Handle) {
	n := w.entries.AddBlockHandle(w.sep, h, nil)
	size := w.entries.Size()
	if n > 0 && w.index.size >= w.parts.LowWatermark() && w.parts.ShouldFlush(w.index.size, size) {
		w.endPart(n)
		w.entries.AddBlockHandle(w.sep, h, nil)
		size = w.entries.Size()
	}
	w.index.size = size
}

// endPart ends the present block of the index with its first n entries.
func (w *Writer) endPart(n int) {
	p := indexPart{last: bytes.Clone(w.entries.UnsafeSeparator(n - 1)), entries: n}
	p.encoded = bytes.Clone(w.entries.Finish(n))
	w.index.parts = append(w.index.parts, p)
	w.entries.Reset()
}

// finish writes all that comes behind the data blocks:
//
//	index, in several blocks if it is large, and an index of these | properties | where the properties are | footer
func (w *Writer) finish() error {
	if w.block.rows > 0 {
		if err := w.flush(false); err != nil {
			return err
		}
	}
	dataSize := w.off
	at, p, err := w.finishIndex()
	if err != nil {
		return err
	}
	p["rocksdb.data.size"] = number(dataSize)
	props, err := w.write(w.properties(p), blockkind.Metadata)
	if err != nil {
		return err
	}
	var meta colblk.KeyValueBlockWriter
	meta.Init()
	handle := make([]byte, 2*binary.MaxVarintLen64)
	meta.AddKV([]byte("rocksdb.properties"), handle[:props.EncodeVarints(handle)])
	metaAt, err := w.append(block.CopyAndChecksum(&w.physical, meta.Finish(meta.Rows()), blockkind.Metadata, &w.comp, &w.sum))
	if err != nil {
		return err
	}
	foot := w.footer(metaAt, at)
	w.off += uint64(len(foot))
	return output{w}.Write(foot)
}

const (
	oneLevel  = 0
	twoLevels = 2
)

// finishIndex writes the index, and returns where it is and the properties that tell of it.
func (w *Writer) finishIndex() (at block.Handle, p map[string][]byte, err error) {
	if w.entries.Rows() > 0 || len(w.index.parts) == 0 {
		w.endPart(w.entries.Rows())
	}
	kind, size, blocks := uint32(oneLevel), 0, 0
	p = map[string][]byte{}
	for _, part := range w.index.parts {
		if at, err = w.write(part.encoded, blockkind.SSTableIndex); err != nil {
			return at, nil, err
		}
		size += len(part.encoded)
		blocks += part.entries
		w.entries.AddBlockHandle(part.last, at, nil)
	}
	if n := len(w.index.parts); n > 1 {
		kind = twoLevels
		top := w.entries.Finish(n)
		if at, err = w.write(top, blockkind.SSTableIndex); err != nil {
			return at, nil, err
		}
		size += len(top)
		p["rocksdb.index.partitions"] = number(uint64(n))
		p["rocksdb.top-level.index.size"] = number(uint64(len(top)))
	}
	p["rocksdb.index.size"] = number(uint64(size))
	p["rocksdb.num.data.blocks"] = number(uint64(blocks))
	p["rocksdb.block.based.table.index.type"] = binary.LittleEndian.AppendUint32(nil, kind)
	return at, p, nil
}

func number(n uint64) []byte { return binary.AppendUvarint(nil, n) }

// properties returns the block of properties, ascending by name, with those in p. Some tell what never differs: readers want to see it.
func (w *Writer) properties(p map[string][]byte) []byte {
	// The collector of rows that newer ones hide has found nothing, but in a table without rows, all of whose rows are hidden.
	hidden := []byte{0}
	if w.props.entries == 0 {
		hidden = []byte{0, 't'}
	}
	for name, value := range map[string][]byte{
		"obsolete-key":                hidden,
		"pebble.colblk.schema":        []byte(schema(w.o.Comparer)),
		"pebble.compression_stats":    []byte(w.comp.Stats().String()),
		"rocksdb.comparator":          []byte(w.o.Comparer.Name),
		"rocksdb.compression":         []byte(w.o.Compression.Name),
		"rocksdb.compression_options": []byte("window_bits=-14; level=32767; strategy=0; max_dict_bytes=0; zstd_max_train_bytes=0; enabled=0; "),
		"rocksdb.deleted.keys":        number(w.props.deletions),
		"rocksdb.filter.size":         number(0),
		"rocksdb.merge.operands":      number(0),
		"rocksdb.merge.operator":      []byte(w.o.MergerName),
		"rocksdb.num.entries":         number(w.props.entries),
		"rocksdb.num.range-deletions": number(0),
		"rocksdb.property.collectors": []byte("[obsolete-key]"),
		"rocksdb.raw.key.size":        number(w.props.rawKeys),
		"rocksdb.raw.value.size":      number(w.props.rawValues),
	} {
		p[name] = value
	}
	if w.props.denseBlocks > 0 {
		p["pebble.num.tombstone-dense-blocks"] = number(w.props.denseBlocks)
	}
	if w.props.rawDeleted > 0 {
		p["pebble.raw.point-tombstone.key.size"] = number(w.props.rawDeleted)
	}
	type pair struct{ name, value []byte }
	var pairs []pair
	for name, value := range p {
		pairs = append(pairs, pair{[]byte(name), value})
	}
	slices.SortFunc(pairs, func(a, b pair) int { return cmp.Compare(string(a.name), string(b.name)) })
	var kv colblk.KeyValueBlockWriter
	kv.Init()
	for _, x := range pairs {
		kv.AddKV(x.name, x.value)
	}
	return kv.Finish(kv.Rows())
}

// footer returns the end of the file:
//
//	kind of checksums (1) | handle of the metaindex, handle of the index, zeros (40) | attributes (4) | CRC-32C of all the rest (4) | version (4) | magic (8)
func (w *Writer) footer(meta, index block.Handle) []byte {
	const attributesAt, sumAt, versionAt, magicAt, size = 41, 45, 49, 53, 61
	b := make([]byte, size)
	b[0] = byte(block.ChecksumTypeCRC32c)
	n := 1 + meta.EncodeVarints(b[1:])
	index.EncodeVarints(b[n:])
	var a sstable.Attributes
	if w.props.entries > 0 {
		a.Add(sstable.AttributePointKeys)
	}
	if len(w.index.parts) > 1 {
		a.Add(sstable.AttributeTwoLevelIndex)
	}
	binary.LittleEndian.PutUint32(b[attributesAt:], uint32(a))
	magic, version := w.o.TableFormat.AsTuple()
	binary.LittleEndian.PutUint32(b[versionAt:], version)
	copy(b[magicAt:], magic)
	all := append(bytes.Clone(b[:sumAt]), b[versionAt:]...)
	sum := w.sum.Checksum(all[:len(all)-1], all[len(all)-1])
	binary.LittleEndian.PutUint32(b[sumAt:], sum)
	return b
}
