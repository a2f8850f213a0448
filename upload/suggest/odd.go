package suggest

import (
	"cmp"
	"html"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"

	"kith/schema"
)

// odd is a way in which values of a column are not what they were: how many there are, and the first.
type odd struct {
	rows   int
	sample string
}

func (o *odd) count(v string, is bool) {
	if is {
		if o.rows++; o.rows == 1 {
			o.sample = v
		}
	}
}

// oddities are what other programs have done to values before they came here.
type oddities struct {
	misread   odd    // read in a wrong encoding
	lost      odd    // letters became U+FFFD
	asks      odd    // letters may have become question marks
	escaped   odd    // letters are written as HTML has them
	guarded   odd    // an apostrophe keeps a spreadsheet from taking the value for a number; in a column where all values have it it is gone already
	addressed odd    // more than a plain e-mail address
	several   odd    // phone numbers
	serial    odd    // days as spreadsheets count them
	whole     odd    // whole numbers with a fraction, 1001.0
	cut       odd    // whole numbers whose digits end behind the fifteenth
	short     odd    // different numbers that are shorter than those with zeros before them
	padded    string // one of these
	long      int    // whole numbers of more than fifteen digits
}

var (
	aGuard   = regexp.MustCompile(`^('[+0-9][0-9 ()/.-]*|=".*")$`)
	anEscape = regexp.MustCompile(`&([a-zA-Z]{2,8}|#[0-9]{2,6}|#[xX][0-9a-fA-F]{2,5});`)
	aWhole   = regexp.MustCompile(`^\d{4,}[.,]0$`)
	aSerial  = regexp.MustCompile(`^[1-6]\d{4}(\.0+)?$`)
	another  = regexp.MustCompile(`\s*:::\s*|\s*[;,|\n]\s*|\s+/\s+|\s+(?:or|oder|ou|und|and|et|y|e|o)\s+`)
)

// count counts what is odd about a value.
func (o *oddities) count(v string) {
	if was := misread(v); was != "" {
		o.misread.count(v, true)
	}
	o.lost.count(v, strings.ContainsRune(v, utf8.RuneError))
	o.escaped.count(v, strings.IndexByte(v, '&') >= 0 && anEscape.MatchString(v))
	o.guarded.count(v, (v[0] == '\'' || v[0] == '=') && aGuard.MatchString(v))
	o.whole.count(v, v[len(v)-1] == '0' && aWhole.MatchString(v))
	o.serial.count(v, aSerial.MatchString(v))
	if i := strings.IndexByte(v, '?'); i >= 0 {
		r, _ := utf8.DecodeLastRuneInString(v[:i])
		next, _ := utf8.DecodeRuneInString(v[i+1:])
		o.asks.count(v, unicode.IsLetter(r) || unicode.IsLetter(next))
	}
	if numbers := another.Split(v, 3); len(numbers) > 1 {
		o.several.count(v, digits(numbers[0]) > 6 && digits(numbers[1]) > 6)
	}
	if len(v) > wholeDigits && strings.Trim(v, "0123456789") == "" {
		o.long++
		o.cut.count(v, strings.Trim(v[wholeDigits:], "0") == "")
	}
}

// wholeDigits is how many digits of a number a spreadsheet keeps.
const wholeDigits = 15

// serialDay is the day that a number means to a spreadsheet.
func serialDay(v string) string {
	days := 0
	for _, c := range strings.SplitN(v, ".", 2)[0] {
		days = 10*days + int(c-'0')
	}
	return time.Date(1899, 12, 30+days, 0, 0, 0, 0, time.UTC).Format(time.DateOnly)
}

// ansi are the encodings in which programs of Windows read what is UTF-8.
var ansi = []*charmap.Charmap{charmap.Windows1252, charmap.Windows1250, charmap.Windows1251, charmap.Windows1254}

// misread returns what a value was before a program read it in a wrong encoding, and "" when none did: "KÃ¶ln" was "Köln". What a text of letters is by
// chance, as VLĂŞCEANU is, has no sign in it and is short.
func misread(v string) string {
	if len(v) > 4*255 || strings.IndexFunc(v, func(r rune) bool { return r >= utf8.RuneSelf }) < 0 {
		return ""
	}
	var buf [4 * 255]byte
next:
	for _, cm := range ansi {
		b, signs := buf[:0], 0
		for _, r := range v {
			c, ok := cm.EncodeRune(r)
			if 0x80 <= r && r < 0xa0 { // what the encoding has no character for
				c, ok = byte(r), true
			}
			if !ok {
				continue next
			}
			if r >= utf8.RuneSelf && !unicode.IsLetter(r) {
				signs++
			}
			b = append(b, c)
		}
		several, western := 0, false
		for rest := b; len(rest) > 0; {
			r, n := utf8.DecodeRune(rest)
			rest = rest[n:]
			switch {
			case n == 1 && r == utf8.RuneError, n > 1 && !unicode.IsLetter(r) && !unicode.IsMark(r) && !unicode.IsPunct(r) && !unicode.IsSpace(r) && !unicode.IsSymbol(r):
				continue next
			case n > 1:
				several++
				western = western || r < 0x180 || r == 'ș' || r == 'ț' || n > 2 // what CAFÉ–BAR could be is none
			}
		}
		if several > 2 || several > 0 && signs > 0 && western {
			return string(b)
		}
	}
	return ""
}

// of people and places are the attributes whose values have no question marks.
var plainNames = words("FirstName MiddleName LastName City Address1 Address2 State Province County Country")

