package link

import (
	"cmp"
	"slices"
	"unicode/utf8"

	"github.com/zeebo/xxh3"

	"kith/profile/fold"
)

// habits are how a domain writes what it knows, and what it writes where it knows nothing. They are learned from a sample before records are made.
type habits struct {
	// dayFirst: in dates whose day and month could be either.
	dayFirst bool
	// void are the terms that tell nothing, for they stand with persons of too many names: the birth date of whoever gave none, the address
	// noreply@, the phone number of the call centre. They count as empty.
	void map[uint32]bool
	// second are the words that stand second in given names, as Luis in José Luis: where there is no family name, they are not taken for one.
	second map[uint32]bool
}

const (
	// tasteSize is how many profiles are in the sample. It is those with the smallest hashes of their ids, so it is the same whoever reads them.
	tasteSize = 1 << 15
	// voidPersons are how many persons have a void term at least, and voidTimes by how many times more than have a usual one.
	voidPersons = 20
	voidTimes   = 10
	// maxVoid and maxSecond bound what is kept: the most frequent.
	maxVoid, maxSecond = 256, 2048
)

// taste is a sample of records.
type taste struct {
	reader
	all   []tasted
	limit uint64 // hashes above it are out
}

type tasted struct {
	hash   uint64
	record []byte
	last   bool // the profile has a family name
}

func (t *taste) add(p *fold.Profile, last string) {
	h := xxh3.Hash(p.ID[:])
	if t.limit > 0 && h > t.limit {
		return
	}
	t.noAddress = true // nothing is learned of it
	if t.all = append(t.all, tasted{h, t.append(nil, p), last != ""}); len(t.all) >= 2*tasteSize {
		t.shrink()
	}
}

// merge adds the sample of other profiles.
func (t *taste) merge(o *taste) {
	if t.all = append(t.all, o.all...); len(t.all) >= 2*tasteSize {
		t.shrink()
	}
}

func (t *taste) shrink() {
	slices.SortFunc(t.all, func(a, b tasted) int {
		if c := cmp.Compare(a.hash, b.hash); c != 0 {
			return c
		}
		return slices.Compare(a.record, b.record)
	})
	if len(t.all) > tasteSize {
		clear(t.all[tasteSize:])
		t.all = t.all[:tasteSize]
		t.limit = t.all[tasteSize-1].hash
	}
}

// learn learns the habits from the sample.
func (t *taste) learn(h *habits) {
	t.shrink()
	var v view
	var seen [3][]sighting
	slots := [...]int{sBirth, sEmail, sPhone}
	second, family := map[uint32]int{}, map[uint32]int{}
	for _, s := range t.all {
		v.read(s.record, t.slots())
		if s.last {
			countWords(v.slot(sFamily), 0, family)
			countWords(v.slot(sGiven), 1, second)
		}
		who := initials(&v)
		if who == 0 {
			continue
		}
		for k, slot := range slots {
			eachTerm(&v, slot, func(term []byte) { seen[k] = append(seen[k], sightingOf(termHash(slot, term), who)) })
		}
	}
	var void []counted
	for k := range slots {
		void = append(void, voidTerms(seen[k])...)
	}
	h.void = mostFrequent(void, maxVoid)
	var names []counted
	for word, n := range second {
		if n > 1 && n > family[word] {
			names = append(names, counted{word, n})
		}
	}
	h.second = mostFrequent(names, maxSecond)
}

// eachTerm calls do for the terms of a slot. A date is one, whatever its bytes are.
func eachTerm(v *view, slot int, do func(term []byte)) {
	if slot == sBirth {
		if v.has(slot) {
			do(v.slot(slot))
		}
		return
	}
	eachPart(v.slot(slot), valueEnd, func(part []byte) bool {
		do(part)
		return true
	})
}

// countWords counts the words of a name but for the first ones.
func countWords(name []byte, but int, counts map[uint32]int) {
	eachPart(name, ' ', func(word []byte) bool {
		if but--; but < 0 {
			counts[wordHash(word)]++
		}
		return true
	})
}

func wordHash(word []byte) uint32 { return termHash(sGiven, word) }

// initials are a number of the first letters of both names; 0: there are none. Somebody's records have few, whatever errors they have.
func initials(v *view) uint32 {
	given, family := v.slot(sGiven), v.slot(sFamily)
	if len(given) == 0 && len(family) == 0 {
		return 0
	}
	a, _ := utf8.DecodeRune(given)
	b, _ := utf8.DecodeRune(family)
	return uint32(a)<<16 ^ uint32(b) | 1<<31
}

// voidTerms are the terms that stand with too many initials, and with how many.
func voidTerms(seen []sighting) (void []counted) {
	records := len(seen)
	terms := count(seen)
	if len(terms) == 0 {
		return nil
	}
	least := max(voidPersons, voidTimes*records/len(terms))
	for _, t := range terms {
		if t.n >= least {
			void = append(void, t)
		}
	}
	return void
}

// mostFrequent are the hashes of the most frequent terms.
func mostFrequent(terms []counted, most int) map[uint32]bool {
	slices.SortFunc(terms, func(a, b counted) int { return cmp.Or(cmp.Compare(b.n, a.n), cmp.Compare(a.hash, b.hash)) })
	all := map[uint32]bool{}
	for _, t := range terms[:min(len(terms), most)] {
		all[t.hash] = true
	}
	return all
}

// nothing is what people write in names and addresses where they know nothing, as appendWords has it.
var nothing = func() map[string]bool {
	all := set("unknown none null nil test xxx xx tbd undefined anonymous noname unbekannt desconocido desconocida inconnu inconnue sconosciuto onbekend nieznany nieznana neizvestno neizvestnyy desconhecido")
	for _, text := range []string{"n a", "not available", "not provided", "not known", "no name", "no address", "no fixed address", "sin nombre"} {
		all[text] = true
	}
	return all
}()

// nothingLetters are the sums of the letters of nothing.
var nothingLetters = func() map[uint32]bool {
	all := map[uint32]bool{}
	for text := range nothing {
		sum, _ := sumLetters(text)
		all[sum] = true
	}
	return all
}()

// sumLetters is a sum of the letters of a text without case, and says whether it has no others than those of ASCII.
func sumLetters(text string) (sum uint32, all bool) {
	for i := range len(text) {
		c := text[i]
		if c >= utf8.RuneSelf {
			return 0, false
		}
		if c = asciiLetter[c]; c > ' ' {
			sum = (sum ^ uint32(c)) * 16777619
		}
	}
	return sum, true
}

// known is a text, or nothing where the text says that nothing is known.
func known(text string) string {
	if len(text) > 40 {
		return text
	}
	if sum, all := sumLetters(text); all && !nothingLetters[sum] { // of most it is seen at once
		return text
	}
	var buf [48]byte
	if nothing[string(appendWords(buf[:0], text))] {
		return ""
	}
	return text
}
