package table

import "bytes"

// Split is how the records of a text are divided into cells.
type Split struct {
	Delim byte
	// Spaced says that blanks may stand before the quote that opens a cell, as in: 1, "Ann", "Lee".
	Spaced bool
	// Escaped says that a backslash stands before quotes, and backslashes, that belong to a quoted cell: "say \"hi\"".
	Escaped bool
	// Width is how many cells the header has. A record that stands in quotes as a whole, as spreadsheets write rows that they have taken for one cell, is
	// divided once more if it has as many then.
	Width int
}

// opens returns where the quote is that opens the cell at the start of b; -1: none does.
func (d Split) opens(b []byte) int {
	for i, c := range b {
		switch {
		case c == '"':
			return i
		case !d.blank(c):
			return -1
		}
	}
	return -1
}

// blank says whether a sign may stand between a delimiter and the quote behind it.
func (d Split) blank(c byte) bool { return d.Spaced && (c == ' ' || c == '\t') && c != d.Delim }

// Cells splits the text of a sound record. The cells alias text or scratch; line ends inside quotes become LF, as
// encoding/csv has it. It returns cells and scratch for reuse.
func (d Split) Cells(text []byte, dst [][]byte, scratch []byte) ([][]byte, []byte) {
	delim := d.Delim
	dst, scratch = dst[:0], scratch[:0]
	if bytes.IndexByte(text, '"') < 0 {
		for {
			i := bytes.IndexByte(text, delim)
			if i < 0 {
				return append(dst, text), scratch
			}
			dst = append(dst, text[:i])
			text = text[i+1:]
		}
	}
	// Unquoted cells are at most as long as the text, so scratch never moves under a cell.
	if cap(scratch) < len(text) {
		scratch = make([]byte, 0, 2*len(text))
	}
	for i := 0; ; {
		if q := d.opens(text[i:]); q >= 0 {
			from := len(scratch)
			for i += q + 1; ; {
				j := bytes.IndexByte(text[i:], '"')
				if j < 0 {
					j = len(text) - i
				}
				if d.Escaped {
					j = closing(text[i:])
					scratch = appendUnescaped(scratch, text[i:i+j])
				} else {
					scratch = appendLF(scratch, text[i:i+j])
				}
				i += j + 1
				if i < len(text) && text[i] == '"' {
					scratch = append(scratch, '"')
					i++
					continue
				}
				break
			}
			dst = append(dst, scratch[from:len(scratch):len(scratch)])
			for i < len(text) && text[i] != delim { // blanks
				i++
			}
		} else {
			j := bytes.IndexByte(text[i:], delim)
			if j < 0 {
				j = len(text) - i
			}
			dst = append(dst, text[i:i+j])
			i += j
		}
		if i >= len(text) {
			if len(dst) == 1 && d.Width > 1 {
				if inner := d.unwrap(dst[0]); len(inner) == d.Width {
					return append(dst[:0], inner...), scratch
				}
			}
			return dst, scratch
		}
		i++ // the delimiter
	}
}

// unwrap returns the cells of a record that was taken for a cell, or nil if it is none: what separates its cells has no blank behind it, as within a text.
func (d Split) unwrap(cell []byte) [][]byte {
	d.Width = 0
	s := Scanner{delim: d.Delim, spaced: d.Spaced, escaped: d.Escaped, lenient: true}
	if p := s.follow(cell, place{}, true); p.how != ended || p.at != len(cell) {
		return nil
	}
	all, _ := d.Cells(bytes.Clone(cell), nil, nil)
	for i, c := range all {
		if i > 0 && len(c) > 1 && c[0] == ' ' {
			return nil
		}
	}
	return all
}

// closing returns where the next quote is that has no backslash before it, or the length of b.
func closing(b []byte) int {
	for from := 0; ; {
		j := bytes.IndexByte(b[from:], '"')
		switch {
		case j < 0:
			return len(b)
		case !isEscaped(b[:from+j]):
			return from + j
		}
		from += j + 1
	}
}

// isEscaped says whether what follows a text has a backslash before it that is none of two.
func isEscaped(before []byte) bool {
	n := len(before)
	for n > 0 && before[n-1] == '\\' {
		n--
	}
	return (len(before)-n)%2 == 1
}

// appendUnescaped appends a part of a quoted cell without the backslashes before its quotes and backslashes.
func appendUnescaped(dst, b []byte) []byte {
	for {
		i := bytes.IndexByte(b, '\\')
		if i < 0 || i+1 == len(b) {
			return appendLF(dst, b)
		}
		if c := b[i+1]; c == '"' || c == '\\' {
			dst = append(appendLF(dst, b[:i]), c)
		} else {
			dst = appendLF(dst, b[:i+2])
		}
		b = b[i+2:]
	}
}

func appendLF(dst, b []byte) []byte {
	for {
		i := bytes.Index(b, []byte("\r\n"))
		if i < 0 {
			return append(dst, b...)
		}
		dst = append(append(dst, b[:i]...), '\n')
		b = b[i+2:]
	}
}
