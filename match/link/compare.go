package link

import (
	"bytes"
	"math"

	"github.com/zeebo/xxh3"
)

// The fields that are compared. Each has levels of agreement; level 0 says that one of the two has nothing to compare.
const (
	fGiven = iota
	fMiddle
	fFamily
	fBirth
	fGender
	fEmail
	fPhone
	fAddress // its level is a pattern, see addressPattern
	fBusiness
	fAccount
	fCustom
	maxFields = fCustom + maxCustom
)

const missing = 0

// Level 1 is everywhere that both have the same.
const exact = 1

// The other levels.
const (
	givenNick    = 2 // forms of one name
	givenShort   = 3 // an initial, the beginning, or the first of several
	givenClose   = 4
	givenNear    = 5
	givenOther   = 6
	givenSwapped = 7 // each has the other's family name
	givenLevels  = 8

	middleShort  = 2
	middleClose  = 3
	middleOther  = 4
	middleLevels = 5

	familyPart   = 2 // one of several names is the same
	familyClose  = 3
	familyNear   = 4
	familyOther  = 5
	familyCross  = 6 // the only name of one is the other's given name, or the reverse
	familyLevels = 7

	birthTypo   = 2 // one digit, two neighbouring ones, or day and month swapped
	birthNear   = 3 // two of year, month and day are the same, or at most a month apart
	birthFar    = 4 // at most about a year apart, or the same as far as one is known
	birthTwo    = 5 // two digits
	birthOther  = 6
	birthLevels = 7

	genderOther  = 2
	genderLevels = 3

	emailTypo   = 2
	emailLocal  = 3 // the same local part, which is not made of the name
	emailNamed  = 4 // alike, as addresses that are made of the same name are: that is no evidence beyond the name's
	emailOther  = 5
	emailLevels = 6

	phoneTypo   = 2
	phoneOther  = 3
	phoneLevels = 4

	textClose  = 2
	textNear   = 3
	textOther  = 4
	textLevels = 5
)

// The parts of an address, in the order of their slots. They have the levels of partLevels.
const (
	addressParts = 6
	partClose    = 2
	partOther    = 3
)

var partLevels = [addressParts]int{4, 4, 4, 4, 4, 4}

const addressPatterns = 4 * 4 * 4 * 4 * 4 * 4

// levelsOf is how many levels a field has.
func levelsOf(field int) int {
	switch field {
	case fGiven:
		return givenLevels
	case fMiddle:
		return middleLevels
	case fFamily:
		return familyLevels
	case fBirth:
		return birthLevels
	case fGender:
		return genderLevels
	case fEmail:
		return emailLevels
	case fPhone:
		return phoneLevels
	case fAddress:
		return addressPatterns
	}
	return textLevels
}

// evidence is how two records compare.
type evidence struct {
	level [maxFields]uint16
	// log is the natural logarithm of the probability that two people agree like this, where that depends on what they agree in; else 0.
	log   [maxFields]float32
	parts [addressParts]uint8
	// which are the values of the address that agree best, of a and of b; for explanations.
	which [2]int
}

// comparer compares records. It is for one goroutine.
type comparer struct {
	*Model
	a, b view
	evidence
}

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
	switch {
	case given >= givenNear && family >= familyNear && sameName(ga, fb) && sameName(gb, fa):
		given, family = givenSwapped, missing
	case given == missing && (family == missing || family >= familyNear) && crossed(ga, gb, fa, fb):
		family = familyCross
	case family == missing && given >= givenNear && crossed(ga, gb, fa, fb):
		given, family = missing, familyCross
	}
	c.level[fGiven], c.level[fFamily] = uint16(given), uint16(family)
	switch given {
	case exact:
		c.log[fGiven] = c.frequency(sGiven, ga)
	case givenSwapped:
		c.log[fGiven] = c.frequency(sGiven, ga)/2 + c.frequency(sFamily, fa)/2 + c.logU[fGiven][givenSwapped]/2
	}
	if family == exact {
		c.log[fFamily] = c.frequency(sFamily, fa)
	}
}

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

// comparable says whether there are two texts, and not one in Latin letters and one in a script that is not transliterated.
func comparable(a, b []byte) bool {
	return len(a) > 0 && len(b) > 0 && ascii(a) == ascii(b)
}

