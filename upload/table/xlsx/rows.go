package xlsx

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
)

// Bounds of a sheet.
const (
	MaxRows    = 1 << 20 // of a sheet, as in Excel
	MaxColumns = 1 << 14
	maxRow     = 1 << 20   // bytes of a row's text
	sampleRow  = 4 << 10   // of a longer one
	textAhead  = 256 << 10 // bytes of text that are made at once, and a row
)

var (
	errRows    = &Error{"file-rows", fmt.Sprintf("The sheet has more than %d rows, which is more than a sheet can have. Export it as CSV.", MaxRows)}
	errColumns = &Error{"file-columns", fmt.Sprintf("The sheet has cells beyond column %d, which is more than a sheet can have. Export it as CSV.", MaxColumns)}
)

// sheet makes text of a sheet's rows.
type sheet struct {
	*Book
	p     *parser
	close func()

	inData int // depth of <sheetData>, 0 outside
	row    int // of the last row that text was made of
	column int // of the last cell of this one
	filled bool
	ended  bool
	// Of the first rows: whether one has several cells, and how many have a single one, and a sentence in it.
	several           bool
	single, sentences int

	out   []byte
	cells []cell
	line  []byte // of the cells
	long  bool   // the row is too long
	text  plainText
}

// cell is where the text of a cell is.
type cell struct {
	column   int
	from, to int // in line
}

// more makes the text of the next rows.
func (s *sheet) more() error {
	for !s.ended && len(s.out) < textAhead {
		e, err := s.p.next()
		switch {
		case err != nil:
			return err
		case e == atEnd:
			s.ended = true
		case e == closed && s.inData > 0 && s.p.depth < s.inData:
			s.inData = -1 // what follows is read for its checksum
		case e != opened:
		case s.inData == 0 && string(s.p.name) == "sheetData":
			s.inData = s.p.depth
		case s.inData > 0 && s.p.depth == s.inData+1 && string(s.p.name) == "row":
			if err := s.readRow(); err != nil {
				return err
			}
		}
	}
	return nil
}

// readRow makes text of the row that was opened.
func (s *sheet) readRow() error {
	n := s.row + 1
	if r, err := strconv.Atoi(string(s.p.attr("r"))); err == nil && r > n {
		n = r
	}
	if n > MaxRows {
		return errRows
	}
	for s.row++; s.row < n; s.row++ { // rows that are not there
		s.out = append(s.out, '\n')
	}
	s.column, s.cells, s.line, s.long = 0, s.cells[:0], s.line[:0], false
	for depth := s.p.depth; ; {
		e, err := s.p.next()
		switch {
		case err != nil:
			return err
		case e == atEnd:
			return errDamaged
		case e == closed && s.p.depth < depth:
			return s.endRow()
		case e == opened && s.p.depth == depth+1 && string(s.p.name) == "c":
			if err := s.readCell(); err != nil {
				return err
			}
		}
	}
}

// readCell adds the text of the cell that was opened to the row.
func (s *sheet) readCell() error {
	s.column++
	if r := s.p.attr("r"); len(r) > 0 {
		if n := columnOf(r); n > 0 {
			s.column = n
		}
	}
	if s.column > MaxColumns {
		return errColumns
	}
	how := string(s.p.attr("t"))
	style, _ := strconv.Atoi(string(s.p.attr("s")))
	s.text.text, s.text.cut = s.text.text[:0], false
	formula, in := false, 0
	for depth := s.p.depth; ; {
		e, err := s.p.next()
		switch {
		case err != nil:
			return err
		case e == atEnd:
			return errDamaged
		case e == closed && s.p.depth < depth:
			if formula && len(s.text.text) == 0 && how != "str" {
				s.Uncalculated++
			}
			return s.endCell(how, style)
		case e == closed && s.p.depth < in:
			in = 0
		case e == text && in > 0:
			s.text.append(s.p.text)
		case e != opened || s.p.depth != depth+1:
		case string(s.p.name) == "v":
			in = s.p.depth
		case string(s.p.name) == "f":
			formula = true
		case string(s.p.name) == "is":
			if err := s.text.read(s.p); err != nil {
				return err
			}
			how = "inlineStr"
		}
	}
}

