package objecttype

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// EpochMilli is the SourceLastUpdatedTimestampFormat of milliseconds since 1970.
const EpochMilli = "EpochMilli"

// timeFormat reads the times of a type's SourceLastUpdatedTimestampFormat: EpochMilli, or a pattern of Java's SimpleDateFormat.
type timeFormat struct {
	pattern string
	steps   []timeStep
}

// timeStep is a piece of a pattern: text that must stand there, or a field.
type timeStep struct {
	letter byte // 0: text
	count  int
	text   string
	// exact says that a number has just count digits: another number follows without anything between them.
	exact bool
}

// timeLetters are the letters of patterns that are understood, with what numbers of theirs may be.
var timeLetters = map[byte]struct{ min, max int }{
	'y': {0, 9999}, 'M': {1, 12}, 'L': {1, 12}, 'd': {1, 31}, 'H': {0, 23}, 'k': {1, 24}, 'K': {0, 11}, 'h': {1, 12}, 'm': {0, 59}, 's': {0, 60},
	'S': {0, 999_999_999}, 'D': {1, 366}, 'a': {}, 'E': {}, 'z': {}, 'Z': {}, 'X': {}, 'G': {},
}

// parseTimeFormat reads a SourceLastUpdatedTimestampFormat. The error is a sentence that lacks its end.
func parseTimeFormat(pattern string) (*timeFormat, error) {
	f := &timeFormat{pattern: pattern}
	if pattern == EpochMilli {
		return f, nil
	}
	for rest := pattern; rest != ""; {
		var s timeStep
		switch c := rest[0]; {
		case c == '\'':
			text, left, err := quoted(rest)
			if err != nil {
				return nil, fmt.Errorf("%w in %q", err, pattern)
			}
			s.text, rest = text, left
		case isLetter(c):
			if _, ok := timeLetters[c]; !ok {
				return nil, fmt.Errorf("%q is neither EpochMilli nor a pattern: the letter %q means nothing that can be read back. Known are y M L d D H k K h m s S a E z Z X G; put text between single quotes, as in yyyy-MM-dd'T'HH:mm:ss'Z'", pattern, string(c))
			}
			n := len(rest) - len(strings.TrimLeft(rest, string(c)))
			if c == 'X' && n > 3 {
				return nil, fmt.Errorf("%q has more than three X; a time zone is X, XX or XXX", pattern)
			}
			s.letter, s.count, rest = c, n, rest[n:]
		default:
			n := strings.IndexFunc(rest, func(r rune) bool { return r == '\'' || r < 0x80 && isLetter(byte(r)) })
			if n < 0 {
				n = len(rest)
			}
			s.text, rest = rest[:n], rest[n:]
		}
		if last := len(f.steps) - 1; last >= 0 && s.number() && f.steps[last].number() {
			f.steps[last].exact = true
		}
		f.steps = append(f.steps, s)
	}
	for _, s := range f.steps {
		if s.letter == 'y' {
			return f, nil
		}
	}
	return nil, fmt.Errorf("%q has no year (y), so it tells no time", pattern)
}

// quoted reads text between single quotes, in which two stand for one.
func quoted(rest string) (text, left string, err error) {
	if strings.HasPrefix(rest, "''") {
		return "'", rest[2:], nil
	}
	var b strings.Builder
	for i := 1; i < len(rest); i++ {
		switch {
		case rest[i] != '\'':
			b.WriteByte(rest[i])
		case i+1 < len(rest) && rest[i+1] == '\'':
			b.WriteByte('\'')
			i++
		default:
			return b.String(), rest[i+1:], nil
		}
	}
	return "", "", fmt.Errorf("a single quote is not closed")
}

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }

// number says whether a step reads digits.
func (s *timeStep) number() bool {
	switch s.letter {
	case 0, 'a', 'E', 'z', 'Z', 'X', 'G':
		return false
	case 'M', 'L':
		return s.count < 3
	}
	return true
}

// moment is what has been read of a time.
type moment struct {
	year, month, day, yearDay int
	hour, minute, second      int
	nanos                     int
	pm, half                  bool // half: the hour is one of twelve
	bc                        bool
	zone                      *time.Location
}

// parse returns the time of a text in microseconds since 1970. Without a zone it is UTC.
func (f *timeFormat) parse(text string) (micros int64, ok bool) {
	text = strings.TrimSpace(text)
	if f.pattern == EpochMilli {
		n, err := strconv.ParseInt(text, 10, 64)
		return n * 1000, err == nil && n > -1<<52 && n < 1<<52
	}
	m := moment{year: 1970, month: 1, day: 1, zone: time.UTC}
	for i := range f.steps {
		if text, ok = f.steps[i].read(text, &m); !ok {
			return 0, false
		}
	}
	if text != "" {
		return 0, false
	}
	return m.micros()
}