// crossed says whether a name stands as given name here and as family name there, where one of the two has only one name.
func crossed(ga, gb, fa, fb []byte) bool {
	if len(ga) > 0 && len(fa) > 0 && len(gb) > 0 && len(fb) > 0 {
		return false
	}
	return len(ga) > 0 && bytes.Equal(ga, fb) || len(fa) > 0 && bytes.Equal(fa, gb)
}

// same says whether two texts are the same but for a typing error.
func same(a, b []byte) bool {
	return len(a) > 0 && len(b) > 0 && (bytes.Equal(a, b) || len(a) > 3 && oneEdit(a, b))
}

// sameName says whether a given name is a family name, or the first of two, but for a typing error.
func sameName(given, family []byte) bool {
	return same(given, family) || same(given, firstWord(family)) || bytes.Equal(firstWord(given), family)
}

func givenLevel(a, b []byte) int {
	if bytes.Equal(a, b) {
		return exact
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
	if nickname(firstA, firstB) {
		return givenNick
	}
	switch alike(a, b) {
	case close1:
		return givenClose
	case near:
		return givenNear
	}
	return givenOther
}

func familyLevel(a, b []byte) int {
	if bytes.Equal(a, b) {
		return exact
	}
	if len(a) > len(b) {
		a, b = b, a
	}
	how := alike(a, b)
	if how == close1 {
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
	a, b := c.a.slot(sMiddle), c.b.slot(sMiddle)
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

func (c *comparer) birth() {
	a, b := c.a.birth(), c.b.birth()
	level := birthLevel(a, b)
	c.level[fBirth] = uint16(level)
	if level == exact {
		c.log[fBirth] = c.frequency(sBirth, c.a.slot(sBirth))
	}
}

func birthLevel(a, b date) int {
	if a == 0 || b == 0 {
		return missing
	}
	ya, ma, da := a.parts()
	yb, mb, db := b.parts()
	if da == 0 || db == 0 { // only the year, or month and year
		switch {
		case ya == yb && (ma == mb || ma == 0 || mb == 0):
			return birthFar
		}
		return birthOther
	}
	if a == b {
		return exact
	}
	var bufA, bufB [8]byte
	if ya == yb && ma == db && da == mb || oneEdit(a.digits(&bufA), b.digits(&bufB)) {
		return birthTypo
	}
	apart := a.ordinal() - b.ordinal()
	if apart < 0 {
		apart = -apart
	}
	switch {
	case apart <= 31 || ya == yb && (ma == mb || da == db) || ma == mb && da == db:
		return birthNear
	case apart <= 400:
		return birthFar
	}
	differ := 0
	for i := range bufA {
		if bufA[i] != bufB[i] {
			differ++
		}
	}
	if differ <= 2 {
		return birthTwo
	}
	return birthOther
}

func (c *comparer) gender() {
	a, b := c.a.slot(sGender), c.b.slot(sGender)
	switch {
	case len(a) == 0 || len(b) == 0 || c.level[fGiven] == exact: // who has the same name has the same gender: that is no more evidence
		c.level[fGender] = missing
	case a[0] == b[0]:
		c.level[fGender] = exact
	default:
		c.level[fGender] = genderOther
	}
}

// email compares all addresses of both; the best counts. It needs the names.
func (c *comparer) email() {
	a, b := c.a.slot(sEmail), c.b.slot(sEmail)
	if len(a) == 0 || len(b) == 0 {
		c.level[fEmail] = missing
		return
	}
	best := emailOther
	eachPart(a, valueEnd, func(x []byte) bool {
		eachPart(b, valueEnd, func(y []byte) bool {
			if bytes.Equal(x, y) {
				if f := c.frequency(sEmail, x); best != exact || f < c.log[fEmail] {
					c.log[fEmail] = f
				}
				best = exact
			} else if best > emailTypo {
				best = min(best, c.emailLevel(x, y))
			}
			return true
		})
		return true
	})
	if best == emailNamed {
		best = missing
	}
	c.level[fEmail] = uint16(best)
}

func (c *comparer) emailLevel(x, y []byte) int {
	nx, ny := bytes.IndexByte(x, '@'), bytes.IndexByte(y, '@')
	localX, localY := x[:nx], y[:ny]
	sameLocal := bytes.Equal(localX, localY)
	alikeLocal := sameLocal
	if !sameLocal {
		if !mayBeAlike(localX, localY) {
			return emailOther
		}
		alikeLocal = len(localX) >= 4 && len(localY) >= 4 && distance(localX, localY, 2) <= 2
		if !alikeLocal && (len(localX) < 5 || len(localY) < 5 || jaroWinkler(localX, localY) < 0.9) {
			return emailOther
		}
	}
	domainX, domainY := x[nx+1:], y[ny+1:]
	sameDomain := bytes.Equal(domainX, domainY)
	edits := 3
	if alikeLocal {
		edits = distance(localX, localY, 2) + distance(domainX, domainY, 2)
	}
	switch {
	case sameLocal && edits <= 2:
		return emailTypo
	case sameLocal && !c.named(localX) && !agreesInNames(c.level[:]):
		return emailLocal
	case sameLocal || digitsDiffer(localX, localY): // john12@ and john13@ are neighbours
		return emailNamed
	case edits <= 1 || edits == 2 && !(sameDomain && providers[string(domainX)]):
		return emailTypo
	}
	return emailNamed
}

// providers are domains where so many have addresses that two letters are no distance.
var providers = set(`gmail.com yahoo.com outlook.com hotmail.com icloud.com live.com aol.com msn.com me.com mac.com gmx.de gmx.net web.de t-online.de freenet.de
yahoo.co.uk hotmail.co.uk yahoo.fr hotmail.fr orange.fr free.fr laposte.net wanadoo.fr libero.it virgilio.it hotmail.it yahoo.it hotmail.es yahoo.es telefonica.net wp.pl o2.pl onet.pl
interia.pl mail.ru yandex.ru rambler.ru bk.ru list.ru inbox.ru qq.com 163.com 126.com sina.com foxmail.com naver.com daum.net yahoo.co.jp docomo.ne.jp comcast.net verizon.net att.net
sbcglobal.net bigpond.com uol.com.br bol.com.br terra.com.br proton.me protonmail.com example.com example.org example.net`)

// digitsDiffer says whether what two texts differ in is digits.
func digitsDiffer(a, b []byte) bool {
	a, b = trim(a, b)
	for _, x := range [...][]byte{a, b} {
		for _, c := range x {
			if c < '0' || c > '9' {
				return false
			}
		}
	}
	return true
}

// named says whether a local part is made of the names.
func (c *comparer) named(local []byte) bool {
	for _, v := range [...]*view{&c.a, &c.b} {
		for _, slot := range [...]int{sGiven, sFamily} {
			if n := v.slot(slot); len(n) >= 3 && bytes.Contains(local, n) {
				return true
			}
		}
	}
	return false
}

func (c *comparer) phone() {
	a, b := c.a.slot(sPhone), c.b.slot(sPhone)
	if len(a) == 0 || len(b) == 0 {
		c.level[fPhone] = missing
		return
	}
	best := phoneOther
	eachPart(a, valueEnd, func(x []byte) bool {
		eachPart(b, valueEnd, func(y []byte) bool {
			if bytes.Equal(x, y) {
				if f := c.frequency(sPhone, x); best != exact || f < c.log[fPhone] {
					c.log[fPhone] = f
				}
				best = exact
			} else if best > phoneTypo && oneEdit(x, y) {
				best = phoneTypo
			}
			return true
		})
		return true
	})
	c.level[fPhone] = uint16(best)
}

// text compares values of no known kind.
func (c *comparer) text(field, slot int) {
	a, b := c.a.slot(slot), c.b.slot(slot)
	if len(a) == 0 || len(b) == 0 {
		c.level[field] = missing
		return
	}
	best := textOther
	eachPart(a, valueEnd, func(x []byte) bool {
		eachPart(b, valueEnd, func(y []byte) bool {
			if bytes.Equal(x, y) {
				if f := c.frequency(slot, x); best != exact || f < c.log[field] {
					c.log[field] = f
				}
				best = exact
			} else if best > textClose {
				switch alike(x, y) {
				case close1:
					best = textClose
				case near:
					best = textNear
				}
			}
			return true
		})
		return true
	})
	c.level[field] = uint16(best)
}

// nth returns the n-th value of a slot of addresses, and how many there are.
func nth(b []byte, n int) []byte {
	for ; n > 0; n-- {
		at := bytes.IndexByte(b, valueEnd)
		if at < 0 {
			return nil
		}
		b = b[at+1:]
	}
	if at := bytes.IndexByte(b, valueEnd); at >= 0 {
		return b[:at]
	}
	return b
}

// addresses is how many addresses a record has.
func addresses(v *view) int {
	for slot := sStreet; slot <= sState; slot++ {
		if v.has(slot) {
			return 1 + bytes.Count(v.slot(slot), []byte{valueEnd})
		}
	}
	return 0
}

// address compares all addresses of both; the pair with the best evidence counts.
func (c *comparer) address() {
	na, nb := addresses(&c.a), addresses(&c.b)
	c.level[fAddress], c.log[fAddress] = missing, 0
	c.parts = [addressParts]uint8{}
	best := float32(math.Inf(-1))
	for i := range na {
		for j := range nb {
			parts := c.partsOf(i, j)
			pattern := addressPattern(&parts)
			if pattern == missing {
				continue
			}
			rare := c.rarity(&parts, i)
			if w := c.logM[fAddress][pattern] - c.logU[fAddress][pattern] - rare; w > best {
				best = w
				c.level[fAddress], c.log[fAddress] = uint16(pattern), c.logU[fAddress][pattern]+rare
				c.parts, c.which = parts, [2]int{i, j}
			}
		}
	}
}

// addressPattern is the number of a combination of levels.
func addressPattern(parts *[addressParts]uint8) (n int) {
	for _, l := range parts {
		n = n*4 + int(l)
	}
	return n
}

// partsOfPattern is the reverse of addressPattern.
func partsOfPattern(n int) (parts [addressParts]uint8) {
	for i := addressParts - 1; i >= 0; i-- {
		parts[i] = uint8(n & 3)
		n >>= 2
	}
	return parts
}

func (c *comparer) partsOf(i, j int) (parts [addressParts]uint8) {
	var a, b [addressParts][]byte
	for p := range addressParts {
		a[p], b[p] = nth(c.a.slot(sStreet+p), i), nth(c.b.slot(sStreet+p), j)
	}
	for p := range addressParts {
		parts[p] = partLevel(p, a[p], b[p])
	}
	const street, unit = 0, 2
	// Lines change places.
	if parts[street] != exact && parts[unit] != exact && len(a[street]) > 0 && len(b[street]) > 0 {
		if same(a[street], b[unit]) {
			parts[street] = partClose
			if same(a[unit], b[street]) {
				parts[unit] = partClose
			}
		} else if same(a[unit], b[street]) {
			parts[street] = partClose
		}
	}
	return parts
}

func partLevel(part int, a, b []byte) uint8 {
	if !comparable(a, b) {
		return missing
	}
	if bytes.Equal(a, b) {
		return exact
	}
	const number, postcode, state = 1, 4, 5
	switch part {
	case number:
		if len(a) > 1 && len(b) > 1 && oneEdit(a, b) || sameNumber(a, b) {
			return partClose
		}
	case postcode:
		if oneEdit(a, b) {
			return partClose
		}
	case state:
		if a[0] == b[0] && (len(a) <= 3 || len(b) <= 3) && len(a) != len(b) || oneEdit(a, b) && len(a) > 2 { // Vic, Victoria
			return partClose
		}
	default:
		if l := alike(a, b); l == close1 || l == near && len(a) >= 8 && len(b) >= 8 {
			return partClose
		}
		if short, long := a, b; len(short) != len(long) {
			if len(short) > len(long) {
				short, long = long, short
			}
			if len(short) >= 5 && bytes.Contains(long, short) {
				return partClose
			}
		}
	}
	return partOther
}

// sameNumber says whether house numbers are the same but for a letter: 12 and 12b.
func sameNumber(a, b []byte) bool {
	digits := func(x []byte) []byte {
		n := 0
		for n < len(x) && x[n] >= '0' && x[n] <= '9' {
			n++
		}
		return x[:n]
	}
	x := digits(a)
	return len(x) > 0 && bytes.Equal(x, digits(b))
}

// rarity is how much rarer, as a logarithm, it is that two people agree in these streets and cities than it is on average.
func (c *comparer) rarity(parts *[addressParts]uint8, i int) float32 {
	const street, city, postcode = 0, 3, 4
	var sum float32
	if parts[street] == exact {
		sum += c.frequency(sStreet, nth(c.a.slot(sStreet), i)) - c.partU[street][exact]
	}
	switch {
	case parts[postcode] == exact:
		sum += c.frequency(sPostcode, nth(c.a.slot(sPostcode), i)) - c.partU[postcode][exact]
	case parts[city] == exact:
		sum += c.frequency(sCity, nth(c.a.slot(sCity), i)) - c.partU[city][exact]
	}
	return max(-3, min(5, sum))
}

// termHash names a term of a slot.
func termHash(slot int, term []byte) uint32 {
	h := uint32(xxh3.HashSeed(term, uint64(slot)))
	if h == 0 {
		return 1
	}
	return h
}
