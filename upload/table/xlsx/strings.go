package xlsx

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Bounds of shared strings.
const (
	maxStrings    = 32 << 20
	stringMemory  = 32 << 20 // bytes of them that are not spilled
	groupStrings  = 32       // of one place in the index
	groupBytes    = 32 << 10
	cachedGroups  = 128
	maxCell       = 128 << 10 // bytes of a cell: Excel's 32,767 characters are fewer
	writtenAtOnce = 256 << 10
)

var (
	errStrings = &Error{"file-strings", fmt.Sprintf("The workbook has more than %d different texts. Export the sheet as CSV, or divide it.", maxStrings)}
	errSpill   = &Error{"file-strings", fmt.Sprintf("The texts of the workbook take more than %d MB. Export the sheet as CSV.", stringMemory>>20)}
)

// Spill is where shared strings are that memory is not to hold.
type Spill interface {
	io.ReaderAt
	Close()
}

// stringTable are the shared strings of a workbook: one behind the other, each with its length before it, doubled, and one more when it has been cut. An
// index says where every 32nd begins. They are in memory, or, when there are many, in a spill, with what was read last in memory.
type stringTable struct {
	memory int    // bytes that are not spilled
	data   []byte // of all, or of those that are still to be spilled
	size   int64  // of all
	count  int
	firsts []uint32 // of each group
	places []int64

	spill  Spill
	cached [cachedGroups]struct {
		group int // and one
		data  []byte
	}
}

func (t *stringTable) Close() {
	if t.spill != nil {
		t.spill.Close()
	}
}

// add appends a string.
func (t *stringTable) add(s []byte, cut bool) error {
	if t.count == maxStrings {
		return errStrings
	}
	if n := len(t.firsts); n == 0 || t.count-int(t.firsts[n-1]) == groupStrings || t.size-t.places[n-1] >= groupBytes {
		t.firsts, t.places = append(t.firsts, uint32(t.count)), append(t.places, t.size)
	}
	length := uint64(len(s)) << 1
	if cut {
		length |= 1
	}
	before := len(t.data)
	t.data = append(binary.AppendUvarint(t.data, length), s...)
	t.size += int64(len(t.data) - before)
	t.count++
	return nil
}

// load reads the part of a workbook that has the shared strings.
func (t *stringTable) load(r io.Reader, spill func(write func(io.Writer) error) (Spill, error)) (err error) {
	p := newParser(r)
	more, err := t.parse(p, func() bool { return len(t.data) < t.memory })
	if !more || err != nil {
		return err
	}
	if spill == nil {
		return errSpill
	}
	err = t.spillRest(p, spill)
	t.data = nil
	return err
}

// spillRest spills what was read, and the rest.
func (t *stringTable) spillRest(p *parser, spill func(write func(io.Writer) error) (Spill, error)) error {
	s, err := spill(func(w io.Writer) (err error) {
		for more := true; more; {
			if more, err = t.parse(p, func() bool { return len(t.data) < writtenAtOnce }); err != nil {
				return err
			}
			if _, err := w.Write(t.data); err != nil {
				return err
			}
			t.data = t.data[:0]
		}
		return nil
	})
	if err == nil { // else there may be a nil of some type in s
		t.spill = s
	}
	return err
}

// parse adds strings while goOn, and says whether there may be more.
func (t *stringTable) parse(p *parser, goOn func() bool) (more bool, err error) {
	var s plainText
	for goOn() {
		e, err := p.next()
		if err != nil || e == atEnd {
			return false, err
		}
		switch {
		case e == opened && string(p.name) == "si":
			if err := s.read(p); err != nil {
				return false, err
			}
			if err := t.add(unescapeHex(s.text), s.cut); err != nil {
				return false, err
			}
		case e == opened && string(p.name) != "sst":
			if err := p.skip(); err != nil {
				return false, err
			}
		}
	}
	return true, nil
}

// get appends a string. cut says that it is the beginning of a longer one; not ok, that there is none of this number.
func (t *stringTable) get(i int, dst []byte) (text []byte, cut, ok bool, err error) {
	if i < 0 || i >= t.count {
		return dst, false, false, nil
	}
	group, found := slices.BinarySearch(t.firsts, uint32(i))
	if !found {
		group--
	}
	data, err := t.group(group)
	for at := int(t.firsts[group]); err == nil; at++ {
		length, n := binary.Uvarint(data)
		if n <= 0 || length>>1 > uint64(len(data)-n) {
			return dst, false, false, errors.New("the spilled strings of a workbook are damaged")
		}
		s := data[n : n+int(length>>1)]
		if at == i {
			return append(dst, s...), length&1 == 1, true, nil
		}
		data = data[n+len(s):]
	}
	return dst, false, false, err
}

// group returns the strings of a place in the index.
func (t *stringTable) group(n int) ([]byte, error) {
	from, to := t.places[n], t.size
	if n+1 < len(t.places) {
		to = t.places[n+1]
	}
	if t.spill == nil {
		return t.data[from:to], nil
	}
	c := &t.cached[n%cachedGroups]
	if c.group != n+1 {
		c.group = 0
		c.data = slices.Grow(c.data[:0], int(to-from))[:to-from]
		if _, err := t.spill.ReadAt(c.data, from); err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("read the spilled strings of a workbook: %w", err)
		}
		c.group = n + 1
	}
	return c.data, nil
}

// plainText is the text of an element that may have formats and readings within: <si>, <is>.
type plainText struct {
	text []byte
	cut  bool
}

func (s *plainText) append(b []byte) {
	if room := maxCell - len(s.text); len(b) > room {
		b, s.cut = b[:room], true
	}
	s.text = append(s.text, b...)
}

// read reads to the end of the element that was opened. Phonetic runs, which tell how characters are read, are no part of the text.
func (s *plainText) read(p *parser) error {
	s.text, s.cut = s.text[:0], false
	in := 0 // depth of the <t> that is open
	for depth := p.depth; ; {
		e, err := p.next()
		switch {
		case err != nil:
			return err
		case e == atEnd:
			return errDamaged
		case e == closed && p.depth < depth:
			return nil
		case e == closed && p.depth < in:
			in = 0
		case e == text && in > 0:
			s.append(p.text)
		case e == opened && string(p.name) == "rPh":
			if err := p.skip(); err != nil {
				return err
			}
		case e == opened && string(p.name) == "t" && in == 0:
			in = p.depth
		}
	}
}

// skip reads to the end of the element that was opened.
func (p *parser) skip() error {
	for depth := p.depth; ; {
		e, err := p.next()
		switch {
		case err != nil:
			return err
		case e == atEnd:
			return errDamaged
		case e == closed && p.depth < depth:
			return nil
		}
	}
}
