package schema

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// The words of a name that belong to the family name behind them, and those that are no part of it.
var (
	particles = wordSet("van von der den de del della di da dos das du la le los ter ten zu zum zur af av bin ibn al el st st. mac mc o")
	titles    = wordSet("dr dr. prof prof. mr mr. mrs mrs. ms ms. miss herr frau fr. hr. mme m. mlle sr. sra. sig. dott. dott.ssa ing. dipl.-ing. sir")
)

func wordSet(words string) map[string]bool {
	all := map[string]bool{}
	for w := range strings.FieldsSeq(words) {
		all[w] = true
	}
	return all
}

// SplitName splits the name of a person into given and family names. "Lee, Ann" has the family name first, as names in Chinese characters and in Hangul
// have; else it is the last word, with the particles before it. A name of one word is a given name. Titles are left out.
func SplitName(full string) (given, family string) {
	full = ColumnName(full)
	if last, first, ok := strings.Cut(full, ","); ok && strings.TrimSpace(first) != "" {
		return strings.Join(untitled(first), " "), strings.Join(untitled(last), " ")
	}
	words := untitled(strings.TrimSuffix(full, ","))
	if len(words) < 2 {
		return strings.Join(words, " "), ""
	}
	if r, _ := utf8.DecodeRuneInString(words[0]); unicode.In(r, unicode.Han, unicode.Hangul) {
		return strings.Join(words[1:], " "), words[0]
	}
	at := len(words) - 1
	for at > 1 && particles[strings.ToLower(words[at-1])] {
		at--
	}
	return strings.Join(words[:at], " "), strings.Join(words[at:], " ")
}

// untitled returns the words of a name without the titles before them.
func untitled(name string) []string {
	words := strings.Fields(name)
	for len(words) > 1 && titles[strings.ToLower(words[0])] {
		words = words[1:]
	}
	return words
}
