package table

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"kith/schema"
)

// Layout is what is known of where a text's header is, and of what separates its cells.
type Layout struct {
	// Strict takes the first line that is not empty, and commas.
	Strict bool
	// Delimiter is what separates cells; 0 is found out.
	Delimiter byte
	// Line is the physical line that the header begins at; 0 is found out.
	Line int64
}

// How much of a text tells its layout.
const (
	layoutBytes   = 256 << 10
	layoutRecords = 1000
	maxTitle      = 20 // records before the header
)

// Header finds the header: the first record whose cells bind accepts, among the first that are not blank. Its delimiter is the one by which
// the first thousand records agree best that bind accepts it with. A line "sep=;" at the start is obeyed. When bind accepts none, the error is that for
// the first record that looks like a header. Errors are FileErrors, those of bind, or those of reading.
func (s *Scanner) Header(l Layout, bind func(names []string) error) error {
	t, err := s.openTop(l)
	if err != nil {
		return err
	}
	return t.find(func(c *candidate) error {
		if c.err != nil {
			return c.err
		}
		return bind(c.names)
	})
}

// LikelyHeader finds the header without knowing any of its names: the first record that looks like one, else the first that can be one. It
// returns the names as they are in the file. Errors are FileErrors, or those of reading.
func (s *Scanner) LikelyHeader(l Layout) (names []string, err error) {
	t, err := s.openTop(l)
	if err != nil {
		return nil, err
	}
	t.delims = t.delims[:1]
	for _, likely := range []bool{true, false} {
		err = t.find(func(c *candidate) error {
			if c.err == nil && (c.likely || !likely) {
				names = c.names
				return nil
			}
			return cmp.Or(c.err, errUnlikely)
		})
		if !errors.Is(err, errUnlikely) {
			break
		}
	}
	return names, err
}

var errUnlikely = errors.New("the record does not look like a header")

// top is what a text begins with.
type top struct {
	*Scanner
	known  Layout
	window []byte
	last   bool   // it is all of the text
	delims []byte // that may separate cells, the likeliest first
}

// openTop reads the top of a text.
func (s *Scanner) openTop(l Layout) (t *top, err error) {
	s.lenient = !l.Strict
	t = &top{Scanner: s, known: l}
	if t.window, t.last, err = s.layoutWindow(); err != nil {
		return nil, err
	}
	if delim, n := sepLine(t.window); n > 0 && !l.Strict {
		s.consume(n, 1)
		t.window = t.window[n:]
		t.known.Delimiter = cmp.Or(t.known.Delimiter, delim)
	}
	t.delims = []byte{cmp.Or(t.known.Delimiter, ',')}
	if t.known.Delimiter == 0 && !l.Strict {
		t.delims = s.votes(t.window, t.last)
	}
	return t, nil
}

// find takes the first candidate that is accepted.
func (t *top) find(accept func(*candidate) error) error {
	var unreadable, likely, first error
	for _, delim := range t.delims {
		t.delim = delim
		for i, c := range t.candidates(t.window, t.last, t.known) {
			err := accept(&c)
			if err == nil {
				return t.take(c)
			}
			if i == 0 {
				unreadable = cmp.Or(unreadable, c.err)
			}
			if c.likely {
				likely = cmp.Or(likely, err)
			}
			first = cmp.Or(first, err)
		}
	}
	if first == nil {
		first = &FileError{"empty-file", "The file is empty: it needs a header line with the column names."}
	}
	return cmp.Or(unreadable, likely, first)
}

// layoutWindow returns what the text begins with. last says that it is all of it. It ends with a whole line, unless the text does not, or its first
// line is longer.
func (s *Scanner) layoutWindow() (window []byte, last bool, err error) {
	if err := s.fill(min(layoutBytes, len(s.buf))); err != nil {
		return nil, false, err
	}
	window = s.buf[s.start:s.end]
	if s.eof {
		return window, true, nil
	}
	if i := bytes.LastIndexByte(window, '\n'); i >= 0 {
		window = window[:i+1]
	}
	return window, false, nil
}

