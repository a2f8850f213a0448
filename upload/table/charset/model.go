package charset

import (
	"bytes"
	"cmp"
	"compress/gzip"
	_ "embed"
	"encoding/binary"
	"io"
	"math"
	"slices"
	"sync"
	"unicode"
)

// Model tells how likely words of a language are, by its letters. It is made by internal/charsettrain.
type Model struct {
	Language string
	// Letters are the letters that the language has besides a to z, in lower case, in the order of the costs.
	Letters []rune
	// Costs are those of a letter behind another, in eighths of a bit: at (before*n + letter), where n is the number of symbols.
	// Of a language whose words aren't spelt (Pairs is false) they are those of each letter alone.
	Costs []byte
	Pairs bool

	symbols map[rune]int
	latin   bool // it is written with a to z
}

// Symbols of a model: the boundary of a word, a to z, then Letters.
const (
	boundary   = 0
	firstASCII = 1
	firstOther = firstASCII + 26
)

// Costs in eighths of a bit.
const (
	costForeign = 24 * 8 // a letter that the language does not have
	costSign    = 12 * 8 // a sign that is in texts of all languages, such as a dash or a typographic quote
	costOddity  = 26 * 8 // any other character: a fraction, a line of a frame, a control character
	costCase    = 8 * 8  // a capital behind a small letter
	maxPair     = 16 * 8 // a pair that was not seen: less than a letter the language does not have
)

// signs are what texts of any language may hold besides letters.
const signs = "\u00a0–—‘’‚“”„«»…°º€£§№•·´´¡¿®™©ª²、。・「」（）－　ー"

// joiners are the signs that may stand within a word.
const joiners = "\u00a0’´·"

// number returns the place of a letter in the costs, or -1.
func (m *Model) number(r rune) int {
	if 'a' <= r && r <= 'z' {
		return firstASCII + int(r-'a')
	}
	if i, ok := m.symbols[r]; ok {
		return i
	}
	return -1
}

func (m *Model) index() {
	m.symbols = make(map[rune]int, len(m.Letters))
	for i, r := range m.Letters {
		m.symbols[r] = firstOther + i
	}
}

// size is how many symbols there are.
func (m *Model) size() int { return firstOther + len(m.Letters) }

// Train returns the model of a language by how often it has each of its words, which are in lower case. Its letters beyond a to z are those
// of the alphabet and the most common ones of the words.
func Train(language string, pairs bool, words map[string]int, alphabet string, maxLetters int) *Model {
	m := &Model{Language: language, Pairs: pairs, Letters: commonLetters(words, maxLetters)}
	for _, r := range alphabet {
		if !slices.Contains(m.Letters, r) {
			m.Letters = append(m.Letters, r)
		}
	}
	m.index()
	n := m.size()
	if !pairs {
		m.Costs = costs(m.counts(words, false))
		return m
	}
	all := m.counts(words, true)
	for before := range n {
		m.Costs = append(m.Costs, costs(smooth(all[before*n:(before+1)*n], total(all, n)))...)
	}
	return m
}

// counts counts letters, or pairs of letters.
func (m *Model) counts(words map[string]int, pairs bool) []float64 {
	n := m.size()
	all := make([]float64, n)
	if pairs {
		all = make([]float64, n*n)
	}
	for w, times := range words {
		weight := 1 + math.Log(float64(times)) // a common word tells less about the letters than many rare ones
		before := boundary
		note := func(s int) {
			if pairs {
				s += before * n
			}
			all[s] += weight
		}
		for _, r := range w {
			s := m.number(r)
			if s < 0 {
				before = boundary
				continue
			}
			note(s)
			before = s
		}
		if pairs {
			note(boundary)
		}
	}
	return all
}

// total sums the columns of a square.
func total(all []float64, n int) []float64 {
	sum := make([]float64, n)
	for i, c := range all {
		sum[i%n] += c
	}
	return sum
}

// smooth gives pairs that were not seen some of the likeliness of their second letter.
func smooth(row, letters []float64) []float64 {
	const weight = 3
	sum := 0.0
	for _, c := range letters {
		sum += c
	}
	out := make([]float64, len(row))
	for i := range row {
		out[i] = row[i] + weight*(letters[i]+0.5)/(sum+0.5*float64(len(letters)))
	}
	return out
}

// costs turns counts into costs.
func costs(counts []float64) []byte {
	sum := 0.0
	for _, c := range counts {
		sum += c + 0.02
	}
	out := make([]byte, len(counts))
	for i, c := range counts {
		out[i] = byte(min(maxPair, math.Round(-8*math.Log2((c+0.02)/sum))))
	}
	return out
}

// commonLetters returns the letters besides a to z, the most common first, but those that only a word or two have.
func commonLetters(words map[string]int, limit int) []rune {
	seen := map[rune]int{}
	for w := range words {
		for _, r := range w {
			if r >= 0x80 && (unicode.IsLetter(r) || unicode.IsMark(r)) {
				seen[r]++
			}
		}
	}
	var all []rune
	for r, n := range seen {
		if n > 1 {
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b rune) int { return cmp.Or(cmp.Compare(seen[b], seen[a]), cmp.Compare(a, b)) })
	return all[:min(len(all), limit)]
}

// Encode writes models as they are embedded.
func Encode(w io.Writer, models []*Model) error {
	z, _ := gzip.NewWriterLevel(w, gzip.BestCompression)
	for _, m := range models {
		var b []byte
		b = appendText(b, m.Language)
		b = appendText(b, string(m.Letters))
		b = appendText(b, string(m.Costs))
		if _, err := z.Write(b); err != nil {
			return err
		}
	}
	return z.Close()
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

//go:embed models.gz
var embedded []byte

// models are those of all languages.
var models = sync.OnceValue(func() map[string]*Model {
	z, err := gzip.NewReader(bytes.NewReader(embedded))
	if err != nil {
		panic(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		panic(err)
	}
	all := map[string]*Model{}
	for len(b) > 0 {
		var parts [3]string
		for i := range parts {
			n, size := binary.Uvarint(b)
			parts[i], b = string(b[size:size+int(n)]), b[size+int(n):]
		}
		m := &Model{Language: parts[0], Letters: []rune(parts[1]), Costs: []byte(parts[2])}
		m.index()
		m.Pairs = len(m.Costs) > m.size()
		m.latin = m.Pairs && !slices.ContainsFunc(m.Letters, func(r rune) bool { return unicode.IsLetter(r) && !unicode.Is(unicode.Latin, r) })
		all[m.Language] = m
	}
	return all
})
