package link

import (
	"bytes"
	"cmp"
	"slices"
	"strings"

	"kith/profile/fold"
	"kith/schema"
)

// reader makes records of profiles. It is for one goroutine.
type reader struct {
	custom []string // the custom attributes that are compared
	habits
	s   slots
	buf []byte
	// addresses are how many the record has that is being made; noAddress: it is to have none.
	addresses int
	noAddress bool
}

func (r *reader) slots() int { return sCustom + len(r.custom) }

// The places of the parts of an address, as schema.Attr.AddressPart numbers them.
const (
	partLine1, partLine4                = 0, 3
	partCity, partCounty, partState     = 4, 5, 6
	partProvince, partCountry, partCode = 7, 8, 9
	parts                               = 10
)

// append appends the record of a profile.
func (r *reader) append(dst []byte, p *fold.Profile) []byte {
	r.s.reset()
	r.addresses = 0
	var first, middle, last, gender string
	var address [parts]string
	base := uint16(0)
	flush := func() {
		if base != 0 {
			r.address(&address)
			base, address = 0, [parts]string{}
		}
	}
	each := func(v *fold.Value) {
		if b, part := v.Attr.AddressPart(); b != 0 {
			if r.noAddress {
				return
			}
			if b != base {
				flush()
				base = b
			}
			address[part] = known(v.Text)
			return
		}
		switch v.Attr.ID {
		case schema.EmailAddress, schema.PersonalEmailAddress, schema.BusinessEmailAddress:
			r.email(v.Text)
		case schema.PhoneNumber, schema.MobilePhoneNumber, schema.HomePhoneNumber, schema.BusinessPhoneNumber:
			r.phone(v)
		}
	}
	for i := range p.Values {
		v := &p.Values[i]
		switch v.Attr.ID {
		case schema.FirstName:
			first = known(v.Text)
		case schema.MiddleName:
			middle = v.Text
		case schema.LastName:
			last = known(v.Text)
		case schema.BirthDate:
			r.birth(v.Text)
		case schema.Gender, schema.GenderString:
			gender = v.Text
		case schema.BusinessName:
			r.business(v.Text)
		case schema.AccountNumber:
			r.s.add(sAccount, r.joined(v.Text))
		case 0:
			r.customValue(v)
		default:
			each(v)
		}
	}
	flush()
	for _, branch := range p.Branches {
		for i := range branch {
			each(&branch[i])
		}
		flush()
	}
	r.name(nameOf(first, middle, last, r.second))
	r.gender(gender)
	return r.s.appendTo(dst, r.slots())
}

// words and joined return a text's words with blanks or without. The result is good until the next call.
func (r *reader) words(text string) []byte {
	r.buf = appendWords(r.buf[:0], text)
	return r.buf
}

func (r *reader) joined(text string) []byte {
	b := r.words(text)
	n := 0
	for _, c := range b {
		if c != ' ' {
			b[n] = c
			n++
		}
	}
	return b[:n]
}

func (r *reader) name(n name) {
	r.s.add(sGiven, []byte(strings.Join(n.given, " ")))
	middle := n.middle
	if n.generation != 0 {
		middle = append([]string{string(n.generation)}, middle...)
	}
	r.s.add(sMiddle, []byte(strings.Join(middle, " ")))
	r.s.add(sFamily, []byte(strings.Join(without(n.family, particles), " ")))
}

func (r *reader) birth(text string) {
	if d := parseDate(text, r.dayFirst); d != 0 {
		if b := []byte{byte(d >> 24), byte(d >> 16), byte(d >> 8), byte(d)}; !r.tellsNothing(sBirth, b) {
			r.s[sBirth] = append(r.s[sBirth][:0], b...)
		}
	}
}

func (r *reader) gender(text string) {
	if b := r.words(text); len(b) > 0 {
		switch first := string(firstWord(b)); {
		case first == "mujer" || first == "hembra": // Spanish, where the first letters mislead
			b[0] = 'f'
		}
		switch b[0] {
		case 'm', 'h': // male, hombre, homme, herr
			r.s[sGender] = append(r.s[sGender], 'm')
		case 'f', 'w': // female, femme, woman, weiblich
			r.s[sGender] = append(r.s[sGender], 'f')
		}
	}
}

