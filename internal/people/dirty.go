package people

import (
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Kind is one way in which files of customers are dirty. All records are spoiled by it, not only those that repeat a person.
type Kind struct {
	Name string
	Options
}

// Kinds are files that are dirty each in another way, as those are that people bring: what a form did not ask for, what somebody typed to
// get past it, what a scanner read, what an old system cut off or wrote in its own way.
func Kinds(records int, seed uint64) []Kind {
	kinds := []Kind{
		{"a third of the cells empty", Options{Each: func(d *Dirt) { d.lose(30) }}},
		{"half of the cells empty", Options{Each: func(d *Dirt) { d.lose(50) }}},
		{"households, a third empty", Options{Households: true, Each: func(d *Dirt) { d.lose(30) }}},
		{"names, cities and birth dates", Options{Columns: []int{first, last, city, birth}}},
		{"names and phones", Options{Columns: []int{first, last, phone}}},
		{"names and addresses", Options{Columns: []int{first, last, street, city, postal}}},
		{"first names and e-mails", Options{Columns: []int{first, email}}},
		{"cells in wrong columns", Options{Each: (*Dirt).misplace}},
		{"read by a scanner", Options{Each: func(d *Dirt) { d.misread(8) }}},
		{"typed in haste", Options{Each: func(d *Dirt) { d.mistype(10) }}},
		{"capitals without accents", Options{Each: (*Dirt).shout}},
		{"initials, titles, suffixes", Options{Each: (*Dirt).title}},
		{"firms among persons", Options{Each: (*Dirt).firm}},
		{"placeholders", Options{Each: func(d *Dirt) { d.placehold(12) }}},
		{"addresses in one line", Options{Each: (*Dirt).oneLine}},
		{"dates and phones of all forms", Options{Each: (*Dirt).reform}},
		{"cut off at 10 characters", Options{Each: (*Dirt).cut}},
		{"two sources", Options{Each: (*Dirt).source}},
		{"one person 200 times", Options{Skewed: true}},
		{"300 records", Options{Records: 300}},
		{"hardly any duplicates", Options{Repeats: 0.05}},
		{"mostly duplicates", Options{Repeats: 0.8}},
		{"many errors a record", Options{Dirt: 3}},
		{"a little of everything", Options{Each: (*Dirt).everything}},
	}
	for i := range kinds {
		o := &kinds[i].Options
		o.Seed = seed + uint64(i)
		if o.Records == 0 {
			o.Records = records
		}
		if o.Repeats == 0 {
			o.Repeats = 0.3
		}
	}
	return kinds
}

// Dirt spoils a record.
type Dirt struct {
	*rand.Rand
	*country
	person int
	row    []string
}

func (d *Dirt) percent(n float64) bool { return d.Float64()*100 < n }

func (d *Dirt) lose(percent float64) {
	for c := first; c < len(d.row); c++ {
		if d.percent(percent) {
			d.row[c] = ""
		}
	}
}

func (d *Dirt) exchange(a, b int) { d.row[a], d.row[b] = d.row[b], d.row[a] }

func (d *Dirt) misplace() {
	for _, of := range []struct {
		a, b    int
		percent float64
	}{{first, last, 10}, {email, phone, 5}, {city, state, 5}, {street, city, 4}, {postal, phone, 3}, {birth, gender, 3}} {
		if d.percent(of.percent) {
			d.exchange(of.a, of.b)
		}
	}
	if d.percent(8) {
		d.row[first], d.row[last] = d.row[first]+" "+d.row[last], ""
	}
	if d.percent(5) {
		d.row[first], d.row[last] = "", d.row[last]+", "+d.row[first]
	}
}

// lookAlike are letters that scanners take for each other.
var lookAlike = strings.Fields("O0 0O l1 1l I1 1I S5 5S B8 8B Z2 2Z g9 9g e c cе nh un nu vu iї aа oо tf ft ij 6b b6 7T 38 83 17 71")

// misread replaces a letter in so many cells of a hundred by one that looks like it, or two by one.
func (d *Dirt) misread(percent float64) {
	for c := first; c < len(d.row); c++ {
		if !d.percent(percent) || d.row[c] == "" {
			continue
		}
		if two := []string{"rn", "m", "m", "rn", "cl", "d", "vv", "w", "ii", "ü"}; d.percent(30) {
			k := 2 * d.IntN(len(two)/2)
			d.row[c] = strings.Replace(d.row[c], two[k], two[k+1], 1)
			continue
		}
		letters := []rune(d.row[c])
		for _, at := range d.Perm(len(letters)) {
			var like []rune
			for _, pair := range lookAlike {
				if p := []rune(pair); len(p) == 2 && p[0] == letters[at] {
					like = append(like, p[1])
				}
			}
			if len(like) > 0 {
				letters[at] = like[d.IntN(len(like))]
				break
			}
		}
		d.row[c] = string(letters)
	}
}

// keyboard is what letters and digits lie beside each other.
var keyboard = []string{"1234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm"}

// mistype replaces, in so many cells of a hundred, a letter by its neighbour on the keyboard, doubles one, leaves one out or exchanges two.
func (d *Dirt) mistype(percent float64) {
	for c := first; c < len(d.row); c++ {
		letters := []rune(d.row[c])
		if !d.percent(percent) || len(letters) < 2 {
			continue
		}
		at := d.IntN(len(letters) - 1)
		switch d.IntN(4) {
		case 0:
			letters = slices.Insert(letters, at, letters[at])
		case 1:
			letters = slices.Delete(letters, at, at+1)
		case 2:
			letters[at], letters[at+1] = letters[at+1], letters[at]
		default:
			for _, row := range keyboard {
				if k := strings.IndexRune(row, letters[at]); k >= 0 {
					letters[at] = rune(row[max(0, min(len(row)-1, k-1+2*d.IntN(2)))])
				}
			}
		}
		d.row[c] = string(letters)
	}
}

func (d *Dirt) shout() {
	if d.percent(50) {
		for c := first; c < len(d.row); c++ {
			d.row[c] = strings.ToUpper(plain(d.row[c]))
		}
	}
}

func (d *Dirt) title() {
	given := d.row[first]
	switch letters := []rune(given); {
	case len(letters) == 0:
	case d.percent(25):
		d.row[first] = string(letters[:1]) + "."
	case d.percent(10):
		d.row[first] = given + " " + pick(d.Rand, strings.Fields("A. B. C. J. M. P. R. S."))
	}
	if d.percent(15) {
		d.row[first] = pick(d.Rand, strings.Fields("Dr. Mr. Mrs. Prof. Herr Frau Sra. Mr MRS Dr.med.")) + " " + d.row[first]
	}
	if d.percent(8) {
		d.row[last] += pick(d.Rand, []string{" Jr.", ", Jr", " Sr.", " III", " PhD", ", MD", " II"})
	}
}

// firm makes firms of some persons.
func (d *Dirt) firm() {
	if d.person%12 == 0 {
		d.row[last] += []string{" GmbH", " Ltd.", " & Sons", " Inc", " S.L.", " Sp. z o.o.", " Co."}[d.person/12%7]
		d.row[first], d.row[gender], d.row[birth] = "", "", ""
	}
}

// placehold writes, in so many cells of a hundred, what people and forms write where they know nothing.
func (d *Dirt) placehold(percent float64) {
	nothing := []string{"unknown", "n/a", "N/A", "-", "none", "NULL", "xxx", "test"}
	for c, texts := range [...][]string{
		first: nothing, last: nothing, gender: {"unknown", "U", "-"}, birth: {"1900-01-01", "1970-01-01", "1900-01-01", "0000-00-00"},
		email: {"noreply@example.com", "none@none.com", "no@email.com", "info@shop.example", "n/a"}, phone: {"0800 1234567", "+18005550100", "0000000000", "123456789", "n/a"},
		street: {"unknown", "n/a", "-", "no fixed address"}, city: nothing, postal: {"00000", "99999", "n/a"}, state: nothing, nation: {"XX"},
	} {
		if c >= first && d.percent(percent) {
			d.row[c] = pick(d.Rand, texts)
		}
	}
}

// oneLine writes the address in one line, in every other record.
func (d *Dirt) oneLine() {
	if d.percent(50) {
		d.row[street] = d.row[street] + ", " + d.row[postal] + " " + d.row[city]
		d.row[postal], d.row[city] = "", ""
	}
}

// reform writes dates and phone numbers in forms of many places.
func (d *Dirt) reform() {
	if t, err := time.Parse(time.DateOnly, d.row[birth]); err == nil {
		d.row[birth] = t.Format(pick(d.Rand, []string{time.DateOnly, "02.01.2006", "01/02/2006", "02/01/2006", "2 Jan 2006", "January 2, 2006", "20060102", "02-01-06", "2006/01/02", "2006-01-02T00:00:00Z"}))
	}
	if n := d.row[phone]; len(n) > 8 {
		switch d.IntN(6) {
		case 0:
			d.row[phone] = n + pick(d.Rand, []string{" x", " ext. ", " ext", " Durchwahl "}) + pick(d.Rand, []string{"12", "204", "7"})
		case 1:
			d.row[phone] = strings.Replace(n, "+", "00", 1)
		case 2:
			d.row[phone] = strings.Replace(n, "+"+d.calling, "+"+d.calling+" (0)", 1)
		case 3:
			d.row[phone] = "tel: " + n[:6] + "-" + n[6:]
		case 4:
			d.row[phone] = n + " / " + d.number10(d.Rand, false)
		}
	}
}

func (d *Dirt) cut() {
	for c := first; c < len(d.row); c++ {
		if letters := []rune(d.row[c]); len(letters) > 10 {
			d.row[c] = string(letters[:10])
		}
	}
}

// source leaves of a record what one of two systems has.
func (d *Dirt) source() {
	lost := []int{gender, birth, email, nation}
	if d.percent(50) {
		lost = []int{phone, street, city, postal, state}
		if d.percent(50) {
			d.row[first], d.row[last] = d.row[first]+" "+d.row[last], ""
		}
	}
	for _, c := range lost {
		d.row[c] = ""
	}
}

func (d *Dirt) everything() {
	d.lose(12)
	if d.percent(10) {
		d.misplace()
	}
	if d.percent(20) {
		d.title()
	}
	d.misread(2)
	d.mistype(3)
	d.placehold(3)
	if d.percent(20) {
		d.oneLine()
	}
	if d.percent(30) {
		d.reform()
	}
	if d.percent(20) {
		d.shout()
	}
}
