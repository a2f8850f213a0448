package suggest

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"kith/schema"
)

// Seen is what the rows have in a column.
type Seen struct {
	Samples  []string // three different values
	Filled   int      // rows in which it has a value
	Distinct int      // different values
	// Suspicious counts values that are words for no value, or what a spreadsheet made of a number.
	Suspicious int
	// Good counts the different values that are not suspicious.
	Good int

	longest []int // how many characters the long ones have
	mails   int   // values that are e-mail addresses
	at      int   // values with an @
	phones  int   // phone numbers that can be nothing else
	abroad  int   // of them, those as one writes them for other countries
	bare    int   // what may be a phone number of digits alone
	dates   int   // days, with their year
	early   int   // days before 1990, when few customers were such already but most were born
	digit   int   // values with a digit other than 0
	letters int   // values with a letter
	several int   // values of several words of letters, as whole names are
	firms   int   // values with the legal form of a firm
	codes   int   // values that may be ids
	flags   int   // 0 and 1
	states  int   // words for what state something is in
	spoilt  int   // what a spreadsheet made of long numbers
	han     int   // a few Chinese characters, as names of people are
	hangul  int   // a few Korean syllables, as names of people are
	odd     oddities
}

// look counts what the rows have in a column.
func look(rows [][]string, column int, bad func([]byte) bool) (s Seen) {
	seen := map[string]bool{}
	for _, row := range rows {
		if column >= len(row) {
			continue
		}
		v := string(schema.Trim([]byte(row[column])))
		if v == "" || v == `\N` { // as databases write that there is none
			continue
		}
		s.Filled++
		suspicious := bad != nil && bad([]byte(v))
		if suspicious {
			s.Suspicious++
		}
		if !seen[v] {
			seen[v] = true
			if len(s.Samples) < 3 {
				s.Samples = append(s.Samples, v)
			}
			if !suspicious {
				s.Good++
			}
		}
		s.count(v)
	}
	s.Distinct = len(seen)
	s.unpadded(seen)
	return s
}

// unpadded counts the numbers that are shorter than those with zeros before them, if these are all of one length: their zeros may be lost.
func (s *Seen) unpadded(seen map[string]bool) {
	padded := 0
	for v := range seen {
		if v[0] != '0' || strings.Trim(v, "0123456789") != "" || strings.Trim(v, "0") == "" {
			continue
		}
		if padded > 0 && len(v) != padded {
			return
		}
		padded = len(v)
		s.odd.padded = max(s.odd.padded, v)
	}
	for v := range seen {
		if len(v) < padded && v[0] != '0' && strings.Trim(v, "0123456789") == "" {
			if s.odd.short.rows++; s.odd.short.rows == 1 || v < s.odd.short.sample {
				s.odd.short.sample = v
			}
		}
	}
}

// A phone number as one writes it for other countries.
var international = regexp.MustCompile(`^(\+|00)[1-9][0-9 ()./-]{6,20}$`)

// A phone number as one writes it in its country, with signs that group it: a trunk prefix and an area code, an area code in brackets, or the North American form. The national ids of
// some countries are written almost so, but none of them begins with a single 0 in every row.
var national = regexp.MustCompile(`^(0[1-9]\d{0,4}[ /-]+\d[\d /-]{3,12}\d|0[1-9](\.\d\d){4}|\(0?[1-9]\d{0,4}\)[ -]?\d[\d -]{3,12}\d|(1[ .-])?\(?[2-9]\d\d\)?[ .-][2-9]\d\d[ .-]\d{4})$`)

// A phone number of digits alone, as many numbers are that are none: of firms, of accounts.
var bare = regexp.MustCompile(`^0[1-9]\d{8,9}$`)

// isPhone says whether a text is a phone number that can be nothing else.
func isPhone(v string) bool {
	if international.MatchString(v) {
		return true
	}
	n := digits(v)
	return n >= 8 && n <= 12 && national.MatchString(v) && !isDate(v)
}

// Days, by their year, which may be first or last.
var (
	yearFirst = regexp.MustCompile(`^(\d{4})(?:-\d\d?-\d\d?|/\d\d?/\d\d?|\.\d\d?\.\d\d?|年\d\d?月\d\d?日|년 ?\d\d?월 ?\d\d?일)(?:[T ]00:00(?::00)?(?:\.0+)?Z?)?$`)
	yearLast  = regexp.MustCompile(`^(?:\d\d?\. ?\d\d?\. ?|\d\d?/\d\d?/|\d\d?-\d\d?-|\d\d?[ -]\pL{3,9}\.?[ -]|\pL{3,9}\.? \d\d?,? )(\d{4})(?: 00?:00(?::00)?)?$`)
)

func isDate(v string) bool { return yearOf(v) > 0 }

// yearOf returns the year of a day, or 0.
func yearOf(v string) int {
	for _, form := range []*regexp.Regexp{yearFirst, yearLast} {
		if m := form.FindStringSubmatch(v); m != nil {
			if year, err := strconv.Atoi(m[1]); err == nil && year > 1880 && year < 2100 {
				return year
			}
		}
	}
	return 0
}

// What a spreadsheet makes of a long number: 4.47911E+11, or ##### where the column was too narrow.
var spoilt = regexp.MustCompile(`^([+-]?[1-9]([.,][0-9]*)?[eE]\+[0-9]+|#{3,})$`)

