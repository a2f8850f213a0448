package link

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// compared compares two profiles with a model of what is believed.
func compared(a, b map[string]string) *comparer {
	m := &Model{custom: []string{"code"}, account: true}
	m.believe()
	r := reader{custom: m.custom}
	c := &comparer{Model: m}
	c.a.read(r.append(nil, profileOf(numberedID(0), a)), m.slots())
	c.b.read(r.append(nil, profileOf(numberedID(1), b)), m.slots())
	c.compare(true)
	return c
}

// values are a profile of what is given by turns: path, text.
func values(of ...string) map[string]string {
	all := map[string]string{}
	for i := 0; i+1 < len(of); i += 2 {
		all[of[i]] = of[i+1]
	}
	return all
}

// Every level of every field but addresses is met, and it is the same whichever profile comes first.
func TestLevels(t *testing.T) {
	type test struct {
		field, level int
		a, b         string // of the field's attribute
	}
	path := map[int]string{fGiven: "FirstName", fMiddle: "MiddleName", fFamily: "LastName", fBirth: "BirthDate", fGender: "GenderString", fEmail: "EmailAddress", fPhone: "PhoneNumber",
		fBusiness: "BusinessName", fAccount: "AccountNumber", fCustom: "Attributes.code"}
	tests := []test{
		{fGiven, missing, "Ann", ""}, {fGiven, givenScript, "Ann", "안나"}, {fGiven, exact, "Ann", "ANN"}, {fGiven, exact, "José", "Jose"}, {fGiven, exact, "Ivan", "Иван"},
		{fGiven, givenNick, "William", "Bill"}, {fGiven, givenNick, "Robert", "Bob"}, {fGiven, givenShort, "A", "Ann"}, {fGiven, givenShort, "Alexa", "Alexandrina"},
		{fGiven, givenClose, "Kerstin", "Kerstni"}, {fGiven, givenNear, "Ann", "Anq"}, {fGiven, givenOther, "Ann", "Peter"}, {fGiven, givenOther, "A", "Peter"},
		{fMiddle, missing, "", "Ann"}, {fMiddle, exact, "Ann", "ann"}, {fMiddle, middleShort, "A.", "Ann"}, {fMiddle, middleShort, "William", "Bill"}, {fMiddle, middleClose, "Kerstin", "Kerstni"}, {fMiddle, middleOther, "Ann", "Peter"},
		{fFamily, missing, "", "Smith"}, {fFamily, familyScript, "Smith", "김"}, {fFamily, exact, "O'Neil", "ONEIL"}, {fFamily, exact, "van den Berg", "Berg"}, {fFamily, exact, "Mac Donald", "Macdonald"}, {fFamily, familyPart, "García López", "García"},
		{fFamily, familyPart, "Vanderberg", "Berg"}, {fFamily, familyClose, "Thompson", "Thomspon"}, {fFamily, familyNear, "Lee", "Leo"}, {fFamily, familyOther, "Smith", "Kowalska"},
		{fBirth, missing, "", "1971-06-24"}, {fBirth, missing, "never", "1971-06-24"}, {fBirth, exact, "1971-06-24", "24.06.1971"}, {fBirth, birthTypo, "1971-06-24", "1971-06-25"}, {fBirth, birthTypo, "1971-06-24", "1917-06-24"},
		{fBirth, birthTypo, "1971-06-05", "1971-05-06"}, {fBirth, birthNear, "1971-06-24", "1988-06-24"}, {fBirth, birthNear, "1971-06-24", "1971-06-11"}, {fBirth, birthNear, "1971-06-30", "1971-07-09"},
		{fBirth, birthFar, "1971-06-24", "1970-09-09"}, {fBirth, birthFar, "1971-06-24", "1971"}, {fBirth, birthFar, "1971-06", "1971-06-24"}, {fBirth, birthTwo, "1971-06-24", "1975-08-24"},
		{fBirth, birthOther, "1971-06-24", "1983-11-30"}, {fBirth, birthOther, "1971", "1972-01-01"}, {fBirth, birthOther, "1971-06", "1971-07-24"},
		{fGender, missing, "female", "unknown"}, {fGender, exact, "Female", "w"}, {fGender, exact, "mujer", "F"}, {fGender, exact, "Herr", "male"}, {fGender, genderOther, "m", "f"}, {fGender, genderOther, "hombre", "mujer"},
		{fEmail, missing, "", "x@example.com"}, {fEmail, missing, "no address", "x@example.com"}, {fEmail, exact, "Jane.Roe+news@GoogleMail.com", "janeroe@gmail.com"}, {fEmail, emailTypo, "quickfox@example.com", "quickfox@exmaple.com"},
		{fEmail, emailTypo, "quickfox@acme.example", "quikcfox@acme.example"}, {fEmail, emailLocal, "quickfox@acme.example", "quickfox@gmail.com"}, {fEmail, missing, "quickfox12@gmail.com", "quickfox13@gmail.com"}, // emailNamed is no evidence
		{fEmail, emailOther, "quickfox@gmail.com", "slowhound@gmail.com"},
		{fPhone, missing, "", "5550123456"}, {fPhone, missing, "12345", "5550123456"}, {fPhone, missing, "000000000", "5550123456"}, {fPhone, exact, "+49 30 1234567", "030 1234567"}, {fPhone, exact, "5550123456 x12", "(555) 012-3456"},
		{fPhone, phoneTypo, "5550123456", "5550123465"}, {fPhone, phoneOther, "5550123456", "5559876543"},
	}
	for _, f := range []int{fBusiness, fAccount, fCustom} {
		tests = append(tests, test{f, missing, "", "Northwind Traders"}, test{f, exact, "Northwind Traders", "NORTHWIND  traders"}, test{f, textClose, "Northwind Traders", "Nortwhind Traders"},
			test{f, textNear, "Northwind", "Northwets"}, test{f, textOther, "Northwind Traders", "Contoso"})
	}
	tests = append(tests, test{fBusiness, exact, "Northwind GmbH", "Northwind Inc."}, test{fAccount, exact, "AB-12 34", "ab1234"})
	met := map[[2]int]bool{}
	for _, c := range tests {
		a, b := values(path[c.field], c.a), values(path[c.field], c.b)
		for range 2 {
			got := int(compared(a, b).level[c.field])
			if got != c.level {
				t.Errorf("%s: %q and %q agree in level %d, want %d", fieldNames[min(c.field, fAccount)], a[path[c.field]], b[path[c.field]], got, c.level)
			}
			a, b = b, a
		}
		met[[2]int{c.field, c.level}] = true
	}
	met[[2]int{fGiven, givenSwapped}], met[[2]int{fFamily, familyCross}], met[[2]int{fEmail, emailNamed}] = true, true, true // TestLevelsOfSeveral
	for f := range path {
		for l := range levelsOf(f) {
			if f != fAddress && !met[[2]int{f, l}] {
				t.Errorf("no test meets level %d of %s", l, fieldNames[min(f, fAccount)])
			}
		}
	}
}

