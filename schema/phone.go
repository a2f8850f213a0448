package schema

import (
	_ "embed"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// Country is a country whose way to write phone numbers is known: its two letters (ISO 3166), or 0 for none. Values on disk hold it.
type Country uint16

// ParseCountry returns a country by its two letters, in either case; false: there is none, or it has no phone numbers.
func ParseCountry(code string) (Country, bool) {
	code = strings.ToUpper(code)
	if code == "UK" {
		code = "GB"
	}
	if len(code) != 2 {
		return 0, false
	}
	c := Country(code[0])<<8 | Country(code[1])
	return c, phonePlans().of(c) != nil
}

// String returns the two letters, or "".
func (c Country) String() string {
	if c == 0 {
		return ""
	}
	return string([]byte{byte(c >> 8), byte(c)})
}

// phoneTable is what is known of all countries; its first lines say what it holds and where that is from.
//
//go:embed phones.txt
var phoneTable string

// phonePlan is how numbers are written in a country.
type phonePlan struct {
	country Country // 0: of none
	code    string  // calling code
	abroad  []string
	trunks  []string // the longest first
	local   []localNumbers
	all     *callingCode
}

// localNumbers are those that are written without an area code.
type localNumbers struct {
	area   string
	first  string // digits that they may begin with
	length int
}

// callingCode is what the countries of a calling code have in common.
type callingCode struct {
	code string
	main *phonePlan
	// lengths has a bit for each length that a national number may have, by its first two digits.
	lengths [100]uint32
}

type planTable struct {
	byCountry [26 * 26]*phonePlan // by the two letters
	byCode    [1000]*callingCode
}

func (t *planTable) of(c Country) *phonePlan {
	if a, b := c>>8-'A', c&0xff-'A'; a < 26 && b < 26 {
		return t.byCountry[26*a+b]
	}
	return nil
}

// phonePlans reads the table, once.
var phonePlans = sync.OnceValue(func() *planTable {
	t := &planTable{}
	for line := range strings.Lines(phoneTable) {
		if line[0] == '#' {
			continue
		}
		cells := strings.Fields(line)
		number, _ := strconv.Atoi(cells[1])
		if t.byCode[number] == nil {
			t.byCode[number] = &callingCode{code: cells[1]}
		}
		p := &phonePlan{code: cells[1], abroad: listed(cells[2]), trunks: listed(cells[3]), all: t.byCode[number]}
		for _, text := range listed(cells[4]) {
			l := strings.Split(text, ":")
			n, _ := strconv.Atoi(l[2])
			p.local = append(p.local, localNumbers{l[0], l[1], n})
		}
		p.all.add(cells[5])
		if p.all.main == nil {
			p.all.main = p
		}
		if len(cells[0]) == 2 {
			p.country = Country(cells[0][0])<<8 | Country(cells[0][1])
			t.byCountry[26*(p.country>>8-'A')+p.country&0xff-'A'] = p
		}
	}
	return t
})

func listed(cell string) []string {
	if cell == "~" {
		return nil
	}
	return strings.Split(cell, ",")
}

// add adds the lengths of one country.
func (c *callingCode) add(cell string) {
	for _, part := range listed(cell) {
		firsts, lengths, _ := strings.Cut(part, ":")
		from, to, ranged := strings.Cut(firsts, "-")
		if !ranged {
			to = from
		}
		a, _ := strconv.Atoi(from)
		b, _ := strconv.Atoi(to)
		for text := range strings.SplitSeq(lengths, ".") {
			n, _ := strconv.Atoi(text)
			for i := a; i <= b; i++ {
				c.lengths[i] |= 1 << n
			}
		}
	}
}

// allows says whether national numbers with these first digits have this length.
func (c *callingCode) allows(d []byte) bool {
	return len(d) >= 2 && len(d) < 32 && c.lengths[(d[0]-'0')*10+d[1]-'0']&(1<<len(d)) != 0
}

// maxPhone is the longest text of digits that is read as a number of a country.
const maxPhone = 32

// phoneNumber is a number under way from what was written to its international form.
type phoneNumber struct {
	digits [maxPhone]byte
	n      int
	plus   bool
	ext    [8]byte // digits of an extension
	extLen int
}

// appendPhoneIn appends the index form of a phone number that was written in a country: the calling code and the national number where
// that can be told, with "x" and the extension if there is one; else as appendPhone has it. Of the calling code 1 it has no more than appendPhone leaves of it, so
// that numbers written with it have one form whether a country was known or not.
func appendPhoneIn(dst, value []byte, c Country) []byte {
	plan := phonePlans().of(c)
	var p phoneNumber
	if plan == nil || scientific(value) || !p.scan(value) {
		return appendPhone(dst, value)
	}
	from := len(dst)
	dst, ok := plan.read(dst, p.digits[:p.n], p.plus)
	if !ok {
		return appendPhone(dst[:from], value)
	}
	if d := dst[from:]; len(d) == 11 && d[0] == '1' {
		dst = append(dst[:from], d[1:]...)
	}
	if p.extLen > 0 {
		dst = append(append(dst, 'x'), p.ext[:p.extLen]...)
	}
	return dst
}

// leastDigits is how many digits a number has before what is no digit can end it.
const leastDigits = 5

// scan takes the digits of a number and of its extension from what was written. It is false when there are too many or none.
func (p *phoneNumber) scan(value []byte) bool {
	for i := 0; i < len(value); {
		c := value[i]
		switch {
		case c-'0' <= 9:
			if p.n == maxPhone {
				return false
			}
			p.digits[p.n] = c
			p.n++
			i++
		case c == '+' && p.n == 0:
			p.plus = true
			i++
		case c < utf8.RuneSelf && !isLetter(c) && c != '#' && c != ';' && c != ',':
			i++
		default:
			r, size := utf8.DecodeRune(value[i:])
			if d := digitOf(r); d >= 0 && p.n < maxPhone {
				p.digits[p.n] = '0' + byte(d)
				p.n++
			} else if r == '＋' && p.n == 0 {
				p.plus = true
			} else if p.n >= leastDigits && (c < utf8.RuneSelf || unicode.IsLetter(r)) {
				p.extension(string(value[i:]))
				return true
			}
			i += size
		}
	}
	return p.n > 0
}

func isLetter(c byte) bool { return c|0x20-'a' < 26 }

// digitOf returns the value of a digit of the scripts that write numbers with digits of their own, or -1.
func digitOf(r rune) int {
	for _, zero := range [...]rune{'０', '٠', '۰', '०', '০', '๐'} {
		if zero <= r && r <= zero+9 {
			return int(r - zero)
		}
	}
	return -1
}

// extensionMarks are what stands before an extension, in lower case, without signs.
var extensionMarks = []string{"", "x", "ext", "extn", "extension", "xt", "int", "interno", "anexo", "ramal", "poste", "dw", "durchwahl", "app", "apparat", "доб", "wew", "内線", "内线"}

// extension takes in an extension, if the rest of what was written is one: a mark and a few digits, "ext. 12".
func (p *phoneNumber) extension(rest string) {
	at := strings.IndexAny(rest, "0123456789")
	if at < 0 {
		return
	}
	mark := strings.ToLower(strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) {
			return r
		}
		return -1
	}, rest[:at]))
	number := strings.TrimSpace(rest[at:])
	if !slices.Contains(extensionMarks, mark) || mark == "" && !strings.HasPrefix(rest, "#") || len(number) > len(p.ext)-1 || strings.Trim(number, "0123456789") != "" {
		return
	}
	p.extLen = copy(p.ext[:], number)
}

