package upload

import (
	"bytes"
	"errors"
	"io"
)

// Limits of a file's parts.
const (
	MaxHeader = 64 << 10 // bytes
	MaxRecord = 1 << 20  // bytes
)

// The ways a record's text can be wrong, by reason code.
type textFault string

const (
	faultNone      textFault = ""
	faultTooLong   textFault = "record-too-long"
	faultOpenQuote textFault = "open-quote"
	faultBadQuote  textFault = "bad-quote"
)

// record is the text of one record, without its line end.
type record struct {
	text  []byte // valid until the next call; the first bytes only when the record is too long
	line  int64  // physical line it begins at, from 1
	fault textFault
}

// splitter cuts a stream into records (RFC 4180; LF or CRLF). Quotes open a field only at its beginning. A record that can't
// be read ends with the line it began at, so that the next one begins at the line after.
type splitter struct {
	r     io.Reader
	delim byte
	buf   []byte
	start int // of the unread bytes in buf
	end   int
	eof   bool
	line  int64
}

func newSplitter(r io.Reader, delim byte) *splitter {
	return &splitter{r: r, delim: delim, buf: make([]byte, 2*MaxRecord), line: 1}
}

// fill reads until n unread bytes are there or the stream ends.
func (s *splitter) fill(n int) error {
	for s.end-s.start < n && !s.eof {
		if s.end == len(s.buf) {
			s.end = copy(s.buf, s.buf[s.start:s.end])
			s.start = 0
		}
		k, err := s.r.Read(s.buf[s.end:])
		s.end += k
		if errors.Is(err, io.EOF) {
			s.eof = true
		} else if err != nil {
			return err
		}
	}
	return nil
}

// header returns what the stream begins with, from its first line that is not blank: at most a little more than a header may
// have. Nothing but blank lines is consumed; begin consumes the header.
func (s *splitter) header() (record, error) {
	for {
		if err := s.fill(MaxHeader + 2); err != nil {
			return record{}, err
		}
		window := s.buf[s.start:s.end]
		if len(window) == 0 {
			return record{}, io.EOF
		}
		nl := bytes.IndexByte(window, '\n')
		if nl >= 0 && len(trimCR(window[:nl])) == 0 {
			s.consume(nl+1, 1)
			continue
		}
		rec := record{text: window[:min(len(window), MaxHeader+2)], line: s.line}
		if nl < 0 && len(window) > MaxHeader {
			rec.fault = faultTooLong
		}
		return rec, nil
	}
}

// begin consumes the header, now that the delimiter is known.
func (s *splitter) begin(delim byte) error {
	s.delim = delim
	_, err := s.next()
	return err
}

// next returns the next record that is not blank, or io.EOF.
func (s *splitter) next() (record, error) {
	for {
		window := s.buf[s.start:s.end]
		nl := bytes.IndexByte(window, '\n')
		if nl < 0 && !s.eof {
			if err := s.fill(MaxRecord + 2); err != nil {
				return record{}, err
			}
			window = s.buf[s.start:s.end]
			nl = bytes.IndexByte(window, '\n')
		}
		if len(window) == 0 {
			return record{}, io.EOF
		}
		if nl < 0 && (!s.eof || len(window) > MaxRecord) || nl > MaxRecord {
			return s.tooLong(nl)
		}
		first := nl + 1 // length of the first line with its end
		if nl < 0 {
			nl, first = len(window), len(window)
		}
		line := trimCR(window[:nl])
		if bytes.IndexByte(line, '"') >= 0 {
			return s.quoted(first)
		}
		rec := record{text: line, line: s.line}
		s.consume(first, 1)
		if len(line) > 0 {
			return rec, nil
		}
	}
}

func trimCR(line []byte) []byte {
	if n := len(line); n > 0 && line[n-1] == '\r' {
		return line[:n-1]
	}
	return line
}

func (s *splitter) consume(n int, lines int64) {
	s.start += n
	s.line += lines
}

// quoted returns a record that has a quote in its first line, which is first bytes long with its end.
func (s *splitter) quoted(first int) (record, error) {
	if err := s.fill(MaxRecord + 2); err != nil {
		return record{}, err
	}
	window := s.buf[s.start:s.end]
	window = window[:min(len(window), MaxRecord+1)]
	n, fault := recordEnd(window, s.delim)
	rec := record{line: s.line, fault: fault}
	if fault == faultNone && n > MaxRecord && window[n-1] != '\n' {
		rec.fault = faultTooLong
	}
	if rec.fault != faultNone {
		rec.text = trimCR(bytes.TrimSuffix(window[:min(first, len(window))], []byte("\n")))
		s.consume(first, 1)
		return rec, nil
	}
	rec.text = trimCR(bytes.TrimSuffix(window[:n], []byte("\n")))
	s.consume(n, int64(max(1, bytes.Count(window[:n], []byte("\n")))))
	return rec, nil
}

// recordEnd returns the length of the record at the start of b, with its line end. A length beyond b means that b ended
// inside quotes.
func recordEnd(b []byte, delim byte) (int, textFault) {
	for i := 0; ; {
		// Outside quotes: the line ends the record, unless a quote opens a field before.
		end := bytes.IndexByte(b[i:], '\n')
		if end < 0 {
			end = len(b)
		} else {
			end += i
		}
		q := opensAt(b[:end], i, delim)
		if q < 0 {
			return min(end+1, len(b)), faultNone
		}
		// Inside quotes: a single quote closes the field.
		for i = q + 1; ; {
			j := bytes.IndexByte(b[i:], '"')
			if j < 0 {
				return len(b) + 1, faultOpenQuote
			}
			i += j + 1
			if i == len(b) || b[i] != '"' {
				break
			}
			i++
		}
		switch {
		case i == len(b):
			return i, faultNone
		case b[i] == '\n':
			return i + 1, faultNone
		case b[i] == '\r' && i+1 == len(b):
			return i + 1, faultNone
		case b[i] == '\r' && b[i+1] == '\n':
			return i + 2, faultNone
		case b[i] != delim:
			return i, faultBadQuote
		}
		i++
	}
}

// opensAt returns the first quote in b that opens a field, or -1. A field begins at from.
func opensAt(b []byte, from int, delim byte) int {
	for i := from; i < len(b); {
		j := bytes.IndexByte(b[i:], '"')
		if j < 0 {
			return -1
		}
		if i += j; i == from || b[i-1] == delim {
			return i
		}
		i++
	}
	return -1
}

// tooLong skips a line that is over the limit and has no place in memory. nl is where it ends, if that is known.
func (s *splitter) tooLong(nl int) (record, error) {
	const sample = 4 << 10
	rec := record{text: bytes.Clone(s.buf[s.start : s.start+sample]), line: s.line, fault: faultTooLong}
	for nl < 0 {
		s.consume(s.end-s.start, 0)
		if s.eof {
			s.line++
			return rec, nil
		}
		if err := s.fill(1); err != nil {
			return rec, err
		}
		nl = bytes.IndexByte(s.buf[s.start:s.end], '\n')
	}
	s.consume(nl+1, 1)
	return rec, nil
}

// cells splits the text of a sound record. The cells alias text or scratch; line ends inside quotes become LF, as
// encoding/csv has it. It returns cells and scratch for reuse.
func cells(text []byte, delim byte, dst [][]byte, scratch []byte) ([][]byte, []byte) {
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
		if i < len(text) && text[i] == '"' {
			from := len(scratch)
			for i++; ; {
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
