package link

import (
	"bytes"
	"unicode/utf8"
)

// likeness is how alike two texts are that are not the same.
type likeness uint8

const (
	unlike likeness = iota
	near            // something in common that chance rarely makes
	typo            // one typing error, or as good as one
)

// letters is which letters are in a text: a bit for each, and for the digits together by their last bits. other: there are others than ASCII.
func letters(b []byte) (mask uint64, other bool) {
	var all byte
	for _, c := range b {
		mask |= 1 << (c & 63)
		all |= c
	}
	return mask, all >= utf8.RuneSelf
}

// within is how many letters of a text are in a mask.
func within(b []byte, mask uint64) (n int) {
	for _, c := range b {
		n += int(mask >> (c & 63) & 1)
	}
	return n
}

// alike compares two texts that are not empty and not the same.
func alike(a, b []byte) likeness {
	if len(a) > len(b) {
		a, b = b, a
	}
	maskA, otherA := letters(a)
	maskB, otherB := letters(b)
	if otherA || otherB {
		return alikeRunes(a, b)
	}
	if len(a) < 2 {
		return unlike
	}
	if oneEdit(a, b) {
		if len(b) <= 3 {
			return near
		}
		return typo
	}
	if len(a) < 3 {
		return unlike
	}
	// Most pairs have too few letters in common for any of what follows: that is seen at once.
	common := min(within(a, maskB), within(b, maskA))
	prefix := commonPrefix(a, b)
	bonus := 0.1 * float32(prefix)
	if need := (3*(nearLikeness-bonus)/(1-bonus) - 1) / (1/float32(len(a)) + 1/float32(len(b))); float32(common) >= need {
		switch j := jaroWinkler(a, b); {
		case j >= closeLikeness && len(a) >= 4:
			return typo
		case j >= nearLikeness:
			return near
		}
	}
	if len(a) >= 6 && len(b)-len(a) <= 2 && common >= len(a)-2 && distance(a, b, 2) <= 2 {
		return near
	}
	return unlike
}

// manyWords is from how many words on texts are compared by words: letters say little of them, for all titles of a brand begin alike, and
// words change places.
const manyWords = 3

// alikeText compares two texts of any number of words that are not empty and not the same.
func alikeText(a, b []byte) likeness {
	na, nb := bytes.Count(a, []byte{' '})+1, bytes.Count(b, []byte{' '})+1
	if na < manyWords || nb < manyWords {
		return alike(a, b)
	}
	if oneEdit(a, b) {
		return typo
	}
	common := 0
	var met uint64 // words of b that are taken; those behind the 64th are none
	eachPart(a, ' ', func(x []byte) bool {
		k := -1
		eachPart(b, ' ', func(y []byte) bool {
			if k++; k == 64 || met>>k&1 == 0 && same(x, y) {
				if k < 64 {
					common++
					met |= 1 << k
				}
				return false
			}
			return true
		})
		return true
	})
	switch share := float32(common) / float32(na+nb-common); {
	case share >= 0.75:
		return typo
	case share >= 0.5:
		return near
	}
	return unlike
}

// From these similarities on texts are close or near.
const (
	closeLikeness = 0.92
	nearLikeness  = 0.84
)

// mayBeAlike says whether two texts have most letters in common: of most pairs it tells at once that they are not alike.
func mayBeAlike(a, b []byte) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	maskA, _ := letters(a)
	maskB, _ := letters(b)
	return 4*within(b, maskA) >= 3*len(b)-4 && 4*within(a, maskB) >= 3*len(a)
}

