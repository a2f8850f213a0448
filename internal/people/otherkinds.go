package people

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

func firmName(r *rand.Rand) string {
	n := invented(r, syllables, 2, 4)
	switch r.IntN(4) {
	case 0:
		n = surname(r)
	case 1:
		n = surname(r) + " & " + surname(r)
	}
	return n + " " + pick(r, trades)
}

// firmsOnly are firms with branches: those of other cities count as others.
func firmsOnly() Other {
	return Other{"firms only", words("business_name address city zip_code phone"), 0.5, func(r *rand.Rand) []string {
		town := pick(r, townNames)
		return []string{strings.TrimSpace(firmName(r) + " " + pick(r, legal)), roadOf(r), town, zipOf(r, town), digits(r, 10)}
	}, func(r *rand.Rand, row []string) {
		w := strings.Fields(row[0])
		if chance(r, 50) {
			w[len(w)-1] = pick(r, legal)
		}
		if chance(r, 20) {
			w = append(words("The"), w...)
		}
		row[0] = strings.TrimSpace(strings.Join(w, " "))
		if chance(r, 15) {
			row[0] = strings.ToUpper(row[0])
		}
		if chance(r, 15) {
			row[1] = roadOf(r)
		}
		if chance(r, 20) {
			row[4] = digits(r, 10)
		}
		slips(r, row, 8)
		empties(r, row[1:], 12)
	}, false}
}

// firmsAndContacts are contacts at firms: several people of one firm share its phone, address and the domain of e-mails.
func firmsAndContacts() Other {
	var firm []string
	left := 0
	return Other{"contacts at firms", words("first_name last_name business_name email phone address city zip_code"), 0.4, func(r *rand.Rand) []string {
		if left--; left < 0 {
			town, name := pick(r, townNames), firmName(r)
			firm, left = []string{name + " " + pick(r, legal), mailName(strings.Fields(name)[0]) + ".com", digits(r, 10), roadOf(r), town, zipOf(r, town)}, r.IntN(8)
		}
		given, family := zipf(r, englishMen), surname(r)
		phone := firm[2]
		if chance(r, 50) {
			phone = firm[2][:7] + digits(r, 3)
		}
		return []string{given, family, firm[0], mailName(given[:1]+family) + "@" + firm[1], phone, firm[3], firm[4], firm[5]}
	}, func(r *rand.Rand, row []string) {
		if s := shortOf[row[0]]; s != "" && chance(r, 30) {
			row[0] = s
		}
		if chance(r, 15) {
			row[3] = mailOf(r, row[0], row[1])
		}
		if chance(r, 15) {
			row[2] = strings.Fields(row[2])[0]
		}
		slips(r, row, 5)
		empties(r, row, 12)
	}, false}
}

func indians() Other {
	return Other{"people of India", words("first_name last_name dob phone email address city zip_code state"), 0.5, func(r *rand.Rand) []string {
		given, family := zipf(r, indianGiven), zipf(r, indianLast)
		born := day(r, 1945, 2006)
		if chance(r, 25) { // who does not know the day
			born = born[:4] + pick(r, []string{"-01-01", "-07-01", "-06-01"})
		}
		city := pick(r, words("Mumbai Delhi Bengaluru Chennai Hyderabad Pune Kolkata Ahmedabad Jaipur Lucknow"))
		return []string{given, family, born, "+91" + pick(r, words("9 8 7 6")) + digits(r, 9), mailOf(r, given, family),
			"Flat " + fmt.Sprint(100+r.IntN(900)) + ", " + pick(r, words("Shanti Sai Green Royal Lake Om")) + " " + pick(r, words("Apartments Residency Towers Nagar")) + ", Sector " + fmt.Sprint(1+r.IntN(60)), city, zipOf(r, city)[:3] + digits(r, 3), city}
	}, func(r *rand.Rand, row []string) {
		switch r.IntN(10) {
		case 0:
			row[0], row[1] = row[0]+" "+row[1], ""
		case 1:
			row[0] = row[0][:1]
		case 2:
			row[0] = row[0] + " " + pick(r, words("Kumar Devi Bai Rani"))
		case 3:
			row[1] = row[1][:1]
		}
		row[0] = strings.NewReplacer("sh", pick(r, words("sh s")), "ee", pick(r, words("ee i")), "th", pick(r, words("th t"))).Replace(row[0])
		if chance(r, 15) {
			row[3] = "0" + row[3][3:]
		} else if chance(r, 15) {
			row[3] = "+91" + pick(r, words("9 8 7")) + digits(r, 9)
		}
		if chance(r, 20) {
			row[2] = row[2][8:] + "/" + row[2][5:7] + "/" + row[2][:4]
		}
		slips(r, row[:2], 6)
		slips(r, row[3:7], 5)
		empties(r, row, 15)
	}, false}
}