// Some levels need two attributes, and of several values the best counts.
func TestLevelsOfSeveral(t *testing.T) {
	for _, c := range []struct {
		name         string
		field, level int
		a, b         map[string]string
	}{
		{"exchanged", fGiven, givenSwapped, values("FirstName", "Wei", "LastName", "Zhang"), values("FirstName", "Zhang", "LastName", "Wei")},
		{"exchanged, but another family name of one syllable", fGiven, givenOther, values("FirstName", "미영", "LastName", "임"), values("FirstName", "김", "LastName", "미영")},
		{"in one word or in two", fGiven, exact, values("FirstName", "Min-jun", "LastName", "Kim"), values("FirstName", "Minjun", "LastName", "Kim")},
		{"father and son", fGiven, givenOther, values("FirstName", "John", "LastName", "Smith Sr."), values("FirstName", "John Jr.", "LastName", "Smith")},
		{"the father's or the son's", fGiven, givenShort, values("FirstName", "John", "LastName", "Smith"), values("FirstName", "John", "LastName", "Smith Jr.")},
		{"of one generation", fGiven, exact, values("FirstName", "John", "LastName", "Smith II"), values("FirstName", "John", "LastName", "Smith Jr.")},
		{"the generation is no further name", fMiddle, exact, values("FirstName", "John", "MiddleName", "Paul", "LastName", "Smith II"), values("FirstName", "John", "MiddleName", "Paul")},
		{"exchanged: the family name counts once", fFamily, missing, values("FirstName", "Wei", "LastName", "Zhang"), values("FirstName", "Zhang", "LastName", "Wei")},
		{"crossed", fFamily, familyCross, values("FirstName", "Zhang"), values("LastName", "Zhang")},
		{"crossed, one with both", fFamily, familyCross, values("FirstName", "Zhang"), values("FirstName", "Wei", "LastName", "Zhang")},
		{"names in one", fFamily, exact, values("FirstName", "John Smith"), values("FirstName", "John", "LastName", "Smith")},
		{"comma", fGiven, exact, values("FirstName", "Smith, Dr John"), values("FirstName", "John", "LastName", "Smith")},
		{"the first of two", fGiven, givenShort, values("FirstName", "Maria", "LastName", "Rossi"), values("FirstName", "Maria Luisa", "LastName", "Rossi")},
		{"father's name", fMiddle, exact, values("FirstName", "Ivan Ivanovich", "LastName", "Petrov"), values("FirstName", "Иван", "MiddleName", "Иванович", "LastName", "Петров")},
		{"gender adds nothing to the same name", fGender, missing, values("FirstName", "Ann", "GenderString", "f"), values("FirstName", "Ann", "GenderString", "f")},
		{"same local part, made of the name", fEmail, missing, values("LastName", "Quickfox", "EmailAddress", "quickfox@acme.example"), values("EmailAddress", "quickfox@gmail.com")},
		{"one of two e-mails", fEmail, exact, values("EmailAddress", "quickfox@acme.example", "PersonalEmailAddress", "qf@gmail.com"), values("EmailAddress", "qf@gmail.com", "BusinessEmailAddress", "other@acme.example")},
		{"one of two phones", fPhone, exact, values("PhoneNumber", "5550123456", "MobilePhoneNumber", "5559876543"), values("HomePhoneNumber", "5559876543", "PhoneNumber", "5551111112")},
	} {
		for range 2 {
			if got := int(compared(c.a, c.b).level[c.field]); got != c.level {
				t.Errorf("%s: level %d, want %d", c.name, got, c.level)
			}
			c.a, c.b = c.b, c.a
		}
	}
	c := compared(values("LastName", "Quickfox"), values())
	if got := c.emailLevel([]byte("quickfox@a.example"), []byte("quickfox@other.example")); got != emailNamed {
		t.Errorf("an e-mail address made of the name: level %d", got)
	}
}

