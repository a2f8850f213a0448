package link

import (
	"bytes"
	"slices"

	"github.com/zeebo/xxh3"
)

// component is a part of a blocking key.
type component uint8

const (
	kGiven    component = iota // sound of the first given name
	kFamily                    // sound of the family name
	kNames                     // both, in either order
	kGivenIs                   // the given name itself
	kFamilyIs                  // the family name itself
	kBirth                     // the date
	kYear
	kDay // month and day, in either order
	kEmail
	kLocal // local part of an e-mail
	kPhone
	kStreet // the first letters
	kNumber
	kUnit
	kCity
	kPostcode
	kBusiness
	kAccount
	kCustom
	components = kCustom + maxCustom
)

// componentNames are what components are called; custom attributes have their own names.
var componentNames = [kCustom]string{"sound of the given name", "sound of the family name", "names in any order", "given name", "family name", "birth date", "year of birth",
	"day of birth", "e-mail", "local part of the e-mail", "phone", "street", "house number", "further address line", "city", "postal code", "business name", "account number"}

// passes are the keys that candidates may share: those of one component, or of two.
func passes(m *Model) (all [][]component) {
	all = [][]component{
		{kEmail}, {kPhone}, {kNames}, {kBirth}, {kLocal}, {kStreet, kNumber}, {kFamily, kPostcode}, {kGiven, kPostcode}, {kFamily, kYear}, {kGiven, kYear},
		{kFamily, kDay}, {kGiven, kDay}, {kFamilyIs, kCity}, {kGivenIs, kCity}, {kGiven, kStreet}, {kFamily, kStreet}, {kStreet, kPostcode}, {kStreet, kCity}, {kUnit, kPostcode}, {kUnit, kStreet},
		{kCity, kYear}, {kPostcode, kYear}, {kPostcode, kDay}, {kBusiness}, {kFamilyIs}, {kGivenIs},
	}
	if m.account {
		all = append(all, []component{kAccount})
	}
	for i := range m.custom {
		all = append(all, []component{kCustom + component(i)})
	}
	return all
}

// maxKeys are how many keys of one pass a record has at most.
const maxKeys = 8

// hashes appends the hashes of a record's values of a component; none is 0.
func (c component) hashes(dst []uint64, v *view) []uint64 {
	put := func(b []byte) {
		if len(b) > 0 && len(dst) < maxKeys {
			dst = append(dst, max(1, xxh3.HashSeed(b, uint64(c))))
		}
	}
	each := func(slot int, do func(part []byte)) {
		eachPart(v.slot(slot), valueEnd, func(part []byte) bool {
			do(part)
			return true
		})
	}
	var buf [16]byte
	switch c {
	case kGiven:
		put(sound(buf[:0], firstWord(v.slot(sGiven))))
	case kFamily:
		put(sound(buf[:0], v.slot(sFamily)))
		if w := firstWord(v.slot(sFamily)); len(w) < len(v.slot(sFamily)) && len(w) > 2 { // one of two family names may be missing
			put(sound(buf[:0], w))
		}
	case kNames:
		a, b := sound(buf[:0], firstWord(v.slot(sGiven))), sound(nil, v.slot(sFamily))
		if len(a) > 0 && len(b) > 0 {
			if bytes.Compare(a, b) > 0 {
				a, b = b, a
			}
			put(append(append(append([]byte(nil), a...), ' '), b...))
		}
	case kGivenIs:
		put(firstWord(v.slot(sGiven)))
	case kFamilyIs:
		put(v.slot(sFamily))
	case kBirth:
		put(v.slot(sBirth))
	case kYear:
		if y, _, _ := v.birth().parts(); y > 0 {
			put([]byte{byte(y >> 8), byte(y)})
		}
	case kDay:
		if _, m, d := v.birth().parts(); d > 0 {
			put([]byte{byte(min(m, d)), byte(max(m, d))})
		}
	case kEmail:
		each(sEmail, put)
	case kLocal:
		each(sEmail, func(part []byte) { put(part[:bytes.IndexByte(part, '@')]) })
	case kPhone:
		each(sPhone, put)
	case kStreet:
		each(sStreet, func(part []byte) { put(part[:min(len(part), 5)]) })
	case kNumber:
		each(sNumber, put)
	case kUnit:
		each(sUnit, put)
	case kCity:
		each(sCity, func(part []byte) { put(part[:min(len(part), 6)]) })
	case kPostcode:
		each(sPostcode, put)
	case kBusiness:
		each(sBusiness, put)
	case kAccount:
		each(sAccount, put)
	default:
		each(sCustom+int(c-kCustom), put)
	}
	return dst
}

func firstWord(b []byte) []byte {
	if n := bytes.IndexByte(b, ' '); n > 0 {
		return b[:n]
	}
	return b
}

// sounds are the classes of consonants of Soundex (Russell 1918), with the vowels as 0.
var sounds = [26]byte{'0', '1', '2', '3', '0', '1', '2', '0', '0', '2', '2', '4', '5', '5', '0', '1', '2', '6', '2', '3', '0', '1', '0', '2', '0', '2'}

// sound appends the Soundex code of a word, or the first letters of one in other letters.
func sound(dst, word []byte) []byte {
	if len(word) == 0 {
		return dst
	}
	if !ascii(word) {
		return append(dst, word[:min(len(word), 6)]...)
	}
	from := len(dst)
	last := byte('0')
	for _, c := range word {
		if c < 'a' || c > 'z' {
			continue
		}
		code := sounds[c-'a']
		switch {
		case len(dst) == from:
			dst = append(dst, c)
			last = code
		case code == '0':
			if c != 'h' && c != 'w' {
				last = '0'
			}
		case code != last:
			dst = append(dst, code)
			last = code
		}
		if len(dst)-from == 4 {
			break
		}
	}
	if len(dst) == from {
		return append(dst, word[:min(len(word), 6)]...)
	}
	return dst
}

// keyer makes the keys of a record. It is for one goroutine.
type keyer struct {
	wanted []component
	hashes [components][]uint64
	v      view
}

// need says for which passes keys are made.
func (k *keyer) need(all [][]component, refining bool) {
	k.wanted = slices.Concat(all...)
	if refining {
		k.wanted = append(k.wanted, refiners[:]...)
	}
	slices.Sort(k.wanted)
	k.wanted = slices.Compact(k.wanted)
}

func (k *keyer) read(raw []byte, slots int) {
	k.v.read(raw, slots)
	for _, c := range k.wanted {
		k.hashes[c] = c.hashes(k.hashes[c][:0], &k.v)
	}
}

func (k *keyer) refined(to *refined) {
	for n, c := range refiners {
		if h := k.hashes[c]; len(h) > 0 {
			to[n] = max(1, uint16(h[0]>>7))
		}
	}
}

// keys calls do for each key that the record has of a pass.
func (k *keyer) keys(p []component, do func(key uint64) error) error {
	first := k.hashes[p[0]]
	if len(p) == 1 {
		for _, h := range first {
			if err := do(h); err != nil {
				return err
			}
		}
		return nil
	}
	for n, h2 := range k.hashes[p[1]] {
		for m, h1 := range first {
			if p[0] == kStreet && p[1] == kNumber && n != m {
				continue
			}
			if err := do(h1*0x9e3779b97f4a7c15 ^ h2); err != nil {
				return err
			}
		}
	}
	return nil
}
