package extsort

import (
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
// have in common; keys are compared where they agree to their end, or for long. Comparing
// keys was the largest single cost of resolving a bucket of an import.
type Sorter struct {
	// Key returns the key of a reference.
	Key func(at uint32) []byte
	// Compare orders two references of any keys, and never finds two equal.
	Compare func(a, b uint32) int

	scratch []Ref
}

const (
	fewRefs    = 48  // are inserted one by one
	radixDepth = 128 // bytes of a key beyond which refs are compared
)

// Sort sorts refs, whose prefixes are those of their keys. Refs that agree in them may have others, from further behind in the
// key, when it returns.
func (s *Sorter) Sort(refs []Ref) { s.sortFrom(refs, 0) }

// sortFrom sorts refs whose prefixes are what their keys have from a depth on. Before it they agree.
func (s *Sorter) sortFrom(refs []Ref, depth int) {
	if len(refs) > fewRefs {
		s.radix(refs)
	} else {
		insert(refs)
	}
	for i := 0; i < len(refs); {
		j := i + 1
		for j < len(refs) && refs[j].Prefix == refs[i].Prefix {
			j++
		}
		if j-i > 1 {
			s.sortAlike(refs[i:j], depth+8)
		}
		i = j
	}
}

// sortAlike sorts refs whose keys agree up to a depth.
func (s *Sorter) sortAlike(refs []Ref, depth int) {
	if len(refs) == 2 {
		if s.Compare(refs[0].At, refs[1].At) > 0 {
			refs[0], refs[1] = refs[1], refs[0]
		}
		return
	}
	more := false
	for i := range refs {
		key := s.Key(refs[i].At)
		refs[i].Prefix = Prefix(key[min(depth, len(key)):])
		more = more || len(key) > depth
	}
	if more && depth < radixDepth {
		s.sortFrom(refs, depth)
		return
	}
	// The keys are over, so that nothing is left to tell them apart by their bytes.
	slices.SortFunc(refs, func(a, b Ref) int { return s.Compare(a.At, b.At) })
}

// insert sorts few refs by prefix.
func insert(refs []Ref) {
	for i := 1; i < len(refs); i++ {
		r := refs[i]
		j := i
		for ; j > 0 && refs[j-1].Prefix > r.Prefix; j-- {
			refs[j] = refs[j-1]
		}
		refs[j] = r
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
