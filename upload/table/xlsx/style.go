package xlsx

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
)

// kind is what a number is by its format.
type kind byte

const (
	number   kind = iota
	date          // a day
	moment        // a day with a time
	daytime       // a time
	duration      // hours, also more than 24
	zeros         // digits, with leading zeros and signs between them
)

// format is how a number is shown, as far as it changes what it says.
type format struct {
	kind    kind
	pattern string // of zeros
}

// Bounds of styles.
const (
	maxStyles  = 100_000
	maxPattern = 40
)

var errStyles = &Error{"file-styles", fmt.Sprintf("The workbook has more than %d cell formats, which no spreadsheet program writes. Export the sheet as CSV.", maxStyles)}

// loadStyles reads the formats of cells, by their numbers.
func loadStyles(r io.Reader) (styles []format, err error) {
	codes := map[int]format{}
	p := newParser(r)
	in := 0 // depth of <cellXfs>
	for {
		e, err := p.next()
		switch {
		case err != nil:
			return nil, err
		case e == atEnd:
			return styles, nil
		case e == closed && p.depth < in:
			in = 0
		case e != opened:
		case string(p.name) == "numFmt" && len(codes) < maxStyles:
			if id, err := strconv.Atoi(string(p.attr("numFmtId"))); err == nil {
				codes[id] = byCode(string(p.attr("formatCode")))
			}
		case string(p.name) == "cellXfs":
			in = p.depth
		case string(p.name) == "xf" && in > 0:
			if len(styles) == maxStyles {
				return nil, errStyles
			}
			id, _ := strconv.Atoi(string(p.attr("numFmtId")))
			f, ok := codes[id]
			if !ok {
				f = builtin(id)
			}
			styles = append(styles, f)
		}
	}
}

// builtin returns the format of a number below 164, which a workbook need not spell out. What 27 to 36 and 50 to 58 are depends on the language of
// the program: dates, or times.
func builtin(id int) format {
	switch {
	case 14 <= id && id <= 17:
		return format{kind: date}
	case 18 <= id && id <= 21, id == 45, id == 47:
		return format{kind: daytime}
	case id == 22, 27 <= id && id <= 36, 50 <= id && id <= 58:
		return format{kind: moment}
	case id == 46:
		return format{kind: duration}
	}
	return format{}
}

// byCode says what a format code makes of a number.
func byCode(code string) format {
	section, _, _ := strings.Cut(code, ";")
	if f, ok := byZeros(section); ok {
		return f
	}
	var days, months, hours, elapsed bool
	for i := 0; i < len(section); i++ {
		switch c := section[i] | 0x20; { // in lower case, if it is a letter
		case section[i] == '"':
			n := strings.IndexByte(section[i+1:], '"')
			if n < 0 {
				n = len(section)
			}
			i += n + 1
		case section[i] == '\\', section[i] == '_', section[i] == '*':
			i++
		case section[i] == '[':
			n := strings.IndexByte(section[i:], ']')
			if n < 0 {
				n = len(section)
			} else if in := strings.ToLower(section[i+1 : i+n]); in != "" && strings.Trim(in, in[:1]) == "" && strings.Contains("hms", in[:1]) {
				elapsed = true
			}
			i += n
		case strings.HasPrefix(strings.ToLower(section[i:]), "general"):
			i += len("general") - 1
		case strings.HasPrefix(strings.ToLower(section[i:]), "am/pm"):
			i += len("am/pm") - 1
			hours = true
		case c == 'y' || c == 'd':
			days = true
		case c == 'm':
			months = true
		case c == 'h' || c == 's':
			hours = true
		}
	}
	switch {
	case elapsed:
		return format{kind: duration}
	case days && hours:
		return format{kind: moment}
	case hours:
		return format{kind: daytime} // m is of minutes then
	case days || months:
		return format{kind: date}
	}
	return format{}
}

