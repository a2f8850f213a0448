package link

import (
	"fmt"
	"math"
	"strings"

	"kith/profile/fold"
)

// Comparison is what two profiles say about one thing.
type Comparison struct {
	// Field is what was compared, such as "given name", "e-mail", or an attribute's path.
	Field string
	// A and B are the values that agree best, as they were compared; empty: the profile has none.
	A, B string
	// Words say how they compare: "the same", "one letter apart".
	Words string
	// Weight is the evidence for one person, in bits: each doubles the odds. Negative: against it.
	Weight float64
}

// String is the comparison in a line, as "e-mail: the same: +9.2".
func (c Comparison) String() string { return fmt.Sprintf("%s: %s: %+.1f", c.Field, c.Words, c.Weight) }

// Why is how a pair's probability comes about: Prior and all weights are summed.
type Why struct {
	Comparisons []Comparison
	// Prior is the evidence for any two profiles, in bits; negative, for most pairs are two people.
	Prior float64
	// Sum is Prior and the weights: the odds are 2 to the power of it.
	Sum         float64
	Probability float64
}

// String is the explanation in lines.
func (w *Why) String() string {
	var b strings.Builder
	for _, c := range w.Comparisons {
		fmt.Fprintln(&b, c)
	}
	fmt.Fprintf(&b, "any two profiles: %+.1f\nsum: %+.1f, which is a probability of %.4f\n", w.Prior, w.Sum, w.Probability)
	return b.String()
}

// fieldNames and levelWords are what fields and their levels are called.
var (
	fieldNames = [...]string{fGiven: "given name", fMiddle: "middle name", fFamily: "family name", fBirth: "birth date", fGender: "gender", fEmail: "e-mail",
		fPhone: "phone", fAddress: "address", fBusiness: "business name", fAccount: "account number"}
	levelWords = [...][]string{
		fGiven:  {"", "the same", "forms of one name", "one is short for the other", "one letter or so apart", "alike", "different", "given and family name exchanged", "in other letters"},
		fMiddle: {"", "the same", "one is short for the other", "alike", "different"},
		fFamily: {"", "the same", "one of two names is the same", "one letter or so apart", "alike", "different", "the other's given name", "in other letters"},
		fBirth: {"", "the same", "one digit apart, or day and month exchanged", "two of year, month and day are the same, or a month apart at most", "a year apart at most, or the same as far as it is known",
			"two digits apart", "different"},
		fGender: {"", "the same", "different"},
		fEmail:  {"", "the same", "a typing error apart", "the same before the @", "alike", "different"},
		fPhone:  {"", "the same", "one digit apart", "different"},
	}
	textWords = []string{"", "the same", "one letter or so apart", "alike", "different"}
	partNames = [addressParts]string{"street", "house number", "further address line", "city", "postal code", "state"}
	partWords = [...]string{"", "the same", "alike", "different"}
)

func (m *Model) fieldName(f int) string {
	if f >= fCustom {
		return "Attributes." + m.custom[f-fCustom]
	}
	return fieldNames[f]
}

// slotOf is the slot that a field compares.
func slotOf(f int) int {
	switch f {
	case fGiven:
		return sGiven
	case fMiddle:
		return sMiddle
	case fFamily:
		return sFamily
	case fBirth:
		return sBirth
	case fGender:
		return sGender
	case fEmail:
		return sEmail
	case fPhone:
		return sPhone
	case fBusiness:
		return sBusiness
	case fAccount:
		return sAccount
	}
	return sCustom + f - fCustom
}

// bits are a natural logarithm to the base of 2.
func bits(log float32) float64 { return float64(log) / math.Ln2 }

