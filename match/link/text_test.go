package link

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// wordsSlowly is appendWords by the letter: decompose all, then look at one rune after the other.
func wordsSlowly(text string) string {
	var b strings.Builder
	for _, r := range text {
		if joiner(r) {
			continue
		}
		for _, r := range norm.NFKD.String(string(r)) {
			switch {
			case joiner(r) || unicode.Is(unicode.Mn, r):
			case unicode.IsLetter(r):
				r = unicode.ToLower(r)
				if s, ok := latin[r]; ok {
					b.WriteString(s)
				} else {
					b.WriteRune(r)
				}
			case unicode.IsDigit(r):
				b.WriteByte('0' + byte(digitOf(r)))
			default:
				b.WriteByte(' ')
			}
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// Tables say of each letter what its decomposition says, wherever it stands.
func TestWords(t *testing.T) {
	for r := range rune(unicode.MaxRune) {
		if r > 0x30000 && r < 0xe0000 || !utf8.ValidRune(r) {
			continue
		}
		for _, text := range []string{string(r), "a" + string(r) + "b", " " + string(r) + " É "} {
			if got, want := string(appendWords(nil, text)), wordsSlowly(text); got != want {
				t.Fatalf("%q (%U) is %q, not %q", text, r, got, want)
			}
		}
	}
	for text, want := range map[string]string{
		"O'Brien": "obrien", "O´Brien": "obrien", "  Müller--Lüdenscheidt ": "muller ludenscheidt", "Łódź": "lodz", "½ Straße": "1 2 strasse", "подъезд 3": "podezd 3", "": "", "-": "",
		"한국": string(appendWords(nil, norm.NFKD.String("한국"))), "王小明": "王小明", "a ъ b": "a b", "\xffa\xff\xffb": "a b",
	} {
		if got := string(appendWords(nil, text)); got != want {
			t.Errorf("%q is %q, not %q", text, got, want)
		}
	}
}

func FuzzWords(f *testing.F) {
	f.Add("Dr. José-María O´Brien ½ 王")
	f.Fuzz(func(t *testing.T, text string) {
		if got, want := string(appendWords(nil, text)), wordsSlowly(text); got != want {
			t.Fatalf("%q is %q, not %q", text, got, want)
		}
	})
}

// What says nothing is seen however it is written, and nothing else is.
func TestKnown(t *testing.T) {
	for text, want := range map[string]string{
		"n/a": "", "N/A": "", " N.A. ": "", "Unknown": "", "-- none --": "", "No Name": "", "Неизвестно": "", "nil": "", "Test": "", "Sin  Nombre": "", "tést": "",
		"Nathan": "Nathan", "Na": "Na", "": "", "12 none street": "12 none street", "None1": "None1", "noname noname": "noname noname",
	} {
		if got := known(text); got != want {
			t.Errorf("%q is known as %q, not %q", text, got, want)
		}
	}
}