func arabs() Other {
	return Other{"Arabic names", words("first_name last_name dob phone email city"), 0.5, func(r *rand.Rand) []string {
		given, family := zipf(r, arabGiven), zipf(r, arabLast)
		return []string{given, family, day(r, 1945, 2006), "+966" + digits(r, 9), mailOf(r, forms(r, given, 0), forms(r, family, 0)), pick(r, words("Riyadh Jeddah Cairo Amman Beirut Dubai Casablanca Tunis"))}
	}, func(r *rand.Rand, row []string) {
		own := 0.0
		if chance(r, 30) {
			own = 100
		}
		row[0], row[1] = forms(r, row[0], own), forms(r, row[1], own)
		if chance(r, 15) {
			row[3] = "0" + digits(r, 9)
		}
		if chance(r, 15) {
			row[4] = mailOf(r, row[0]+"x", row[1])
		}
		slips(r, row[2:], 4)
		empties(r, row[2:], 20)
	}, false}
}

func japanese() Other {
	return Other{"Japanese names", words("first_name last_name dob phone email address zip_code"), 0.5, func(r *rand.Rand) []string {
		given, family := zipf(r, japanGiven), zipf(r, japanLast)
		return []string{given, family, day(r, 1945, 2006), "0" + pick(r, words("90 80 70 3 6")) + digits(r, 8), mailOf(r, forms(r, given, 0), forms(r, family, 0)),
			pick(r, japanCity) + fmt.Sprintf("%d-%d-%d", 1+r.IntN(5), 1+r.IntN(20), 1+r.IntN(30)), digits(r, 3) + "-" + digits(r, 4)}
	}, func(r *rand.Rand, row []string) {
		own := 100.0
		if chance(r, 30) {
			own = 0
		}
		row[0], row[1] = forms(r, row[0], own), forms(r, row[1], own)
		if chance(r, 8) {
			row[0], row[1] = row[1], row[0]
		}
		if chance(r, 8) {
			row[0], row[1] = row[1]+row[0], ""
		}
		if chance(r, 20) {
			row[2] = strings.ReplaceAll(row[2], "-", "/")
		}
		if chance(r, 15) {
			row[3] = "090" + digits(r, 8)
		}
		slips(r, row[3:], 4)
		empties(r, row, 12)
	}, false}
}

// addressesOnly are houses.
func addressesOnly() Other {
	return Other{"addresses only", words("address address_2 city zip_code"), 0.6, func(r *rand.Rand) []string {
		town, unit := pick(r, townNames), ""
		if chance(r, 30) {
			unit = "Apt " + fmt.Sprint(1+r.IntN(40))
		}
		return []string{roadOf(r), unit, town, zipOf(r, town)}
	}, func(r *rand.Rand, row []string) {
		row[0] = strings.NewReplacer("Street", pick(r, words("Street St St.")), "Avenue", pick(r, words("Avenue Ave Av.")), "Road", pick(r, words("Road Rd")), "Drive", pick(r, words("Drive Dr"))).Replace(row[0])
		row[1] = strings.Replace(row[1], "Apt ", pick(r, []string{"Apt ", "#", "Unit "}), 1)
		if chance(r, 10) {
			row[0], row[1] = row[0]+" "+row[1], ""
		}
		slips(r, row[:1], 10)
		slips(r, row[2:], 4)
		empties(r, row[2:], 10)
	}, false}
}

