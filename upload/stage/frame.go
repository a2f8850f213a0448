package stage

import (
	"encoding/binary"
	"slices"
)

// frame is what one unique key has to say in a bucket: a row on its way there, or all rows of the key once they are merged.
// Encoding, integers little-endian:
//
//	size (4) | first row (5) | length of the unique key (2) | kind (1) | unique key | …
//
// so that rows are sorted and told apart without reading on. A lean frame is a row as it was read; its keys are made when it is resolved, out
// of the values that the plan names (keyPlan.lean), each by its place in the encoded values:
//
//	place (2), length (2) of each, length 0 where the row has none | encoded values until the end
//
// A rich frame has its keys with it: it stands for several rows, or is too large for such places. Integers in it are uvarints:
//
//	rows | [length, up to rows-1 distances to the next row] | number of keys { family, length, index value } | encoded values until the end
//
// The distances are there when there are several rows; beyond maxFrameRows rows are only counted. The unique key is an index value of
// family 0 and stands among the keys too. Values that have no stamp of their own have that of the first row.
type frame struct {
	rows  int64
	first int64
	more  []byte // the distances, encoded
	key   []byte
	rich  bool
	keys  []byte // of a rich one, encoded
	parts []byte // of a lean one
	body  []byte
}

const (
	frameHead = 4 + 5 + 2 + 1
	frameRich = 1
	partSize  = 4 // of a value that keys of a lean frame are made of
	// maxLean is how large the values of a lean frame may be, so that two bytes name a place among them.
	maxLean = 1<<16 - 1
	// maxFrame bounds what a damaged size can ask for.
	maxFrame = 64 << 20
)

// maxFrameRows is how many rows of one key are known by number. They are told apart only when the key turns out to be ambiguous and
// the rows are rejected one by one; without a bound, memory would be that of all rows.
const maxFrameRows = 1000

// frameSize returns the size of the frame at the start of b; 0 when b ends before the frame does.
func frameSize(b []byte) int {
	if len(b) < frameHead {
		return 0
	}
	n := int(binary.LittleEndian.Uint32(b))
	if n > len(b) && n <= maxFrame {
		return 0
	}
	return n
}

// frameRow returns the first row of the frame at the start of b.
func frameRow(b []byte) int64 {
	return int64(binary.LittleEndian.Uint32(b[4:])) | int64(b[8])<<32
}

// frameKey returns the unique key of the frame at the start of b.
func frameKey(b []byte) []byte {
	return b[frameHead : frameHead+int(binary.LittleEndian.Uint16(b[9:]))]
}

// isRich says whether the frame at the start of b is a rich one.
func isRich(b []byte) bool { return b[11]&frameRich != 0 }

// soundFrame says whether a frame, whose size is that of b, is one of so many parts.
func soundFrame(b []byte, parts int) bool {
	if len(b) < frameHead || len(b) > maxFrame || frameHead+int(binary.LittleEndian.Uint16(b[9:])) > len(b) {
		return false
	}
	f := frameOf(b, parts)
	if f.rows < 1 || f.rich {
		return f.rows > 0
	}
	for i := range parts {
		if f.part(i) == nil && binary.LittleEndian.Uint16(f.parts[partSize*i+2:]) > 0 {
			return false
		}
	}
	return true
}

// frameOf reads the frame at the start of b, which has so many parts if it is lean. It aliases b. One that is not sound comes without rows, or without parts.
func frameOf(b []byte, parts int) (f frame) {
	f.first, f.key = frameRow(b), frameKey(b)
	rest := b[frameHead+len(f.key) : max(frameHead+len(f.key), int(binary.LittleEndian.Uint32(b)))]
	if !isRich(b) {
		if len(rest) >= partSize*parts {
			f.rows, f.parts, f.body = 1, rest[:partSize*parts], rest[partSize*parts:]
		}
		return f
	}
	f.rich = true
	d := parser{b: rest}
	rows := int64(d.uvarint())
	if rows > 1 {
		f.more = d.text()
	}
	from := d.b
	for range d.uvarint() {
		d.uvarint()
		if d.text(); d.bad {
			return f
		}
	}
	if d.bad || rows < 1 {
		return f
	}
	f.rows, f.keys, f.body = rows, from[:len(from)-len(d.b)], d.b
	return f
}