// email adds an address without case, without what does not count in its local part, and without a tag.
func (r *reader) email(text string) {
	text = strings.ToLower(strings.TrimSpace(text))
	at := strings.LastIndexByte(text, '@')
	if at <= 0 || at == len(text)-1 {
		return
	}
	local, domain := text[:at], text[at+1:]
	if n := strings.IndexByte(local, '+'); n > 0 {
		local = local[:n]
	}
	if domain == "googlemail.com" {
		domain = "gmail.com"
	}
	b := r.buf[:0]
	for i := range len(local) {
		if c := local[i]; c != '.' && c != '_' && c != '-' {
			b = append(b, c)
		}
	}
	if len(b) == 0 {
		b = append(b, local...)
	}
	if len(b) > maxLocal || strings.IndexByte(text, valueEnd) >= 0 {
		return
	}
	if r.buf = append(append(b, '@'), domain...); !r.tellsNothing(sEmail, r.buf) {
		r.s.add(sEmail, r.buf)
	}
}

// tellsNothing says whether a value is one that stands with all kinds of persons.
func (r *reader) tellsNothing(slot int, value []byte) bool {
	return len(r.void) > 0 && r.void[termHash(slot, value[:min(len(value), maxValue)])]
}

// maxLocal is how long the local part of an e-mail address is at most (RFC 5321). It is less than maxValue: every value of the slot has its @, which
// those that read it count on.
const maxLocal = 64

const (
	// phoneDigits are the last digits that tell a number: with or without calling code and trunk prefix they are the same.
	phoneDigits    = 9
	minPhoneDigits = 6
)

func (r *reader) phone(v *fold.Value) {
	text := v.Text
	if v.Country != 0 {
		text = schema.NormalizeIn(v.Country, schema.Phone, text)
	}
	if n := strings.IndexAny(text, "xX"); n > minPhoneDigits { // an extension
		text = text[:n]
	}
	b := r.words(text)
	n := 0
	for _, c := range b {
		if c >= '0' && c <= '9' {
			b[n] = c
			n++
		}
	}
	b = b[:n]
	if n > phoneDigits {
		b = b[n-phoneDigits:]
	}
	if n < minPhoneDigits || bytes.Count(b, b[:1]) == len(b) {
		return
	}
	if !r.tellsNothing(sPhone, b) {
		r.s.add(sPhone, b)
	}
}

func (r *reader) business(text string) {
	b := r.words(text)
	if w := without(strings.Fields(string(b)), legalForms); len(w) > 0 {
		r.s.add(sBusiness, []byte(strings.Join(w, " ")))
	}
}

func (r *reader) customValue(v *fold.Value) {
	for i, name := range r.custom {
		if name == v.Attr.Custom {
			r.s.add(sCustom+i, r.words(v.Text))
			return
		}
	}
}

// address adds an address: to each of its slots one value, perhaps empty, so that the n-th values belong together.
func (r *reader) address(parts *[parts]string) {
	if parts[partCity] == "" && parts[partCode] == "" {
		partLine(parts)
	}
	number, street := streetOf(words(parts[partLine1]))
	var unit []string
	for _, line := range parts[partLine1+1 : partLine4+1] {
		unit = append(unit, words(line)...)
	}
	if street == "" && len(unit) > 0 {
		if n, s := streetOf(unit); number == "" || n == "" {
			street, unit = s, nil
			if number == "" {
				number = n
			}
		}
	}
	state := parts[partState]
	for _, other := range []int{partProvince, partCounty} {
		if state == "" {
			state = parts[other]
		}
	}
	// One after the other: within one expression all calls may come before the first of their results, which are in one buffer, becomes a string.
	city := string(r.joined(parts[partCity]))
	code := postcodeOf(string(r.joined(parts[partCode])))
	state = string(r.joined(state))
	values := [...]string{street, number, strings.Join(unit, ""), city, code, state}
	if strings.Join(values[:], "") == "" {
		return
	}
	for i, v := range values {
		values[i] = v[:min(len(v), maxValue)]
		if len(r.s[sStreet+i])+1+len(values[i]) > maxSlot {
			return
		}
	}
	for i, v := range values {
		if r.addresses > 0 {
			r.s[sStreet+i] = append(r.s[sStreet+i], valueEnd)
		}
		r.s[sStreet+i] = append(r.s[sStreet+i], v...)
	}
	r.addresses++
}

