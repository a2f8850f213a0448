package link

import "bytes"

// names compares given and family names.
func (c *comparer) names() {
	a, b := &c.a, &c.b
	ga, gb, fa, fb := a.slot(sGiven), b.slot(sGiven), a.slot(sFamily), b.slot(sFamily)
	given, family := missing, missing
	if comparable(ga, gb) {
		given = givenLevel(ga, gb)
		if given >= givenClose && given < givenOther && c.twoNames(sGiven, firstWord(ga), firstWord(gb)) {
			given++ // close is near, and near is other
		}
	}
	if comparable(fa, fb) {
		family = familyLevel(fa, fb)
		if family >= familyClose && family < familyOther && c.twoNames(sFamily, fa, fb) {
			family++
		}
	}
	if given != missing && family == familyOther && numbered(fa) && numbered(fb) { // User 12 and User 13
		given = givenOther
	}
	switch {
	case given >= givenNear && family >= familyNear && sameName(ga, fb) && sameName(gb, fa):
		given, family = givenSwapped, missing
	case given == missing && (family == missing || family >= familyNear) && crossed(ga, gb, fa, fb):
		family = familyCross
	case family == missing && given >= givenNear && crossed(ga, gb, fa, fb):
		given, family = missing, familyCross
	}
	if given == missing && family == missing { // who is written in Latin letters here is seldom written in Chinese ones there
		switch {
		case len(ga) > 0 && len(gb) > 0:
			given = givenScript
		case len(fa) > 0 && len(fb) > 0:
			family = familyScript
		}
	}
	if given != missing {
		given = c.generations(given)
	}
	c.level[fGiven], c.level[fFamily] = uint16(given), uint16(family)
	switch given {
	case exact:
		c.log[fGiven] = max(c.frequency(sGiven, ga), c.frequency(sGiven, gb))
	case givenSwapped:
		c.log[fGiven] = c.frequency(sGiven, ga)/2 + c.frequency(sFamily, fa)/2 + c.logU[fGiven][givenSwapped]/2
	}
	if family == exact {
		c.log[fFamily] = max(c.frequency(sFamily, fa), c.frequency(sFamily, fb))
	}
}

// generation parts the words of further names from the generation in front of them; 0: there is none.
func generation(middle []byte) (byte, []byte) {
	switch {
	case len(middle) == 0 || middle[0] < '1' || middle[0] > '4' || len(middle) > 1 && middle[1] != ' ':
		return 0, middle
	case len(middle) == 1:
		return middle[0], nil
	}
	return middle[0], middle[2:]
}

// generations corrects the level of given names by what tells a father from his son: they are two. Where it is known of one only, the other has a shorter name.
func (c *comparer) generations(given int) int {
	a, _ := generation(c.a.slot(sMiddle))
	b, _ := generation(c.b.slot(sMiddle))
	switch {
	case a == b:
		return given
	case a != 0 && b != 0:
		return givenOther
	case given == exact:
		return givenShort
	}
	return given
}

// joined says whether two texts are the same but for blanks.
func joined(a, b []byte) bool {
	if len(a)-bytes.Count(a, blank) != len(b)-bytes.Count(b, blank) {
		return false
	}
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0] == ' ':
			a = a[1:]
		case b[0] == ' ':
			b = b[1:]
		case a[0] != b[0]:
			return false
		default:
			a, b = a[1:], b[1:]
		}
	}
	return true
}

var blank = []byte{' '}

// twoNames says whether two names that are alike are rather two names than one and a typing error: that makes rare ones, so both are frequent.
func (c *comparer) twoNames(slot int, a, b []byte) bool {
	x, ok := c.terms.get(termHash(slot, a))
	y, also := c.terms.get(termHash(slot, b))
	if !ok || !also {
		return false
	}
	if x < y {
		x, y = y, x
	}
	return y > c.tail[slot]+0.7 && x-y < rareForm
}

// rareForm is by how much rarer, as a logarithm, a typing error is than the name.
const rareForm = 3.4

