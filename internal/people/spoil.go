package people

import (
	"math/rand/v2"
	"slices"
	"strings"
)

// spoiler makes a record of somebody what a second record of them looks like.
type spoiler struct {
	*rand.Rand
	dirt float64
	*country
	row  []string
	mail string // the name as an e-mail address has it
}

// percent says yes so many times of a hundred, times the dirt.
func (s *spoiler) percent(n float64) bool { return s.Float64()*100 < n*s.dirt }

func (s *spoiler) spoil() {
	row := s.row
	s.mail = mailName(row[first]) + mailName(row[last])
	if strings.Contains(row[first], "=") && s.percent(30) || s.code == "RU" && s.percent(20) {
		row[first], row[last] = romanised(row[first]), romanised(row[last])
	} else if s.percent(20) {
		row[first], row[last], row[street], row[city] = plain(row[first]), plain(row[last]), plain(row[street]), plain(row[city])
	}
	row[first], row[last] = written(row[first]), written(row[last])
	if names := short[row[first]]; names != nil && s.percent(25) {
		row[first] = pick(s.Rand, names)
	} else if s.percent(2) {
		row[first] = string([]rune(row[first])[:1]) + "."
	}
	if row[gender] == "F" && s.percent(8) {
		row[last] = s.form(written(s.familyName(s.Rand)), true)
	}
	if a, _, two := strings.Cut(row[last], " "); two && s.double && s.percent(35) {
		row[last] = a
	}
	s.typo(first, 10)
	s.typo(last, 10)
	if s.percent(3) {
		row[first], row[last] = row[last], row[first]
	}
	s.birthDate()
	s.reached()
	if s.percent(20) {
		address(s.Rand, s.country, row)
	} else {
		s.streetName()
		s.typo(street, 8)
		s.typo(city, 5)
		s.typo(postal, 4)
	}
	for column, percent := range [...]float64{gender: 15, birth: 12, email: 20, phone: 20, street: 8, city: 5, postal: 8, state: 20, nation: 15} {
		if s.percent(percent) {
			row[column] = ""
		}
	}
}

// written is how a name is written in its own script; lists have "script=Latin" where that is no transliteration letter by letter.
func written(name string) string {
	own, _, _ := strings.Cut(name, "=")
	return own
}

func romanised(name string) string {
	if _, l, ok := strings.Cut(name, "="); ok {
		return l
	}
	return plain(name)
}

func (s *spoiler) birthDate() {
	d := s.row[birth]
	switch {
	case s.percent(6) && d[8:] <= "12":
		s.row[birth] = d[:5] + d[8:] + "-" + d[5:7]
	case s.percent(5):
		at := []int{2, 3, 6, 9}[s.IntN(4)]
		b := []byte(d)
		if b[at] = '0' + byte(s.IntN(10)); at == 6 && b[5] == '1' {
			b[6] = '0' + byte(s.IntN(3))
		}
		if string(b[5:7]) != "00" && string(b[8:]) != "00" {
			s.row[birth] = string(b)
		}
	}
}

// reached changes e-mail address and phone number.
func (s *spoiler) reached() {
	local, domain, _ := strings.Cut(s.row[email], "@")
	switch {
	case s.percent(15):
		s.row[email] = s.mail + string('0'+rune(s.IntN(10))) + "@" + pick(s.Rand, providers)
	case s.percent(6):
		s.row[email] = strings.ToUpper(local[:1]) + local[1:] + "@" + domain
	case s.percent(4):
		s.row[email] = local + "+shop@" + domain
	default:
		s.typo(email, 5)
	}
	national := strings.TrimPrefix(s.row[phone], "+"+s.calling)
	switch {
	case s.percent(15):
		s.row[phone] = s.number10(s.Rand, true)
	case s.percent(30):
		s.row[phone] = s.trunk + national[:3] + pick(s.Rand, []string{" ", "-", "/", ""}) + national[3:6] + pick(s.Rand, []string{" ", "-", ""}) + national[6:]
	case s.percent(4):
		b := []byte(s.row[phone])
		b[len(b)-1-s.IntN(6)] = '0' + byte(s.IntN(10))
		s.row[phone] = string(b)
	}
}

var shorter = strings.NewReplacer("Street", "St", "Avenue", "Ave", "Road", "Rd.", "Drive", "Dr", "Lane", "Ln", "Boulevard", "Blvd", "Court", "Ct", "straße", "str.", "Calle", "C/", "Avenida", "Avda.",
	"Plaza", "Pza.", "ul. ", "", "al. ", "Aleja ", "ул. ", "улица ", "д. ", "")

func (s *spoiler) streetName() {
	if s.percent(25) {
		s.row[street] = shorter.Replace(s.row[street])
	}
}

// typo makes a typing error in a column: a letter too many, too few, another one, or two exchanged.
func (s *spoiler) typo(column int, percent float64) {
	letters := []rune(s.row[column])
	if !s.percent(percent) || len(letters) < 3 {
		return
	}
	at := 1 + s.IntN(len(letters)-2)
	other := letters[s.IntN(len(letters))]
	if column == postal {
		other = '0' + rune(s.IntN(10))
	}
	switch s.IntN(4) {
	case 0:
		letters = slices.Insert(letters, at, other)
	case 1:
		letters = slices.Delete(letters, at, at+1)
	case 2:
		letters[at] = other
	case 3:
		letters[at], letters[at+1] = letters[at+1], letters[at]
	}
	s.row[column] = string(letters)
}
