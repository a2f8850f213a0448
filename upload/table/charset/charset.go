// Package charset tells in which encoding a text is that is no UTF-8, by the letters it would have in each.
//
// A text is decoded as each encoding would have it. In each language that is written in an encoding, its words are more or less likely; the
// reading whose words are likeliest is taken. How much likelier it is than the next tells how sure that is: a text of ten rows may not
// have the letters that tell Windows-1250 and ISO 8859-2 apart, and then it is said.
//
// The models are made from lists of names and addresses (internal/charsettrain): pairs of letters for languages that are spelt, single
// letters for those written in Chinese characters or Korean syllables.
package charset

import (
	"cmp"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
)

// Charset is an encoding with its name.
type Charset struct {
	Name     string // IANA's, in the spelling of most programs
	Encoding encoding.Encoding
	// languages are those that are written in it.
	languages []string
	// level is how common its characters are by the place they have in it, for encodings of thousands of characters.
	level func(r rune, code []byte) int
	// width is how many bytes the character at the start of a text has, which is beyond ASCII.
	width func(text []byte) int
	// handicap is what it starts with: encodings that hardly anybody uses any more must be more likely by more.
	handicap int
}

// Guess is what a text may be.
type Guess struct {
	*Charset
	Language string
	// Lead is how much likelier it is than the next reading, in bits.
	Lead float64
}

// Certain is the lead, in bits, from which on a reading is taken without asking.
const Certain = 12

// Detect returns what a text may be, the likeliest first, of readings that differ at most three. It wants text that is no UTF-8, and looks at
// its first words that are not ASCII, 16 KiB of different ones at most. macLines says that its lines end as old Macs have it. There is always a guess.
func Detect(text []byte, macLines bool) []Guess {
	type reading struct {
		Guess
		cost     int // by its letters
		handicap int
		text     string
	}
	words, plain := interesting(text)
	prior := priors(plain)
	var all []reading
	for _, c := range charsets {
		decoded, ok := c.decode(words)
		if !ok {
			continue
		}
		r := reading{Guess: Guess{Charset: c}, text: decoded.text, handicap: c.handicap}
		r.cost, r.Language = c.cost(decoded, prior)
		if c.Name == "macintosh" && macLines {
			r.handicap = -8 * 8
		}
		all = append(all, r)
	}
	slices.SortStableFunc(all, func(a, b reading) int { return cmp.Compare(a.cost+a.handicap, b.cost+b.handicap) })
	var best []reading
	for _, r := range all {
		if len(best) < 3 && !slices.ContainsFunc(best, func(b reading) bool { return b.text == r.text }) {
			r.Lead = 1000
			best = append(best, r)
		}
	}
	out := make([]Guess, len(best))
	for i, r := range best {
		// Nothing is certain by its handicap alone. All other readings count, not only the next.
		for _, o := range all {
			if o.text != r.text && !slices.ContainsFunc(best[:i], func(b reading) bool { return b.text == o.text }) {
				letters := o.cost - r.cost
				r.Lead = min(r.Lead, float64(min(letters, letters+o.handicap-r.handicap))/8)
			}
		}
		out[i] = r.Guess
	}
	return out
}

// ByName returns a charset by a name that people use for it, or nil.
func ByName(name string) *Charset {
	fold := func(s string) string {
		return strings.Map(func(r rune) rune {
			if unicode.IsLetter(r) || unicode.IsDigit(r) {
				return unicode.ToLower(r)
			}
			return -1
		}, s)
	}
	want := fold(name)
	for _, c := range charsets {
		if fold(c.Name) == want || slices.Contains(aliases[c.Name], want) {
			return c
		}
	}
	return nil
}

// Names lists the names of all charsets.
func Names() (all []string) {
	for _, c := range charsets {
		all = append(all, c.Name)
	}
	return all
}

// The languages by the families of encodings that are made for them.
var (
	western = []string{"da", "de", "en", "es", "fi", "fr", "ga", "is", "it", "nl", "no", "pt", "sv"}
	central = []string{"cs", "hr", "hu", "pl", "ro", "sk", "sl"}
)