func (m *moment) micros() (int64, bool) {
	if m.half {
		if m.hour %= 12; m.pm {
			m.hour += 12
		}
	}
	if m.bc {
		m.year = 1 - m.year
	}
	if m.yearDay > 0 {
		m.month, m.day = 1, m.yearDay
	}
	t := time.Date(m.year, time.Month(m.month), m.day, m.hour, m.minute, m.second, m.nanos, m.zone)
	if m.yearDay == 0 && t.Day() != m.day { // the 30th of February
		return 0, false
	}
	return t.UnixMicro(), true
}

// read reads a step of a text and returns what follows.
func (s *timeStep) read(text string, m *moment) (rest string, ok bool) {
	switch {
	case s.letter == 0:
		return strings.CutPrefix(text, s.text)
	case s.number():
		return s.readNumber(text, m)
	}
	switch s.letter {
	case 'M', 'L':
		n := 0
		if n, rest, ok = name(text, months); ok {
			m.month = n + 1
		}
	case 'E':
		_, rest, ok = name(text, weekdays)
	case 'a':
		n := 0
		if n, rest, ok = name(text, []string{"AM", "PM"}); ok {
			m.pm = n == 1
		}
	case 'G':
		n := 0
		if n, rest, ok = name(text, []string{"AD", "BC"}); ok {
			m.bc = n == 1
		}
	default:
		m.zone, rest, ok = s.readZone(text)
	}
	return rest, ok
}

func (s *timeStep) readNumber(text string, m *moment) (rest string, ok bool) {
	n := 0
	for n < len(text) && n < 9 && text[n]-'0' <= 9 && !(s.exact && n == s.count) {
		n++
	}
	v, err := strconv.Atoi(text[:n])
	limits := timeLetters[s.letter]
	if err != nil || v < limits.min || v > limits.max {
		return "", false
	}
	switch s.letter {
	case 'y':
		if m.year = v; s.count == 2 && n == 2 {
			if m.year += 1900; v < 70 { // a fixed window, so that a text always means the same
				m.year += 100
			}
		}
	case 'M', 'L':
		m.month = v
	case 'd':
		m.day = v
	case 'D':
		m.yearDay = v
	case 'H', 'k':
		m.hour = v % 24
	case 'K', 'h':
		m.hour, m.half = v, true
	case 'm':
		m.minute = v
	case 's':
		m.second = v
	case 'S': // of a second: what follows the point, as sources write it
		for m.nanos = v; n < 9; n++ {
			m.nanos *= 10
		}
		return text[len(text)-len(strings.TrimLeft(text, "0123456789")):], true
	}
	return text[n:], true
}

var (
	months   = []string{"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"}
	weekdays = []string{"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"}
)

// name reads a name in full, or its first three letters, in any case.
func name(text string, names []string) (at int, rest string, ok bool) {
	for i, full := range names {
		for _, n := range []int{len(full), min(3, len(full))} {
			if len(text) >= n && strings.EqualFold(text[:n], full[:n]) {
				return i, text[n:], true
			}
		}
	}
	return 0, "", false
}

// zones are the names of time zones that are read: those that mean one thing.
var zones = map[string]int{"UTC": 0, "GMT": 0, "UT": 0, "Z": 0, "EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7, "CET": 1, "CEST": 2}

// readZone reads a time zone: Z, +01, +0100, +01:00, GMT+1:00, or a name.
func (s *timeStep) readZone(text string) (zone *time.Location, rest string, ok bool) {
	n := 0
	for n < len(text) && isLetter(text[n]) {
		n++
	}
	word := strings.ToUpper(text[:n])
	hours, known := zones[word]
	if n > 0 && !known || s.letter == 'X' && n > 0 && word != "Z" {
		return nil, "", false
	}
	if rest = text[n:]; rest == "" || rest[0] != '+' && rest[0] != '-' || n > 0 && word != "GMT" && word != "UTC" {
		return time.FixedZone("", hours*3600), rest, n > 0
	}
	sign := 1
	if rest[0] == '-' {
		sign = -1
	}
	digits, i := "", 1
	for ; i < len(rest) && len(digits) < 4 && (rest[i]-'0' <= 9 || rest[i] == ':' && len(digits) > 0 && len(digits) < 3); i++ {
		if rest[i] != ':' {
			digits += rest[i : i+1]
		}
	}
	switch len(digits) {
	case 1, 2:
		digits = digits + "00"
	case 0:
		return nil, "", false
	}
	v, err := strconv.Atoi(digits)
	if err != nil || v/100 > 18 || v%100 > 59 {
		return nil, "", false
	}
	return time.FixedZone("", sign*(v/100*3600+v%100*60)), rest[i:], true
}
