package link

import (
	"math"
	"slices"

	"github.com/zeebo/xxh3"

	"kith/internal/extsort"
)

const (
	// termRecords are about how many records terms are counted in.
	termRecords = 400_000
	// maxTerms of a slot are remembered: the most frequent ones.
	maxTerms = 4096
)

// termSlots are the slots whose terms differ so much in frequency that it counts which one two people agree in.
var termSlots = []int{sGiven, sFamily, sBirth, sEmail, sPhone, sStreet, sCity, sPostcode, sBusiness, sAccount}

// sampled says whether a record is in a sample of about n of all. Numbers are hashes of ids, so every step-th is as good as any.
func sampled(i, all, n int) bool {
	step := max(1, all/n)
	return i%step == 0
}

// countTerms learns how frequent terms are. person, if it is not nil, is which records are of one person, as far as that is known: of these
// a term counts once.
func (m *Model) countTerms(r *records, workers int, person []uint32) error {
	slots := slices.Clone(termSlots)
	for i := range m.custom {
		slots = append(slots, sCustom+i)
	}
	all := make([][maxSlots]extsort.Table[sighting], workers)
	defer func() {
		for w := range all {
			for slot := range all[w] {
				all[w][slot].Close()
			}
		}
	}()
	err := r.each(workers, func(w, i int, b []byte) error {
		if !sampled(i, r.n, termRecords) || r.copy(i) {
			return nil
		}
		var v view
		v.read(b, r.slots)
		who := uint32(i)
		if person != nil {
			who = person[i]
		}
		for _, slot := range slots {
			if slot == sBirth { // bytes, not parts
				if d := v.slot(slot); len(d) > 0 {
					all[w][slot].Append(sightingOf(termHash(slot, d), who))
				}
				continue
			}
			eachPart(v.slot(slot), valueEnd, func(part []byte) bool {
				all[w][slot].Append(sightingOf(termHash(slot, part), who))
				return true
			})
		}
		return nil
	})
	if err != nil {
		return err
	}
	m.seldom = -float32(math.Log(float64(max(1, min(r.n, termRecords)))))
	var counted [maxSlots][]counted
	_ = parallel(workers, len(slots), func(_, k int) error {
		var list extsort.Table[sighting]
		defer list.Close()
		for w := range all {
			list.Append(all[w][slots[k]].All...)
			all[w][slots[k]].Close()
		}
		counted[slots[k]] = count(list.All)
		return nil
	})
	total := 0
	for _, terms := range counted {
		total += min(len(terms), maxTerms)
	}
	m.terms = newTerms(total)
	for _, slot := range slots {
		m.keepTerms(slot, counted[slot], person != nil)
	}
	return nil
}

// sighting is a term of a record: its hash, and in the low half whose it is.
type sighting uint64

func sightingOf(hash, person uint32) sighting { return sighting(hash)<<32 | sighting(person) }

// counted is how many persons have a term.
type counted struct {
	hash uint32
	n    int
}

// count counts terms, once for each person, and returns the most frequent first.
func count(list []sighting) (terms []counted) {
	spare := make([]sighting, len(list))
	sortNumbers(list, spare)
	order := spare[:0] // of terms, by how frequent they are, and then by their hashes
	for from := 0; from < len(list); {
		to, persons := from+1, uint32(1)
		for ; to < len(list) && list[to]>>32 == list[from]>>32; to++ {
			if list[to] != list[to-1] {
				persons++
			}
		}
		order = append(order, sightingOf(math.MaxUint32-persons, uint32(list[from]>>32)))
		from = to
	}
	sortNumbers(order, list[:len(order)])
	terms = make([]counted, 0, len(order))
	for _, t := range order {
		terms = append(terms, counted{uint32(t), math.MaxUint32 - int(t>>32)})
	}
	return terms
}

// keepTerms remembers the most frequent terms of a slot, and the mean of the others. As long as it is not known which records are of one person,
// those that have one e-mail address or phone number are believed to be so, mostly: where there is nothing else, nothing else would tell.
func (m *Model) keepTerms(slot int, all []counted, personsKnown bool) {
	counts := make([]int, maxTurned+2) // how many terms were seen so often
	rows := 0
	for _, t := range all {
		rows += t.n
		if t.n < len(counts) {
			counts[t.n]++
		}
	}
	others := turned(counts)
	frequency := func(n int) float64 {
		o := float64(n - 1)
		if n < len(others) {
			o = others[n]
		}
		if !personsKnown && (slot == sEmail || slot == sPhone) {
			o *= othersShare
		}
		belief := float64(beliefTerm)
		if 4*n > rows && n > 2 { // what so many have is no usual term, however few they are
			belief /= float64(n - 1)
		}
		return (o + belief*m.usual(slot)) / (float64(rows) + belief)
	}
	kept := 0
	for kept < len(all) && kept < maxTerms && all[kept].n > 1 {
		m.terms.put(all[kept].hash, float32(math.Log(frequency(all[kept].n))))
		kept++
	}
	sum, weight := 0.0, 0.0
	for _, t := range all[kept:] {
		sum += float64(t.n) * frequency(t.n)
		weight += float64(t.n)
	}
	m.tail[slot] = float32(math.Log(frequency(1)))
	if weight > 0 {
		m.tail[slot] = float32(math.Log(sum / weight))
	}
}

// othersShare is how many of those who have somebody's e-mail address or phone number are believed to be others.
const othersShare = 0.03

// beliefTerm is how many records the belief counts for of how frequent a usual term of a slot is.
const beliefTerm = 100

// usual is how frequent a usual term of a slot is believed to be.
func (m *Model) usual(slot int) float64 {
	switch slot {
	case sStreet, sCity, sPostcode:
		return believedParts[1][slot-sStreet][exact]
	case sGiven:
		return believedU[fGiven][exact]
	case sFamily:
		return believedU[fFamily][exact]
	case sBirth:
		return believedU[fBirth][exact]
	case sBusiness:
		return believedU[fBusiness][exact]
	}
	return 1e-5
}

// maxTurned is up to what count frequencies are estimated after Good and Turing.
const maxTurned = 6

// turned is how many others have a term, by how often it was seen: one less than that for frequent ones. For rare ones it is what Good
// (The population frequencies of species and the estimation of population parameters, 1953) made of it: who has a name that was seen
// once is not the only one, and not as often as not. counts is how many terms were seen once, twice, and so on.
func turned(counts []int) []float64 {
	others := make([]float64, maxTurned+1)
	for r := 1; r <= maxTurned; r++ {
		o := float64(r+1) * (float64(counts[r+1]) + 0.5) / (float64(counts[r]) + 1)
		others[r] = max(others[r-1], min(o, max(float64(r-1), 0.5)))
	}
	return others
}

// termHash names a term of a slot.
func termHash(slot int, term []byte) uint32 {
	h := uint32(xxh3.HashSeed(term, uint64(slot)))
	if h == 0 {
		return 1
	}
	return h
}
