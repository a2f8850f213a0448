package schema

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/rivo/uniseg"
	"golang.org/x/text/unicode/norm"
)

// Invisible says whether a character shows nothing and takes no room: a mark of direction, a join, a soft hyphen, a byte-order mark.
func Invisible(r rune) bool {
	switch {
	case r < 0xad:
		return false
	case r == 0xad, r == 0x34f, r == 0x61c, r == 0x180e, r == 0xfeff:
		return true
	case 0x200b <= r && r <= 0x200f, 0x202a <= r && r <= 0x202e, 0x2060 <= r && r <= 0x206f:
		return true
	}
	return false
}

// wideBlank says whether a character is a blank that people can't tell from that of ASCII: one that does not break, or is wider.
func wideBlank(r rune) bool { return r >= utf8.RuneSelf && unicode.Is(unicode.Zs, r) }

func outer(r rune) bool { return unicode.IsSpace(r) || Invisible(r) }

// Trim cuts blanks and invisible characters off both ends of a text.
func Trim(text []byte) []byte {
	if n := len(text); n == 0 || solid(text[0]) && solid(text[n-1]) {
		return text
	}
	return bytes.TrimFunc(text, outer)
}

// solid says whether a byte is an ASCII character that shows something.
func solid(c byte) bool { return ' ' < c && c < utf8.RuneSelf }

// Blank says whether a text is nothing but blanks and invisible characters.
func Blank(text []byte) bool { return len(Trim(text)) == 0 }

// composed returns a text as keys and names are compared: without invisible characters, with every kind of blank as one of ASCII, composed (NFC). It
// returns its argument when that is so already.
func composed(text []byte) []byte {
	if isASCII(text) {
		return text
	}
	if bytes.ContainsFunc(text, func(r rune) bool { return Invisible(r) || wideBlank(r) }) {
		text = bytes.Map(func(r rune) rune {
			switch {
			case Invisible(r):
				return -1
			case wideBlank(r):
				return ' '
			}
			return r
		}, text)
	}
	if !norm.NFC.IsNormal(text) {
		text = norm.NFC.Bytes(text)
	}
	return text
}

func isASCII(text []byte) bool {
	for _, c := range text {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// Unaccented returns a text without accents, as some people write it who mean the same.
func Unaccented(text string) string {
	if strings.IndexFunc(text, func(r rune) bool { return r >= utf8.RuneSelf }) < 0 {
		return text
	}
	return norm.NFC.String(strings.Map(func(r rune) rune {
		switch {
		case unicode.Is(unicode.Mn, r):
			return -1
		case r == 'ı': // the dotless i of Turkish
			return 'i'
		case r == 'ł':
			return 'l'
		}
		return r
	}, norm.NFD.String(text)))
}

// Cut returns the first n characters of a text, or fewer: what people see as one character is never cut in two.
func Cut(text []byte, n int) []byte {
	at, state := 0, -1
	for rest := text; len(rest) > 0; {
		var cluster []byte
		cluster, rest, _, state = uniseg.FirstGraphemeCluster(rest, state)
		if n -= utf8.RuneCount(cluster); n < 0 {
			break
		}
		at += len(cluster)
	}
	return Trim(text[:at])
}

// ColumnName returns the name of a column as it is compared and shown: composed, without invisible characters, outer blanks, and breaks.
func ColumnName(name string) string {
	return string(bytes.Join(bytes.Fields(composed([]byte(name))), []byte(" ")))
}