// products are what no customer is: free text in columns of their own.
func products() Other {
	brands := make([]string, 60)
	b := rand.New(rand.NewPCG(9, 9))
	for i := range brands {
		brands[i] = invented(b, syllables, 2, 3)
	}
	return Other{"products", words("title brand model price"), 0.5, func(r *rand.Rand) []string {
		brand := zipf(r, brands)
		model := strings.ToUpper(invented(r, syllables, 1, 1)) + "-" + digits(r, 3) + pick(r, words("A B C X S"))
		return []string{brand + " " + pick(r, words("Wireless Portable Digital Compact Black Silver Pro Mini")) + " " + pick(r, words("Camera Speaker Headphones Monitor Keyboard Printer Router Phone Charger Lens")) + " " + pick(r, words("HD 4K 16GB Bluetooth USB-C LED")) + " " + model, brand, model, fmt.Sprintf("%d.99", 10+r.IntN(900))}
	}, func(r *rand.Rand, row []string) {
		w := strings.Fields(row[0])
		if chance(r, 40) {
			w[len(w)-1], w[0] = w[0], w[len(w)-1]
		}
		if chance(r, 30) {
			w = append(w[:1], w[2:]...)
		}
		if chance(r, 30) {
			w = append(w, pick(r, words("new sale original OEM 2023 warranty")))
		}
		row[0] = strings.Join(w, " ")
		if chance(r, 30) {
			row[3] = fmt.Sprintf("%d.49", 10+r.IntN(900))
		}
		slips(r, row[:3], 6)
		empties(r, row[1:], 20)
	}, false}
}

// songs are what benchmarks of entity resolution have, in columns of their own.
func songs() Other {
	return Other{"songs", words("song artist album year length"), 0.5, func(r *rand.Rand) []string {
		var title []string
		for range 1 + r.IntN(4) {
			title = append(title, strings.ToLower(invented(r, syllables, 1, 3)))
		}
		return []string{strings.Join(title, " "), zipf(r, englishMen) + " " + surname(r), invented(r, syllables, 2, 4) + " " + invented(r, syllables, 1, 3), fmt.Sprint(1960 + r.IntN(60)), fmt.Sprint(120 + r.IntN(300))}
	}, func(r *rand.Rand, row []string) {
		if chance(r, 20) {
			row[0] = fmt.Sprintf("%03d-", r.IntN(20)) + row[0]
		}
		if chance(r, 20) {
			row[1] = pick(r, []string{"[unknown]", "Various"})
		}
		if chance(r, 20) {
			row[3] = row[3][2:]
		}
		if chance(r, 20) {
			row[4] = row[4] + "000"
		}
		slips(r, row[:3], 10)
		empties(r, row[1:], 12)
	}, false}
}

func person(r *rand.Rand) (given, family, born, mail, phone, street, town, code string) {
	given, family, town = zipf(r, englishMen), surname(r), pick(r, townNames)
	return given, family, day(r, 1940, 2006), mailOf(r, given, family), digits(r, 10), roadOf(r), town, zipOf(r, town)
}

// manySources are records of five systems, each of which has other columns.
func manySources() Other {
	return Other{"many sources", words("first_name last_name dob email phone address city zip_code loyalty_number"), 0.85, func(r *rand.Rand) []string {
		given, family, born, mail, phone, street, town, code := person(r)
		return []string{given, family, born, mail, phone, street, town, code, "L" + digits(r, 8)}
	}, func(r *rand.Rand, row []string) {
		keep := [][]int{{0, 1, 3, 8}, {0, 1, 4, 5, 6, 7}, {3, 4}, {0, 1, 2, 7}, {0, 1, 3, 4, 5, 6, 7}}[r.IntN(5)]
		for c := range row {
			found := false
			for _, k := range keep {
				found = found || k == c
			}
			if !found {
				row[c] = ""
			}
		}
		if s := shortOf[row[0]]; s != "" && chance(r, 20) {
			row[0] = s
		}
		slips(r, row, 4)
	}, false}
}

