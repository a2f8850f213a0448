package sst

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

const (
	bundleShift = 4
	bundleSize  = 1 << bundleShift
)

// Kinds of rows, which are their trailers, for their sequence number is 0.
const (
	kindDelete = 0
	kindSet    = 1
)

// rows are those of the present block, part by part, as they came. A prefix that is the same as the one before is not there again, but at the
// beginning of a bundle.
type rows struct {
	any        bool // there have been rows, in this block or another
	size       int  // of the block, encoded
	maxKey     int
	prefixes   []byte
	prefixEnds []uint32
	bundles    []int // how many bytes all prefixes of a bundle share, but for the last bundle
	suffixes   []byte
	suffixEnds []uint32
	values     []byte
	valueEnds  []uint32
	kinds      []byte
	changed    []uint64 // bits: the prefix is not that of the row before
	lastPrefix int      // where the last row's begins
	lastSuffix int
	deletions  int
	deleted    int // bytes of their keys
	sizing
}

// sizing is what the size of a block depends on, besides the lengths of all suffixes and values.
type sizing struct {
	rows         int
	done         int // encoded bytes of the prefixes of finished bundles
	distinct     int // prefixes of the present bundle, without repetitions
	distinctLen  int // their bytes
	bundlePrefix int // bytes they share
	ended        int // what it was for the bundle before
	blockPrefix  int // bytes that all prefixes of the block share
	puts         bool
	deletes      bool
}

func (r *rows) reset() {
	*r = rows{
		any: r.any, prefixes: r.prefixes[:0], prefixEnds: r.prefixEnds[:0], bundles: r.bundles[:0], suffixes: r.suffixes[:0], suffixEnds: r.suffixEnds[:0],
		values: r.values[:0], valueEnds: r.valueEnds[:0], kinds: r.kinds[:0], changed: r.changed[:0],
	}
}

// cap is how much memory the buffers take.
func (r *rows) cap() int {
	return cap(r.prefixes) + cap(r.suffixes) + cap(r.values) + cap(r.kinds) + 4*(cap(r.prefixEnds)+cap(r.suffixEnds)+cap(r.valueEnds)) + 8*(cap(r.bundles)+cap(r.changed))
}

// compare tells how many bytes of the prefix the row before has too, whether it is the same prefix, and whether the key comes behind that row.
func (r *rows) compare(prefix, suffix []byte) (shared int, same, ok bool) {
	if !r.any {
		r.any = true
		return 0, false, true
	}
	last := r.prefixes[r.lastPrefix:]
	shared = common(last, prefix)
	switch {
	case shared < len(prefix) && shared < len(last):
		return shared, false, prefix[shared] > last[shared]
	case len(prefix) == len(last):
		return shared, true, bytes.Compare(suffix, r.suffixes[r.lastSuffix:]) > 0
	}
	return shared, false, len(prefix) > len(last)
}

// common returns how many bytes a and b begin with alike.
func common(a, b []byte) int {
	n := min(len(a), len(b))
	i := 0
	for ; i+8 <= n; i += 8 {
		if d := binary.LittleEndian.Uint64(a[i:]) ^ binary.LittleEndian.Uint64(b[i:]); d != 0 {
			return i + bits.TrailingZeros64(d)>>3
		}
	}
	for i < n && a[i] == b[i] {
		i++
	}
	return i
}

// grow counts one more row, whose prefix of n bytes shares some with the one before, or is the same.
func (s *sizing) grow(n, shared int, same bool, kind byte) {
	switch {
	case s.rows == 0:
		s.blockPrefix, s.bundlePrefix, s.distinct, s.distinctLen = n, n, 1, n
	case s.rows&(bundleSize-1) == 0:
		s.done += s.bundle()
		s.ended = s.bundlePrefix
		s.blockPrefix = min(s.blockPrefix, shared)
		s.bundlePrefix, s.distinct, s.distinctLen = n, 1, n
	case !same:
		s.blockPrefix, s.bundlePrefix = min(s.blockPrefix, shared), min(s.bundlePrefix, shared)
		s.distinct++
		s.distinctLen += n
	}
	s.rows++
	if kind == kindSet {
		s.puts = true
	} else {
		s.deletes = true
	}
}

// bundle returns how many bytes the prefixes of the present bundle take, with what all of the block share.
func (s *sizing) bundle() int { return s.distinctLen - (s.distinct-1)*s.bundlePrefix }

// bundled returns how many bundles there are.
func (s *sizing) bundled() int { return (s.rows + bundleSize - 1) >> bundleShift }

// prefixBytes returns how many bytes all prefixes take.
func (s *sizing) prefixBytes() int { return s.done + s.bundle() - (s.bundled()-1)*s.blockPrefix }

// bytes returns the size of the block with so many bytes of suffixes and values. The columns are described at encode.
func (s *sizing) bytes(suffixes, values int) int {
	n := s.prefixBytes()
	w := width(n)
	at := align(headerSize+2, w) + (1+s.bundled()+s.rows)*w + n
	at = s.parts(at, suffixes)
	at += s.trailerBytes()
	at = align(at+1, 8) + bitmapBytes(s.rows)
	at = s.parts(at, values)
	return at + 3
}

// parts returns where a column of so many bytes ends that begins at at.
func (s *sizing) parts(at, n int) int {
	at++
	if w := width(n); w > 0 {
		at = align(at, w) + (s.rows+1)*w + n
	}
	return at
}

func (s *sizing) trailerBytes() int {
	switch {
	case !s.puts:
		return 1
	case !s.deletes && s.rows >= minDelta:
		return 9
	}
	return 1 + s.rows
}

// bitmapBytes returns the size of the words of a bitmap, and of the words that tell which of these are not 0.
func bitmapBytes(rows int) int {
	words := (rows + 63) >> 6
	return 8 * (words + (words+63)>>6)
}

// width returns how many bytes numbers up to n take: 0, 1, 2 or 4.
func width(n int) int {
	switch {
	case n == 0:
		return 0
	case n < 1<<8:
		return 1
	case n < 1<<16:
		return 2
	}
	return 4
}

// align returns the next multiple of to, a power of two or 0.
func align(n, to int) int {
	if to == 0 {
		return n
	}
	return (n + to - 1) &^ (to - 1)
}

// add adds a row's key. The row is counted already.
func (r *rows) add(prefix, suffix []byte, kind byte, same bool) {
	i := r.rows - 1
	first := i&(bundleSize-1) == 0
	if first && i > 0 {
		r.bundles = append(r.bundles, r.ended)
	}
	if first || !same {
		r.lastPrefix = len(r.prefixes)
		r.prefixes = append(r.prefixes, prefix...)
	}
	r.prefixEnds = append(r.prefixEnds, uint32(len(r.prefixes)))
	r.lastSuffix = len(r.suffixes)
	r.suffixes = append(r.suffixes, suffix...)
	r.suffixEnds = append(r.suffixEnds, uint32(len(r.suffixes)))
	r.kinds = append(r.kinds, kind)
	if i&63 == 0 {
		r.changed = append(r.changed, 0)
	}
	if !same {
		r.changed[i>>6] |= 1 << (i & 63)
	}
	r.maxKey = max(r.maxKey, len(prefix)+len(suffix))
}

// appendLast appends the key of the last row.
func (r *rows) appendLast(dst []byte) []byte {
	return append(append(dst, r.prefixes[r.lastPrefix:]...), r.suffixes[r.lastSuffix:]...)
}
