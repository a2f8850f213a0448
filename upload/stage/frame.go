package stage

import (
	"encoding/binary"

	"kith/internal/extsort"
)

// frame is what one unique key has to say in a bucket: a row on its way there, or all rows of the key once they are merged.
// Encoding: integers are uvarints,
//
//	length of the rest | rows | first row | length, unique key | [length, up to rows-1 distances to the next row]
//	| number of keys { family, length, index value } | encoded values until the end
//
// The distances are there when there are several rows; beyond maxFrameRows rows are only counted. Reading the key must not depend
// on how many there are.
// The unique key is an index value of family 0 and stands among the keys too. Values that have no stamp of their own have
// that of the first row.
type frame struct {
	rows  int64
	first int64
	more  []byte // the distances, encoded
	key   []byte
	keys  []byte // encoded
	body  []byte
}

// maxFrameRows is how many rows of one key are known by number. They are told apart only when the key turns out to be ambiguous and
// the rows are rejected one by one; without a bound, memory would be that of all rows.
const maxFrameRows = 1000

// parseFrame reads the frame at the start of b and returns its length. The frame aliases b.
func parseFrame(b []byte) (f frame, n int, err error) {
	size, k := binary.Uvarint(b)
	if k <= 0 || size > uint64(len(b)-k) {
		return f, 0, extsort.ErrFrame
	}
	n = k + int(size)
	d := parser{b: b[k:n]}
	f.rows, f.first = int64(d.uvarint()), int64(d.uvarint())
	f.key = d.text()
	if f.rows > 1 {
		f.more = d.text()
	}
	from := d.b
	for range d.uvarint() {
		d.uvarint()
		if d.text(); d.bad {
			return f, 0, extsort.ErrFrame
		}
	}
	f.keys, f.body = from[:len(from)-len(d.b)], d.b
	if d.bad || f.rows < 1 {
		return f, 0, extsort.ErrFrame
	}
	return f, n, nil
}

// frameKey returns the unique key of the sound frame at the start of b.
func frameKey(b []byte) []byte {
	_, k := binary.Uvarint(b)
	d := parser{b: b[k:]}
	d.uvarint()
	d.uvarint()
	return d.text()
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

// eachKey calls do for every key.
func (f *frame) eachKey(do func(family int, value []byte)) {
	d := parser{b: f.keys}
	for range d.uvarint() {
		do(int(d.uvarint()), d.text())
	}
}

// appendFrame appends an encoded frame.
func appendFrame(dst []byte, f *frame) []byte {
	size := uvarintLen(uint64(f.rows)) + uvarintLen(uint64(f.first)) +
		uvarintLen(uint64(len(f.key))) + len(f.key) + len(f.keys) + len(f.body)
	if f.rows > 1 {
		size += uvarintLen(uint64(len(f.more))) + len(f.more)
	}
	dst = binary.AppendUvarint(dst, uint64(size))
	dst = binary.AppendUvarint(dst, uint64(f.rows))
	dst = binary.AppendUvarint(dst, uint64(f.first))
	dst = append(binary.AppendUvarint(dst, uint64(len(f.key))), f.key...)
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

// appendTo appends the list as a frame has it.
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

// frameRow returns the number of rows and the first row of the sound frame at the start of b.
func frameRow(b []byte) (rows, first int64) {
	_, k := binary.Uvarint(b)
	d := parser{b: b[k:]}
	return int64(d.uvarint()), int64(d.uvarint())
}