// warnOfOddities says what other programs have done to the values of a column.
func (c *Column) warnOfOddities(add func(level Level, code, column, format string, args ...any)) {
	if c.Target == "" {
		return
	}
	name := short(c.Name)
	const again = "they are stored as they are. Export them again from where they came from, as UTF-8."
	if o := c.odd.misread; o.rows > 0 {
		add(Doubt, "letters-spoilt", c.Name, "Of column %q, values of %s were read in a wrong encoding by some program: %q seems to have been %q; "+again, name, rows(o.rows), short(o.sample), short(misread(o.sample)))
	}
	if o := c.odd.lost; o.rows > 0 {
		add(Doubt, "letters-spoilt", c.Name, "Of column %q, values of %s have lost letters, as %q has; "+again, name, rows(o.rows), short(o.sample))
	}
	if o := c.odd.asks; o.rows > 0 && plainNames[c.Target[strings.LastIndexByte(c.Target, '.')+1:]] && !strings.HasPrefix(c.Target, "Attributes.") {
		add(Doubt, "letters-spoilt", c.Name, "Of column %q, values of %s may have lost letters to question marks, as %q; "+again, name, rows(o.rows), short(o.sample))
	}
	if o := c.odd.escaped; o.rows > 0 {
		add(Doubt, "letters-spoilt", c.Name, "Of column %q, values of %s are written as in web pages: %q is %q; they are stored as they are. Export them again as plain text.", name, rows(o.rows), short(o.sample), short(html.UnescapeString(o.sample)))
	}
	if o := c.odd.guarded; o.rows > 0 && o.rows < c.Filled {
		add(Doubt, "values-guarded", c.Name, "Of column %q, values of %s have the apostrophe or the =\"…\" before them that keeps spreadsheets from reading numbers, as %q has, and others have not: they are stored with it. Export the column as text.", name, rows(o.rows), short(o.sample))
	}
	if o := c.odd.whole; o.rows > 0 && o.rows < c.Filled && (c.Target == "AccountNumber" || strings.HasSuffix(c.Target, "PhoneNumber") || strings.HasSuffix(c.Target, "PostalCode")) {
		add(Doubt, "values-guarded", c.Name, "Of column %q, numbers of %s have a fraction, as %s has, and others have not: they are stored with it. Export the column as text.", name, rows(o.rows), short(o.sample))
	}
	if o := c.odd.serial; c.Target == "BirthDate" && c.mostly(o.rows) {
		add(Doubt, "dates-are-numbers", c.Name, "Column %q has numbers, as spreadsheets count days (%s would be %s): they are stored as they are. Format the column as dates, and export it again.", name, o.sample, serialDay(o.sample))
	}
	if o := c.odd.several; o.rows > 0 && strings.HasSuffix(c.Target, "PhoneNumber") {
		add(Doubt, "more-than-a-number", c.Name, "Of column %q, values of %s hold more than one phone number, as %q does: they are stored as they are. Where their country is known people are found by the first one, else by neither.", name, rows(o.rows), short(o.sample))
	}
	if o := c.odd.cut; o.rows > 0 && o.rows == c.odd.long && strings.HasSuffix(o.sample, "00") {
		add(Doubt, "values-spoilt", c.Name, "Of column %q, numbers of %s have zeros from the sixteenth digit on, as %s has: a spreadsheet keeps fifteen digits of a number. If there were others, format the column as text, and export it again.", name, rows(o.rows), short(o.sample))
	}
}

// headerIsStrange says what is doubtful about the header itself: that it is a column of names which the table has for lines, or a customer like the others.
func (p *Proposal) headerIsStrange(t Table, add func(level Level, code, column, format string, args ...any)) {
	if v := p.explained(t); v != "" {
		add(Doubt, "row-explains", "", "The first row below the header seems to explain the columns, as %q does, and would become a customer: take that line out of the file, or say that it is the header.", short(v))
	}
	if c := &p.Columns[0]; Knows(c.Name) && c.Filled > 0 && c.Distinct == c.Filled && c.Filled == p.Rows && p.Rows < maxFields {
		names := 0
		for _, v := range c.Samples {
			if Knows(v) && meaning(v) != meaning(c.Name) {
				names++
			}
		}
		if names == len(c.Samples) {
			add(Stop, "transposed", c.Name, "The table seems to lie on its side: names of columns, such as %q, stand below each other. Turn it, so that each customer is a row, and import that.", short(c.Samples[0]))
			return
		}
	}
	for i := range p.Columns {
		if c := &p.Columns[i]; c.settled || c.asked || c.Twice || Knows(c.Name) || c.Name != "" && saysNothing(c.Name) {
			return
		}
	}
	if p.Key >= 0 {
		add(Doubt, "header-unknown", "", "None of the names in the header is known, as if %s belonged to a customer and not to columns. If so, write the names of the columns above it; else say what the columns are.", some([]string{p.Columns[p.Key].Name}, 1))
	}
}

// explained returns a cell of the first row that is another name of its column, if most cells of the row are.
func (p *Proposal) explained(t Table) (v string) {
	if len(t.Rows) == 0 {
		return ""
	}
	names, filled := 0, 0
	for _, c := range p.Columns {
		if c.Number >= len(t.Rows[0]) || c.split() && c.Target == "LastName" {
			continue
		}
		cell := schema.ColumnName(t.Rows[0][c.Number])
		if cell == "" {
			continue
		}
		filled++
		if Knows(cell) && Knows(c.Name) && (meaning(cell) == meaning(c.Name) || isFullName(cell) && isFullName(c.Name)) {
			names++
			v = cmp.Or(v, cell)
		}
	}
	if names < 2 || 3*names < 2*filled {
		return ""
	}
	return v
}