// commonPrefix is how many letters two texts begin with alike, up to four.
func commonPrefix(a, b []byte) (n int) {
	for n < 4 && n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// alikeRunes is for scripts whose letters are syllables or words: one that differs is much in a short name.
func alikeRunes(a, b []byte) likeness {
	var bufA, bufB [64]rune
	ra, rb := runes(bufA[:0], a), runes(bufB[:0], b)
	if min(len(ra), len(rb)) < 3 {
		return unlike
	}
	for len(ra) > 0 && len(rb) > 0 && ra[0] == rb[0] {
		ra, rb = ra[1:], rb[1:]
	}
	for len(ra) > 0 && len(rb) > 0 && ra[len(ra)-1] == rb[len(rb)-1] {
		ra, rb = ra[:len(ra)-1], rb[:len(rb)-1]
	}
	if max(len(ra), len(rb)) > 1 {
		return unlike
	}
	if utf8.RuneCount(a) >= 5 {
		return typo
	}
	return near
}

func runes(dst []rune, b []byte) []rune {
	for len(b) > 0 && len(dst) < cap(dst) {
		r, n := utf8.DecodeRune(b)
		dst, b = append(dst, r), b[n:]
	}
	return dst
}

// trim leaves of two texts what is between their common beginning and their common end.
func trim(a, b []byte) ([]byte, []byte) {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	a, b = a[n:], b[n:]
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	return a, b
}

// oneEdit says whether one letter left out, added or replaced, or two neighbours swapped, make one text of the other.
func oneEdit(a, b []byte) bool {
	if d := len(a) - len(b); d > 1 || d < -1 {
		return false
	}
	a, b = trim(a, b)
	return len(a) <= 1 && len(b) <= 1 || len(a) == 2 && len(b) == 2 && a[0] == b[1] && a[1] == b[0]
}

// maxDistance is the longest text that distance compares.
const maxDistance = 64

// distance is the number of edits of oneEdit between two texts (optimal string alignment), or more than most if it is that.
func distance(a, b []byte, most int) int {
	a, b = trim(a, b)
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(b)-len(a) > most || len(b) > maxDistance {
		return most + 1
	}
	if len(a) == 0 {
		return len(b)
	}
	var rows [3][maxDistance + 1]uint8
	for j := range len(b) + 1 {
		rows[0][j] = uint8(j)
	}
	for i := 1; i <= len(a); i++ {
		now, up, up2 := &rows[i%3], &rows[(i+2)%3], &rows[(i+1)%3]
		now[0] = uint8(i)
		least := now[0]
		for j := 1; j <= len(b); j++ {
			d := up[j-1]
			if a[i-1] != b[j-1] {
				d = min(d, up[j], now[j-1]) + 1
				if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
					d = min(d, up2[j-2]+1)
				}
			}
			now[j] = d
			least = min(least, d)
		}
		if int(least) > most {
			return most + 1
		}
	}
	return int(rows[len(a)%3][len(b)])
}

// jaroWinkler is the similarity of Jaro with the bonus of Winkler for a common beginning, of texts of at most 64 bytes; of longer ones their
// beginnings count.
func jaroWinkler(a, b []byte) float32 {
	if len(a) > len(b) {
		a, b = b, a
	}
	a, b = a[:min(len(a), 64)], b[:min(len(b), 64)]
	if len(a) == 0 {
		return 0
	}
	window := max(len(b)/2-1, 0)
	var usedA, usedB uint64
	m := 0
	for i, c := range a {
		lo, hi := max(i-window, 0), min(i+window+1, len(b))
		for j := lo; j < hi; j++ {
			if b[j] == c && usedB>>j&1 == 0 {
				usedA |= 1 << i
				usedB |= 1 << j
				m++
				break
			}
		}
	}
	if m == 0 {
		return 0
	}
	t, j := 0, 0
	for i := range a {
		if usedA>>i&1 == 0 {
			continue
		}
		for usedB>>j&1 == 0 {
			j++
		}
		if a[i] != b[j] {
			t++
		}
		j++
	}
	f := float32(m)
	s := (f/float32(len(a)) + f/float32(len(b)) + (f-float32(t)/2)/f) / 3
	return s + float32(commonPrefix(a, b))*0.1*(1-s)
}

// eachPart calls do for each part of several that are joined by sep, until it returns false.
func eachPart(b []byte, sep byte, do func(part []byte) bool) {
	for len(b) > 0 {
		part := b
		if n := bytes.IndexByte(b, sep); n >= 0 {
			part, b = b[:n], b[n+1:]
		} else {
			b = nil
		}
		if len(part) > 0 && !do(part) {
			return
		}
	}
}
