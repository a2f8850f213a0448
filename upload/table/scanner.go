package table

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode"
	"unicode/utf8"

	"kith/schema"
)

// Limits of a file's parts.
const (
	MaxHeader = 64 << 10 // bytes
	MaxRecord = 1 << 20  // bytes
)

// Delimiters are what may separate cells, in the order in which they are tried.
const Delimiters = ",;\t|"

// rareDelimiters are what may separate cells where nothing else does, and every record has as many of them.
const rareDelimiters = "^~:"

// MaySeparate says whether a byte can separate cells.
func MaySeparate(c byte) bool {
	return 0 < c && c < utf8.RuneSelf && c != '"' && c != '\n' && c != '\r'
}

// Fault is a way in which the text of a record can be wrong. Its text is a stable code.
type Fault string

// The faults of records.
const (
	TooLong   Fault = "record-too-long"
	OpenQuote Fault = "open-quote"
	BadQuote  Fault = "bad-quote"
)

// Sentence says what is wrong and what to do about it.
func (f Fault) Sentence() string {
	switch f {
	case TooLong:
		return fmt.Sprintf("The record is longer than %d bytes. Shorten it; reading went on at the next line.", MaxRecord)
	case OpenQuote:
		return fmt.Sprintf("A cell opens with a quote that is not closed within %d bytes. Close it, or double it if it belongs to the value; reading went on at the next line.", MaxRecord)
	case BadQuote:
		return "Text follows the closing quote of a cell. Double the quotes that belong to the value; reading went on at the next line."
	}
	return ""
}

// Record is the text of one record, without its line end.
type Record struct {
	Text  []byte // valid until the next call; the first line, or its first bytes, when there is a fault
	Line  int64  // physical line it begins at, from 1
	Fault Fault  // "" when the record is sound
}

// Scanner cuts a text into records (RFC 4180; LF or CRLF). Quotes open a cell only at its beginning. A record that can't be read
// ends with the line it began at, so that the next one begins at the line after.
//
// It takes time linear in the text, whatever that holds. A record with an open quote is followed up to MaxRecord bytes ahead, and
// when nothing comes of it the next line may have to be followed just as far. But inside quotes all that matters is where one is:
// two records that are both inside quotes at the same line's start end the same way. So what was found ahead is kept (ahead), and
// each line is looked at twice at most: as the first of a record, and as one that began inside quotes.
type Scanner struct {
	r      io.Reader
	delim  byte
	spaced bool // Split.Spaced
	// escaped is Split.Escaped.
	escaped bool
	// width is Split.Width.
	width int
	max   int // bytes of a record
	buf   []byte
	start int // of the unread bytes in buf
	end   int
	off   int64 // of start, in the text
	eof   bool
	line  int64
	ahead ahead
	// header is the text of the header's record. lenient passes over what repeats it, and records of blank cells.
	header  []byte
	lenient bool
	// sheet says that a record is a row of a sheet, and counts as one line, whatever its cells hold.
	sheet bool
	// HeaderLine is the physical line that the header begins at, and Passed how many records before it were passed over.
	HeaderLine int64
	Passed     int
	// Above are the lines with something in them before the header, the first twenty.
	Above []string
	// Guarded tells the columns whose values all have a spreadsheet's guard of text before them ('007, ="007"), as far as the first records
	// show: the guard is no part of them.
	Guarded []bool
	// Repeated counts the records that were the header again.
	Repeated int64
	// looked counts bytes that were searched or moved, so that a test can tell that it is linear.
	looked int64
}

// ahead is what was found by following a record beyond its first line.
type ahead struct {
	// All lines that start between from and to, which are offsets in the text, do so inside quotes.
	from, to int64
	quoted   bool // to itself lies inside quotes
	how      ending
}

// ending is how following a record ended.
type ending byte

const (
	notYet   ending = iota // the text that was there is over
	ended                  // the record ends here
	badQuote               // text follows a closing quote
)

// place is how far a record was followed, in bytes from its start.
type place struct {
	at     int
	quoted bool
	how    ending
}

// NewScanner returns a scanner that takes commas for delimiters unless Header finds others. Lines of the Text of a workbook are rows of its sheet.
func NewScanner(r io.Reader) *Scanner {
	s := newScanner(r, MaxRecord)
	if t, ok := r.(*Text); ok {
		s.sheet = t.Sheet != ""
	}
	return s
}

func newScanner(r io.Reader, longest int) *Scanner {
	return &Scanner{r: r, delim: ',', max: longest, buf: make([]byte, 2*(longest+2)), line: 1}
}

// Ragged says that rows end where there is nothing more in them.
func (s *Scanner) Ragged() bool { return s.sheet }

