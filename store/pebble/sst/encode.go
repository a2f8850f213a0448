package sst

import (
	"encoding/binary"
	"slices"
)

// Types of columns, and ways to write one. A column begins with its way.
const (
	typeBool        = 1
	typeUint        = 2
	typeBytes       = 3
	typePrefixBytes = 4

	constant   = 0x80 // numbers: all are the one of 8 bytes that follows
	bitmap     = 0    // bits: words, and a bit for each word that is not 0
	bitmapZero = 1    // bits: none is set
)

const (
	columns = 7
	// headerSize is that of a block's header: longest key (4), version (1), columns (2), rows (4), and of each column its type (1) and where it
	// begins (4). All numbers are little-endian.
	headerSize = 4 + 1 + 2 + 4 + 5*columns
	// minDelta is the number of rows from which on a number that all have is written once.
	minDelta = 8
)

// encoder writes a block.
type encoder struct {
	out    []byte // as long as the block is going to be
	at     int    // how much of it is written
	column int
}

// encode appends the block of the rows to dst, which is empty. Alignment counts from the beginning of the block; gaps are 0.
func (r *rows) encode(dst []byte) []byte {
	e := encoder{out: slices.Grow(dst, r.size)[:r.size], at: headerSize}
	binary.LittleEndian.PutUint32(e.out, uint32(r.maxKey))
	e.out[4] = 1
	binary.LittleEndian.PutUint16(e.out[5:], columns)
	binary.LittleEndian.PutUint32(e.out[7:], uint32(r.rows))
	e.prefixes(r)
	e.parts(r.suffixEnds, r.suffixes)
	e.trailers(r)
	e.changed(r.changed)
	e.parts(r.valueEnds, r.values)
	// Values that are elsewhere, in value blocks or blob files: none. Rows that newer ones hide: none; deletes are not, for the rows they delete are in
	// other tables.
	for range 2 {
		e.begin(typeBool)
		e.byte(bitmapZero)
	}
	e.byte(0) // so that the end of a column is never behind the block
	if e.at != r.size {
		panic("table: a block has another size than was computed")
	}
	return e.out
}

// begin begins a column.
func (e *encoder) begin(kind byte) {
	head := headerSize - 5*columns + 5*e.column
	e.out[head] = kind
	binary.LittleEndian.PutUint32(e.out[head+1:], uint32(e.at))
	e.column++
}

func (e *encoder) byte(b byte) {
	e.out[e.at] = b
	e.at++
}

func (e *encoder) pad(to int) {
	for end := align(e.at, to); e.at < end; e.at++ {
		e.out[e.at] = 0
	}
}

// prefixes writes the column of prefixes, in bundles of 16. They are cut into slices, one behind the other:
//
//	what all share | for each bundle: what its prefixes share, for each of its rows: the rest
//
// each without what the slices before it say. A row whose slice is empty has the prefix of the row before, or that of its bundle. Before the slices
// come log2(16) (1), the width of a number (1), a gap, and as numbers where each slice ends.
func (e *encoder) prefixes(r *rows) {
	e.begin(typePrefixBytes)
	e.byte(bundleShift)
	w := width(r.prefixBytes())
	e.byte(byte(w))
	e.pad(w)
	base := e.at + (1+r.bundled()+r.rows)*w // of the slices
	to := base + copy(e.out[base:], r.prefixes[:r.blockPrefix])
	e.number(to-base, w)
	from := 0 // in r.prefixes
	for i := 0; i < r.rows; i += bundleSize {
		shared := r.bundlePrefix
		if i>>bundleShift < len(r.bundles) {
			shared = r.bundles[i>>bundleShift]
		}
		to += copy(e.out[to:], r.prefixes[from+r.blockPrefix:from+shared])
		e.number(to-base, w)
		for _, end := range r.prefixEnds[i:min(i+bundleSize, r.rows)] {
			if int(end) > from {
				to += copy(e.out[to:], r.prefixes[from+shared:end])
				from = int(end)
			}
			e.number(to-base, w)
		}
	}
	e.at = to
}

func (e *encoder) number(n, width int) {
	switch width {
	case 1:
		e.out[e.at] = byte(n)
	case 2:
		binary.LittleEndian.PutUint16(e.out[e.at:], uint16(n))
	default:
		binary.LittleEndian.PutUint32(e.out[e.at:], uint32(n))
	}
	e.at += width
}

// parts writes a column of bytes: the width of a number (1), a gap, 0 and where each row's bytes end, and the bytes. If there are no bytes at all, the
// width is 0, and that is all.
func (e *encoder) parts(ends []uint32, b []byte) {
	e.begin(typeBytes)
	w := width(len(b))
	e.byte(byte(w))
	if w == 0 {
		return
	}
	e.pad(w)
	e.number(0, w)
	out := e.out[e.at : e.at+len(ends)*w]
	switch w {
	case 1:
		for i, n := range ends {
			out[i] = byte(n)
		}
	case 2:
		for _, n := range ends {
			binary.LittleEndian.PutUint16(out, uint16(n))
			out = out[2:]
		}
	default:
		for _, n := range ends {
			binary.LittleEndian.PutUint32(out, n)
			out = out[4:]
		}
	}
	e.at += len(ends) * w
	e.at += copy(e.out[e.at:], b)
}

// trailers writes the column of sequence numbers (0) and kinds: a number of one byte each, or once for all.
func (e *encoder) trailers(r *rows) {
	e.begin(typeUint)
	switch {
	case !r.puts:
		e.byte(0) // 0 for all
	case !r.deletes && r.rows >= minDelta:
		e.byte(constant)
		binary.LittleEndian.PutUint64(e.out[e.at:], kindSet)
		e.at += 8
	default:
		e.byte(1)
		e.at += copy(e.out[e.at:], r.kinds)
	}
}

// changed writes the bits that tell where another prefix begins, in words of 64 rows, and a bit for each word that is not 0, in words of 64 words.
func (e *encoder) changed(words []uint64) {
	e.begin(typeBool)
	e.byte(bitmap)
	e.pad(8)
	for _, w := range words {
		binary.LittleEndian.PutUint64(e.out[e.at:], w)
		e.at += 8
	}
	for i := 0; i < len(words); i += 64 {
		var summary uint64
		for j, w := range words[i:min(i+64, len(words))] {
			if w != 0 {
				summary |= 1 << j
			}
		}
		binary.LittleEndian.PutUint64(e.out[e.at:], summary)
		e.at += 8
	}
}
