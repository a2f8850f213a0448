package link

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
	givenScript  = 8 // in other letters, which are not transliterated
	givenLevels  = 9

	middleShort  = 2
	middleClose  = 3
	middleOther  = 4
	middleLevels = 5

	familyPart   = 2 // one of several names is the same
	familyClose  = 3
	familyNear   = 4
	familyOther  = 5
	familyCross  = 6 // the only name of one is the other's given name, or the reverse
	familyScript = 7 // in other letters, where no given names are
	familyLevels = 8

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

// inOtherScript says whether a level is that of names in letters that can't be compared.
func inOtherScript(f int, level uint16) bool {
	return f == fGiven && level == givenScript || f == fFamily && level == familyScript
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
