package charset

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"
)

// interesting cuts the words with bytes beyond ASCII out of a text, a line each, every word once. Of a text in which a byte below 0x80 may be
// the second half of a character a word may be cut there; its first half is then one byte of nothing, which every reading has to pay for.
// plain are those of its other words that are letters only, some of them.
func interesting(text []byte) (words, plain []byte) {
	seen := map[string]bool{}
	for len(text) > 0 && len(words) < maxWords {
		n := bytes.IndexAny(text, " ,;\t\"\r\n")
		word := text
		if n >= 0 {
			word, text = text[:n], text[n+1:]
		} else {
			text = nil
		}
		if len(word) > maxWord || seen[string(word)] {
			continue
		}
		switch {
		case bytes.ContainsFunc(word, func(r rune) bool { return r >= utf8.RuneSelf }):
			words = append(append(words, word...), '\n')
		case len(plain) < maxPlain && len(word) > 3 && !bytes.ContainsFunc(word, func(r rune) bool { return !unicode.IsLetter(r) }):
			plain = append(append(plain, word...), '\n')
		default:
			continue
		}
		seen[string(word)] = true
	}
	return words, plain
}

// Bounds of what is looked at, in bytes.
const (
	maxWords = 16 << 10
	maxWord  = 256
)

// maxPlain bounds the words of letters from a to z that are looked at, in bytes.
const maxPlain = 8 << 10

// maxPrior bounds what they count, in eighths of a bit: lists hold much that is of another language.
const maxPrior = 12 * 8

// priors tells what each language costs by the words that every encoding reads alike.
func priors(plain []byte) map[string]int {
	all := map[string]int{}
	least := -1
	for name, m := range models() {
		if m.latin {
			all[name] = m.costByPair(string(plain)) / 4
			if least < 0 || all[name] < least {
				least = all[name]
			}
		}
	}
	for name := range all {
		all[name] = min(maxPrior, all[name]-least)
	}
	return all
}

// decoded is a text as an encoding has it, with the bytes that each character came from, where a level asks for them.
type decoded struct {
	text  string
	codes [][]byte
}

// maxFaults is how many of a thousand bytes may be no character in an encoding.
const maxFaults = 5

// decode reads words. ok is false when too many bytes are no character.
func (c *Charset) decode(words []byte) (d decoded, ok bool) {
	faults := 0
	var b strings.Builder
	if c.level == nil {
		text, err := c.Encoding.NewDecoder().Bytes(words)
		if err != nil {
			return d, false
		}
		d.text = string(text)
		faults = strings.Count(d.text, "\ufffd")
		return d, 1000*faults <= maxFaults*len(words)
	}
	dec := c.Encoding.NewDecoder()
	var dst [utf8.UTFMax]byte
	for len(words) > 0 {
		n := 1
		if words[0] >= utf8.RuneSelf {
			n = min(c.width(words), len(words))
		}
		dec.Reset()
		size, _, err := dec.Transform(dst[:], words[:n], true)
		r, of := utf8.DecodeRune(dst[:size])
		if err != nil || r == utf8.RuneError || of != size {
			faults, n, r = faults+1, 1, utf8.RuneError
		}
		b.WriteRune(r)
		d.codes = append(d.codes, words[:n])
		words = words[n:]
	}
	d.text = b.String()
	return d, 1000*faults <= maxFaults*len(d.codes)
}

// The widths of the characters at the start of a text, by their first bytes.

func widthShiftJIS(b []byte) int {
	if 0xa1 <= b[0] && b[0] <= 0xdf {
		return 1
	}
	return 2
}

func widthEUCJP(b []byte) int {
	if b[0] == 0x8f {
		return 3
	}
	return 2
}

func widthGB(b []byte) int {
	if len(b) > 1 && '0' <= b[1] && b[1] <= '9' {
		return 4
	}
	return 2
}

func widthTwo([]byte) int { return 2 }

// cost returns what a text costs in the language in which it costs the least.
func (c *Charset) cost(d decoded, prior map[string]int) (best int, language string) {
	all := models()
	for _, name := range c.languages {
		m := all[name]
		cost := prior[name]
		if c.level != nil {
			cost += m.costByCharacter(d, c.level)
		} else {
			cost += m.costByPair(d.text)
		}
		if language == "" || cost < best {
			best, language = cost, name
		}
	}
	return best, language
}

