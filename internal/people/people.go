// Package people makes files of customers of six countries in which some persons stand several times, as they do in real ones: with typing
// errors, short names, names of before the wedding, days and months exchanged, given and family names exchanged, letters without their
// marks or in another script, moved houses, other phones and e-mails, and empty cells. Who is who is known, so matching can be
// measured. The same options give the same file, and no record depends on those before it: memory is the same for any number.
package people

import (
	"bufio"
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Header are the columns of a file. The key is the record's own; it says nothing about who is who.
var Header = []string{"id", "first_name", "last_name", "gender", "birth_date", "email", "phone", "street", "city", "postal_code", "state", "country"}

const (
	id = iota
	first
	last
	gender
	birth
	email
	phone
	street
	city
	postal
	state
	nation
)

// Options say what a file is like.
type Options struct {
	Records int
	Seed    uint64
	// Repeats is the share of records that repeat a person.
	Repeats float64
	// Households: everybody lives with up to three others who have the same family name and address, and most share a phone and an e-mail
	// address; a third of the children are twins. Otherwise every fourth person lives so.
	Households bool
	// Dirt multiplies how often records have errors. 0 is 1.
	Dirt float64
	// Each spoils every record, if it is not nil; Columns are those that are kept, besides the key; nil: all.
	Each    func(*Dirt)
	Columns []int
	// Skewed: one person has up to 200 of the records that repeat somebody, and a few have 20.
	Skewed bool
}

// Write writes a file, and for each record a line "id,person" to truth.
func Write(w, truth io.Writer, o Options) error {
	buf, who := bufio.NewWriterSize(w, 1<<20), bufio.NewWriterSize(truth, 1<<20)
	out := csv.NewWriter(buf)
	if err := out.Write(o.keep(Header)); err != nil {
		return err
	}
	if o.Dirt == 0 {
		o.Dirt = 1
	}
	m := maker{Options: o, persons: max(1, int(float64(o.Records)*(1-o.Repeats)))}
	step, start := spread(o.Records, o.Seed), int(o.Seed%uint64(max(1, o.Records)))
	for i := range o.Records {
		n := (start + int(int64(i)*int64(step)%int64(o.Records))) % o.Records
		person, row := m.record(n)
		row[id] = fmt.Sprintf("R%08d", i)
		if o.Each != nil {
			o.Each(&Dirt{m.dice(uint64(n), 8), m.country(person), person, row})
		}
		if err := out.Write(o.keep(row)); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(who, "%s,%d\n", row[id], person); err != nil {
			return err
		}
	}
	out.Flush()
	if err := out.Error(); err != nil {
		return err
	}
	if err := buf.Flush(); err != nil {
		return err
	}
	return who.Flush()
}

// keep returns the key and the columns that are kept.
func (o *Options) keep(row []string) []string {
	if o.Columns == nil {
		return row
	}
	kept := []string{row[id]}
	for _, c := range o.Columns {
		kept = append(kept, row[c])
	}
	return kept
}

// spread returns a step that visits every one of n numbers once.
func spread(n int, seed uint64) int {
	gcd := func(a, b int) int {
		for b != 0 {
			a, b = b, a%b
		}
		return a
	}
	step := int(float64(n)*0.618) + int(seed%97) | 1
	for gcd(step, n) != 1 {
		step++
	}
	return step
}

type maker struct {
	Options
	persons int
}

// record returns who record n is, and its cells.
func (m *maker) record(n int) (person int, row []string) {
	if n < m.persons {
		row = m.person(n)
		row[first], row[last] = written(row[first]), written(row[last])
		return n, row
	}
	r := m.dice(uint64(n), 2)
	person = int(math.Pow(r.Float64(), 1.5) * float64(m.persons)) // some have several
	if again := n - m.persons; m.Skewed && again < 600 {
		if person = 0; again >= 200 {
			person = again / 20 * 9 // of other households each
		}
	}
	row = m.person(person)
	(&spoiler{Rand: r, dirt: m.Dirt, country: m.country(person), row: row}).spoil()
	return person, row
}

func (m *maker) dice(n, what uint64) *rand.Rand { return rand.New(rand.NewPCG(m.Seed<<8|what, n)) }

// household returns who a person lives with: the household's number and size, and the person's place in it; size 1: with nobody.
func (m *maker) household(person int) (home uint64, size, place int) {
	group := uint64(person / 4)
	if !m.Households && m.dice(group, 3).IntN(4) != 0 {
		return uint64(person), 1, 0
	}
	return group | 1<<40, 4, person % 4
}

func (m *maker) country(person int) *country {
	home, _, _ := m.household(person)
	return countries[m.dice(home, 4).IntN(len(countries))]
}

// numbers returns how many numbers tell e-mail addresses of one name apart. An address is one person's or one household's, and more of these need more of them:
// in a file of millions with a hundred numbers, very many of one name would share one.
func (m *maker) numbers(few int) int { return max(few, few*m.persons/200_000) }

// person returns the cells of a person without an error.
func (m *maker) person(person int) []string {
	home, size, place := m.household(person)
	h, r, c := m.dice(home, 5), m.dice(uint64(person), 6), m.country(person)
	row := make([]string, len(Header))
	family, mother := c.familyName(h), c.familyName(h)
	address(h, c, row)
	shared := mailName(family) + fmt.Sprint(h.IntN(m.numbers(1000))) + "@" + pick(h, providers)
	line := c.number10(h, false)
	sharesMail, sharesLine, twins, born := h.IntN(2) == 0, h.IntN(10) < 6, h.IntN(3) == 0, h.IntN(25)
	woman := place == 0 || place > 1 && r.IntN(2) == 0
	if size == 1 {
		woman = r.IntN(2) == 0
	}
	age := 18 + r.IntN(70)
	if size > 1 {
		age = 28 + born + 3*place
		if place > 1 {
			age = 1 + born%20 + 3*(place-2)
		}
	}
	day := r.IntN(365)
	if size > 1 && place > 1 && twins { // the same day, but not the same name
		age, day = 1+born%20, m.dice(home, 7).IntN(365)
	}
	row[first] = c.givenName(r, woman)
	for place == 3 && row[first] == m.person(person - 1)[first] {
		row[first] = c.givenName(r, woman)
	}
	row[last] = c.form(family, woman)
	if c.double {
		row[last] = family + " " + mother
	}
	row[gender] = map[bool]string{true: "F", false: "M"}[woman]
	row[birth] = time.Date(2024-age, 1, 1+day, 0, 0, 0, 0, time.UTC).Format(time.DateOnly)
	row[email] = mailName(row[first]) + pick(r, []string{".", "", "_"}) + mailName(row[last]) + fmt.Sprint(r.IntN(m.numbers(100))) + "@" + pick(r, providers)
	row[phone] = c.number10(r, true)
	if size > 1 && sharesMail {
		row[email] = shared
	}
	if size > 1 && sharesLine {
		row[phone] = line
	}
	return row
}

var providers = words("gmail.com gmail.com gmail.com yahoo.com outlook.com hotmail.com icloud.com example.com mail.example web.example")

func pick(r *rand.Rand, from []string) string { return from[r.IntN(len(from))] }

// common picks from a list in order of how common its entries are.
func common(r *rand.Rand, from []string) string {
	return from[int(float64(len(from))*math.Pow(r.Float64(), 1.7))]
}

func (c *country) familyName(r *rand.Rand) string {
	if len(c.stems) > 0 && r.IntN(100) < 55 {
		return pick(r, c.stems) + pick(r, c.ends)
	}
	return common(r, c.family)
}

func (c *country) givenName(r *rand.Rand, woman bool) string {
	names := c.men
	if woman {
		names = c.women
	}
	name := common(r, names)
	if c.code == "CN" && r.IntN(3) > 0 { // two letters of two names
		a, b := common(r, names), pick(r, names)
		ha, la, _ := strings.Cut(a, "=")
		hb, lb, _ := strings.Cut(b, "=")
		ra, _ := utf8.DecodeRuneInString(ha)
		if utf8.RuneCountInString(hb) == 1 && utf8.RuneCountInString(ha) == 1 {
			return string(ra) + hb + "=" + la + strings.ToLower(lb)
		}
	}
	return name
}

// form returns the form of a family name.
func (c *country) form(name string, woman bool) string {
	switch {
	case !c.feminine || !woman:
	case c.code == "PL" && (strings.HasSuffix(name, "ski") || strings.HasSuffix(name, "cki") || strings.HasSuffix(name, "dzki")):
		return strings.TrimSuffix(name, "i") + "a"
	case c.code == "RU" && (strings.HasSuffix(name, "ов") || strings.HasSuffix(name, "ев") || strings.HasSuffix(name, "ёв") || strings.HasSuffix(name, "ин")):
		return name + "а"
	}
	return name
}

// number10 returns a phone number in international form.
func (c *country) number10(r *rand.Rand, mobile bool) string {
	n := "+" + c.calling
	if mobile {
		n += c.mobile
	} else if c.mobile != "" {
		n += string('2' + rune(r.IntN(7)))
		n += strings.Repeat("0", len(c.mobile)-1)
	}
	for i := range c.digits {
		d := r.IntN(10)
		if i == 0 && c.mobile == "" {
			d = 2 + r.IntN(8)
		}
		n += string('0' + rune(d))
	}
	return n
}

func address(r *rand.Rand, c *country, row []string) {
	place := strings.Split(common(r, c.places), ",")
	row[city], row[state], row[nation] = place[0], place[2], c.code
	row[postal] = place[1]
	for len(row[postal]) < c.postal {
		row[postal] += string('0' + rune(r.IntN(10)))
	}
	n := fmt.Sprint(1 + int(200*math.Pow(r.Float64(), 2)))
	if c.code == "US" {
		n = fmt.Sprint(1 + r.IntN(9999))
	}
	row[street] = c.number(pick(r, c.streets), n)
}

// mailName is a name as it stands in an e-mail address.
func mailName(name string) string {
	if _, l, ok := strings.Cut(name, "="); ok {
		name = l
	}
	name = plain(name)
	return strings.ToLower(strings.Map(func(r rune) rune {
		if r < 128 && r != ' ' && r != '-' {
			return r
		}
		return -1
	}, name))
}

// plain writes a text with Latin letters without marks.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 0x300 && r < 0x370 {
			return -1
		}
		return r
	}, norm.NFD.String(latin.Replace(norm.NFC.String(s))))
}
