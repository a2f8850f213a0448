package table

import "bytes"

// Split is how the records of a text are divided into cells.
type Split struct {
	Delim byte
	// Spaced says that blanks may stand before the quote that opens a cell, as in: 1, "Ann", "Lee".
	Spaced bool
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
				scratch = appendLF(scratch, text[i:i+j])
				i += j + 1
				if i < len(text) && text[i] == '"' {
					scratch = append(scratch, '"')
					i++
					continue
				}
				break
			}
			dst = append(dst, scratch[from:len(scratch):len(scratch)])
		} else {
			j := bytes.IndexByte(text[i:], delim)
			if j < 0 {
				j = len(text) - i
			}
			dst = append(dst, text[i:i+j])
			i += j
		}
		if i >= len(text) {
			return dst, scratch
		}
		i++ // the delimiter
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