var charsets = []*Charset{
	{Name: "windows-1252", Encoding: charmap.Windows1252, languages: western},
	{Name: "windows-1250", Encoding: charmap.Windows1250, languages: central},
	{Name: "windows-1251", Encoding: charmap.Windows1251, languages: []string{"bg", "mk", "ru", "uk"}, handicap: 24},
	{Name: "windows-1253", Encoding: charmap.Windows1253, languages: []string{"el"}, handicap: 24},
	{Name: "windows-1254", Encoding: charmap.Windows1254, languages: []string{"tr"}, handicap: 24},
	{Name: "windows-1255", Encoding: charmap.Windows1255, languages: []string{"he"}, handicap: 24},
	{Name: "windows-1256", Encoding: charmap.Windows1256, languages: []string{"ar", "fa"}, handicap: 24},
	{Name: "windows-1257", Encoding: charmap.Windows1257, languages: []string{"et", "lt", "lv"}, handicap: 24},
	{Name: "windows-1258", Encoding: charmap.Windows1258, languages: []string{"vi"}, handicap: 40},
	{Name: "windows-874", Encoding: charmap.Windows874, languages: []string{"th"}, handicap: 24},
	{Name: "ISO-8859-2", Encoding: charmap.ISO8859_2, languages: central, handicap: 48},
	{Name: "ISO-8859-5", Encoding: charmap.ISO8859_5, languages: []string{"bg", "mk", "ru", "uk"}, handicap: 80},
	{Name: "ISO-8859-7", Encoding: charmap.ISO8859_7, languages: []string{"el"}, handicap: 48},
	{Name: "ISO-8859-13", Encoding: charmap.ISO8859_13, languages: []string{"et", "lt", "lv"}, handicap: 56},
	{Name: "ISO-8859-15", Encoding: charmap.ISO8859_15, languages: western, handicap: 56},
	{Name: "KOI8-R", Encoding: charmap.KOI8R, languages: []string{"ru"}, handicap: 16},
	{Name: "KOI8-U", Encoding: charmap.KOI8U, languages: []string{"uk"}, handicap: 24},
	{Name: "macintosh", Encoding: charmap.Macintosh, languages: western, handicap: 40},
	{Name: "x-mac-cyrillic", Encoding: charmap.MacintoshCyrillic, languages: []string{"ru", "uk"}, handicap: 80},
	{Name: "IBM437", Encoding: charmap.CodePage437, languages: western, handicap: 80},
	{Name: "IBM850", Encoding: charmap.CodePage850, languages: western, handicap: 80},
	{Name: "IBM852", Encoding: charmap.CodePage852, languages: central, handicap: 80},
	{Name: "IBM866", Encoding: charmap.CodePage866, languages: []string{"ru"}, handicap: 80},
	{Name: "Shift_JIS", Encoding: japanese.ShiftJIS, languages: []string{"ja"}, level: levelShiftJIS, width: widthShiftJIS, handicap: 24},
	{Name: "EUC-JP", Encoding: japanese.EUCJP, languages: []string{"ja"}, level: levelEUCJP, width: widthEUCJP, handicap: 24},
	{Name: "GB18030", Encoding: simplifiedchinese.GB18030, languages: []string{"zh-Hans"}, level: levelGB, width: widthGB, handicap: 24},
	{Name: "Big5", Encoding: traditionalchinese.Big5, languages: []string{"zh-Hant"}, level: levelBig5, width: widthTwo, handicap: 24},
	{Name: "EUC-KR", Encoding: korean.EUCKR, languages: []string{"ko"}, level: levelKorean, width: widthTwo, handicap: 24},
}

// aliases are other names, without what is no letter or digit.
var aliases = map[string][]string{
	"windows-1252": {"cp1252", "ansi", "latin1", "iso88591"}, "windows-1250": {"cp1250"}, "windows-1251": {"cp1251"}, "windows-1253": {"cp1253"},
	"windows-1254": {"cp1254", "iso88599", "latin5"}, "windows-1255": {"cp1255", "iso88598"}, "windows-1256": {"cp1256"}, "windows-1257": {"cp1257"},
	"windows-1258": {"cp1258"}, "windows-874": {"cp874", "tis620", "iso885911"}, "ISO-8859-2": {"latin2"}, "ISO-8859-15": {"latin9"},
	"macintosh": {"macroman", "mac"}, "x-mac-cyrillic": {"maccyrillic"}, "IBM437": {"cp437"}, "IBM850": {"cp850"}, "IBM852": {"cp852"},
	"IBM866": {"cp866"}, "Shift_JIS": {"sjis", "cp932", "windows31j", "ms932"}, "EUC-JP": {"ujis"}, "GB18030": {"gbk", "gb2312", "cp936"},
	"Big5": {"cp950"}, "EUC-KR": {"cp949", "uhc", "ksc5601"},
}
