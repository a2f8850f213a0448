package link

import (
	_ "embed"
	"strings"
	"sync"
)

// nicknames.txt has a line of forms of one given name each. A name may be on several lines.
//
//go:embed nicknames.txt
var nicknameTable string

// nicknames are the lines that a name is on.
var nicknames = sync.OnceValue(func() map[string][]uint16 {
	all := map[string][]uint16{}
	n := uint16(0)
	for line := range strings.Lines(nicknameTable) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		n++
		for _, name := range strings.Fields(line) {
			if k := len(all[name]); k == 0 || all[name][k-1] != n {
				all[name] = append(all[name], n)
			}
		}
	}
	return all
})

// nickname says whether two names are forms of one.
func nickname(a, b []byte) bool {
	table := nicknames()
	for _, x := range table[string(a)] {
		for _, y := range table[string(b)] {
			if x == y {
				return true
			}
		}
	}
	return false
}

// titles are words before or behind a name that are none of it.
var titles = set("mr mrs ms miss mx dr prof sir dame rev hon herr frau fr monsieur mme mlle m sr sra srta dott ing mag phd md esq don dona sig signora")

// generations are words behind a name that tell a father from his son, and which of them it is.
var generations = map[string]byte{"sr": '1', "snr": '1', "senior": '1', "jr": '2', "jnr": '2', "junior": '2', "ii": '2', "fils": '2', "filho": '2', "iii": '3', "neto": '3', "iv": '4'}

// particles are words of a family name that are written or not, joined or not.
var particles = set("de da di do dos das del della dello la le las los el al van von der den het ten ter zu zum zur af av y e i und bin ibn ben bint abu san")

func set(words string) map[string]bool {
	all := map[string]bool{}
	for _, w := range strings.Fields(words) {
		all[w] = true
	}
	return all
}

// patronymic says whether a word is a father's name, as in Ivan Ivanovich Petrov.
func patronymic(w string) bool {
	if len(w) < 7 {
		return false
	}
	for _, end := range [...]string{"ovich", "evich", "ovna", "evna", "ovych", "ivna", "yevich", "inichna", "oglu", "ogly", "kyzy", "qizi"} {
		if strings.HasSuffix(w, end) {
			return true
		}
	}
	return false
}

// name is a person's name in parts, as they are compared.
type name struct {
	given, middle, family []string
	// generation is a digit, or 0: nothing tells it.
	generation byte
}

// nameOf makes a name of what a profile has. A given name in several words keeps its first; a father's name is a middle name wherever it
// stands; what is without a family name may have it in the given name, unless that ends with one of the words that are second there elsewhere.
func nameOf(first, middle, last string, second map[uint32]bool) (n name) {
	given, family := words(first), words(last)
	n.middle = words(middle)
	given, family = n.withoutTitles(given), n.withoutTitles(family)
	if len(family) == 0 && len(given) > 1 && len(n.middle) == 0 {
		if f, g, ok := commaName(first); ok { // Smith, John
			family, given = n.withoutTitles(f), n.withoutTitles(g)
		} else if !second[wordHash([]byte(given[len(given)-1]))] {
			given, family = given[:len(given)-1], given[len(given)-1:]
		}
	}
	if len(given) == 0 && len(family) > 1 && !particles[family[0]] {
		if f, g, ok := commaName(last); ok {
			family, given = n.withoutTitles(f), n.withoutTitles(g)
		}
	}
	keep := given[:0:0]
	for i, w := range given {
		if i > 0 && patronymic(w) {
			n.middle = append(n.middle, w)
			continue
		}
		keep = append(keep, w)
	}
	n.given = keep
	// A family name may be written before the given name: where Han or Hangul have no blanks.
	if len(n.given) == 1 && len(family) == 1 && len(n.given[0]) > len(family[0]) && !ascii([]byte(family[0])) {
		if rest, ok := strings.CutPrefix(n.given[0], family[0]); ok {
			n.given[0] = rest
		}
	}
	n.family = family
	return n
}

// withoutTitles leaves of words those that are a name, and keeps the generation. Sr in front of it is a title.
func (n *name) withoutTitles(words []string) []string {
	for {
		last := len(words) - 1
		switch {
		case last > 0 && generations[words[last]] != 0:
			n.generation = generations[words[last]]
			words = words[:last]
		case last > 0 && titles[words[last]]:
			words = words[:last]
		default:
			return without(words, titles)
		}
	}
}

// commaName parts a text that has the family name, a comma, and the given name.
func commaName(text string) (family, given []string, ok bool) {
	before, behind, _ := strings.Cut(text, ",")
	family, given = words(before), words(behind)
	return family, given, len(family) > 0 && len(given) > 0
}

// without returns words without some, or all if nothing would be left.
func without(words []string, drop map[string]bool) []string {
	if len(words) < 2 {
		return words
	}
	keep := words[:0:0]
	for _, w := range words {
		if !drop[w] {
			keep = append(keep, w)
		}
	}
	if len(keep) == 0 {
		return words
	}
	return keep
}