// read appends the calling code and the national number. It is false when the digits are no number that is written in the country.
func (p *phonePlan) read(dst, d []byte, plus bool) ([]byte, bool) {
	if plus {
		return international(dst, d)
	}
	// People write 00 everywhere; with the country's own calling code behind it, it is no beginning of another prefix, as 005 is in Colombia.
	if hasPrefix(d, "00") && hasPrefix(d[2:], p.code) {
		if out, ok := international(dst, d[2:]); ok {
			return out, true
		}
	}
	for _, prefix := range p.abroad {
		if hasPrefix(d, prefix) {
			if out, ok := international(dst, d[len(prefix):]); ok {
				return out, true
			}
		}
	}
	if hasPrefix(d, "00") {
		if out, ok := international(dst, d[2:]); ok {
			return out, true
		}
	}
	if out, ok := p.atHome(append(dst, p.code...), d); ok {
		return out, true
	}
	for _, l := range p.local {
		if len(d) == l.length && strings.IndexByte(l.first, d[0]) >= 0 {
			return append(append(append(dst, p.code...), l.area...), d...), true
		}
	}
	// Who writes no trunk prefix where the country has one writes internationally, but for the plus.
	known := p.all.allows(d)
	if hasPrefix(d, p.code) && (!known || len(p.trunks) > 0) {
		if out, ok := international(dst, d); ok {
			return out, true
		}
	}
	return append(append(dst, p.code...), d...), known
}

