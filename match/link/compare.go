package link

import (
	"bytes"
)

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

// order is in which order fields are compared: what is cheap and tells much comes first. The e-mail needs the names, and so does gender.
var order = [...]int{fBirth, fPhone, fAccount, fGiven, fFamily, fEmail, fAddress, fMiddle, fGender, fBusiness}

// far is the evidence below which a pair is left alone: odds of one to a thousand.
const far = -7

// compare compares the records in a and b. It returns false, and does not finish, when they are surely of two people.
func (c *comparer) compare(whole bool) bool {
	c.evidence = evidence{}
	most := c.most
	if !whole {
		c.glance(&most)
	}
	rest := float32(0)
	for _, m := range &most {
		rest += m
	}
	sum := c.priorM - c.priorU
	step := func(f int) bool {
		rest -= most[f]
		if c.level[f] != missing {
			sum += c.logM[f][c.level[f]] - c.other(&c.evidence, f)
		}
		return whole || sum+rest > far
	}
	for f := fCustom; f < c.fields(); f++ {
		c.text(f, sCustom+f-fCustom)
		if !step(f) {
			return false
		}
	}
	for _, f := range order {
		if f == fEmail && !whole { // of most pairs it is known by now
			rest -= most[fAddress]
			most[fAddress] = c.mostOfAddress()
			if rest += most[fAddress]; sum+rest <= far {
				return false
			}
		}
		switch f {
		case fBirth:
			c.birth()
		case fPhone:
			c.phone()
		case fAccount:
			if c.account {
				c.text(fAccount, sAccount)
			}
		case fGiven:
			c.names()
		case fEmail:
			c.email()
		case fAddress:
			c.address()
		case fMiddle:
			c.middle()
		case fGender:
			c.gender()
		case fBusiness:
			c.text(fBusiness, sBusiness)
		}
		if !step(f) {
			return false
		}
	}
	return true
}

// glance lowers the most that fields can give by what is seen at once: that one of the two lacks it, or that they are not the same.
func (c *comparer) glance(most *[maxFields]float32) {
	most[fPhone] = c.mostOf(fPhone, sPhone)
	most[fEmail] = c.mostOf(fEmail, sEmail)
	for _, of := range [...][2]int{{fMiddle, sMiddle}, {fGender, sGender}, {fBirth, sBirth}, {fBusiness, sBusiness}, {fAccount, sAccount}} {
		if !c.a.has(of[1]) || !c.b.has(of[1]) {
			most[of[0]] = 0
		}
	}
	for f := fCustom; f < c.fields(); f++ {
		most[f] = c.mostOf(f, sCustom+f-fCustom)
	}
}

// mostOf is the most that a field can give, as far as that is seen at once.
func (c *comparer) mostOf(f, slot int) float32 {
	a, b := c.a.slot(slot), c.b.slot(slot)
	switch {
	case len(a) == 0 || len(b) == 0:
		return 0
	case bytes.Equal(a, b) || several(a) || several(b):
		return c.most[f]
	}
	return c.differ[f]
}

// comparable says whether there are two texts, and not one in Latin letters and one in a script that is not transliterated.
func comparable(a, b []byte) bool {
	return len(a) > 0 && len(b) > 0 && ascii(a) == ascii(b)
}

// same says whether two texts are the same but for a typing error.
func same(a, b []byte) bool {
	return len(a) > 0 && len(b) > 0 && (bytes.Equal(a, b) || len(a) > 3 && oneEdit(a, b) && ascii(a) && ascii(b))
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
				switch alikeText(x, y) {
				case typo:
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