// sepLine reads a first line that names the delimiter, as Excel has it, and returns how long it is with its end.
func sepLine(text []byte) (delim byte, n int) {
	i := bytes.IndexByte(text, '\n')
	if i < 0 {
		return 0, 0
	}
	line := bytes.Trim(trimCR(text[:i]), "\"")
	rest, ok := bytes.CutPrefix(bytes.ToLower(line), []byte("sep="))
	rest = bytes.Trim(rest, "\"")
	if !ok || len(rest) != 1 || rest[0] >= utf8.RuneSelf || rest[0] == '"' {
		return 0, 0
	}
	return rest[0], i + 1
}

// candidate is a record that may be the header.
type candidate struct {
	names  []string
	err    error // why it can't be
	likely bool  // it looks like one
	text   []byte
	from   int // of the record in the window
	to     int
	passed int // records before it
}

// candidates lists the first records that are not blank, or the one that is to be the header.
func (s *Scanner) candidates(window []byte, last bool, l Layout) (all []candidate) {
	most := maxTitle
	if l.Strict {
		most = 1
	}
	width := s.width(window, last)
	line, passed := s.line, 0
	for at := 0; at < len(window) && len(all) < most; {
		p := s.follow(window[at:], place{}, last)
		c := candidate{from: at, to: at + p.at, passed: passed}
		switch {
		case p.how != ended && !last && p.at+at >= len(window) && len(window)-at <= MaxHeader:
			return all // it goes on behind the window
		case p.how == notYet && !p.quoted:
			c.err = errHeaderTooLong
			c.to = len(window)
		case p.how != ended:
			c.err = &FileError{"header-quotes", "The header line can't be read: its quotes are not balanced."}
			if nl := bytes.IndexByte(window[at:], '\n'); nl >= 0 { // the next line may be the header
				c.to = at + nl + 1
			} else {
				c.to = len(window)
			}
		}
		c.text = trimLine(window[at:c.to])
		begins := line
		line += int64(bytes.Count(window[at:c.to], []byte("\n")))
		at = c.to
		if len(c.text) == 0 || !l.Strict && blankRecord(c.text, s.delim) || l.Line > begins {
			continue
		}
		passed++
		s.judge(&c, width)
		all = append(all, c)
		if l.Line > 0 {
			break
		}
	}
	return all
}

var errHeaderTooLong = &FileError{"header-too-long", fmt.Sprintf("The header line is longer than %d bytes.", MaxHeader)}

// judge splits a candidate, and says whether it looks like a header.
func (s *Scanner) judge(c *candidate, width int) {
	switch {
	case c.err != nil:
		return
	case len(c.text) > MaxHeader:
		c.err = errHeaderTooLong
		return
	case !utf8.Valid(c.text):
		c.err = &FileError{"header-encoding", "The header line is not valid UTF-8; save the file as UTF-8."}
		return
	case bytes.IndexByte(c.text, 0) >= 0:
		c.err = &FileError{"header-nul", "The header line holds a NUL byte; the file is no CSV text."}
		return
	}
	cells, _ := Cells(c.text, s.delim, nil, nil)
	filled := 0
	for _, cell := range cells {
		c.names = append(c.names, string(cell))
		if !schema.Blank(cell) {
			filled++
		}
	}
	c.likely = 2*filled >= width && LooksLikeHeader(c.names)
}

// LooksLikeHeader says whether cells may be names of columns: none of them is a number, a date, or an e-mail address.
func LooksLikeHeader(cells []string) bool {
	filled := false
	for _, c := range cells {
		letters, digits := false, false
		for _, r := range c {
			letters = letters || unicode.IsLetter(r)
			digits = digits || unicode.IsDigit(r)
		}
		if digits && !letters || strings.Contains(c, "@") && strings.Contains(c, ".") {
			return false
		}
		filled = filled || letters
	}
	return filled
}

// take makes a candidate the header and consumes it.
func (t *top) take(c candidate) error {
	s := t.Scanner
	s.HeaderLine = s.line + int64(bytes.Count(s.buf[s.start:s.start+c.from], []byte("\n")))
	s.Passed = c.passed
	s.header = bytes.Clone(c.text)
	if t.lenient {
		s.Guarded = t.guarded(c.to, len(c.names))
	}
	s.consume(c.to, int64(bytes.Count(s.buf[s.start:s.start+c.to], []byte("\n"))))
	return nil
}

