package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"unsafe"
)

// Layout of a key in ordered engines:
//
//	table (1) | incarnation (8, big-endian) | partition key, 0x00 written as 0x00 0xff | 0x00 0x01 | row key
//
// so that bytes.Compare orders by table, incarnation, partition and row key, and a partition is a contiguous range.

// AppendKey appends the encoded key of a row to dst.
func AppendKey(dst []byte, p Partition, key []byte) []byte {
	return append(AppendPartition(slices.Grow(dst, partitionSize+len(p.Key)+len(key)), p), key...)
}

// partitionSize is how many bytes a partition's prefix has besides its key, if that has no zeros.
const partitionSize = 1 + 8 + 2

// AppendPartition appends the prefix that all rows of p share.
func AppendPartition(dst []byte, p Partition) []byte {
	if strings.IndexByte(p.Key, 0) < 0 { // as it is; as bytes it would be a copy
		dst = AppendIncarnation(slices.Grow(dst, partitionSize+len(p.Key)), p.Table, p.Incarnation)
		return append(append(dst, p.Key...), 0, 1)
	}
	return AppendPartitionBytes(dst, p.Table, p.Incarnation, []byte(p.Key))
}

// AppendPartitionBytes is AppendPartition for callers that have the parts.
func AppendPartitionBytes(dst []byte, t Table, inc Incarnation, key []byte) []byte {
	dst = AppendIncarnation(slices.Grow(dst, partitionSize+len(key)), t, inc)
	for {
		i := bytes.IndexByte(key, 0)
		if i < 0 {
			return append(append(dst, key...), 0, 1)
		}
		dst = append(append(dst, key[:i]...), 0, 0xff)
		key = key[i+1:]
	}
}

// AppendIncarnation appends the prefix that all rows of an incarnation in a table share.
func AppendIncarnation(dst []byte, t Table, inc Incarnation) []byte {
	dst = append(dst, byte(t))
	return binary.BigEndian.AppendUint64(dst, uint64(inc))
}

// PartitionLen returns the length of the partition prefix of an encoded key, or -1 when it is not one.
func PartitionLen(b []byte) int {
	for i := 9; i+1 < len(b); {
		j := bytes.IndexByte(b[i:], 0)
		if j < 0 || i+j+1 >= len(b) {
			return -1
		}
		i += j
		switch b[i+1] {
		case 1:
			return i + 2
		case 0xff:
			i += 2
		default:
			return -1
		}
	}
	return -1
}

// DecodeKey splits an encoded key. The row key aliases b.
func DecodeKey(b []byte) (Partition, []byte, error) {
	var d KeyDecoder
	return d.Decode(b)
}

// KeyDecoder decodes keys. The partition keys that it returns share pieces of memory: a pass over millions of partitions that made one for each would
// spend a tenth of its time on that.
type KeyDecoder struct{ room []byte }

// decoderRoom is how many bytes of partition keys are allocated together, from the second key on.
const decoderRoom = 2 << 10

// Decode is DecodeKey.
func (d *KeyDecoder) Decode(b []byte) (Partition, []byte, error) {
	n := PartitionLen(b)
	if n < 0 {
		return Partition{}, nil, fmt.Errorf("corrupt key of %d bytes", len(b))
	}
	p := Partition{Table: Table(b[0]), Incarnation: Incarnation(binary.BigEndian.Uint64(b[1:9]))}
	part := b[9 : n-2]
	switch {
	case cap(d.room) == 0:
		d.room = make([]byte, 0, len(part)) // who decodes one key needs no more
	case cap(d.room)-len(d.room) < len(part):
		d.room = make([]byte, 0, max(len(part), decoderRoom))
	}
	from := len(d.room)
	for i := bytes.IndexByte(part, 0); i >= 0; i = bytes.IndexByte(part, 0) {
		d.room = append(d.room, part[:i+1]...)
		part = part[i+2:]
	}
	d.room = append(d.room, part...)
	if key := d.room[from:]; len(key) > 0 {
		p.Key = unsafe.String(&key[0], len(key)) // nobody writes there any more
	}
	return p, b[n:], nil
}

// Cells in ordered engines: kind (1) | version or time (8, big-endian) | value.
const (
	cellWrite = 'w'
	cellSwap  = 's'
)

// CellHeader is the number of bytes before the value in a cell.
const CellHeader = 9

// AppendWriteCell appends the cell of a Write row.
func AppendWriteCell(dst []byte, time int64, value []byte) []byte {
	dst = append(slices.Grow(dst, CellHeader+len(value)), cellWrite)
	dst = binary.BigEndian.AppendUint64(dst, uint64(time))
	return append(dst, value...)
}

// AppendSwapCell appends the cell of a Swap row.
func AppendSwapCell(dst []byte, version uint64, value []byte) []byte {
	dst = append(slices.Grow(dst, CellHeader+len(value)), cellSwap)
	dst = binary.BigEndian.AppendUint64(dst, version)
	return append(dst, value...)
}

// DecodeCell reads a cell into a row without its key. The value aliases b.
func DecodeCell(b []byte) (Row, error) {
	if len(b) < CellHeader {
		return Row{}, fmt.Errorf("corrupt cell of %d bytes", len(b))
	}
	n := binary.BigEndian.Uint64(b[1:])
	switch b[0] {
	case cellWrite:
		return Row{Value: b[CellHeader:], Time: int64(n)}, nil
	case cellSwap:
		return Row{Value: b[CellHeader:], Version: n}, nil
	}
	return Row{}, fmt.Errorf("corrupt cell of kind %d", b[0])
}
