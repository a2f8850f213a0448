package restjson

import (
	"reflect"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// This file is the runtime below generated codecs. An encoder writes what Encode would. A decoder accepts only what the general one accepts,
// with the same result; whatever it does not know (an unknown member, a number with an exponent, anything wrong) it leaves to that, which
// also has the words for errors.

// JSONAppender is an answer with an encoder of its own.
type JSONAppender interface{ AppendJSON([]byte) []byte }

// JSONDecoder is a request with a decoder of its own.
type JSONDecoder interface{ DecodeJSON(*Decoder) }

// AppendName appends a member's name, which stands quoted and with its colon, behind a comma unless it is the first since start.
func AppendName(b []byte, start int, quoted string) []byte {
	if len(b) > start {
		b = append(b, ',')
	}
	return append(b, quoted...)
}

// AppendString appends a JSON string. Bytes that are not UTF-8 become U+FFFD.
func AppendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			b, _ = jsontext.AppendQuote(b, s) // the error says that some bytes were not UTF-8
			return b
		}
	}
	b = append(b, '"') // most texts are their own spelling
	b = append(b, s...)
	return append(b, '"')
}

// AppendInt appends a JSON number.
func AppendInt(b []byte, n int64) []byte { return strconv.AppendInt(b, n, 10) }

// AppendBool appends a JSON boolean.
func AppendBool(b []byte, t bool) []byte { return strconv.AppendBool(b, t) }

// AppendFloat appends a JSON number.
func AppendFloat(b []byte, f float64) []byte {
	text, err := json.Marshal(f)
	if err != nil { // not a number
		return append(b, '0')
	}
	return append(b, text...)
}

// AppendJSON appends epoch seconds with three decimals.
func (t Time) AppendJSON(b []byte) []byte {
	return strconv.AppendFloat(b, float64(t.UnixMilli())/1000, 'f', 3, 64)
}

// Decoder reads JSON that is as simple as clients write it. Once it has failed every method returns a zero value.
type Decoder struct {
	s      string
	failed bool
	begun  bool // the next element needs no comma before it
}

// DecodeFast says whether in has a decoder of its own that could read the body. If not, in is as it was: zero.
func DecodeFast(body []byte, in Input) bool { return new(Decoder).fast(body, in) }

func (d *Decoder) fast(body []byte, in Input) bool {
	fast, ok := in.(JSONDecoder)
	if !ok || !utf8.Valid(body) {
		return false
	}
	*d = Decoder{s: string(body)}
	fast.DecodeJSON(d)
	d.blanks()
	if d.failed || d.s != "" {
		reflect.ValueOf(in).Elem().SetZero()
		return false
	}
	return true
}

// Fail gives up.
func (d *Decoder) Fail() { d.failed, d.s = true, "" }

func (d *Decoder) blanks() {
	for len(d.s) > 0 && (d.s[0] == ' ' || d.s[0] == '\n' || d.s[0] == '\r' || d.s[0] == '\t') {
		d.s = d.s[1:]
	}
}

// next takes one character that must come next.
func (d *Decoder) next(c byte) {
	if d.blanks(); len(d.s) == 0 || d.s[0] != c {
		d.Fail()
		return
	}
	d.s = d.s[1:]
}

// Open takes the bracket that begins an object or array.
func (d *Decoder) Open(c byte) {
	d.next(c)
	d.begun = true
}

// More says whether another element comes before the bracket that ends the object or array, and takes the comma before the one or the other.
func (d *Decoder) More(end byte) bool {
	d.blanks()
	first := d.begun
	d.begun = false
	switch {
	case len(d.s) == 0:
		d.Fail()
		return false
	case d.s[0] == end:
		d.s = d.s[1:]
		return false
	case !first:
		d.next(',')
	}
	return !d.failed
}

// Name reads the name of a member, and the colon.
func (d *Decoder) Name() string {
	name := d.String()
	d.next(':')
	return name
}

// Null takes a null if one comes next.
func (d *Decoder) Null() bool {
	d.blanks()
	if len(d.s) < 4 || d.s[:4] != "null" {
		return false
	}
	d.s = d.s[4:]
	return true
}

// String reads a string.
func (d *Decoder) String() string {
	d.blanks()
	if len(d.s) == 0 || d.s[0] != '"' {
		d.Fail()
		return ""
	}
	for i := 1; i < len(d.s); i++ {
		switch c := d.s[i]; {
		case c == '"':
			s := d.s[1:i]
			d.s = d.s[i+1:]
			return s
		case c == '\\':
			return d.escaped(i)
		case c < ' ':
			d.Fail()
			return ""
		}
	}
	d.Fail()
	return ""
}

// escaped reads a string whose first escape is at i.
func (d *Decoder) escaped(i int) string {
	for ; i < len(d.s) && d.s[i] != '"'; i++ {
		if d.s[i] == '\\' {
			i++
		}
	}
	if i >= len(d.s) {
		d.Fail()
		return ""
	}
	s, err := jsontext.AppendUnquote(nil, d.s[:i+1])
	if err != nil {
		d.Fail()
		return ""
	}
	d.s = d.s[i+1:]
	return string(s)
}

// Int reads an integer of so many bits without fraction and exponent.
func (d *Decoder) Int(bits int) int64 {
	d.blanks()
	i := 0
	for i < len(d.s) && (d.s[i] >= '0' && d.s[i] <= '9' || i == 0 && d.s[i] == '-') {
		i++
	}
	digits := d.s[:i]
	if len(digits) > 1 && digits[0] == '0' || len(digits) > 1 && digits[0] == '-' && digits[1] == '0' ||
		i < len(d.s) && slices.Contains([]byte(".eE"), d.s[i]) {
		d.Fail()
		return 0
	}
	n, err := strconv.ParseInt(digits, 10, bits)
	if err != nil {
		d.Fail()
		return 0
	}
	d.s = d.s[i:]
	return n
}

// Bool reads true or false.
func (d *Decoder) Bool() bool {
	d.blanks()
	for _, t := range []string{"true", "false"} {
		if len(d.s) >= len(t) && d.s[:len(t)] == t {
			d.s = d.s[len(t):]
			return t == "true"
		}
	}
	d.Fail()
	return false
}