// The parts of addresses agree in each of their levels, and of several addresses the pair that agrees best counts.
func TestAddressLevels(t *testing.T) {
	const line1, line2, city, code, state = "Address.Address1", "Address.Address2", "Address.City", "Address.PostalCode", "Address.State"
	const street, number, unit, town, postcode, province = 0, 1, 2, 3, 4, 5
	met := map[[2]int]bool{}
	for _, c := range []struct {
		part, level int
		path, a, b  string
	}{
		{street, missing, line1, "", "High Street 5"}, {street, exact, line1, "12 High Street", "High St 5"}, {street, exact, line1, "Hauptstraße 12", "Hauptstr. 12"}, {street, partClose, line1, "Hauptstraße 1", "Haupstraße 1"},
		{street, partClose, line1, "Rosengarten 1", "Am Rosengarten 1"}, {street, partOther, line1, "High Street 5", "Lake Road 5"},
		{number, missing, line1, "High Street", "High Street 5"}, {number, exact, line1, "5 High Street", "High Street 5"}, {number, exact, line1, "Flat 3, 12 High Street", "12 High Street"}, {number, partClose, line1, "High Street 12", "High Street 12b"},
		{number, partClose, line1, "High Street 12", "High Street 21"}, {number, partOther, line1, "High Street 5", "High Street 7"},
		{unit, missing, line2, "", "Room 4"}, {unit, exact, line2, "Room 4", "room-4"}, {unit, partClose, line2, "Rosenhof West", "Rosenhof Wset"}, {unit, partOther, line2, "Room 4", "Apartment B"},
		{town, missing, city, "Berlin", ""}, {town, missing, city, "Berlin", "서울"}, {town, exact, city, "Kraków", "KRAKOW"}, {town, partClose, city, "Berlin", "Belrin"}, {town, partOther, city, "Berlin", "Hamburg"},
		{postcode, missing, code, "", "10115"}, {postcode, exact, code, "12345-6789", "12345"}, {postcode, partClose, code, "10115", "10151"}, {postcode, partOther, code, "10115", "20095"},
		{province, missing, state, "", "Vic"}, {province, exact, state, "VIC", "vic"}, {province, partClose, state, "Vic", "Victoria"}, {province, partOther, state, "NSW", "Victoria"},
	} {
		a, b := values(line1, "Elsewhere", c.path, c.a), values(line1, "Elsewhere", c.path, c.b) // a second line alone would be the first
		for range 2 {
			if got := int(compared(a, b).parts[c.part]); got != c.level {
				t.Errorf("%s: %q and %q agree in level %d, want %d", partNames[c.part], a[c.path], b[c.path], got, c.level)
			}
			a, b = b, a
		}
		met[[2]int{c.part, c.level}] = true
	}
	for p, levels := range partLevels {
		for l := range levels {
			if !met[[2]int{p, l}] {
				t.Errorf("no test meets level %d of the %s", l, partNames[p])
			}
		}
	}
	lines := compared(values(line1, "Rosenhof", line2, "Birkengrund"), values(line1, "Birkengrund", line2, "Rosenhof"))
	if lines.parts[street] != partClose || lines.parts[unit] != partClose {
		t.Errorf("lines that changed places: %v", lines.parts)
	}
	home, moved := values(line1, "High Street 5", city, "Leeds", code, "LS1"), values(line1, "Lake Road 7", city, "York", code, "YO1")
	both := maps.Clone(moved)
	for path, text := range home {
		both["Mailing"+path] = text
	}
	if c := compared(home, both); c.parts != [addressParts]uint8{exact, exact, 0, exact, exact, 0} {
		t.Errorf("the same address and another: %v", c.parts)
	}
	for n := range addressPatterns {
		if parts := partsOfPattern(n); addressPattern(&parts) != n || slices.Max(parts[:]) > partOther {
			t.Fatalf("pattern %d: %v", n, parts)
		}
	}
}

