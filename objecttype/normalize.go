package objecttype

import (
	"math/big"
	"strings"
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

// Normalize returns the index form of a value: what is compared, never what is shown. "" means that the value can't be a key.
//
//	STRING        without outer blanks
//	EMAIL_ADDRESS without outer blanks, lower case
//	NAME          lower case, runs of blanks as one
//	PHONE_NUMBER  digits only, without a leading 00, and without the leading 1 of eleven digits
//	NUMBER        canonical decimal; what is no number is compared as STRING
func Normalize(ct ContentType, value string) string {
	switch ct {
	case Phone:
		return normalizePhone(value)
	case Email:
		return strings.ToLower(strings.TrimSpace(value))
	case Name:
		return strings.ToLower(strings.Join(strings.Fields(value), " "))
	case Number:
		return normalizeNumber(strings.TrimSpace(value))
	}
	return strings.TrimSpace(value)
}

func normalizePhone(s string) string {
	var buf [64]byte
	d := buf[:0]
	for i := range len(s) {
		if c := s[i]; c >= '0' && c <= '9' {
			d = append(d, c)
		}
	}
	if len(d) > 2 && d[0] == '0' && d[1] == '0' {
		d = d[2:]
	}
	if len(d) == 11 && d[0] == '1' {
		d = d[1:]
	}
	return string(d)
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