func yearsOnly() Other {
	return Other{"years of birth only", words("first_name last_name birth_date city"), 0.5, func(r *rand.Rand) []string {
		given, family, born, _, _, _, town, _ := person(r)
		return []string{given, family, born[:4], town}
	}, func(r *rand.Rand, row []string) {
		if s := shortOf[row[0]]; s != "" && chance(r, 15) {
			row[0] = s
		}
		slips(r, row[:2], 8)
		empties(r, row[2:], 8)
	}, false}
}

func mailsOnly() Other {
	return Other{"e-mails only", words("email"), 0.5, func(r *rand.Rand) []string {
		given, family, _, mail, _, _, _, _ := person(r)
		if chance(r, 3) {
			mail = mailOf(r, given, family)
		}
		return []string{mail}
	}, func(r *rand.Rand, row []string) {
		if chance(r, 20) {
			row[0] = strings.ToUpper(row[0])
		}
		if chance(r, 15) {
			row[0] = strings.Replace(row[0], "@", "+news@", 1)
		}
		slips(r, row, 6)
	}, false}
}

// wrongNumbers have a national number that is often mistyped, and no date.
func wrongNumbers() Other {
	return Other{"numbers with errors", words("first_name last_name national_id city"), 0.5, func(r *rand.Rand) []string {
		given, family, _, _, _, _, town, _ := person(r)
		return []string{given, family, digits(r, 9), town}
	}, func(r *rand.Rand, row []string) {
		if chance(r, 15) {
			row[1] = surname(r)
		}
		slips(r, row[:2], 8)
		slips(r, row[2:3], 15)
		empties(r, row, 8)
	}, false}
}

// longTail has forty more columns, most of which say little, and some of which say the same.
func longTail() Other {
	columns := words("first_name last_name email loyalty_number shoe_size favourite_colour segment region store signup_date last_order orders notes newsletter")
	for i := range 26 {
		columns = append(columns, fmt.Sprintf("answer_%d", i))
	}
	return Other{"long tail of columns", columns, 0.5, func(r *rand.Rand) []string {
		given, family, _, mail, _, _, _, _ := person(r)
		store := r.IntN(300)
		row := []string{given, family, mail, "L" + digits(r, 8), fmt.Sprint(35 + r.IntN(12)), pick(r, words("red blue green black white yellow")), pick(r, words("gold silver bronze")), "region " + fmt.Sprint(store/30), "store " + fmt.Sprint(store),
			day(r, 2015, 2024), day(r, 2022, 2025), fmt.Sprint(r.IntN(40)), pick(r, []string{"", "", "", "calls often", "wants a refund", "vip"}), pick(r, words("yes no"))}
		for range 26 {
			row = append(row, pick(r, []string{"", "a", "b", "c", "d", "never", "often"}))
		}
		return row
	}, func(r *rand.Rand, row []string) {
		if chance(r, 20) {
			row[2] = mailOf(r, row[0], row[1])
		}
		if chance(r, 40) {
			row[3] = "L" + digits(r, 8)
		}
		row[9], row[10], row[11] = day(r, 2015, 2024), day(r, 2022, 2025), fmt.Sprint(r.IntN(40))
		for c := 12; c < len(row); c++ {
			if chance(r, 40) {
				row[c] = pick(r, []string{"", "a", "b", "c", "d", "never", "often"})
			}
		}
		slips(r, row[:4], 6)
		empties(r, row, 15)
	}, false}
}