// costByPair is what the words of a text cost, each letter behind the one before.
func (m *Model) costByPair(text string) (cost int) {
	n := m.size()
	before, small, sign := boundary, false, false
	for _, r := range text {
		if r < utf8.RuneSelf && !unicode.IsLetter(r) {
			if before != boundary {
				cost += int(m.Costs[before*n+boundary])
			}
			before, small, sign = boundary, false, false
			continue
		}
		low := unicode.ToLower(r)
		if s := m.number(low); s >= 0 {
			cost += int(m.Costs[before*n+s])
			if small && unicode.IsUpper(r) {
				cost += costCase
			}
			if sign { // a sign within a word
				cost += costOddity - costSign
			}
			before, small, sign = s, unicode.IsLower(r), false
			continue
		}
		sign = false
		switch {
		case strings.ContainsRune(signs, r):
			cost += costSign
			sign = before != boundary && !strings.ContainsRune(joiners, r)
		case unicode.IsLetter(r):
			cost += costForeign
		default:
			cost += costOddity
		}
		before, small = boundary, false
	}
	return cost
}

// costByCharacter is what the characters of a text cost, each by itself.
func (m *Model) costByCharacter(d decoded, level func(rune, []byte) int) (cost int) {
	const none, latin, own = 0, 1, 2
	i, before := 0, none
	for _, r := range d.text {
		code := d.codes[i]
		i++
		is := own
		switch {
		case r < utf8.RuneSelf && unicode.IsLetter(r):
			cost += costLatin
			is = latin
		case r < utf8.RuneSelf:
			is = none
		case r == utf8.RuneError:
			cost += costOddity
		default:
			general := level(r, code)
			if s := m.number(r); s >= 0 {
				general = min(general, int(m.Costs[s])+8)
			}
			cost += general
		}
		if is != none && before != none && is != before {
			cost += costMixed
		}
		before = is
	}
	return cost
}

// Costs of characters by how common they are in an encoding of thousands.
const (
	costCommon   = 12*8 + 4 // one of some 3,000
	costRare     = 17 * 8
	costSyllable = 8 * 8 // a kana or a sign
	costLatin    = 5 * 8 // a letter from a to z
	costMixed    = 6 * 8 // such a letter beside a character
)

// levelShiftJIS tells by the first byte: JIS X 0208 has its common characters in rows 16 to 47, before 0x98.
func levelShiftJIS(r rune, code []byte) int {
	switch {
	case len(code) == 1: // half-width kana
		return costOddity
	case unicode.In(r, unicode.Hiragana, unicode.Katakana) || code[0] == 0x81:
		return costSyllable
	case 0x88 <= code[0] && code[0] <= 0x97, code[0] == 0x98 && code[1] <= 0x72:
		return costCommon
	}
	return costRare
}

// levelEUCJP tells by the row: 16 to 47 are common.
func levelEUCJP(r rune, code []byte) int {
	switch {
	case len(code) == 3:
		return costRare
	case len(code) == 2 && code[0] == 0x8e:
		return costOddity
	case unicode.In(r, unicode.Hiragana, unicode.Katakana) || code[0] == 0xa1:
		return costSyllable
	case 0xb0 <= code[0] && code[0] <= 0xcf:
		return costCommon
	}
	return costRare
}

// levelGB tells by the row: GB 2312 has its common characters in rows 16 to 55.
func levelGB(_ rune, code []byte) int {
	if len(code) == 2 && code[1] >= 0xa1 {
		switch {
		case code[0] == 0xa1 || code[0] == 0xa3:
			return costSyllable
		case 0xb0 <= code[0] && code[0] <= 0xd7:
			return costCommon
		}
	}
	if len(code) == 4 {
		return 2 * costRare
	}
	return costRare
}

// levelBig5 tells by the first byte: the common characters come first.
func levelBig5(_ rune, code []byte) int {
	switch {
	case code[0] == 0xa1 || code[0] == 0xa2:
		return costSyllable
	case 0xa4 <= code[0] && code[0] <= 0xc6:
		return costCommon + 4
	}
	return costRare
}

// levelKorean tells by the row: KS X 1001 has the syllables in rows 16 to 40; the others came later, and words of Chinese characters are rare.
func levelKorean(_ rune, code []byte) int {
	if len(code) == 2 && code[1] >= 0xa1 {
		switch {
		case code[0] == 0xa1 || code[0] == 0xa3:
			return costSyllable
		case 0xb0 <= code[0] && code[0] <= 0xc8:
			return costCommon
		}
	}
	return costRare
}
