package link

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestDates(t *testing.T) {
	for _, c := range []struct {
		text     string
		dayFirst bool
		want     string
	}{
		{"1971-06-24", false, "1971-06-24"}, {"1971-06-24T10:11:12Z", false, "1971-06-24"}, {"1971/6/4", true, "1971-06-04"}, {"19710624", false, "1971-06-24"}, {"24061971", false, "1971-06-24"},
		{"06241971", true, "1971-06-24"}, {"6/4/1971", false, "1971-06-04"}, {"6/4/1971", true, "1971-04-06"}, {"24/6/1971", false, "1971-06-24"}, {"6.4.1971", false, "1971-04-06"}, {"6/24/71", true, "1971-06-24"},
		{"6/24/29", false, "2029-06-24"}, {"6/24/30", false, "1930-06-24"}, {"24 June 1971", false, "1971-06-24"}, {"June 24th, 1971", false, "1971-06-24"}, {"24juin1971", false, "1971-06-24"}, {"1971 Juni 24", false, "1971-06-24"},
		{"6/24/1971 12:30:00", false, "1971-06-24"}, {"1971", false, "1971"}, {"1971-06", false, "1971-06"}, {"06/1971", false, "1971-06"}, {"June 1971", false, "1971-06"}, {"197106", false, "1971-06"},
		{"", false, ""}, {"unknown", false, ""}, {"1971-13-32", false, "1971-13-32"}, {"1971-16-10", true, "1971-16-10"}, {"19711610", true, "1971-16-10"}, {"1971-00-10", false, "1971-00-10"}, {"0000-00-00", false, ""}, {"123456789", false, ""}, {"12", false, ""}, {"1/2", false, ""}, {"June", false, ""},
	} {
		got := ""
		if d := parseDate(c.text, c.dayFirst); d != 0 {
			got = d.String()
		}
		if got != c.want {
			t.Errorf("%q, day first %v: %q, want %q", c.text, c.dayFirst, got, c.want)
		}
	}
}

func TestNames(t *testing.T) {
	for _, c := range [][4]string{ // first, middle, last; given|middle|family
		{"Ann", "", "Smith", "ann||smith"}, {"Dr. Ann", "", "Smith PhD", "ann||smith"}, {"Dr", "", "", "dr||"}, {"John Smith", "", "", "john||smith"}, {"Smith, John", "", "", "john||smith"}, {"Smith, Dr John", "", "", "john||smith"},
		{", John Paul", "", "", "john||paul"}, {"", "", "Smith, John", "john||smith"}, {"", "", "van Dyke, Dick", "||van dyke dick"}, {"Ivan Ivanovich", "", "Petrov", "ivan|ivanovich|petrov"},
		{"Anna", "Maria", "O'Neil", "anna|maria|oneil"}, {"王小明", "", "王", "小明||王"}, {"Ann Jr.", "", "Smith", "ann||smith"}, {"John Smith III", "", "", "john||smith"}, {"Smith, John Sr", "", "", "john||smith"}, {"Junior", "", "Smith", "junior||smith"}, {"", "", "", "||"},
	} {
		if got := nameOf(c[0], c[1], c[2], nil).String(); got != c[3] {
			t.Errorf("%q: %q, want %q", c[:3], got, c[3])
		}
	}
}

func (n name) String() string {
	return strings.Join(n.given, " ") + "|" + strings.Join(n.middle, " ") + "|" + strings.Join(n.family, " ")
}

// Whatever a date is read of, its normal form is read as the same date, and so is a text with blanks around it.
func FuzzDate(f *testing.F) {
	for _, text := range []string{"1971-06-24", "24.6.71", "June 24th, 1971", "1971-06-24T10:11:12Z", "24juin1971", "06241971", "1971", "٢٤/٦/١٩٧١", "\xff", "T"} {
		f.Add(text, true)
	}
	f.Fuzz(func(t *testing.T, text string, dayFirst bool) {
		d := parseDate(text, dayFirst)
		var o dateOrder
		o.look(text)
		if d == 0 {
			return
		}
		if y, m, day := d.parts(); y < 1000 || y > 2100 || m > 99 || day > 99 {
			t.Fatalf("%q is %s", text, d)
		}
		for _, again := range []string{d.String(), " " + d.String() + "\n"} {
			if parseDate(again, dayFirst) != d || parseDate(again, !dayFirst) != d {
				t.Fatalf("%q is %s, and that is %s", text, d, parseDate(again, dayFirst))
			}
		}
	})
}

// Whatever a name is read of, its normal form is read as the same name.
func FuzzName(f *testing.F) {
	for _, n := range [][3]string{{"Dr. Ann", "", "Smith PhD"}, {"Smith, John", "", ""}, {", John Paul", "", ""}, {"", "", "Smith, John"}, {"Ivan Ivanovich", "", "Petrov"}, {"王小明", "", "王"}, {"Ǆ", "İ", "ϔ"}, {"\xff", "\x00", ","}} {
		f.Add(n[0], n[1], n[2])
	}
	f.Fuzz(func(t *testing.T, first, middle, last string) {
		for _, text := range []string{first, middle, last} {
			b := appendWords(nil, text)
			if again := appendWords(nil, string(b)); string(again) != string(b) || !utf8.Valid(b) {
				t.Fatalf("%q is %q, and that is %q", text, b, again)
			}
			sound(nil, b)
		}
		n := nameOf(first, middle, last, nil)
		for _, w := range slices.Concat(n.given, n.middle, n.family) {
			if w == "" || strings.ContainsAny(w, " \x00") {
				t.Fatalf("%q: %q", n, w)
			}
		}
		if len(n.family) == 1 && !ascii([]byte(n.family[0])) { // it may be before the given name more than once
			return
		}
		if again := nameOf(strings.Join(n.given, " "), strings.Join(n.middle, " "), strings.Join(n.family, " "), nil); again.String() != n.String() {
			t.Fatalf("%q is %q, and that is %q", []string{first, middle, last}, n, again)
		}
	})
}

// Nothing that a profile has ends a comparison, and it is the same from both sides.
func FuzzCompare(f *testing.F) {
	paths := []string{"FirstName", "LastName", "BirthDate", "EmailAddress", "PersonalEmailAddress", "PhoneNumber", "Address.Address1", "Address.Address2", "Address.PostalCode", "BusinessName", "AccountNumber", "Attributes.code", "GenderString"}
	f.Add("Ann\nSmith\n1971-06-24\nann@example.com\n\n5550123456\nHigh Street 5", "Anne\nSmith\n24.6.71\nann@example.org\nx@y\n5550123465\n5 High St")
	f.Add("\n\n\n"+strings.Repeat("x", 100)+"@a\na@b\x00c", "\n\n\n"+strings.Repeat("y", 99)+"@a\na\x00@b")
	f.Fuzz(func(t *testing.T, a, b string) {
		var sides [2]map[string]string
		for i, text := range []string{a, b} {
			sides[i] = map[string]string{}
			for k, line := range strings.Split(text, "\n") {
				if k < len(paths) {
					sides[i][paths[k]] = line
				}
			}
		}
		c, d := compared(sides[0], sides[1]), compared(sides[1], sides[0])
		if c.level != d.level {
			t.Fatalf("levels %v, and from the other side %v", c.level, d.level)
		}
		c.Explain(profileOf(numberedID(0), sides[0]), profileOf(numberedID(1), sides[1]))
	})
}
