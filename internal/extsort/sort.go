package extsort

import (
	"cmp"
	"encoding/binary"
	"slices"
)

// Ref is something to sort: eight bytes of its key, and where it is.
type Ref struct {
	Prefix uint64
	At     uint32
}

// Prefix returns the first eight bytes of a key as a number that sorts like them; a shorter key is filled up with zeros.
func Prefix(key []byte) uint64 {
	if len(key) >= 8 {
		return binary.BigEndian.Uint64(key)
	}
	var b [8]byte
	copy(b[:], key)
	return binary.BigEndian.Uint64(b[:])
}

// Sorter sorts references by their keys. It is a radix sort on eight bytes of the keys at a time, which passes over bytes that all
// have in common; few references are compared. Comparing
// keys was the largest single cost of resolving a bucket of an import.
type Sorter struct {
	// Key returns the key of a reference.
	Key func(at uint32) []byte
	// Compare orders two references of any keys, and never finds two equal.
	Compare func(a, b uint32) int

	scratch []Ref
}

const (
	fewRefs    = 48  // are compared
	radixDepth = 128 // bytes of a key beyond which refs are compared
)

// Sort sorts refs, whose prefixes are those of their keys. Refs that agree in them may have others, from further behind in the
// key, when it returns.
func (s *Sorter) Sort(refs []Ref) { s.sortFrom(refs, 0) }

func (s *Sorter) sortFrom(refs []Ref, depth int) {
	if len(refs) <= fewRefs || depth >= radixDepth {
		slices.SortFunc(refs, func(a, b Ref) int {
			if a.Prefix != b.Prefix {
				return cmp.Compare(a.Prefix, b.Prefix)
			}
			return s.Compare(a.At, b.At)
		})
		return
	}
	s.radix(refs)
	for i := 0; i < len(refs); {
		j := i + 1
		for j < len(refs) && refs[j].Prefix == refs[i].Prefix {
			j++
		}
		if same := refs[i:j]; len(same) > 1 {
			next, more := depth+8, false
			if len(same) > fewRefs {
				for k := range same {
					key := s.Key(same[k].At)
					same[k].Prefix = Prefix(key[min(next, len(key)):])
					more = more || len(key) > next
				}
				if !more { // the keys are over, so nothing is left to tell them apart by their bytes
					next = radixDepth
				}
			}
			s.sortFrom(same, next)
		}
		i = j
	}
}

// radix sorts by prefix, least significant byte first.
func (s *Sorter) radix(refs []Ref) {
	if cap(s.scratch) < len(refs) {
		s.scratch = make([]Ref, len(refs))
	}
	from, to := refs, s.scratch[:len(refs)]
	var counts [8][256]uint32
	for i := range refs {
		p := refs[i].Prefix
		for d := range 8 {
			counts[d][byte(p>>(8*d))]++
		}
	}
	for d := range 8 {
		c := &counts[d]
		if c[byte(refs[0].Prefix>>(8*d))] == uint32(len(refs)) {
			continue
		}
		sum := uint32(0)
		for i, n := range c {
			c[i] = sum
			sum += n
		}
		for _, r := range from {
			b := byte(r.Prefix >> (8 * d))
			to[c[b]] = r
			c[b]++
		}
		from, to = to, from
	}
	if &from[0] != &refs[0] {
		copy(refs, from)
	}
}
