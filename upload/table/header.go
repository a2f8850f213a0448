package table

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
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
	// Known says whether a name is that of a column of customers; nil: of no name that is known.
	Known func(name string) bool
}

// How much of a text tells its layout.
const (
	layoutBytes   = 256 << 10
	layoutRecords = 1000
	maxTitle      = 20 // records before the header
	minWrapped    = 3  // cells of a record that stands in quotes as a whole where others do not
)

// Header finds the header: the first record whose cells bind accepts, among the first that are not blank. Its delimiter is the one by which
// the first thousand records agree best that bind accepts it with. A line "sep=;" at the start is obeyed. When bind accepts none, the error is that for
// the first record that looks like a header. Errors are FileErrors, those of bind, or those of reading.
func (s *Scanner) Header(l Layout, bind func(names []string) error) error {
	t, err := s.openTop(l)
	if err != nil {
		return err
	}
	var unreadable, likely, first error
	for _, v := range t.votes {
		t.obey(v)
		for i, c := range t.candidates(v.width) {
			err := c.err
			if err == nil {
				err = bind(c.names)
			}
			if err == nil {
				t.take(c)
				return nil
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
	return cmp.Or(unreadable, likely, first, t.nothing())
}

// LikelyHeader finds the header without knowing any of its names: the first record that looks like one, else the first of all. It
// returns the names as they are in the file. Errors are FileErrors, or those of reading.
func (s *Scanner) LikelyHeader(l Layout) (names []string, err error) {
	t, err := s.openTop(l)
	if err != nil {
		return nil, err
	}
	t.obey(t.votes[0])
	all := t.candidates(t.votes[0].width)
	if len(all) == 0 {
		return nil, t.nothing()
	}
	at := max(0, slices.IndexFunc(all, func(c candidate) bool { return c.likely }))
	if at+1 < len(all) && all[at+1].likely && all[at].groups() && !all[at+1].groups() {
		at++
	}
	if at+1 < len(all) && all[at+1].likely && l.count(all[at+1].names) > 1+2*l.count(all[at].names) {
		at++ // a title of several cells is above it
	}
	c := all[at]
	if c.err != nil {
		return nil, c.err
	}
	t.take(c)
	return c.names, nil
}

// count counts the names that are known.
func (l *Layout) count(names []string) (n int) {
	for _, name := range names {
		if l.Known != nil && l.Known(name) {
			n++
		}
	}
	return n
}

// nothing is the error for a text in which no record can be the header.
func (t *top) nothing() error {
	if t.known.Line > 0 && len(t.window) > 0 {
		return &FileError{"header-line", fmt.Sprintf("The file has no line %d that could be the header: there is nothing in it, nor in the next ones, within the first %d bytes.", t.known.Line, layoutBytes)}
	}
	return &FileError{"empty-file", "The file is empty: it needs a header line with the column names."}
}

// top is what a text begins with.
type top struct {
	*Scanner
	known  Layout
	window []byte
	last   bool   // it is all of the text
	votes  []vote // for what may separate cells, the likeliest first
}

// openTop reads the top of a text.
func (s *Scanner) openTop(l Layout) (t *top, err error) {
	s.lenient = !l.Strict
	t = &top{Scanner: s, known: l}
	if t.window, t.last, err = s.layoutWindow(); err != nil {
		return nil, err
	}
	if s.sheet {
		t.known.Delimiter = ','
	} else if delim, n := sepLine(t.window); n > 0 && !l.Strict {
		s.consume(n, 1)
		t.window = t.window[n:]
		if t.known.Delimiter == 0 && !t.lies(delim) {
			t.known.Delimiter = delim
		}
	}
	if t.known.Delimiter != 0 || l.Strict {
		t.votes = []vote{t.vote(cmp.Or(t.known.Delimiter, ','))}
		return t, nil
	}
	for _, delim := range []byte(Delimiters) {
		t.votes = append(t.votes, t.vote(delim))
	}
	slices.SortStableFunc(t.votes, func(a, b vote) int { return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(b.width, a.width)) })
	for _, delim := range []byte(rareDelimiters) {
		if t.votes[0].width > 1 && t.votes[0].score > 0.5 {
			break
		}
		if v := t.vote(delim); v.unanimous && (v.width > 2 || delim != ':') {
			t.votes = slices.Insert(t.votes, 0, v)
		}
	}
	return t, nil
}

// obey reads the text as a vote says.
func (t *top) obey(v vote) {
	t.delim, t.spaced, t.escaped, t.width = v.delim, v.spaced, v.escaped, 0
	if v.wrapped {
		t.width = v.width
	}
}

// lies says whether a line "sep=" names what separates nothing, while something else separates nearly all records.
func (t *top) lies(delim byte) bool {
	return t.vote(delim).width < 2 && strings.ContainsFunc(Delimiters, func(r rune) bool { v := t.vote(byte(r)); return v.width > 1 && v.score > 0.8 })
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
	if !ok || len(rest) != 1 || !MaySeparate(rest[0]) {
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
	line   int64 // physical line that it begins at
	to     int   // where it ends in the window
	next   int64 // physical line that it ends before
	passed int   // records before it
}

// candidates lists the first records that are not blank, or the one that is to be the header. width is how many cells most records have.
func (t *top) candidates(width int) (all []candidate) {
	most := maxTitle
	if t.known.Strict || t.known.Line > 0 {
		most = 1
	}
	line, passed := t.line, 0
	var known ahead
	for at := 0; at < len(t.window) && len(all) < most; {
		p, first := t.recordAt(at, &known)
		c := candidate{line: line, to: at + p.at, passed: passed}
		switch {
		case p.how != ended && !t.last && c.to >= len(t.window) && len(t.window)-at <= MaxHeader:
			return all // it goes on behind the window
		case p.how == notYet && !p.quoted:
			c.err = errHeaderTooLong
		case p.how != ended:
			c.err = &FileError{"header-quotes", "The header line can't be read: its quotes are not balanced."}
			c.to = at + first // the next line may be the header
		}
		c.text = trimLine(t.window[at:c.to])
		line += t.lines(t.window[at:c.to])
		at, c.next = c.to, line
		if len(c.text) == 0 || !t.known.Strict && blankRecord(c.text, t.delim) || t.known.Line > c.line {
			continue
		}
		passed++
		t.judge(&c, width)
		all = append(all, c)
	}
	return all
}

// recordAt follows the record at a place of the window. first is how long its first line is with its end. Whoever goes through the window hands
// one ahead over, so that all of it takes time linear in the window, as with the records of Next.
func (t *top) recordAt(at int, known *ahead) (p place, first int) {
	rest := t.window[at:]
	nl := t.index(rest, '\n')
	if first = nl + 1; nl < 0 {
		first = len(rest)
	}
	p = t.follow(rest[:first], place{}, t.last && first == len(rest))
	if p.how == notYet && nl >= 0 {
		p = t.lookAhead(known, rest, int64(at), first, t.last)
	}
	return p, first
}

var errHeaderTooLong = &FileError{"header-too-long", fmt.Sprintf("The header line is longer than %d bytes.", MaxHeader)}

// judge splits a candidate, and says whether it looks like a header.
func (t *top) judge(c *candidate, width int) {
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
	cells, _ := t.Split().Cells(c.text, nil, nil)
	filled := 0
	for _, cell := range cells {
		c.names = append(c.names, string(cell))
		if !schema.Blank(cell) {
			filled++
		}
	}
	if t.lenient && slices.Contains(c.names, SafeColumn) {
		for i, name := range c.names {
			c.names[i] = string(Restore([]byte(name)))
		}
	}
	c.likely = 2*filled > width && LooksLikeHeader(c.names) // a title stands in one cell, or a few
}

// groups says whether names stand side by side again, as those over merged cells do: the names of groups of columns, above the columns' own.
func (c *candidate) groups() bool {
	again := 0
	for i := 1; i < len(c.names); i++ {
		if c.names[i] != "" && c.names[i] == c.names[i-1] {
			again++
		}
	}
	return again > 1
}

// inBrackets is what explains a name: e-mail (such as ann@x.example).
var inBrackets = regexp.MustCompile(`\([^()]*\)|\[[^\[\]]*\]`)

// aYear is a name of one of the columns of several years.
var aYear = regexp.MustCompile(`^(19|20)\d\d$`)

// yearsInTurn says whether the cell at a place is one of several years that stand in their order, as columns of turnovers do.
func yearsInTurn(cells []string, at int) bool {
	for _, other := range []int{at - 1, at + 1} {
		if other < 0 || other >= len(cells) || !aYear.MatchString(cells[at]) || !aYear.MatchString(cells[other]) {
			continue
		}
		a, _ := strconv.Atoi(cells[at])
		b, _ := strconv.Atoi(cells[other])
		if a-b == 1 || b-a == 1 {
			return true
		}
	}
	return false
}

// LooksLikeHeader says whether cells may be names of columns: none of them is a number, a date, or an e-mail address. Years in turn are names.
func LooksLikeHeader(cells []string) bool {
	filled := false
	for i, c := range cells {
		if yearsInTurn(cells, i) {
			continue
		}
		if strings.Contains(c, "@") {
			c = inBrackets.ReplaceAllString(c, "")
		}
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
func (t *top) take(c candidate) {
	t.HeaderLine, t.Passed = c.line, c.passed
	if t.width > 0 || len(c.names) >= minWrapped && !t.known.Strict && !t.sheet {
		t.width = len(c.names)
	}
	t.header = bytes.Clone(c.text)
	t.Above = t.linesAbove(t.window[:max(0, bytes.LastIndex(t.window[:c.to], c.text))])
	if t.lenient {
		t.Guarded = t.guarded(c.to, len(c.names))
	}
	t.consume(c.to, c.next-t.line)
}

// linesAbove returns the first lines that are not blank, without blank cells at their ends.
func (t *top) linesAbove(text []byte) (all []string) {
	for line := range bytes.Lines(text) {
		line = schema.Trim(bytes.TrimRight(schema.Trim(line), string(rune(t.delim))+"\""))
		if len(line) > 0 && len(all) < maxTitle {
			all = append(all, strings.ToValidUTF8(string(line), "\uFFFD"))
		}
	}
	return all
}

// guarded tells which columns have guards, by the first records behind the header; nil: none.
func (t *top) guarded(from, columns int) (all []bool) {
	filled, guards, fractions, long := make([]int, columns), make([]int, columns), make([]int, columns), make([]bool, columns)
	t.records(from, func(cells [][]byte) {
		for i, c := range cells[:min(len(cells), columns)] {
			if c = schema.Trim(c); len(c) > 0 {
				filled[i]++
				if isWhole(c) {
					fractions[i]++
					long[i] = long[i] || len(c) >= longWhole
				} else if len(Unguard(c)) < len(c) {
					guards[i]++
				}
			}
		}
	})
	for i := range columns {
		if filled[i] > 0 && (guards[i] == filled[i] || fractions[i] == filled[i] && long[i]) {
			if all == nil {
				all = make([]bool, columns)
			}
			all[i] = true
		}
	}
	return all
}

// mailto stands before the address of a link.
const mailto = "mailto:"

// Unguard returns a value without what keeps a spreadsheet from taking it for a number ('007 or ="007"), the apostrophes that some programs use for quotes ('Ann'), the
// fraction of a whole number (1001.0), and what makes an e-mail address a link (mailto:ann@x.example).
func Unguard(v []byte) []byte {
	n := len(v)
	switch {
	case n > 2 && v[0] == '=' && v[1] == '"' && v[n-1] == '"':
		return v[2 : n-1]
	case n > 1 && v[0] == '\'' && v[n-1] == '\'':
		if v = v[1 : n-1]; bytes.Contains(v, []byte("''")) {
			v = bytes.ReplaceAll(v, []byte("''"), []byte("'"))
		}
		return v
	case n > 1 && v[0] == '\'' && bytes.IndexByte(v[1:], '\'') < 0:
		return v[1:]
	case n > len(mailto) && bytes.EqualFold(v[:len(mailto)], []byte(mailto)):
		return v[len(mailto):]
	case isWhole(v):
		return v[:n-2]
	}
	return v
}

// isWhole says whether a text is a whole number with the fraction that programs give it which have read it as one with fractions, in English or not.
func isWhole(v []byte) bool {
	n := len(v) - 2
	return n > 0 && v[n+1] == '0' && (v[n] == '.' || v[n] == ',') && len(bytes.Trim(v[:n], "0123456789")) == 0
}

// longWhole is how long one of the numbers of a column must be for their fractions to be without a meaning: marks from 1.0 to 5.0 stay.
const longWhole = len("1001.0")

// vote is what speaks for a delimiter.
type vote struct {
	delim           byte
	spaced, escaped bool
	score           float64
	width           int
	wrapped         bool // every record stands in quotes as a whole
	// unanimous says that there are several records, and all have the same number of cells.
	unanimous bool
}

// spacedQuotes says whether blanks stand before quotes that open cells, and in most of the cells that have them.
func spacedQuotes(text []byte, delim byte) bool {
	plain, spaced := 0, 0
	d := Split{Delim: delim, Spaced: true}
	for i := bytes.IndexByte(text, delim); i >= 0; {
		text = text[i+1:]
		switch q := d.opens(text); {
		case q == 0:
			plain++
		case q > 0:
			spaced++
		}
		i = bytes.IndexByte(text, delim)
	}
	return spaced > plain
}

// escapes says whether backslashes stand before quotes that belong to cells: fewer records are unsound if they do.
func (t *top) escapes() bool {
	if t.sheet || !bytes.Contains(t.window, []byte(`\"`)) {
		return false
	}
	without := t.unsound()
	t.escaped = true
	with := t.unsound()
	t.escaped = false
	return with < without
}

// unsound counts those of the first records that can't be read.
func (t *top) unsound() (n int) {
	var known ahead
	for at, records := 0, 0; at < len(t.window) && records < layoutRecords; records++ {
		p, first := t.recordAt(at, &known)
		switch {
		case p.how == ended:
			at += p.at
			continue
		case p.how == notYet && !t.last:
			return n // it goes on behind the window
		}
		n++
		at += first
	}
	return n
}

// vote says how many of the first records have the same number of cells, if it is more than one; blank cells at a record's end don't count. Where
// cells begin with a blank, or hold what else may be a delimiter, it is more likely a sign within a text.
func (t *top) vote(delim byte) vote {
	t.delim, t.spaced, t.escaped = delim, !t.known.Strict && spacedQuotes(t.window, delim), false
	t.escaped, t.width = !t.known.Strict && t.escapes(), 0
	widths := map[int]int{}
	records, cells, doubtful := 0, 0, 0
	t.records(0, func(row [][]byte) {
		records++
		n := 0
		for i, c := range row {
			if !schema.Blank(c) {
				n = i + 1
			}
			cells++
			if i > 0 && len(c) > 1 && c[0] == ' ' || strings.IndexFunc(Delimiters, func(r rune) bool { return byte(r) != delim && bytes.IndexByte(c, byte(r)) >= 0 }) >= 0 {
				doubtful++
			}
		}
		widths[n]++
	})
	v := vote{delim: delim, spaced: t.spaced, escaped: t.escaped}
	for n, times := range widths {
		if score := float64(times) / float64(records); n > 1 && (score > v.score || score == v.score && n > v.width) {
			v.score, v.width = score, n
		}
	}
	if n := t.wrapped(); v.width < 2 && n > 1 {
		v.wrapped, v.width, v.score = true, n, 1
	}
	v.unanimous = records > 1 && v.width > 1 && len(widths) == 1
	if v.width > 1 && !v.wrapped {
		v.score = math.Max(0.01, v.score-float64(doubtful)/float64(2*cells))
	}
	return v
}

// wrapped returns how many cells all the first records have that stand in quotes as a whole, or 0.
func (t *top) wrapped() (width int) {
	if t.known.Strict || t.sheet || len(t.window) == 0 || t.window[0] != '"' {
		return 0
	}
	records := 0
	t.records(0, func(cells [][]byte) {
		n := 0
		if len(cells) == 1 {
			n = len(t.Split().unwrap(cells[0]))
		}
		if records++; records == 1 {
			width = n
		}
		if n != width {
			width = 0
		}
	})
	if records < 2 {
		return 0
	}
	return width
}

// records calls yield with the cells of the first records from a place of the window on that are sound and not blank.
func (t *top) records(at int, yield func(cells [][]byte)) {
	var cells [][]byte
	var scratch []byte
	var known ahead
	for n := 0; at < len(t.window) && n < layoutRecords; {
		p, first := t.recordAt(at, &known)
		if p.how == notYet && !t.last {
			return // it goes on behind the window
		}
		if p.how != ended {
			at += first
			continue
		}
		text := trimLine(t.window[at : at+p.at])
		at += p.at
		if len(text) == 0 || blankRecord(text, t.delim) {
			continue
		}
		n++
		cells, scratch = t.Split().Cells(text, cells, scratch)
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