// Explain says why two profiles seem to be of one person, or not. It knows nothing of the profiles around them, so the score of
// a group they are in may be another.
func (m *Model) Explain(a, b *fold.Profile) *Why {
	r := reader{custom: m.custom, habits: m.habits}
	c := &comparer{Model: m}
	c.a.read(r.append(nil, a), m.slots())
	c.b.read(r.append(nil, b), m.slots())
	c.compare(true)
	w := &Why{Prior: bits(m.priorM - m.priorU)}
	for f := range m.fields() {
		l := c.level[f]
		switch {
		case f == fAddress:
			w.Comparisons = append(w.Comparisons, c.explainAddress()...)
		case l != missing:
			weight := bits(m.logM[f][l] - m.other(&c.evidence, f))
			x, y := c.bestValues(f)
			w.Comparisons = append(w.Comparisons, Comparison{m.fieldName(f), x, y, m.levelWords(f, int(l)), weight})
		case f != fMiddle && (c.a.has(slotOf(f)) || c.b.has(slotOf(f))):
			x, y := c.bestValues(f)
			words := "only one has it"
			if x != "" && y != "" {
				words = "no evidence besides the name"
			}
			w.Comparisons = append(w.Comparisons, Comparison{m.fieldName(f), x, y, words, 0})
		}
	}
	one, home, two := m.logs(&c.evidence)
	// What is not worth a line goes to the prior, so that the sum is that of what stands there.
	besides := func(field, words string, weight float64) {
		if math.Abs(weight) > 0.05 {
			w.Comparisons = append(w.Comparisons, Comparison{Field: field, Words: words, Weight: weight})
		} else {
			w.Prior += weight
		}
	}
	if m.usualNames(c.level[:], c.log[:]) {
		besides("names together", "those who speak one language share both names more often", -bits(m.together))
	}
	besides("household", "two people who live together would share this too", -bits(logSum(home, two)-two))
	w.Sum = bits(one - logSum(home, two))
	w.Probability = probability(one - logSum(home, two))
	return w
}

func (m *Model) levelWords(f, l int) string {
	if f < len(levelWords) && levelWords[f] != nil {
		return levelWords[f][l]
	}
	return textWords[l]
}

// bestValues are the values of a field that agree best, as text.
func (c *comparer) bestValues(f int) (x, y string) {
	slot := slotOf(f)
	a, b := c.a.slot(slot), c.b.slot(slot)
	if slot == sBirth {
		if d := c.a.birth(); d != 0 {
			x = d.String()
		}
		if d := c.b.birth(); d != 0 {
			y = d.String()
		}
		return x, y
	}
	if slot == sMiddle {
		_, a = generation(a)
		_, b = generation(b)
	}
	best := likeness(0)
	first := true
	eachPart(a, valueEnd, func(p []byte) bool {
		eachPart(b, valueEnd, func(q []byte) bool {
			l := typo + 1
			if string(p) != string(q) {
				l = alike(p, q)
			}
			if first || l > best {
				x, y, best, first = string(p), string(q), l, false
			}
			return true
		})
		return true
	})
	if first {
		x, y = strings.ReplaceAll(string(a), "\x00", ", "), strings.ReplaceAll(string(b), "\x00", ", ")
	}
	return x, y
}

// explainAddress tells each part's weight, and by how much the address as a whole weighs more or less than its parts: who moves changes all of them.
func (c *comparer) explainAddress() (all []Comparison) {
	l := c.level[fAddress]
	if l == missing {
		return nil
	}
	whole := c.logM[fAddress][l] - c.other(&c.evidence, fAddress)
	for p, level := range c.parts {
		if level == missing {
			continue
		}
		w := c.partM[p][level] - c.partU[p][level]
		whole -= w
		x, y := nth(c.a.slot(sStreet+p), c.which[0]), nth(c.b.slot(sStreet+p), c.which[1])
		all = append(all, Comparison{partNames[p], string(x), string(y), partWords[level], bits(w)})
	}
	if abs(whole) > 0.05 {
		all = append(all, Comparison{Field: "address", Words: "the parts together, and how rare they are", Weight: bits(whole)})
	}
	return all
}