// part returns a value that keys are made of, nil where the row has none.
func (f *frame) part(i int) []byte {
	p := f.parts[partSize*i:]
	at, n := int(binary.LittleEndian.Uint16(p)), int(binary.LittleEndian.Uint16(p[2:]))
	if n == 0 || at+n > len(f.body) {
		return nil
	}
	return f.body[at : at+n]
}

// eachRow calls do with the numbers of the rows, of the first maxFrameRows at most.
func (f *frame) eachRow(do func(int64)) {
	row := f.first
	do(row)
	d := parser{b: f.more}
	for len(d.b) > 0 {
		row += int64(d.uvarint())
		do(row)
	}
}

// putHead writes the head of a frame and its key, and returns the rest of b.
func putHead(b []byte, first int64, kind byte, key []byte) []byte {
	binary.LittleEndian.PutUint32(b, uint32(len(b)))
	binary.LittleEndian.PutUint32(b[4:], uint32(first))
	b[8] = byte(first >> 32)
	binary.LittleEndian.PutUint16(b[9:], uint16(len(key)))
	b[11] = kind
	return b[frameHead+copy(b[frameHead:], key):]
}

// size is that of a rich frame, encoded.
func (f *frame) size() int {
	size := frameHead + len(f.key) + uvarintLen(uint64(f.rows)) + len(f.keys) + len(f.body)
	if f.rows > 1 {
		size += uvarintLen(uint64(len(f.more))) + len(f.more)
	}
	return size
}

// appendRich appends an encoded rich frame.
func appendRich(dst []byte, f *frame) []byte {
	from, size := len(dst), f.size()
	dst = slices.Grow(dst, size)
	putHead(dst[from:from+size], f.first, frameRich, f.key)
	dst = dst[:from+frameHead+len(f.key)]
	dst = binary.AppendUvarint(dst, uint64(f.rows))
	if f.rows > 1 {
		dst = append(binary.AppendUvarint(dst, uint64(len(f.more))), f.more...)
	}
	return append(append(dst, f.keys...), f.body...)
}

func uvarintLen(n uint64) int {
	size := 1
	for ; n >= 0x80; n >>= 7 {
		size++
	}
	return size
}

// keyList collects the keys of a row for a frame: each once.
type keyList struct {
	b     []byte // encoded, without the number
	n     uint64
	spans []keySpan
}

type keySpan struct{ family, from, to int }

func (l *keyList) reset() { l.b, l.n, l.spans = l.b[:0], 0, l.spans[:0] }

// add takes in an index value; a repetition is passed over.
func (l *keyList) add(family int, value []byte) {
	for _, s := range l.spans {
		if s.family == family && string(l.b[s.from:s.to]) == string(value) {
			return
		}
	}
	l.b = binary.AppendUvarint(l.b, uint64(family))
	l.b = binary.AppendUvarint(l.b, uint64(len(value)))
	from := len(l.b)
	l.b = append(l.b, value...)
	l.spans = append(l.spans, keySpan{family, from, len(l.b)})
	l.n++
}

// each calls do for every key.
func (l *keyList) each(do func(family int, value []byte)) {
	for _, s := range l.spans {
		do(s.family, l.b[s.from:s.to])
	}
}

// read takes in the keys of a rich frame.
func (l *keyList) read(keys []byte) {
	l.reset()
	d := parser{b: keys}
	for range d.uvarint() {
		family := int(d.uvarint())
		l.add(family, d.text())
	}
}

// appendTo appends the list as a rich frame has it.
func (l *keyList) appendTo(dst []byte) []byte {
	return append(binary.AppendUvarint(dst, l.n), l.b...)
}

// parser reads integers and texts from bytes. After the first fault it reads nothing more.
type parser struct {
	b   []byte
	bad bool
}

func (d *parser) uvarint() uint64 {
	if len(d.b) > 0 && d.b[0] < 0x80 {
		n := uint64(d.b[0])
		d.b = d.b[1:]
		return n
	}
	n, k := binary.Uvarint(d.b)
	if k <= 0 {
		d.b, d.bad = nil, true
		return 0
	}
	d.b = d.b[k:]
	return n
}

func (d *parser) text() []byte {
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		d.b, d.bad = nil, true
		return nil
	}
	t := d.b[:n]
	d.b = d.b[n:]
	return t
}