// Legal forms, as words behind the name of a firm.
var forms = words("gmbh mbh ag kg ohg ug gbr ev ltd limited llc llp inc corp corporation plc sa sas sarl sasu eurl srl spa snc bv nv vof oy oyj ab as aps sp zoo sro kft doo pty pvt ltda eireli sl slu lda lp co")

// words that say in which state something is.
var stateWords = words("active inactive enabled disabled open closed pending new lead subscribed unsubscribed cleaned blocked archived deleted invited declined verified aktiv inaktiv actif inactif activo inactivo ativo inativo attivo inattivo actief inactief aktywny nieaktywny aktif pasif true false yes no")

// count counts what a value looks like.
func (s *Seen) count(v string) {
	digits, nonzero, letters, words, lettersOnly, firm := 0, 0, 0, 0, true, false
	for _, r := range v {
		switch {
		case unicode.IsDigit(r):
			digits++
			if r != '0' {
				nonzero++
			}
		case unicode.IsLetter(r):
			letters++
		}
	}
	if utf8.RuneCountInString(v) > 255 {
		s.longest = append(s.longest, utf8.RuneCountInString(v))
	}
	for w := range strings.FieldsSeq(v) {
		if words++; words > 20 {
			break
		}
		lettersOnly = lettersOnly && !strings.ContainsFunc(w, func(r rune) bool { return unicode.IsDigit(r) || r == '@' || r == '/' })
		firm = firm || words > 1 && forms[strings.ReplaceAll(fold(w), ".", "")]
	}
	plus := func(n *int, is bool) {
		if is {
			*n++
		}
	}
	local, host, at := strings.Cut(v, "@")
	plus(&s.at, at)
	mail := at && local != "" && strings.Contains(host, ".") && !strings.ContainsAny(v, " ,;<>\n") && !strings.Contains(host, "@") && !strings.HasPrefix(v, "mailto:")
	plus(&s.mails, mail)
	s.odd.addressed.count(v, at && !mail)
	plus(&s.phones, isPhone(v))
	plus(&s.abroad, international.MatchString(v))
	plus(&s.bare, bare.MatchString(v))
	year := yearOf(v)
	plus(&s.dates, year > 0)
	plus(&s.early, year > 0 && year < 1990)
	plus(&s.digit, nonzero > 0)
	plus(&s.spoilt, spoilt.MatchString(v))
	plus(&s.letters, letters > 0)
	plus(&s.several, words > 1 && words < 7 && lettersOnly && letters > 0)
	plus(&s.firms, firm || strings.Contains(v, "株式会社") || strings.Contains(v, "有限公司") || strings.Contains(v, "주식회사"))
	plus(&s.codes, !at && (words < 2 || digits > 0) && (digits > 0 || len(v) >= 12 && words == 1 || isCode(v)))
	plus(&s.flags, v == "0" || v == "1")
	plus(&s.states, letters > 0 && stateWords[fold(v)])
	plus(&s.han, letters > 1 && letters < 5 && utf8.RuneCountInString(v) == letters && strings.IndexFunc(v, func(r rune) bool { return !unicode.Is(unicode.Han, r) }) < 0)
	plus(&s.hangul, letters > 1 && letters < 5 && utf8.RuneCountInString(v) == letters && strings.IndexFunc(v, func(r rune) bool { return !unicode.Is(unicode.Hangul, r) }) < 0)
	s.odd.count(v)
}

// isCode says whether a text of letters is written as codes are.
func isCode(v string) bool {
	return strings.ToUpper(v) == v || strings.ContainsAny(v, "-_/") || len(v) < 4
}

// mostly says whether n values are nearly all that a column has, but for those that are none.
func (s *Seen) mostly(n int) bool { return n > 0 && 5*n >= 4*(s.Filled-s.Suspicious) }

// unique says whether the values of a column don't repeat, and every row has one.
func (s *Seen) unique(rows int) bool { return rows > 0 && s.Filled == rows && s.Good == rows }

// ofPeople says whether values may be whole names of people: letters, mostly of several words, and no firms. Korean names are written as one word.
func (c *Column) ofPeople() bool {
	return 2*c.several >= c.Filled && c.several > 0 && 4*c.firms < c.Filled || c.mostly(c.hangul)
}

// maxPostalDigits is how many digits a postal code has at most.
const maxPostalDigits = 10

// fits says whether what a column holds may be what its name says.
func (c *Column) fits(target string) bool {
	n := c.Filled - c.Suspicious
	if n <= 0 {
		return true
	}
	half := func(m int) bool { return 2*m >= n }
	switch part := target[strings.LastIndexByte(target, '.')+1:]; {
	case strings.HasSuffix(target, "EmailAddress"):
		return half(c.at)
	case strings.HasSuffix(target, "PhoneNumber"):
		return half(c.digit) && !half(c.at) && !(half(c.flags) && c.Filled > 1)
	case target == "BirthDate":
		return half(c.digit)
	case part == "PostalCode":
		return !slices.ContainsFunc(c.Samples, func(v string) bool { return digits(v) > maxPostalDigits })
	case part == "State", part == "Province", part == "County":
		return !half(c.states) && !half(c.at)
	case target == "FirstName", target == "MiddleName", target == "LastName", target == "BusinessName", part == "City", part == "Country":
		return half(c.letters) && !half(c.at)
	}
	return true
}

func digits(v string) (n int) {
	for _, r := range v {
		if unicode.IsDigit(r) {
			n++
		}
	}
	return n
}