// partLine finds city and postal code in the first line of an address that has all of it, as "High Street 5, 12345 Springfield" or
// "5 High Street, Springfield, IL 12345". Where it is not sure it leaves the line as it is.
func partLine(parts *[parts]string) {
	text := parts[partLine1]
	comma := strings.IndexByte(text, ',')
	if comma < 0 {
		w := words(text)
		if at := postalWord(w); at > 1 && at < len(w)-1 && strings.ContainsAny(strings.Join(w[:at], ""), "0123456789") {
			parts[partLine1], parts[partCode], parts[partCity] = strings.Join(w[:at], " "), w[at], strings.Join(w[at+1:], " ")
		}
		return
	}
	if inHouse(text[comma+1:]) { // flat 3, 12 High Street, Springfield
		comma = strings.LastIndexByte(text, ',')
	}
	street, rest := text[:comma], text[comma+1:]
	w := words(rest)
	at := postalWord(w)
	if inHouse(rest) || at < 0 && !strings.ContainsAny(street, "0123456789") {
		return
	}
	if at >= 0 {
		parts[partCode] = w[at]
		w = slices.Delete(w, at, at+1)
	}
	if n := len(w) - 1; n > 0 && len(w[n]) == 2 {
		parts[partState], w = cmp.Or(parts[partState], w[n]), w[:n]
	}
	parts[partLine1], parts[partCity] = street, strings.Join(w, " ")
}

// inHouse says whether a text tells a house or a flat in it, besides a postal code.
func inHouse(text string) bool {
	w := words(text)
	code := postalWord(w)
	for i, word := range w {
		if i != code && (strings.ContainsAny(word, "0123456789") || unitWords[word]) {
			return true
		}
	}
	return false
}

// postalWord is the last word that looks like a postal code: four to six digits. -1: there is none.
func postalWord(words []string) int {
	for i := len(words) - 1; i >= 0; i-- {
		if w := words[i]; len(w) >= 4 && len(w) <= 6 && strings.Trim(w, "0123456789") == "" {
			return i
		}
	}
	return -1
}

// postcodeOf leaves of a code that has an extension, as 12345-6789, the first part. 00000 and 99999 are none.
func postcodeOf(code string) string {
	if len(code) >= 4 && (strings.Trim(code, "0") == "" || strings.Trim(code, "9") == "") {
		return ""
	}
	if len(code) == 9 {
		for i := range len(code) {
			if code[i] < '0' || code[i] > '9' {
				return code
			}
		}
		return code[:5]
	}
	return code
}

// streetOf parts a line of an address: the house number is its first or last word with a digit, and the words of the street's type are
// written in one way.
func streetOf(w []string) (number, street string) {
	at := -1
	for i, word := range w {
		if word[0] >= '0' && word[0] <= '9' && len(word) <= 6 && !ordinal(word) {
			at = i
			if i > 0 && unitWords[w[i-1]] && i+1 < len(w) { // flat 3, 12 High Street
				continue
			}
			break
		}
	}
	var b []byte
	for i, word := range w {
		if i == at || numberWords[word] {
			continue
		}
		if short, ok := streetTypes[word]; ok {
			word = short
		} else if rest, ok := strings.CutSuffix(word, "strasse"); ok {
			word = rest + "str"
		}
		b = append(b, word...)
	}
	if at >= 0 {
		number = w[at]
	}
	return number, string(b)
}

// ordinal says whether a word is a number in a street's name, as in 5th Avenue.
func ordinal(w string) bool {
	return strings.HasSuffix(w, "th") || strings.HasSuffix(w, "st") || strings.HasSuffix(w, "nd") || strings.HasSuffix(w, "rd")
}

// numberWords stand before a house number.
var numberWords = set("d dom no nr num numero number house hnr")

var unitWords = set("flat apt apartment unit suite ste room rm floor fl level lot no shop")

var legalForms = set("inc incorporated llc ltd limited plc corp corporation co company gmbh ag kg ohg sa sas sarl srl spa bv nv ab oy as aps pty oao ooo zao kft zrt doo sro the and und et y")

// streetTypes are the words for a kind of street in several languages, and how each is written in short.
var streetTypes = func() map[string]string {
	all := map[string]string{}
	for line := range strings.Lines(`st street str strasse straat strada
rd road
av avenue ave avenida avda aven avd
dr drive drv
ln lane
ct court crt
pl place plaza platz piazza plac
cr crescent cres crs
cir circuit circle cct circ
bd boulevard blvd boul bulevar
hw highway hwy
pk parkway pkwy pky
tr terrace terr tce
sq square
cl close
gr grove gve
c calle cll
r rue rua
v via viale vle
w weg wg
al allee
ul ulica ulitsa
pr prospekt prospect
per pereulok
u utca utcja
n north
s south
e east`) {
		w := strings.Fields(line)
		for _, long := range w[1:] {
			all[long] = w[0]
		}
	}
	return all
}()