// Delimiter is what separates the cells of the records.
func (s *Scanner) Delimiter() byte { return s.delim }

// Split is how the records are divided into cells.
func (s *Scanner) Split() Split { return Split{s.delim, s.spaced, s.escaped, s.width} }

// Next returns the next record that is no empty line, or io.EOF. Behind a header that was not asked for strictly it is the next one that has a
// cell with something in it and does not repeat the header.
func (s *Scanner) Next() (Record, error) {
	for {
		rec, err := s.next()
		if err != nil || rec.Fault != "" || !s.lenient {
			return rec, err
		}
		if s.isHeader(rec.Text) {
			s.Repeated++
			continue
		}
		if !blankRecord(rec.Text, s.delim) {
			return rec, nil
		}
	}
}

// isHeader says whether a record is the header again: with or without quotes and blanks, in capitals or not, and with blank cells behind it, as
// exports have it that were put one behind the other by different programs.
func (s *Scanner) isHeader(text []byte) bool {
	header := s.header
	for {
		a, n := nextLetter(header)
		b, m := nextLetter(text)
		header, text = header[n:], text[m:]
		switch {
		case a == 0:
			return len(s.header) > 0 && (b == 0 || b == rune(s.delim)) && blankRecord(text, s.delim)
		case a != b:
			return false
		}
	}
}

// nextLetter returns the first character of a text that is no blank, no quote, and visible, in lower case, and where the next one is; 0 where there is none.
func nextLetter(text []byte) (r rune, n int) {
	for n < len(text) {
		c, size := rune(text[n]), 1
		if c >= utf8.RuneSelf {
			c, size = utf8.DecodeRune(text[n:])
		}
		n += size
		switch {
		case c == '"', c <= ' ' && c != '\t', c >= utf8.RuneSelf && (unicode.IsSpace(c) || schema.Invisible(c)):
			continue
		case c-'A' < 26 && c >= 'A':
			return c + 'a' - 'A', n
		case c >= utf8.RuneSelf:
			return unicode.ToLower(c), n
		}
		return c, n
	}
	return 0, n
}

// next returns the next record that is no empty line.
func (s *Scanner) next() (Record, error) {
	for {
		window := s.buf[s.start:s.end]
		nl := s.index(window, '\n')
		if nl < 0 && !s.eof {
			if err := s.fill(s.max + 2); err != nil {
				return Record{}, err
			}
			window = s.buf[s.start:s.end]
			nl = s.index(window, '\n')
		}
		if len(window) == 0 {
			return Record{}, io.EOF
		}
		if nl < 0 && (!s.eof || len(window) > s.max) || nl > s.max {
			return s.tooLong(nl)
		}
		first := nl + 1 // length of the first line with its end
		if nl < 0 {
			nl, first = len(window), len(window)
		}
		line := trimCR(window[:nl])
		if s.index(line, '"') >= 0 {
			return s.quoted(first)
		}
		rec := Record{Text: line, Line: s.line}
		s.consume(first, 1)
		if len(line) > 0 {
			return rec, nil
		}
	}
}

// quoted returns a record that has a quote in its first line, which is first bytes long with its end.
func (s *Scanner) quoted(first int) (Record, error) {
	p := s.follow(s.buf[s.start:s.start+first], place{}, s.eof && s.start+first == s.end)
	if p.how == notYet {
		if err := s.fill(s.max + 2); err != nil {
			return Record{}, err
		}
		window := s.buf[s.start:min(s.end, s.start+s.max+1)]
		p = s.lookAhead(&s.ahead, window, s.off, first, s.eof && s.start+len(window) == s.end)
	}
	rec := Record{Line: s.line}
	switch {
	case p.how == badQuote:
		rec.Fault = BadQuote
	case p.how == notYet && p.quoted:
		rec.Fault = OpenQuote
	case p.how == notYet, p.at > s.max && s.buf[s.start+p.at-1] != '\n':
		rec.Fault = TooLong
	}
	n, lines := p.at, int64(1)
	if rec.Fault != "" {
		n = first
	}
	text := s.buf[s.start : s.start+n]
	rec.Text = trimLine(text)
	if n > first {
		s.looked += int64(n)
		lines = s.lines(text)
	}
	s.consume(n, lines)
	return rec, nil
}

// lookAhead follows the record at the start of a window, which is inside quotes at the end of its first line, as far as the window goes. off is where the
// window is, by the reckoning of what is known. last says that the text is over behind it.
func (s *Scanner) lookAhead(known *ahead, window []byte, off int64, first int, last bool) place {
	next := off + int64(first)
	p := place{at: first, quoted: true}
	if known.from <= next && next < known.to {
		p = place{int(known.to - off), known.quoted, known.how}
	} else {
		known.from = next
	}
	if p.how == notYet {
		p = s.follow(window, p, last)
	}
	known.to, known.quoted, known.how = off+int64(p.at), p.quoted, p.how
	return p
}

