package schema

import (
	"bytes"
	"math/big"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ContentType says how values of a field are compared.
type ContentType string

// The content types.
const (
	String ContentType = "STRING"
	Number ContentType = "NUMBER"
	Phone  ContentType = "PHONE_NUMBER"
	Email  ContentType = "EMAIL_ADDRESS"
	Name   ContentType = "NAME"
)

// Normalize returns the index form of a value: what is compared, never what is shown. "" means that the value can't be a key. Invisible characters
// count for nothing, blanks of all kinds are that of ASCII, and texts compare in NFC.
//
//	STRING        without outer blanks
//	EMAIL_ADDRESS without outer blanks, lower case; what has no @ is none
//	NAME          lower case, runs of blanks as one
//	PHONE_NUMBER  digits only, without a leading 00, and without the leading 1 of eleven digits; what a spreadsheet has cut (4.47911E+11) is none
//	NUMBER        canonical decimal; what is no number is compared as STRING
func Normalize(ct ContentType, value string) string {
	var buf [128]byte
	return string(AppendNormalized(buf[:0], ct, []byte(value)))
}

// AppendNormalized appends the index form of a value to dst. It is what Normalize returns, without allocations for ASCII.
func AppendNormalized(dst []byte, ct ContentType, value []byte) []byte {
	if !isASCII(value) {
		value = composed(bytes.Clone(value)) // of a copy: so value may stay on its caller's stack
	}
	switch ct {
	case Phone:
		return appendPhone(dst, value)
	case Email:
		value = bytes.TrimSpace(value)
		if bytes.IndexByte(value, '@') < 0 {
			return dst
		}
		if out, ok := appendLowerASCII(dst, value); ok {
			return out
		}
		return append(dst, bytes.ToLower(value)...)
	case Name:
		return AppendName(dst, value)
	case Number:
		return append(dst, normalizeNumber(string(bytes.TrimSpace(value)))...)
	}
	return append(dst, bytes.TrimSpace(value)...)
}

// NormalizeIn is Normalize of a value that was written in a country; 0: none is known. A phone number is read as people write it there
// (appendPhoneIn), anything else is the same everywhere.
func NormalizeIn(c Country, ct ContentType, value string) string {
	var buf [128]byte
	return string(AppendNormalizedIn(buf[:0], c, ct, []byte(value)))
}

// AppendNormalizedIn appends what NormalizeIn returns.
func AppendNormalizedIn(dst []byte, c Country, ct ContentType, value []byte) []byte {
	if ct == Phone && c != 0 {
		if !isASCII(value) {
			value = composed(bytes.Clone(value))
		}
		return appendPhoneIn(dst, value, c)
	}
	return AppendNormalized(dst, ct, value)
}

// ReadsAs returns the country if a phone number that was written there has another index form than it has where no country is known, else 0:
// so a value keeps a country only if that matters.
func ReadsAs(c Country, value []byte) Country {
	if c == 0 {
		return 0
	}
	var here, anywhere [64]byte
	if string(AppendNormalizedIn(here[:0], c, Phone, value)) == string(AppendNormalized(anywhere[:0], Phone, value)) {
		return 0
	}
	return c
}

// scientific says whether a number is what spreadsheets make of long ones, 4.47911E+11: the same for many, so it identifies nobody.
func scientific(value []byte) bool {
	i := bytes.LastIndexByte(value, '+')
	if i < 2 || value[i-1]|0x20 != 'e' || i+1 == len(value) {
		return false
	}
	return len(bytes.Trim(value[i+1:], "0123456789 ")) == 0 && len(bytes.Trim(value[:i-1], "0123456789., +-")) == 0
}

func appendPhone(dst, value []byte) []byte {
	if scientific(value) {
		return dst
	}
	from := len(dst)
	for _, c := range value {
		if c-'0' <= 9 {
			dst = append(dst, c)
		}
	}
	d := dst[from:]
	drop := 0
	if len(d) > 2 && d[0] == '0' && d[1] == '0' {
		drop = 2
	}
	if len(d)-drop == 11 && d[drop] == '1' {
		drop++
	}
	return append(dst[:from], d[drop:]...)
}

// appendLowerASCII appends s in lower case; false when s is not all ASCII.
func appendLowerASCII(dst, s []byte) ([]byte, bool) {
	from := len(dst)
	dst = append(dst, s...)
	for i, c := range dst[from:] {
		if c >= utf8.RuneSelf {
			return dst[:from], false
		}
		if c-'A' < 26 {
			dst[from+i] = c + 'a' - 'A'
		}
	}
	return dst, true
}

// AppendName appends the NAME form of several parts joined by blanks.
func AppendName(dst []byte, parts ...[]byte) []byte {
	from := len(dst)
	for _, part := range parts {
		for i := 0; i < len(part); {
			c := part[i]
			switch {
			case c >= utf8.RuneSelf:
				return appendNameSlow(dst[:from], parts)
			case c == ' ' || c-'\t' < 5: // as unicode.IsSpace has it
				i++
				continue
			}
			if len(dst) > from {
				dst = append(dst, ' ')
			}
			for ; i < len(part); i++ {
				c = part[i]
				if c >= utf8.RuneSelf {
					return appendNameSlow(dst[:from], parts)
				}
				if c == ' ' || c-'\t' < 5 {
					break
				}
				if c-'A' < 26 {
					c += 'a' - 'A'
				}
				dst = append(dst, c)
			}
		}
	}
	return dst
}

func appendNameSlow(dst []byte, parts [][]byte) []byte {
	from, blank := len(dst), false
	for text := composed(bytes.Join(parts, []byte(" "))); len(text) > 0; {
		r, n := utf8.DecodeRune(text)
		if text = text[n:]; unicode.IsSpace(r) {
			blank = true
			continue
		}
		if blank && len(dst) > from {
			dst = append(dst, ' ')
		}
		blank = false
		dst = utf8.AppendRune(dst, unicode.ToLower(r))
	}
	return dst
}

// normalizeNumber works on digits, so that no precision is lost; exponents go through big.Rat within bounds.
func normalizeNumber(s string) string {
	sign, rest := "", s
	if rest != "" && (rest[0] == '+' || rest[0] == '-') {
		if rest[0] == '-' {
			sign = "-"
		}
		rest = rest[1:]
	}
	whole, frac, _ := strings.Cut(rest, ".")
	if !digits(whole) || !digits(frac) || whole+frac == "" {
		return exponent(s)
	}
	whole = strings.TrimLeft(whole, "0")
	frac = strings.TrimRight(frac, "0")
	switch {
	case whole == "" && frac == "":
		return "0"
	case whole == "":
		whole = "0"
	}
	if frac == "" {
		return sign + whole
	}
	return sign + whole + "." + frac
}

func exponent(s string) string {
	i := strings.IndexAny(s, "eE")
	if i < 1 || len(s) > 64 {
		return s
	}
	exp := strings.TrimLeft(s[i+1:], "+-")
	if !digits(exp) || exp == "" || len(exp) > 3 || !digits(strings.Replace(strings.TrimLeft(s[:i], "+-"), ".", "", 1)) {
		return s
	}
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		return s
	}
	prec, exact := r.FloatPrec()
	if !exact {
		return s
	}
	return r.FloatString(prec)
}

func digits(s string) bool { return strings.Trim(s, "0123456789") == "" }