// crossed says whether a name stands as given name here and as family name there, where one of the two has only one name.
func crossed(ga, gb, fa, fb []byte) bool {
	if len(ga) > 0 && len(fa) > 0 && len(gb) > 0 && len(fb) > 0 {
		return false
	}
	return len(ga) > 0 && bytes.Equal(ga, fb) || len(fa) > 0 && bytes.Equal(fa, gb)
}

// sameName says whether a given name is a family name, or the first of two, but for a typing error.
func sameName(given, family []byte) bool {
	return same(given, family) || same(given, firstWord(family)) || bytes.Equal(firstWord(given), family)
}

func givenLevel(a, b []byte) int {
	if bytes.Equal(a, b) || joined(a, b) {
		return exact
	}
	if otherNumber(a, b) {
		return givenOther
	}
	if len(a) > len(b) {
		a, b = b, a
	}
	firstA, firstB := a, b
	if n := bytes.IndexByte(a, ' '); n > 0 {
		firstA = a[:n]
	}
	if n := bytes.IndexByte(b, ' '); n > 0 {
		firstB = b[:n]
	}
	if a[0] == b[0] {
		switch {
		case len(firstA) == 1 || len(firstB) == 1, bytes.Equal(firstA, firstB) && (len(firstA) == len(a) || len(firstB) == len(b)):
			return givenShort
		case len(a) >= 3 && len(b)-len(a) >= 2 && bytes.HasPrefix(b, a):
			return givenShort
		}
	}
	if bytes.Equal(firstA, firstB) { // both have more names: José Luis is not José María
		switch givenLevel(a[len(firstA)+1:], b[len(firstB)+1:]) {
		case exact, givenNick, givenShort:
			return givenShort
		case givenClose, givenNear:
			return givenClose
		}
		return givenOther
	}
	if nickname(firstA, firstB) {
		return givenNick
	}
	switch alike(a, b) {
	case typo:
		return givenClose
	case near:
		return givenNear
	}
	return givenOther
}

func familyLevel(a, b []byte) int {
	if bytes.Equal(a, b) || joined(a, b) {
		return exact
	}
	if otherNumber(a, b) {
		return familyOther
	}
	if len(a) > len(b) {
		a, b = b, a
	}
	how := alike(a, b)
	if how == typo {
		return familyClose
	}
	if sharesWord(a, b) {
		return familyPart
	}
	if len(a) >= 4 && len(b)-len(a) >= 2 && bytes.HasSuffix(b, a) { // vanderberg, berg
		return familyPart
	}
	if how == near {
		return familyNear
	}
	return familyOther
}

// otherNumber says whether names end with numbers that differ: what is numbered, as Guest 12 and Guest 13, is several.
func otherNumber(a, b []byte) bool {
	x, y := numberOf(a), numberOf(b)
	return len(x) > 0 && len(y) > 0 && !bytes.Equal(x, y)
}

// numbered says whether a number is all that a name is.
func numbered(name []byte) bool { return len(numberOf(name)) == len(name) }

// numberOf is the number that a text ends with.
func numberOf(text []byte) []byte {
	at := len(text)
	for at > 0 && text[at-1] >= '0' && text[at-1] <= '9' {
		at--
	}
	return text[at:]
}

// sharesWord says whether one of several words is the same.
func sharesWord(a, b []byte) (found bool) {
	if bytes.IndexByte(b, ' ') < 0 && bytes.IndexByte(a, ' ') < 0 {
		return false
	}
	eachPart(a, ' ', func(x []byte) bool {
		eachPart(b, ' ', func(y []byte) bool {
			found = found || len(x) >= 3 && bytes.Equal(x, y)
			return !found
		})
		return !found
	})
	return found
}

func (c *comparer) middle() {
	_, a := generation(c.a.slot(sMiddle))
	_, b := generation(c.b.slot(sMiddle))
	if len(a) == 0 || len(b) == 0 {
		c.level[fMiddle] = missing
		return
	}
	switch givenLevel(a, b) {
	case exact:
		c.level[fMiddle] = exact
	case givenShort, givenNick:
		c.level[fMiddle] = middleShort
	case givenClose, givenNear:
		c.level[fMiddle] = middleClose
	default:
		c.level[fMiddle] = middleOther
	}
}
