package link

import (
	"strconv"
	"strings"
)

// date is a day as the number yyyymmdd. Month and day are 0 where only the year is known; 0: no date. One that was written year first, and has a month or a
// day that there is not, stays as it is: it is a typing error away from the right one.
type date uint32

func (d date) parts() (year, month, day int) {
	return int(d / 10000), int(d / 100 % 100), int(d % 100)
}

func (d date) String() string {
	y, m, day := d.parts()
	text := pad(y, 4)
	if m > 0 || day > 0 {
		text += "-" + pad(m, 2)
	}
	if day > 0 {
		text += "-" + pad(day, 2)
	}
	return text
}

func pad(n, width int) string {
	s := strconv.Itoa(n)
	return strings.Repeat("0", max(0, width-len(s))) + s
}

// digits writes a whole date as the eight digits yyyymmdd.
func (d date) digits(dst *[8]byte) []byte {
	y, m, day := d.parts()
	for i, n := range [...]int{y / 1000, y / 100, y / 10, y, m / 10, m, day / 10, day} {
		dst[i] = byte(n%10) + '0'
	}
	return dst[:]
}

// months are the beginnings of the months' names in several languages, as appendWords has them; the longest that fits counts.
var months = map[string]int{
	"jan": 1, "feb": 2, "mar": 3, "apr": 4, "may": 5, "jun": 6, "jul": 7, "aug": 8, "sep": 9, "oct": 10, "nov": 11, "dec": 12,
	"mrz": 3, "mai": 5, "okt": 10, "dez": 12, "maer": 3,
	"janv": 1, "fev": 2, "avr": 4, "juin": 6, "juil": 7, "aou": 8,
	"ene": 1, "abr": 4, "ago": 8, "dic": 12, "gen": 1, "mag": 5, "giu": 6, "lug": 7, "set": 9, "ott": 10, "out": 10,
	"maa": 3, "mei": 5, "maj": 5, "des": 12, "yan": 1, "fevr": 2, "iyun": 6, "iyul": 7, "avg": 8, "sen": 9, "noy": 11, "dek": 12,
}

func month(word string) int {
	for n := min(4, len(word)); n >= 3; n-- {
		if m := months[word[:n]]; m > 0 {
			return m
		}
	}
	return 0
}

// dateOrder counts how dates are written whose parts tell: 31/12 or 12/31.
type dateOrder struct{ DayFirst, MonthFirst int64 }

// isoDate reads yyyy-mm-dd, as most dates are written.
func isoDate(text string) (year, month, day int, ok bool) {
	if len(text) != len("yyyy-mm-dd") || text[4] != '-' || text[7] != '-' {
		return 0, 0, 0, false
	}
	for i, n := range [...]*int{&year, &year, &year, &year, nil, &month, &month, nil, &day, &day} {
		if n == nil {
			continue
		}
		if text[i] < '0' || text[i] > '9' {
			return 0, 0, 0, false
		}
		*n = *n*10 + int(text[i]-'0')
	}
	return year, month, day, true
}

