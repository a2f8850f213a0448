package schema

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/nyaruka/phonenumbers"
)

func TestPhonesOfCountries(t *testing.T) {
	for _, c := range []struct{ country, written, want string }{
		{"DE", "0171 / 1234567", "491711234567"},
		{"DE", "030/901820-12", "493090182012"},
		{"DE", "+49 (0)151 23456789", "4915123456789"},
		{"DE", "0049 151 23456789", "4915123456789"},
		{"DE", "49 151 23456789", "4915123456789"},
		{"DE", "171 1234567", "491711234567"}, // a spreadsheet took the 0
		{"DE", "(+49) 171 1234567", "491711234567"},
		{"DE", "+1 415 555 0100", "4155550100"},
		{"DE", "+43 664 1234567", "436641234567"},
		{"DE", "030 1234567 ext. 12", "49301234567x12"},
		{"DE", "030 1234567 Durchwahl 12", "49301234567x12"},
		{"DE", "030 1234567 (Büro)", "49301234567"},
		{"DE", "030 1234567, 0171 1234567", "49301234567"},
		{"DE", "112", "112"},
		{"FR", "06 12 34 56 78", "33612345678"},
		{"IT", "06 1234 5678", "390612345678"},
		{"IT", "+39 06 1234 5678", "390612345678"},
		{"IT", "348 123 4567", "393481234567"},
		{"IT", "39 348 123 4567", "393481234567"},
		{"RU", "8 (912) 345-67-89", "79123456789"},
		{"RU", "+7 912 345-67-89", "79123456789"},
		{"RU", "9123456789", "79123456789"},
		{"RU", "8~10 49 171 1234567", "491711234567"},
		{"KZ", "8 701 234 5678", "77012345678"},
		{"HU", "06 30 123 4567", "36301234567"},
		{"HU", "+36 (06) 30 123 4567", "36301234567"},
		{"MX", "044 55 1234 5678", "525512345678"},
		{"MX", "+52 1 55 1234 5678", "525512345678"},
		{"MX", "55 1234 5678", "525512345678"},
		{"AR", "011 15-2345-6789", "5491123456789"},
		{"AR", "0351 15 234-5678", "5493512345678"},
		{"AR", "+54 9 11 2345-6789", "5491123456789"},
		{"BR", "(011) 91234-5678", "5511912345678"},
		{"BR", "0 15 11 91234-5678", "5511912345678"},
		{"US", "(415) 555-0100", "4155550100"},
		{"US", "1-415-555-0100 x12", "4155550100x12"},
		{"US", "011 49 171 1234567", "491711234567"},
		{"BS", "345-6789", "2423456789"},
		{"AU", "(02) 9876 5432", "61298765432"},
		{"AU", "0011 49 171 1234567", "491711234567"},
		{"GB", "(020) 7946 0958", "442079460958"},
		{"GB", "+44 (0)20 7946 0958", "442079460958"},
		{"ES", "612 34 56 78", "34612345678"},
		{"ES", "34 612 34 56 78", "34612345678"},
		{"JP", "０９０－１２３４－５６７８", "819012345678"},
		{"GA", "011 23 45 67", "24111234567"},
	} {
		country, ok := ParseCountry(c.country)
		if !ok {
			t.Fatalf("%s is no country", c.country)
		}
		if got := NormalizeIn(country, Phone, c.written); got != c.want {
			t.Errorf("%s %q is %s, not %s", c.country, c.written, got, c.want)
		}
	}
}

// spellings are ways to write a number in a country.
func spellings(n *phonenumbers.PhoneNumber, region string) []string {
	national := phonenumbers.Format(n, phonenumbers.NATIONAL)
	significant := phonenumbers.GetNationalSignificantNumber(n)
	code := fmt.Sprint(n.GetCountryCode())
	all := []string{national, strings.NewReplacer(" ", "", "-", "", "(", "", ")", "", "/", "").Replace(national),
		phonenumbers.Format(n, phonenumbers.INTERNATIONAL), phonenumbers.Format(n, phonenumbers.E164), "00" + code + significant}
	if trunk := phonenumbers.GetNddPrefixForRegion(region, true); trunk != "" {
		all = append(all, trunk+significant)
		if trunk[0] == '0' { // nobody writes +7 (8)
			all = append(all, "+"+code+" ("+trunk+")"+significant)
		}
	}
	if strings.HasPrefix(national, "09 15-") { // the library writes mobiles of Buenos Aires so, without their area code
		all = append(all[2:], "011 15 "+significant[3:])
	}
	return all
}

// TestPhonesAsLibphonenumber compares the table with the library that its source is the metadata of: example numbers of all countries and
// kinds, and their neighbours, in several spellings.
func TestPhonesAsLibphonenumber(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	compared, wrong := 0, map[string]int{}
	for region := range phonenumbers.GetSupportedRegions() {
		country, ok := ParseCountry(region)
		if !ok {
			t.Errorf("%s is missing", region)
			continue
		}
		for kind := phonenumbers.FIXED_LINE; kind < phonenumbers.UNKNOWN; kind++ {
			example := phonenumbers.GetExampleNumberForType(region, kind)
			if example == nil {
				continue
			}
			for i := range 6 {
				significant := []byte(phonenumbers.GetNationalSignificantNumber(example))
				for j := max(2, len(significant)-5); i > 0 && j < len(significant); j++ {
					significant[j] = '0' + byte(random.IntN(10))
				}
				n, err := phonenumbers.Parse(fmt.Sprintf("+%d%s", example.GetCountryCode(), significant), region)
				if err != nil || !phonenumbers.IsValidNumber(n) {
					continue
				}
				want := Normalize(Phone, phonenumbers.Format(n, phonenumbers.E164))
				for _, written := range spellings(n, region) {
					compared++
					if got := NormalizeIn(country, Phone, written); got != want {
						if wrong[region]++; wrong[region] < 4 {
							t.Logf("%s %v %q is %s, not %s", region, kind, written, got, want)
						}
					}
				}
			}
		}
	}
	total := 0
	for _, n := range wrong {
		total += n
	}
	t.Logf("%d of %d differ, in %d countries", total, compared, len(wrong))
	if total > 0 {
		t.Fail()
	}
}

func BenchmarkPhone(b *testing.B) {
	de, _ := ParseCountry("DE")
	for _, c := range []struct {
		name    string
		country Country
		written string
	}{{"digits", 0, "0171 / 1234567"}, {"national", de, "0171 / 1234567"}, {"international", de, "+49 171 1234567"}} {
		b.Run(c.name, func(b *testing.B) {
			var buf [64]byte
			for b.Loop() {
				AppendNormalizedIn(buf[:0], c.country, Phone, []byte(c.written))
			}
		})
	}
}