// guarded tells which columns have guards, by the first records behind the header; nil: none.
func (t *top) guarded(from, columns int) (all []bool) {
	filled, guards := make([]int, columns), make([]int, columns)
	t.records(t.window[from:], t.last, func(cells [][]byte) {
		for i, c := range cells[:min(len(cells), columns)] {
			if c = schema.Trim(c); len(c) > 0 {
				filled[i]++
				if len(Unguard(c)) < len(c) {
					guards[i]++
				}
			}
		}
	})
	for i := range columns {
		if filled[i] > 0 && guards[i] == filled[i] {
			if all == nil {
				all = make([]bool, columns)
			}
			all[i] = true
		}
	}
	return all
}

// Unguard returns a value without the guard that keeps a spreadsheet from taking it for a number: '007 or ="007".
func Unguard(v []byte) []byte {
	if n := len(v); n > 2 && v[0] == '=' && v[1] == '"' && v[n-1] == '"' {
		return v[2 : n-1]
	}
	if len(v) > 1 && v[0] == '\'' && bytes.IndexByte(v[1:], '\'') < 0 {
		return v[1:]
	}
	return v
}

// vote is what speaks for a delimiter.
type vote struct {
	delim byte
	score float64
	width int
}

// votes orders the delimiters by how well the first records agree with each.
func (s *Scanner) votes(window []byte, last bool) []byte {
	var all []vote
	for _, d := range []byte(Delimiters) {
		s.delim = d
		all = append(all, s.vote(window, last))
	}
	slices.SortStableFunc(all, func(a, b vote) int { return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(b.width, a.width)) })
	var out []byte
	for _, v := range all {
		out = append(out, v.delim)
	}
	return out
}

// vote says how many of the first records have the same number of cells, if it is more than one; blank cells at a record's end don't count. Where
// cells begin with a blank, or hold what else may be a delimiter, it is more likely a sign within a text.
func (s *Scanner) vote(window []byte, last bool) vote {
	widths := map[int]int{}
	records, cells, doubtful := 0, 0, 0
	s.records(window, last, func(row [][]byte) {
		records++
		n := 0
		for i, c := range row {
			if !schema.Blank(c) {
				n = i + 1
			}
			cells++
			if i > 0 && len(c) > 1 && c[0] == ' ' || strings.IndexFunc(Delimiters, func(r rune) bool { return byte(r) != s.delim && bytes.IndexByte(c, byte(r)) >= 0 }) >= 0 {
				doubtful++
			}
		}
		widths[n]++
	})
	v := vote{delim: s.delim}
	for n, times := range widths {
		if score := float64(times) / float64(records); n > 1 && (score > v.score || score == v.score && n > v.width) {
			v.score, v.width = score, n
		}
	}
	if v.width > 1 {
		v.score = math.Max(0.01, v.score-float64(doubtful)/float64(2*cells))
	}
	return v
}

// width is how many cells most of the first records have.
func (s *Scanner) width(window []byte, last bool) int { return max(1, s.vote(window, last).width) }

// records calls yield with the cells of the first records that are sound and not blank.
func (s *Scanner) records(window []byte, last bool, yield func(cells [][]byte)) {
	var cells [][]byte
	var scratch []byte
	n := 0
	for at := 0; at < len(window) && n < layoutRecords; {
		p := s.follow(window[at:], place{}, last)
		text := window[at : at+p.at]
		if p.how != ended {
			nl := bytes.IndexByte(window[at:], '\n')
			if nl < 0 || p.how == notYet {
				return
			}
			at += nl + 1
			continue
		}
		at += p.at
		if text = trimLine(text); len(text) == 0 || blankRecord(text, s.delim) {
			continue
		}
		n++
		cells, scratch = Cells(text, s.delim, cells, scratch)
		yield(cells)
	}
}

// blankRecord says whether all cells of a record are blank.
func blankRecord(text []byte, delim byte) bool {
	for len(text) > 0 {
		c := text[0]
		switch {
		case c == delim || c <= ' ' || c == '"':
			text = text[1:]
			continue
		case c < utf8.RuneSelf:
			return false
		}
		r, n := utf8.DecodeRune(text)
		if !unicode.IsSpace(r) && !schema.Invisible(r) {
			return false
		}
		text = text[n:]
	}
	return true
}