// parseDate reads a date in any usual way: year first, day first or month first, with or without separators, a month's name, or an ISO
// time. Where day and month could be either, dayFirst decides; with points the day is first. 0: it is none, or none that is true of a person.
func parseDate(text string, dayFirst bool) date {
	var n [3]int // the numbers in it
	var width [3]int
	count, name := 0, 0
	text = strings.TrimSpace(text)
	if i := strings.IndexByte(text, 'T'); i == 10 {
		text = text[:i]
	}
	if y, m, d, ok := isoDate(text); ok {
		return written(y, m, d)
	}
	for _, w := range words(text) {
		for w != "" && count < 4 {
			digits := 0
			for digits < len(w) && w[digits] >= '0' && w[digits] <= '9' {
				digits++
			}
			if digits > 8 {
				return 0
			}
			if digits > 0 {
				if count == 3 { // a time of day follows
					break
				}
				n[count], _ = strconv.Atoi(w[:digits])
				width[count] = digits
				count++
				w = w[digits:]
				continue
			}
			m := month(w)
			if m == 0 || name > 0 {
				break
			}
			name = m
			w = strings.TrimLeftFunc(w, func(r rune) bool { return r < '0' || r > '9' }) // 24jun1971
		}
	}
	switch {
	case name > 0:
		return namedMonth(n, width, count, name)
	case count == 1:
		return digitDate(n[0], width[0], dayFirst)
	case count == 2 && width[0] == 4:
		return day(n[0], n[1], 0)
	case count == 2 && width[1] == 4:
		return day(n[1], n[0], 0)
	case count < 3:
		return 0
	case width[0] >= 3:
		return written(n[0], n[1], n[2])
	}
	year := n[2]
	if width[2] <= 2 {
		year = century(year)
	}
	return either(year, n[0], n[1], dayFirst || strings.Contains(text, "."))
}

// century is the year that two digits mean: nobody's birth is later than 2029.
func century(yy int) int {
	if yy < 30 {
		return 2000 + yy
	}
	return 1900 + yy
}

// either reads two numbers as month and day, or as day and month where these are first or the other makes no date.
func either(year, a, b int, dayFirst bool) date {
	if dayFirst {
		a, b = b, a
	}
	if d := day(year, a, b); d > 0 {
		return d
	}
	return day(year, b, a)
}

func namedMonth(n, width [3]int, count, name int) date {
	switch {
	case count == 1 && width[0] == 4:
		return day(n[0], name, 0)
	case count < 2:
		return 0
	case width[0] == 4:
		return day(n[0], name, n[1])
	}
	if width[1] <= 2 {
		n[1] = century(n[1])
	}
	return day(n[1], name, n[0])
}

// digitDate reads a number without separators.
func digitDate(n, width int, dayFirst bool) date {
	switch width {
	case 4:
		return day(n, 0, 0)
	case 6: // yyyymm
		return day(n/100, n%100, 0)
	case 8:
		if d := day(n/10000, n/100%100, n%100); d > 0 {
			return d
		}
		if d := either(n%10000, n/1000000, n/10000%100, dayFirst); d > 0 {
			return d
		}
		if year := n / 10000; year > 1800 { // else it is no date, or one that begins with a day or month that there is not
			return written(year, n/100%100, n%100)
		}
	}
	return 0
}

// written returns a date as it was written, year first.
func written(year, month, day int) date {
	if year < 1000 || year > 2100 || month < 0 || month > 99 || day < 0 || day > 99 {
		return 0
	}
	return date(year*10000 + month*100 + day)
}

// day returns a date if there is one with these parts.
func day(year, month, day int) date {
	if year < 1000 || year > 2100 || month > 12 || day > 31 || month == 0 && day > 0 || month < 0 || day < 0 {
		return 0
	}
	return date(year*10000 + month*100 + day)
}

// ordinal is about the number of a day, to tell how far two are apart.
func (d date) ordinal() int {
	y, m, day := d.parts()
	return y*365 + y/4 + m*30 + m*7/12 + day
}

// look counts a date with separators whose first or second number is no month.
func (o *dateOrder) look(text string) {
	var n [3]int
	count := 0
	for i := 0; i < len(text) && count < 3; {
		j := i
		for j < len(text) && text[j] >= '0' && text[j] <= '9' {
			j++
		}
		if j > i {
			if j-i > 2 && count < 2 {
				return
			}
			n[count], _ = strconv.Atoi(text[i:min(j, i+4)])
			count++
		}
		i = j + 1
	}
	switch {
	case count < 3:
	case n[0] > 12 && n[0] <= 31 && n[1] <= 12:
		o.DayFirst++
	case n[1] > 12 && n[1] <= 31 && n[0] <= 12:
		o.MonthFirst++
	}
}