// atHome appends the national number of one that is written with a trunk prefix, or in another way of the country.
func (p *phonePlan) atHome(dst, d []byte) ([]byte, bool) {
	for _, trunk := range p.trunks {
		if !hasPrefix(d, trunk) {
			continue
		}
		if p.all.allows(d[len(trunk):]) {
			return append(dst, d[len(trunk):]...), true
		}
		if n := d[len(trunk):]; p.code == "55" && len(n) > 11 && p.all.allows(n[2:]) { // after the code of a carrier
			return append(dst, n[2:]...), true
		}
	}
	switch p.code {
	case "54":
		return argentineMobile(dst, d)
	case "241": // old numbers had the 0 as a part of them
		if len(d) == 9 && d[0] == '0' && p.all.allows(d[1:]) {
			return append(dst, d[1:]...), true
		}
	}
	return dst, false
}

// international appends a number that begins with a calling code, without a trunk prefix behind that. It is false if there is no such number.
func international(dst, d []byte) ([]byte, bool) {
	n := 0
	for i := 0; i < min(3, len(d)); i++ {
		n = 10*n + int(d[i]-'0')
		code := phonePlans().byCode[n]
		if code == nil || d[0] == '0' {
			continue
		}
		rest := d[i+1:]
		if code.allows(rest) {
			return append(dst, d...), true
		}
		dst = append(dst, code.code...)
		if code.code == "52" && hasPrefix(rest, "1") && code.allows(rest[1:]) { // mobiles, until 2019
			return append(dst, rest[1:]...), true
		}
		return code.main.atHome(dst, rest)
	}
	return dst, false
}

// argentineMobile appends the national number of a mobile phone: at home it is [0] area 15 number, abroad 9 area number.
func argentineMobile(dst, d []byte) ([]byte, bool) {
	if hasPrefix(d, "0") {
		d = d[1:]
	}
	if len(d) != 12 {
		return dst, false
	}
	area := 4
	if hasPrefix(d, "11") {
		area = 2
	} else if _, found := slices.BinarySearch(argentineAreas[:], string(d[:3])); found {
		area = 3
	}
	if !hasPrefix(d[area:], "15") {
		return dst, false
	}
	return append(append(append(dst, '9'), d[:area]...), d[area+2:]...), true
}

// argentineAreas are the area codes of three digits; others but 11 have four.
var argentineAreas = [...]string{"220", "221", "223", "230", "236", "237", "249", "260", "261", "263", "264", "266", "280", "291", "294", "297", "298", "299",
	"336", "341", "342", "343", "345", "348", "351", "353", "358", "362", "364", "370", "376", "379", "380", "381", "383", "385", "387", "388"}

func hasPrefix(d []byte, prefix string) bool {
	return len(d) >= len(prefix) && string(d[:len(prefix)]) == prefix
}

// NationalForms returns the index forms that values have which hold a phone number, given by its index form, as it is written in a country, and of
// which no country is known: "491711234567" may be there as "01711234567". Numbers of ten digits that may be of the calling code 1 are left
// out: they could be others.
func NationalForms(indexed string, c Country) (forms []string) {
	plan := phonePlans().of(c)
	if plan == nil {
		return nil
	}
	number, ok := strings.CutPrefix(indexed, plan.code)
	if !ok || plan.code == "1" || !plan.all.allows([]byte(number)) || strings.Contains(number, "x") {
		return nil
	}
	for _, trunk := range plan.trunks {
		if len(trunk) <= 2 {
			forms = append(forms, trunk+number, plan.code+trunk+number)
		}
	}
	if len(plan.trunks) == 0 && (len(number) != 10 || number[0] < '2') {
		forms = append(forms, number)
	}
	for i, form := range forms {
		forms[i] = Normalize(Phone, form)
	}
	return forms
}