// endCell adds what was read to the row, unless it is nothing.
func (s *sheet) endCell(how string, style int) error {
	v := s.text.text
	if len(v) == 0 {
		return nil
	}
	from := len(s.line)
	if s.long = s.long || s.text.cut; s.long && from > sampleRow {
		return nil // nobody will read it
	}
	switch how {
	case "s":
		i, err := strconv.Atoi(string(bytes.TrimSpace(v)))
		var cut, ok bool
		if err == nil {
			s.line, cut, ok, err = s.strings.get(i, s.line)
			if err != nil {
				return err
			}
		}
		if !ok {
			return errDamaged
		}
		s.long = s.long || cut
	case "b":
		if v = bytes.TrimSpace(v); string(v) == "1" {
			v = []byte("TRUE")
		} else if string(v) == "0" {
			v = []byte("FALSE")
		}
		s.line = append(s.line, v...)
	case "d":
		s.line = append(s.line, isoDay(v)...)
	case "", "n":
		f := format{}
		if 0 <= style && style < len(s.styles) {
			f = s.styles[style]
		}
		s.line = appendNumber(s.line, bytes.TrimSpace(v), f, s.since1904)
	default: // "inlineStr", "str", "e"
		s.line = append(s.line, unescapeHex(v)...)
	}
	if len(s.line) == from {
		return nil
	}
	s.filled = true
	if len(s.line) > maxRow || len(s.cells) == MaxColumns {
		s.long = true
		return nil
	}
	s.cells = append(s.cells, cell{s.column, from, len(s.line)})
	return nil
}

// endRow writes the line of a row.
func (s *sheet) endRow() error {
	if !slices.IsSortedFunc(s.cells, byColumn) {
		slices.SortStableFunc(s.cells, byColumn)
	}
	if s.row <= noteRows {
		s.judge()
	}
	from, column := len(s.out), 1
	for i, c := range s.cells {
		if i+1 < len(s.cells) && s.cells[i+1].column == c.column {
			continue // the last one counts
		}
		for ; column < c.column; column++ {
			s.out = append(s.out, ',')
		}
		s.out = appendQuoted(s.out, s.line[c.from:c.to])
	}
	if s.long || len(s.out)-from > maxRow {
		s.out = append(s.out[:from], tooLong(s.out[from:])...)
	}
	s.out = append(s.out, '\n')
	return nil
}

// noteRows is how many rows tell whether a sheet is a note.
const noteRows = 100

// judge looks at the row as one of a note.
func (s *sheet) judge() {
	filled, sentence := 0, false
	for _, c := range s.cells {
		if text := bytes.TrimSpace(s.line[c.from:c.to]); len(text) > 0 {
			filled++
			sentence = bytes.IndexByte(text, ' ') > 0
		}
	}
	switch {
	case filled > 1:
		s.several = true
	case filled == 1:
		s.single++
		if sentence {
			s.sentences++
		}
	}
}

// isNote says whether the first rows are sentences below each other, as of a sheet that explains the others, and no table.
func (s *sheet) isNote() bool { return !s.several && 2*s.sentences > s.single }

func byColumn(a, b cell) int { return cmp.Compare(a.column, b.column) }

// tooLong returns a line that is too long for a record and begins like a row that is.
func tooLong(line []byte) []byte {
	sample := bytes.Map(func(r rune) rune {
		if r == '"' || r == '\n' || r == '\r' {
			return ' '
		}
		return r
	}, line[:min(len(line), sampleRow)])
	return append(sample, bytes.Repeat([]byte(" "), maxRow+2)...)
}

// appendQuoted appends a cell's text as a value of a line.
func appendQuoted(dst, v []byte) []byte {
	if !bytes.ContainsAny(v, ",\"\r\n") {
		return append(dst, v...)
	}
	dst = append(dst, '"')
	for {
		i := bytes.IndexByte(v, '"')
		if i < 0 {
			return append(append(dst, v...), '"')
		}
		dst = append(append(dst, v[:i+1]...), '"')
		v = v[i+1:]
	}
}

// columnOf returns the number of the column that a reference names, such as 28 for AB12; 0: none.
func columnOf(ref []byte) (n int) {
	for _, c := range ref {
		if c |= 0x20; c < 'a' || c > 'z' {
			break
		}
		if n = 26*n + int(c-'a') + 1; n > MaxColumns {
			return MaxColumns + 1
		}
	}
	return n
}

// Read implements io.Reader: the text of the sheet's rows.
func (b *Book) Read(dst []byte) (int, error) {
	if len(b.ready) == 0 {
		if b.sheet.ended {
			return 0, io.EOF
		}
		b.sheet.out = b.sheet.out[:0]
		if err := b.sheet.more(); err != nil {
			return 0, err
		}
		b.ready = b.sheet.out
		if b.made += int64(len(b.ready)); b.made > b.mostText() {
			return 0, &Error{"file-unpacked", fmt.Sprintf("The sheet becomes more than %d MB of text, with most of its cells empty, or full of the same long texts. Export the columns that matter as CSV.", b.mostText()>>20)}
		}
		if len(b.ready) == 0 && b.sheet.ended {
			return 0, io.EOF
		}
	}
	n := copy(dst, b.ready)
	b.ready = b.ready[n:]
	return n, nil
}