// follow looks for the end of the record at the start of b, on from p. last says that the text is over behind b.
func (s *Scanner) follow(b []byte, p place, last bool) place {
	for end := -1; ; { // end of the line that p lies in, outside quotes
		if !p.quoted {
			if end < p.at {
				if end = s.index(b[p.at:], '\n'); end < 0 {
					end = len(b)
				} else {
					end += p.at
				}
			}
			q := s.opening(b[:end], p.at)
			switch {
			case q >= 0:
				p.at, p.quoted = q+1, true
			case end < len(b):
				return place{at: end + 1, how: ended}
			case last:
				return place{at: end, how: ended}
			default:
				return place{at: end}
			}
		}
		q := s.index(b[p.at:], '"')
		if q < 0 {
			return place{at: len(b), quoted: true}
		}
		q += p.at
		if s.escaped && isEscaped(b[:q]) {
			p.at = q + 1
			continue
		}
		quote := q
		if q+1 < len(b) && b[q+1] <= ' ' {
			q += s.blanks(b[q+1:])
		}
		next := b[q+1:]
		switch {
		case !last && (len(next) == 0 || len(next) == 1 && next[0] == '\r'):
			return place{at: quote, quoted: true} // what follows tells what the quote is
		case len(next) == 0:
			return place{at: q + 1, how: ended}
		case next[0] == '"' && q == quote:
			p.at = q + 2
		case next[0] == s.delim:
			p.at, p.quoted = q+2, false
		case next[0] == '\n', next[0] == '\r' && len(next) == 1:
			return place{at: q + 2, how: ended}
		case next[0] == '\r' && next[1] == '\n':
			return place{at: q + 3, how: ended}
		default:
			return place{at: q + 1, how: badQuote}
		}
	}
}

// maxBlanks is how many blanks may stand behind a closing quote: where a window ends among them they are looked at once more for each line.
const maxBlanks = 64

// blanks counts the blanks at the start of b, behind a closing quote, that are no part of any cell.
func (s *Scanner) blanks(b []byte) (n int) {
	for s.lenient && n < min(len(b), maxBlanks) && (b[n] == ' ' || b[n] == '\t') && b[n] != s.delim {
		n++
	}
	return n
}

// opening returns the first quote in b, from a place on, that opens a cell, or -1.
func (s *Scanner) opening(b []byte, from int) int {
	for {
		i := s.index(b[from:], '"')
		if i < 0 {
			return -1
		}
		at := from + i
		for from = at; from > 0 && s.Split().blank(b[from-1]); from-- {
		}
		if from == 0 || b[from-1] == s.delim {
			return at
		}
		from = at + 1
	}
}

// tooLong skips a line that is over the limit and has no place in memory. nl is where it ends, if that is known.
func (s *Scanner) tooLong(nl int) (Record, error) {
	const sample = 4 << 10
	rec := Record{Text: bytes.Clone(s.buf[s.start : s.start+min(sample, s.max)]), Line: s.line, Fault: TooLong}
	for nl < 0 {
		s.consume(s.end-s.start, 0)
		if s.eof {
			s.line++
			return rec, nil
		}
		if err := s.fill(1); err != nil {
			return rec, err
		}
		nl = s.index(s.buf[s.start:s.end], '\n')
	}
	s.consume(nl+1, 1)
	return rec, nil
}

// fill reads until n unread bytes are there or the text ends.
func (s *Scanner) fill(n int) error {
	for s.end-s.start < n && !s.eof {
		if s.end == len(s.buf) {
			s.end = copy(s.buf, s.buf[s.start:s.end])
			s.start = 0
			s.looked += int64(s.end)
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

func (s *Scanner) consume(n int, lines int64) {
	s.start += n
	s.off += int64(n)
	s.line += lines
}

func (s *Scanner) index(b []byte, c byte) int {
	i := bytes.IndexByte(b, c)
	if i < 0 {
		s.looked += int64(len(b))
	} else {
		s.looked += int64(i) + 1
	}
	return i
}

func trimCR(line []byte) []byte {
	if n := len(line); n > 0 && line[n-1] == '\r' {
		return line[:n-1]
	}
	return line
}

// lines counts those of a record.
func (s *Scanner) lines(text []byte) int64 {
	if s.sheet {
		return 1
	}
	n := int64(bytes.Count(text, []byte("\n")))
	if !bytes.HasSuffix(text, []byte("\n")) {
		n++
	}
	return n
}

// trimLine cuts the line end off.
func trimLine(line []byte) []byte { return trimCR(bytes.TrimSuffix(line, []byte("\n"))) }
