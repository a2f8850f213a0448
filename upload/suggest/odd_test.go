package suggest

import (
	"slices"
	"strings"
	"testing"
)

// What other programs have done to values is told, and values as people have them are not doubted.
func TestSpoiltValuesAreTold(t *testing.T) {
	for _, c := range []struct{ column, values, code, says string }{
		{"City", "Bonn|KÃ¶ln", "letters-spoilt", `"KÃ¶ln" seems to have been "Köln"`},
		{"City", "SzabÃ³|Bonn", "letters-spoilt", `"Szabó"`},
		{"Vorname", "Ĺukasz|Jan", "", ""}, // a single one of letters only may be a name
		{"Miasto", "Ĺ\u0081ĂłdĹş|Warszawa", "letters-spoilt", `"Łódź"`},
		{"City", "GyĹ‘r|Pest", "letters-spoilt", `"Győr"`},
		{"Name", "РЎРµСЂРіРµР№ РџРѕРїРѕРІ|A B", "letters-spoilt", `"Сергей Попов"`},
		{"Note", "itâ€™s|ok", "letters-spoilt", "it’s"},
		{"City", "VLĂŞCEANU|Köln|São Paulo|CAFÉ–BAR|ÅLESUND|İSTANBUL|Москва|РОСТОВ|Łódź|Αθήνα|Zoë «Ö»|横浜|Đà Nẵng|10 °C|Þórður Ægir", "", ""},
		{"City", "K\uFFFDln|Bonn", "letters-spoilt", "have lost letters"},
		{"City", "K?ln|Bonn", "letters-spoilt", "question marks"},
		{"Company", "Who's Next?|ACME", "", ""},
		{"Note", "really? yes|ok", "", ""},
		{"City", "K&ouml;ln|Bonn", "letters-spoilt", `"K&ouml;ln" is "Köln"`},
		{"Company", "M&M; Söhne|A&B", "", ""},
		{"ZIP", "'01067|12000", "values-guarded", "'01067"},
		{"ZIP", `="01067"|12000`, "values-guarded", ""},
		{"ZIP", "53111.0|12000", "values-guarded", "53111.0"},
		{"Amount", "53111.0|12000", "", ""},
		{"Last Name", "'t Hart|O'Hara|'90s", "", ""},
		{"Date of birth", "31120|29000|41000.0", "dates-are-numbers", "31120 would be 1985-03-14"},
		{"Date of birth", "1985|1990", "", ""},
		{"Phone", "+1 206 555 0100 / +1 206 555 0101|+1 206 555 0102", "more-than-a-number", "more than one phone number"},
		{"Phone", "+49 171 1234567 ::: +49 171 7654321|030 1", "more-than-a-number", ""},
		{"Phone", "030 1234567; 0171 1234567|030 1", "more-than-a-number", ""},
		{"Phone", "030/90182012|0171 / 1234567|(030) 1234567|+1 206 555 0100 ext. 12|03-1234-5678", "", ""},
		{"Card", "12345678901234500000|1", "values-spoilt", "fifteen digits"},
		{"Card", "12345678901234500000|12345678901234567890", "", ""},
		{"Card", "1234567890123450|1", "", ""},
	} {
		var rows [][]string
		for i, v := range strings.Split(c.values, "|") {
			rows = append(rows, []string{string(rune('1' + i)), v})
		}
		p := propose(t, []string{"id", c.column}, rows, true)
		odd := slices.DeleteFunc(slices.Clone(p.Warnings), func(w Warning) bool { return w.Level != Doubt || w.Column != c.column })
		switch {
		case c.code == "" && len(odd) > 0, c.code != "" && (len(odd) != 1 || odd[0].Code != c.code || !strings.Contains(odd[0].Text, c.says)):
			t.Errorf("%s %s: %+v, want %s %s", c.column, c.values, odd, c.code, c.says)
		}
	}
}

// A table that lies on its side, and a header that seems to be a customer, are told.
func TestStrangeHeadersAreTold(t *testing.T) {
	for _, c := range []struct {
		table, code string
		level       Level
	}{
		{"first name|Ann|Bea\nemail|a@x.de|b@x.de\ncity|Bonn|Ulm", "transposed", Stop},
		{"first name|Ann|Bea\nemail|a@x.de|b@x.de", "transposed", Stop},
		{"email|channel\na@x.de|phone\nb@x.de|email", "", 0},
		{"Title|email\nphone|a@x.de\nemail|b@x.de", "", 0},
		{"Ann|Lee|Bonn|ohne\nBea|Roth|Ulm|b@x.de\nCleo|Kern|Kiel|c@x.de", "header-unknown", Doubt},
		{"x1|x2\nC1|a@x.de\nC2|b@x.de", "", 0},
		{"id|x\n1|2", "", 0},
	} {
		header, rows := table(c.table)
		got := ""
		for _, w := range propose(t, header, rows, true).Warnings {
			if w.Code == "transposed" || w.Code == "header-unknown" {
				if got = w.Code; w.Level != c.level {
					t.Errorf("%s: level %d", c.table, w.Level)
				}
			}
		}
		if got != c.code {
			t.Errorf("%s: %q, want %q", c.table, got, c.code)
		}
	}
}

// Where some numbers of customers may have lost the zeros before them, the same customer may be there twice.
func TestLostZerosAreTold(t *testing.T) {
	for values, want := range map[string]string{
		"000123|123|000124":        `as "000124", and others are shorter, as "123"`,
		"0001|0002|17|5":           `as "0002", and others are shorter, as "17"`,
		"001|002|099|100":          "",
		"001|002|1000":             "",
		"001|0002|7":               "", // of several lengths: not one that a program has given them
		"0|7|12":                   "",
		"C01|007|008":              "",
		"K7|K007":                  "",
		"+49 171 1234567|01711234": "",
	} {
		var rows [][]string
		for v := range strings.SplitSeq(values, "|") {
			rows = append(rows, []string{v})
		}
		p := propose(t, []string{"Customer No"}, rows, true)
		got := ""
		for _, w := range p.Warnings {
			if w.Code == "key-zeros" && w.Level == Doubt {
				got = w.Text
			}
		}
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", values, got, want)
		}
	}
}
