package link

import (
	"bytes"
	"math"
)

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

// A class of two addresses says of each part whether one of them lacks it, whether it is the same, or not the same: a number in base three. It is seen
// without looking at letters, and bounds what they can say.
const (
	classMissing = iota
	classSame
	classOther
	classLevels
)

const addressClasses = classLevels * classLevels * classLevels * classLevels * classLevels * classLevels

// boundAddress computes the most that addresses can give, by class.
func (m *Model) boundAddress() {
	if len(m.logM[fAddress]) < addressPatterns {
		return
	}
	for class := range m.addressMost {
		m.addressMost[class] = 0
	}
	// Of each pattern all classes that may have it.
	for pattern := 1; pattern < addressPatterns; pattern++ {
		w := m.logM[fAddress][pattern] - m.logU[fAddress][pattern]
		parts := partsOfPattern(pattern)
		if parts[0] == exact || parts[3] == exact || parts[4] == exact { // rarity counts
			w += mostRarity
		}
		if w <= 0 {
			continue
		}
		m.raise(&parts, 0, 0, w)
	}
}

// raise lets classes give so much whose parts, from one on, may have the levels of a pattern.
func (m *Model) raise(parts *[addressParts]uint8, part, class int, w float32) {
	if part == addressParts {
		m.addressMost[class] = max(m.addressMost[class], w)
		return
	}
	class *= classLevels
	switch parts[part] {
	case missing: // or in letters that can't be compared
		m.raise(parts, part+1, class+classMissing, w)
		m.raise(parts, part+1, class+classOther, w)
	case exact:
		m.raise(parts, part+1, class+classSame, w)
	default:
		m.raise(parts, part+1, class+classOther, w)
	}
}

// mostOfAddress is the most that addresses can give, as far as that is seen at once.
func (c *comparer) mostOfAddress() float32 {
	if several(c.a.slot(sStreet)) || several(c.b.slot(sStreet)) { // and so is every other slot of addresses
		return c.most[fAddress]
	}
	class := 0
	for slot := sStreet; slot <= sState; slot++ {
		class *= classLevels
		switch a, b := c.a.slot(slot), c.b.slot(slot); {
		case len(a) == 0 || len(b) == 0:
		case bytes.Equal(a, b):
			class += classSame
		default:
			class += classOther
		}
	}
	return c.addressMost[class]
}

// several says whether there are several values in a slot.
func several(b []byte) bool { return bytes.IndexByte(b, valueEnd) >= 0 }

// addresses is how many addresses a record has.
func addresses(v *view) int {
	for slot := sStreet; slot <= sState; slot++ {
		if v.has(slot) {
			return 1 + bytes.Count(v.slot(slot), []byte{valueEnd})
		}
	}
	return 0
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

func (c *comparer) partsOf(i, j int) (parts [addressParts]uint8) {
	var a, b [addressParts][]byte
	for p := range addressParts {
		a[p], b[p] = c.a.slot(sStreet+p), c.b.slot(sStreet+p)
	}
	if several(a[0]) || several(b[0]) {
		for p := range addressParts {
			a[p], b[p] = nth(a[p], i), nth(b[p], j)
		}
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
		if l := alike(a, b); l == typo || l == near && len(a) >= 8 && len(b) >= 8 {
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
	return max(-mostRarity, min(5, sum))
}

// mostRarity is the most that an address counts for more because few live there, as a logarithm.
const mostRarity = 3
