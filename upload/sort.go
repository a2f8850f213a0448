package upload

import (
	"cmp"
	"encoding/binary"
	"slices"
)

// ref is something to sort: eight bytes of its key, and where it is.
type ref struct {
	prefix uint64
	at     uint32
}

// prefixOf returns the first eight bytes of a key as a number that sorts like them; a shorter key is filled up with zeros.
func prefixOf(key []byte) uint64 {
	if len(key) >= 8 {
		return binary.BigEndian.Uint64(key)
	}
	var b [8]byte
	copy(b[:], key)
	return binary.BigEndian.Uint64(b[:])
}

// sorter sorts refs by their keys. It is a radix sort on eight bytes of the keys at a time, which passes over bytes that all
// have in common; few refs are compared. Comparing keys was the largest single cost of resolving a bucket.
type sorter struct {
	// key returns the key of a ref.
	key func(at uint32) []byte
	// compare orders two refs of any keys, and never finds two equal.
	compare func(a, b uint32) int

	scratch []ref
}

const (
	fewRefs    = 48  // are compared
	radixDepth = 128 // bytes of a key beyond which refs are compared
)

// sort sorts refs, whose prefixes are those of their keys. Refs that agree in them may have others, from further behind in the
// key, when it returns.
func (s *sorter) sort(refs []ref) { s.sortFrom(refs, 0) }

func (s *sorter) sortFrom(refs []ref, depth int) {
	if len(refs) <= fewRefs || depth >= radixDepth {
		slices.SortFunc(refs, func(a, b ref) int {
			if a.prefix != b.prefix {
				return cmp.Compare(a.prefix, b.prefix)
			}
			return s.compare(a.at, b.at)
		})
		return
	}
	s.radix(refs)
	for i := 0; i < len(refs); {
		j := i + 1
		for j < len(refs) && refs[j].prefix == refs[i].prefix {
			j++
		}
		if same := refs[i:j]; len(same) > 1 {
			next, more := depth+8, false
			if len(same) > fewRefs {
				for k := range same {
					key := s.key(same[k].at)
					same[k].prefix = prefixOf(key[min(next, len(key)):])
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
func (s *sorter) radix(refs []ref) {
	if cap(s.scratch) < len(refs) {
		s.scratch = make([]ref, len(refs))
	}
	from, to := refs, s.scratch[:len(refs)]
	var counts [8][256]uint32
	for i := range refs {
		p := refs[i].prefix
		for d := range 8 {
			counts[d][byte(p>>(8*d))]++
		}
	}
	for d := range 8 {
		c := &counts[d]
		if c[byte(refs[0].prefix>>(8*d))] == uint32(len(refs)) {
			continue
		}
		sum := uint32(0)
		for i, n := range c {
			c[i] = sum
			sum += n
		}
		for _, r := range from {
			b := byte(r.prefix >> (8 * d))
			to[c[b]] = r
			c[b]++
		}
		from, to = to, from
	}
	if &from[0] != &refs[0] {
		copy(refs, from)
	}
}
