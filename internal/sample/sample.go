// Package sample makes realistic customer files: accents, quoted commas and newlines, missing cells, repeated customers,
// phones and e-mails in several formats. The same seed gives the same file.
package sample

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"

	"github.com/brianvoe/gofakeit/v7"
)

// Header are the columns of a sample file.
var Header = []string{
	"customer_id", "first_name", "last_name", "email", "phone", "mobile", "birth_date", "gender",
	"company", "street", "city", "state", "postal_code", "country", "loyalty_tier", "notes",
}

// given and family names with letters that a faker for the United States never makes.
var (
	given  = []string{"Zoë", "José", "Søren", "Łukasz", "Chloé", "Jürgen", "Māra", "Aïcha", "Nguyễn", "Åsa", "François", "İpek", "Διονύσης", "Мария", "美咲"}
	family = []string{"Müller", "García", "O'Brien", "Núñez", "Sørensen", "Kowalczyk-Łoś", "Brontë", "Çelik", "d’Arcy", "Иванова", "佐藤", "van der Berg", "Åkesson"}
	tiers  = []string{"bronze", "silver", "gold", "platinum"}
)

// Options change what a sample is like. The zero value is the usual mix in random order.
type Options struct {
	InOrder bool   // customers ascend by id
	Phones  string // "clean": all as +1…; "half": every other one as people write them; "": most of them as people write them
}

// Write writes a file of rows customers records. About one in fifty repeats an earlier customer with changed details.
func Write(w io.Writer, rows int, seed uint64) error { return WriteWith(w, rows, seed, Options{}) }

// WriteWith is Write with options.
func WriteWith(w io.Writer, rows int, seed uint64, o Options) error {
	buf := bufio.NewWriterSize(w, 1<<20)
	g := &generator{f: gofakeit.NewFaker(rand.NewPCG(seed, 0x6b697468), false), seed: uint32(seed), o: o}
	if _, err := buf.WriteString(strings.Join(Header, ",") + "\n"); err != nil {
		return err
	}
	var line []byte
	for i := range rows {
		line = g.row(line[:0], uint32(i))
		if _, err := buf.Write(line); err != nil {
			return err
		}
	}
	return buf.Flush()
}

type generator struct {
	f    *gofakeit.Faker
	seed uint32
	o    Options
	n    int // phones so far
}

// id scatters consecutive numbers over the key space, so that files are not in key order.
func (g *generator) id(n uint32) string {
	if g.o.InOrder {
		return fmt.Sprintf("C%010d", n)
	}
	x := (n ^ g.seed*2654435761) * 0x9E3779B1
	x ^= x >> 15
	x *= 0x85EBCA77
	return fmt.Sprintf("C%010d", x)
}

func (g *generator) row(line []byte, i uint32) []byte {
	f := g.f
	n := i
	if i > 100 && f.IntN(50) == 0 {
		n = uint32(f.UintN(uint(i)))
	}
	p := f.FirstName()
	l := f.LastName()
	if f.IntN(12) == 0 {
		p = given[f.IntN(len(given))]
	}
	if f.IntN(12) == 0 {
		l = family[f.IntN(len(family))]
	}
	birth := fmt.Sprintf("%04d-%02d-%02d", 1935+f.IntN(70), 1+f.IntN(12), 1+f.IntN(28))
	cells := [...]string{
		g.id(n), p, l, g.email(p, l, n), g.maybe(90, g.phone), g.maybe(60, g.phone), g.maybe(80, func() string { return birth }),
		[]string{"F", "M", "", "female", "male"}[f.IntN(5)],
		g.maybe(30, f.Company), g.street(), f.City(), f.StateAbr(), f.Zip(), []string{"US", "US", "US", "CA", "DE", "FR"}[f.IntN(6)],
		g.maybe(70, func() string { return tiers[f.IntN(len(tiers))] }), g.maybe(8, g.note),
	}
	for c, cell := range cells {
		if c > 0 {
			line = append(line, ',')
		}
		line = appendCell(line, cell)
	}
	return append(line, '\n')
}

func appendCell(line []byte, s string) []byte {
	if !strings.ContainsAny(s, ",\"\n\r") {
		return append(line, s...)
	}
	line = append(line, '"')
	line = append(line, strings.ReplaceAll(s, `"`, `""`)...)
	return append(line, '"')
}

// maybe returns a value in percent of all cases, else an empty cell.
func (g *generator) maybe(percent int, value func() string) string {
	if g.f.IntN(100) < percent {
		return value()
	}
	return ""
}

var ascii = strings.NewReplacer(" ", "", "'", "", "’", "")

func (g *generator) email(first, last string, n uint32) string {
	local := fmt.Sprintf("%s.%s%d", ascii.Replace(strings.ToLower(first)), ascii.Replace(strings.ToLower(last)), n)
	for _, r := range local {
		if r > 127 {
			local = fmt.Sprintf("customer%d", n)
			break
		}
	}
	switch g.f.IntN(20) {
	case 0:
		return ""
	case 1:
		return strings.ToUpper(local) + "@EXAMPLE.COM"
	case 2:
		return " " + local + "@example.org"
	}
	return local + "@example.com"
}

func (g *generator) phone() string {
	f := g.f
	a, b, c := 201+f.IntN(780), 200+f.IntN(800), f.IntN(10000)
	form := f.IntN(6)
	g.n++
	switch {
	case g.o.Phones == "clean", g.o.Phones == "half" && g.n%2 == 0:
		form = 5
	case g.o.Phones == "half":
		form = g.n / 2 % 3 * 3 / 2 // (…), ….…, 0044 …
	}
	switch form {
	case 0:
		return fmt.Sprintf("(%03d) %03d-%04d", a, b, c)
	case 1:
		return fmt.Sprintf("%03d.%03d.%04d", a, b, c)
	case 2:
		return fmt.Sprintf("%03d-%03d-%04d", a, b, c)
	case 3:
		return fmt.Sprintf("0044 20 %04d %04d", 1000+f.IntN(9000), c)
	}
	return fmt.Sprintf("+1%03d%03d%04d", a, b, c)
}

func (g *generator) street() string {
	s := g.f.Street()
	if g.f.IntN(10) == 0 {
		return s + ", Apt " + fmt.Sprint(1+g.f.IntN(99))
	}
	return s
}

func (g *generator) note() string {
	switch g.f.IntN(3) {
	case 0:
		return "called twice,\nasked for \"the manager\""
	case 1:
		return "prefers e-mail, not phone"
	}
	return "since " + fmt.Sprint(1990+g.f.IntN(35))
}