// byZeros recognises formats of nothing but digits, such as 00000 for postal codes and 000\-00\-0000: leading zeros are part of the value.
func byZeros(section string) (format, bool) {
	pattern := strings.NewReplacer(`\`, "", `"`, "").Replace(section)
	n := strings.Count(pattern, "0")
	return format{zeros, pattern}, n > 1 && len(pattern) <= maxPattern && strings.Trim(pattern, "0 -()/") == ""
}

// appendNumber appends a number as it is shown in its format, but with all its digits.
func appendNumber(dst, v []byte, f format, since1904 bool) []byte {
	x, ok := parse(v)
	switch {
	case !ok:
		return append(dst, v...)
	case f.kind == zeros:
		if text, ok := fillZeros(f.pattern, v, x); ok {
			return append(dst, text...)
		}
	case f.kind != number:
		if text, ok := dateText(x, f.kind, since1904); ok {
			return append(dst, text...)
		}
	}
	return appendPlain(dst, v, x)
}

func parse(v []byte) (float64, bool) {
	if len(v) > 400 || len(bytes.Trim(v, "0123456789+-.eE")) > 0 {
		return 0, false
	}
	x, err := strconv.ParseFloat(string(v), 64)
	return x, err == nil
}

// exactDigits is how many digits of a number a workbook's numbers hold; Excel shows no more.
const exactDigits = 15

// appendPlain appends a number without an exponent: whole numbers as they are, others with the digits that count.
func appendPlain(dst, v []byte, x float64) []byte {
	if digits := bytes.TrimPrefix(v, []byte("-")); len(bytes.Trim(digits, "0123456789")) == 0 {
		return append(dst, v...)
	}
	if a := math.Abs(x); a != 0 && (a >= 1e21 || a < 1e-9) {
		return append(dst, v...)
	}
	if rounded, err := strconv.ParseFloat(strconv.FormatFloat(x, 'g', exactDigits, 64), 64); err == nil {
		x = rounded
	}
	if x == 0 {
		x = 0 // not -0
	}
	return strconv.AppendFloat(dst, x, 'f', -1, 64)
}

// fillZeros puts the digits of a number into a pattern, from its end.
func fillZeros(pattern string, v []byte, x float64) (string, bool) {
	if x < 0 || x != math.Trunc(x) || x >= 1e15 {
		return "", false
	}
	digits := strconv.FormatFloat(x, 'f', 0, 64)
	out := []byte(pattern)
	at := len(digits)
	first := -1
	for i := len(out) - 1; i >= 0; i-- {
		if out[i] != '0' {
			continue
		}
		first = i
		if at > 0 {
			at--
			out[i] = digits[at]
		}
	}
	return string(out[:first]) + digits[:at] + string(out[first:]), true
}

// Days that a workbook may count from, and the last one: that before the year 10000.
var (
	from1900 = time.Date(1899, 12, 31, 0, 0, 0, 0, time.UTC)
	from1904 = time.Date(1904, 1, 1, 0, 0, 0, 0, time.UTC)
)

const (
	daySeconds = 24 * 60 * 60
	leapOf1900 = 60 // the 29th of February 1900, which there was only in Lotus 1-2-3
	lastDay    = 2958466
)

// dateText writes the days since the workbook's first one as a date or a time in ISO form. Not ok: it is none, which spreadsheets show as #####.
func dateText(x float64, k kind, since1904 bool) (string, bool) {
	if x < 0 || x >= lastDay {
		return "", false
	}
	seconds := int64(math.Round(x * daySeconds))
	if k == date {
		seconds = int64(x) * daySeconds
	}
	day, of := seconds/daySeconds, seconds%daySeconds
	clock := fmt.Sprintf("%02d:%02d:%02d", of/3600, of/60%60, of%60)
	switch {
	case k == duration:
		return fmt.Sprintf("%02d:%02d:%02d", seconds/3600, of/60%60, of%60), true
	case k == daytime, k == moment && day == 0:
		return clock, true
	case day == 0 && !since1904:
		return "", false
	}
	var text string
	switch {
	case since1904:
		text = from1904.AddDate(0, 0, int(day)).Format(time.DateOnly)
	case day == leapOf1900:
		text = "1900-02-29"
	case day > leapOf1900:
		text = from1900.AddDate(0, 0, int(day)-1).Format(time.DateOnly)
	default:
		text = from1900.AddDate(0, 0, int(day)).Format(time.DateOnly)
	}
	if k == moment && of != 0 {
		text += "T" + clock
	}
	return text, true
}

// isoDay takes the midnight off a date that is written as one, as workbooks of the strict kind have it.
func isoDay(v []byte) []byte {
	v = bytes.TrimSuffix(v, []byte("Z"))
	if i := bytes.IndexByte(v, 'T'); i > 0 && len(bytes.Trim(v[i+1:], "0:.")) == 0 {
		return v[:i]
	}
	return v
}

// unescapeHex replaces _x000D_ and the like, by which workbooks write characters that XML has no place for.
func unescapeHex(s []byte) []byte {
	const length = len("_x000D_")
	at := bytes.Index(s, []byte("_x"))
	if at < 0 {
		return s
	}
	out := s[:0]
	for at >= 0 {
		out = append(out, s[:at]...)
		s = s[at:]
		n := 2
		if len(s) >= length && s[length-1] == '_' {
			if c, err := strconv.ParseUint(string(s[2:length-1]), 16, 32); err == nil {
				out = append(out, string(rune(c))...)
				s, n = s[length:], 0
			}
		}
		out = append(out, s[:n]...)
		s = s[n:]
		at = bytes.Index(s, []byte("_x"))
	}
	return append(out, s...)
}
