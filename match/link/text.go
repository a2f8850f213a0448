package link

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// latin is how letters are written that no decomposition brings to the Latin letters of ASCII: Latin ones with strokes, Cyrillic and Greek.
// Several systems of transliteration are in use; comparisons by likeness forgive the difference.
var latin = map[rune]string{
	'ß': "ss", 'æ': "ae", 'œ': "oe", 'ø': "o", 'ł': "l", 'đ': "d", 'ð': "d", 'þ': "th", 'ı': "i", 'ħ': "h", 'ŋ': "ng", 'ə': "a", 'ŧ': "t",
	'а': "a", 'б': "b", 'в': "v", 'г': "g", 'д': "d", 'е': "e", 'ё': "e", 'ж': "zh", 'з': "z", 'и': "i", 'й': "y", 'к': "k", 'л': "l",
	'м': "m", 'н': "n", 'о': "o", 'п': "p", 'р': "r", 'с': "s", 'т': "t", 'у': "u", 'ф': "f", 'х': "kh", 'ц': "ts", 'ч': "ch", 'ш': "sh",
	'щ': "shch", 'ъ': "", 'ы': "y", 'ь': "", 'э': "e", 'ю': "yu", 'я': "ya", 'є': "ye", 'і': "i", 'ї': "yi", 'ґ': "g", 'ў': "u", 'ђ': "d",
	'ј': "j", 'љ': "lj", 'њ': "nj", 'ћ': "c", 'џ': "dz", 'ѓ': "g", 'ќ': "k", 'ѕ': "dz",
	'α': "a", 'β': "v", 'γ': "g", 'δ': "d", 'ε': "e", 'ζ': "z", 'η': "i", 'θ': "th", 'ι': "i", 'κ': "k", 'λ': "l", 'μ': "m", 'ν': "n",
	'ξ': "x", 'ο': "o", 'π': "p", 'ρ': "r", 'σ': "s", 'ς': "s", 'τ': "t", 'υ': "y", 'φ': "f", 'χ': "ch", 'ψ': "ps", 'ω': "o",
}

// joiners are marks within a word that people leave out as they like.
func joiner(r rune) bool {
	switch r {
	case '\'', '’', '‘', '`', '´', 'ʼ', 'ʹ', '·', '\u200c', '\u200d', '\u00ad':
		return true
	}
	return false
}

// appendWords appends a text as words: lower case, without marks, in Latin letters where the script has a transliteration, one blank
// between words. It appends nothing for a text without letters and digits.
func appendWords(dst []byte, text string) []byte {
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			text = norm.NFKD.String(text)
			break
		}
	}
	from, gap := len(dst), false
	put := func() {
		if gap && len(dst) > from {
			dst = append(dst, ' ')
		}
		gap = false
	}
	for _, r := range text {
		switch {
		case r < utf8.RuneSelf && (r >= 'a' && r <= 'z' || r >= '0' && r <= '9'):
			put()
			dst = append(dst, byte(r))
		case r >= 'A' && r <= 'Z':
			put()
			dst = append(dst, byte(r)+'a'-'A')
		case joiner(r) || r >= utf8.RuneSelf && unicode.Is(unicode.Mn, r):
		case r < utf8.RuneSelf:
			gap = true
		case unicode.IsLetter(r):
			put()
			r = unicode.ToLower(r)
			if s, ok := latin[r]; ok {
				dst = append(dst, s...)
			} else {
				dst = utf8.AppendRune(dst, r)
			}
		case unicode.IsDigit(r):
			put()
			dst = append(dst, '0'+byte(digitOf(r)))
		default:
			gap = true
		}
	}
	return dst
}

// digitOf is the value of a decimal digit of any script: they stand in tens that begin with the zero.
func digitOf(r rune) int {
	n := 0
	for n < 9 && unicode.Is(unicode.Nd, r-rune(n)-1) {
		n++
	}
	return n
}

// words returns a text's words.
func words(text string) []string { return strings.Fields(string(appendWords(nil, text))) }

func ascii(b []byte) bool {
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
