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
	from, gap := len(dst), false
	put := func(c byte) {
		if gap && len(dst) > from {
			dst = append(dst, ' ')
		}
		gap = false
		dst = append(dst, c)
	}
	for i := 0; i < len(text); {
		if c := text[i]; c < utf8.RuneSelf {
			i++
			switch c = asciiLetter[c]; c {
			case 0:
			case ' ':
				gap = true
			default:
				put(c)
			}
			continue
		}
		r, n := utf8.DecodeRuneInString(text[i:])
		i += n
		var buf [64]byte
		letters := buf[:0]
		if int(r) < len(lettersOf) {
			letters = append(letters, lettersOf[r]...)
		} else {
			letters = appendLetters(letters, r)
		}
		for _, c := range letters {
			if c == ' ' {
				gap = true
			} else {
				put(c)
			}
		}
	}
	return dst
}

// lettersOf is what appendLetters says of most runes there are, Latin, Greek and Cyrillic ones, and asciiLetter the same of those that are a byte; 0: nothing.
var (
	lettersOf = func() (all [0x530]string) {
		for r := range all {
			all[r] = string(appendLetters(nil, rune(r)))
		}
		return all
	}()
	asciiLetter = func() (all [utf8.RuneSelf]byte) {
		for r := range all {
			if text := lettersOf[r]; text != "" {
				all[r] = text[0]
			}
		}
		return all
	}()
)

// appendLetters appends what a rune is within words: letters and digits, a blank for what parts words, nothing for marks.
func appendLetters(dst []byte, r rune) []byte {
	switch {
	case joiner(r): // some would decompose into a blank and a mark
		return dst
	case r >= 0x4e00 && r <= 0x9fff: // ideographs do not decompose
		return utf8.AppendRune(dst, r)
	}
	for _, r := range norm.NFKD.String(string(r)) {
		switch {
		case joiner(r) || unicode.Is(unicode.Mn, r):
		case unicode.IsLetter(r):
			r = unicode.ToLower(r)
			if s, ok := latin[r]; ok {
				dst = append(dst, s...)
			} else {
				dst = utf8.AppendRune(dst, r)
			}
		case unicode.IsDigit(r):
			dst = append(dst, '0'+byte(digitOf(r)))
		default:
			dst = append(dst, ' ')
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
func words(text string) []string {
	var buf [64]byte
	return strings.Fields(string(appendWords(buf[:0], text)))
}

func ascii(b []byte) bool {
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