func lowerCase() Other {
	return Other{"lower case", words("first_name last_name dob phone city zip_code"), 0.5, func(r *rand.Rand) []string {
		given, family, born, _, phone, _, town, code := person(r)
		return []string{strings.ToLower(given), strings.ToLower(family), born, phone, strings.ToLower(town), code}
	}, func(r *rand.Rand, row []string) {
		if chance(r, 20) {
			row[3] = digits(r, 10)
		}
		slips(r, row, 8)
		empties(r, row, 10)
	}, false}
}

// voters are families at one address, fathers and sons of one name among them.
func voters() Other {
	var home []string
	left := 0
	return Other{"voters", words("first_name middle_name last_name suffix birth_date sex address city zip_code"), 0.4, func(r *rand.Rand) []string {
		given, family, _, _, _, street, town, code := person(r)
		if left--; left >= 0 {
			family, street, town, code = home[0], home[1], home[2], home[3]
			if left == 0 && chance(r, 25) {
				given = home[4]
			}
		} else {
			home, left = []string{family, street, town, code, given}, r.IntN(4)
		}
		suffix := ""
		if left == 0 && given == home[4] {
			suffix = "JR"
		}
		return []string{given, pick(r, englishMen), family, suffix, fmt.Sprint(1930 + r.IntN(75)), pick(r, words("M F")), street, town, code}
	}, func(r *rand.Rand, row []string) {
		if chance(r, 30) {
			row[1] = row[1][:1]
		}
		if chance(r, 20) {
			town := pick(r, townNames)
			row[6], row[7], row[8] = roadOf(r), town, zipOf(r, town)
		}
		if row[5] == "F" && chance(r, 8) {
			row[2] = surname(r)
		}
		for c := range row {
			row[c] = strings.ToUpper(row[c])
		}
		slips(r, row[:3], 5)
		slips(r, row[6:], 4)
		empties(r, row[1:2], 20)
		empties(r, row[4:6], 5)
	}, false}
}

// patients are newborn twins and babies without a name, among others, with a number of the hospital that differs.
func patients() Other {
	var before []string
	return Other{"patients", words("first_name last_name dob sex phone zip_code hospital_number"), 0.5, func(r *rand.Rand) []string {
		given, family, born, _, phone, _, _, code := person(r)
		if before != nil && chance(r, 8) { // a twin
			given = pick(r, englishMen)
			if chance(r, 30) {
				given = "Baby " + pick(r, words("A B Boy Girl"))
			}
			family, born, phone, code = before[1], before[2], before[4], before[5]
		}
		before = []string{given, family, born, pick(r, words("M F")), phone, code, "H" + digits(r, 7)}
		return before
	}, func(r *rand.Rand, row []string) {
		if chance(r, 40) {
			row[6] = "H" + digits(r, 7)
		}
		if chance(r, 10) {
			row[2] = "1900-01-01"
		}
		if chance(r, 20) {
			row[4] = digits(r, 10)
		}
		slips(r, row[:6], 6)
		empties(r, row[2:], 15)
	}, false}
}

// namesOnly: of two people of one name nobody can tell.
func namesOnly() Other {
	return Other{"full names only", words("first_name last_name"), 0.4, func(r *rand.Rand) []string {
		given, family, _, _, _, _, _, _ := person(r)
		return []string{given, family}
	}, func(r *rand.Rand, row []string) { slips(r, row, 10) }, false}
}

// loyalty has households that share one card.
func loyalty() Other {
	var before []string
	return Other{"shared cards", words("first_name last_name card phone email"), 0.5, func(r *rand.Rand) []string {
		given, family, _, mail, phone, _, _, _ := person(r)
		card := "C" + digits(r, 9)
		if before != nil && chance(r, 30) {
			family, card = before[1], before[2]
			if chance(r, 50) {
				phone = before[3]
			}
		}
		before = []string{given, family, card, phone, mail}
		return before
	}, func(r *rand.Rand, row []string) {
		if s := shortOf[row[0]]; s != "" && chance(r, 20) {
			row[0] = s
		}
		if chance(r, 15) {
			row[3] = digits(r, 10)
		}
		slips(r, row, 5)
		empties(r, row, 20)
	}, false}
}