// Each part of an address stays what it is, whatever the others are.
func TestPartsOfAnAddress(t *testing.T) {
	r := reader{}
	kept := func(address ...string) string {
		var v view
		record := r.append(nil, profileOf(numberedID(1), values(address...)))
		v.read(record, r.slots())
		var kept []string
		for _, slot := range []int{sStreet, sNumber, sCity, sPostcode, sState} {
			kept = append(kept, string(v.slot(slot)))
		}
		return strings.Join(kept, " ")
	}
	for _, c := range [][2]string{ // in one line
		{"Hauptstraße 5, 12345 Neustadt", "hauptstr 5 neustadt 12345 "}, {"Hauptstraße 5 12345 Bad Neustadt", "hauptstr 5 badneustadt 12345 "}, {"5 High Street, Springfield, IL 12345", "highst 5 springfield 12345 il"},
		{"12345 High Street", "highst 12345   "}, {"High Street 5, Springfield", "highst 5 springfield  "}, {"High House, 5 Low Street", "highlowst 5   "}, {"Flat 3, 12 High Street", "flat3highst 12   "}, {"12 High Street, Flat 3", "highstflat3 12   "},
		{"Flat 3, 12 High Street, Springfield 12345", "flat3highst 12 springfield 12345 "}, {"High Street 12345", "highst 12345   "},
	} {
		if got := kept("Address.Address1", c[0]); got != c[1] {
			t.Errorf("%q: %q, want %q", c[0], got, c[1])
		}
	}
	for _, c := range [][6]string{ // street, number, city, code, state, what is kept
		{"ul. Mickiewicza", "7", "Nowy Sącz", "33-300", "małopolskie", "ulmickiewicza 7 nowysacz 33300 malopolskie"},
		{"High Street", "12", "Springfield", "", "IL", "highst 12 springfield  il"},
		{"", "", "Rome", "00118", "", "  rome 00118 "},
	} {
		if got := kept("Address.Address1", c[0]+" "+c[1], "Address.City", c[2], "Address.PostalCode", c[3], "Address.State", c[4]); got != c[5] {
			t.Errorf("%q: %q, want %q", c[:5], got, c[5])
		}
	}
}
