package extsort

import (
	"bytes"
	"math/bits"
	"slices"
	"sort"

	"github.com/zeebo/xxh3"
)

// Partition decides which bucket a key belongs to: by ranges of sampled keys, or by hash. Ranges make a bucket one stretch of
// whatever is sorted by the same keys; with hashes every bucket lies all over it.
type Partition struct {
	n      int
	seed   uint64   // of the hash
	bounds [][]byte // of the buckets from the second on; nil: by hash
	heads  []uint64 // their prefixes
}

// ByRange returns a partition of len(bounds)+1 buckets, each but the first of the keys from its bound on.
func ByRange(bounds [][]byte) *Partition {
	p := &Partition{n: len(bounds) + 1, bounds: bounds}
	for _, b := range bounds {
		p.heads = append(p.heads, Prefix(b))
	}
	return p
}

// ByHash returns a partition of n buckets. Who does not know the seed can't choose keys that all belong to one bucket.
func ByHash(n int, seed uint64) *Partition { return &Partition{n: n, seed: seed} }

// Buckets is how many there are.
func (p *Partition) Buckets() int { return p.n }

// Bucket returns the bucket of a key.
func (p *Partition) Bucket(key []byte) int {
	if p.n == 1 {
		return 0
	}
	if p.bounds == nil {
		return int(xxh3.HashSeed(key, p.seed) % uint64(p.n))
	}
	head := Prefix(key)
	n := 0 // prefixes of bounds that are not behind that of the key
	for left := len(p.heads); left > 0; {
		half := (left + 1) / 2
		_, behind := bits.Sub64(head, p.heads[n+half-1], 0)
		n += half & (int(behind) - 1) // a jump would be foretold wrong every other time
		left -= half
	}
	if n == 0 || p.heads[n-1] < head {
		return n
	}
	return sort.Search(n, func(i int) bool { return bytes.Compare(key, p.bounds[i]) < 0 })
}

// maxBound is how many bytes of a key are kept as a bound.
const maxBound = 64

// Bounds returns bounds of up to n buckets of about the same size, given some of the keys, which it sorts.
func Bounds(sample [][]byte, n int) (bounds [][]byte) {
	slices.SortFunc(sample, bytes.Compare)
	for i := 1; i < n && len(sample) > 0; i++ {
		b := sample[i*len(sample)/n]
		b = b[:min(len(b), maxBound)]
		if len(bounds) == 0 || bytes.Compare(bounds[len(bounds)-1], b) < 0 {
			bounds = append(bounds, b)
		}
	}
	return bounds
}
