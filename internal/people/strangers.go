package people

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// Strangers are more kinds of files that nobody has made matching for: names of other countries again, and what scanners, old systems, forms and
// exports do to whole rows.
func Strangers() []Other {
	return []Other{
		scanned(), fixedWidth(), shifted(), defaults(), firmPeople(), families(), manyScripts(), nearlyEmpty(), wholeNames(),
		twoColumns("names and postal codes", 3), twoColumns("names and birth dates", 4), twoColumns("names and e-mails", 5), twoColumns("names and mobile phones", 6), oneLineAddresses(),
		mixed("mixed", 0.35), mixed("mixed, hardly any twice", 0.02), mixed("mixed, most several times", 0.9),
	}
}

var (
	dutchGiven  = words("Jan Pieter Johannes Cornelis Hendrik Willem Gerrit Jacob Dirk Maria Anna Johanna Elisabeth Cornelia Wilhelmina Margaretha Sanne Lotte Femke Anouk Daan Sem Bram Lars Thijs Ruben Joris Maarten Sander Jeroen")
	dutchLast   = lines("de Jong; Jansen; de Vries; van den Berg; van Dijk; Bakker; Janssen; Visser; Smit; Meijer; de Boer; Mulder; de Groot; Bos; Vos; Peters; Hendriks; van Leeuwen; Dekker; Brouwer; de Wit; Dijkstra; Smits; de Graaf; van der Meer; van der Linden; Kok; Jacobs; de Haan; Vermeulen")
	frenchGiven = words("Jean Pierre Michel André Philippe René Louis Alain Jacques Bernard Marcel Daniel Marie Jeanne Françoise Monique Catherine Nathalie Isabelle Sylvie Hélène Léa Chloé Manon Inès Zoé Jean-Pierre Anne-Marie Marie-Claire Jean-Luc")
	frenchLast  = words("Martin Bernard Thomas Petit Robert Richard Durand Dubois Moreau Laurent Simon Michel Lefèvre Leroy Roux David Bertrand Morel Fournier Girard Bonnet Dupont Lambert Fontaine Rousseau Vincent Müller Lefebvre Mercier Blanc Guérin Boyer Garnier Chevalier François Legrand Gauthier")
	italGiven   = words("Giuseppe Giovanni Antonio Mario Luigi Francesco Angelo Vincenzo Pietro Salvatore Maria Anna Giuseppina Rosa Angela Giovanna Teresa Lucia Carmela Caterina Giulia Chiara Martina Alessia Sofia Lorenzo Matteo Andrea Alessandro Niccolò")
	italLast    = lines("Rossi; Russo; Ferrari; Esposito; Bianchi; Romano; Colombo; Ricci; Marino; Greco; Bruno; Gallo; Conti; De Luca; Mancini; Costa; Giordano; Rizzo; Lombardi; Moretti; D'Angelo; Di Stefano; Dell'Acqua; Caruso; Ferrara; Santoro; Marini; De Santis; Longo; Leone")
	turkGiven   = words("Mehmet Mustafa Ahmet Ali Hüseyin Hasan İbrahim Murat Yusuf Fatma Ayşe Emine Hatice Zeynep Elif Meryem Şerife Sultan Özlem Gülşen Çağla Ömer Emre Burak Oğuz İsmail")
	turkLast    = words("Yılmaz Kaya Demir Şahin Çelik Yıldız Yıldırım Öztürk Aydın Özdemir Arslan Doğan Kılıç Aslan Çetin Kara Koç Kurt Özkan Şimşek Polat Güneş Erdoğan Ünal Bulut Keskin Türk Acar Taş Korkmaz")
	greekGiven  = lines("Γιώργος=Giorgos|Georgios|George; Δημήτρης=Dimitris|Dimitrios; Κώστας=Kostas|Konstantinos; Νίκος=Nikos|Nikolaos; Γιάννης=Giannis|Ioannis|Yannis; Μαρία=Maria; Ελένη=Eleni|Helen; Αικατερίνη=Aikaterini|Katerina; Βασιλική=Vasiliki; Σοφία=Sofia|Sophia; Παναγιώτης=Panagiotis|Panayiotis; Χρήστος=Christos|Hristos")
	greekLast   = lines("Παπαδόπουλος=Papadopoulos; Παππάς=Pappas; Καραγιάννης=Karagiannis|Karayannis; Βλάχος=Vlachos|Vlahos; Ιωάννου=Ioannou; Οικονόμου=Oikonomou|Economou; Νικολάου=Nikolaou; Αντωνίου=Antoniou; Γεωργίου=Georgiou; Μακρής=Makris; Αγγελόπουλος=Angelopoulos|Aggelopoulos; Δημητρίου=Dimitriou")
	hebGiven    = lines("דוד=David; משה=Moshe|Moshé; יוסף=Yosef|Josef; אברהם=Avraham|Abraham; שרה=Sara|Sarah; רחל=Rachel|Rahel; מרים=Miriam; נועם=Noam; איתי=Itai|Itay; תמר=Tamar; יעל=Yael; אורי=Uri|Ori")
	hebLast     = lines("כהן=Cohen|Kohen; לוי=Levi|Levy; מזרחי=Mizrahi|Mizrachi; פרץ=Peretz|Perez; ביטון=Biton|Bitton; פרידמן=Friedman|Fridman; אזולאי=Azoulay|Azulai; שפירא=Shapira|Shapiro; גולדברג=Goldberg; רוזנברג=Rosenberg; אדלר=Adler; חדד=Hadad|Haddad")
	hangGiven   = lines("민준=Min-jun|Minjun; 서연=Seo-yeon|Seoyeon; 지훈=Ji-hoon|Jihun; 수진=Su-jin|Soojin; 영호=Young-ho|Yeongho; 미영=Mi-young|Miyoung; 현우=Hyun-woo|Hyeonu; 은지=Eun-ji|Eunji; 성민=Sung-min|Seongmin; 혜진=Hye-jin|Hyejin; 동현=Dong-hyun|Donghyeon; 유진=Yu-jin|Eugene")
	hangLast    = lines("김=Kim; 이=Lee|Yi; 박=Park|Pak; 최=Choi|Choe; 정=Jung|Jeong; 강=Kang; 조=Cho|Jo; 윤=Yoon|Yun; 장=Jang|Chang; 임=Lim|Im; 한=Han; 오=Oh")
	euroTowns   = lines("Amsterdam; Rotterdam; Utrecht; Eindhoven; 's-Hertogenbosch; Lyon; Marseille; Saint-Étienne; Aix-en-Provence; Nantes; Torino; Napoli; Reggio nell'Emilia; Bologna; Firenze; İstanbul; Ankara; İzmir; Bursa; Antalya")
	euroRoads   = lines("Kerkstraat; Dorpsstraat; Schoolstraat; Molenweg; rue de la République; avenue Victor Hugo; rue des Écoles; place de l'Église; boulevard Gambetta; via Roma; via Garibaldi; corso Italia; viale della Repubblica; piazza San Marco; Atatürk Caddesi; İnönü Sokak; Cumhuriyet Bulvarı; Lange Nieuwstraat; impasse du Moulin; chemin des Vignes")
	euroFirms   = words("Groep Transport Conseil Bâtiment Impianti Servizi İnşaat Tekstil Logistiek Edilizia Mobilya Assurance Techniek Ristorazione Turizm")
	euroLegal   = []string{"B.V.", "NV", "SARL", "S.A.S.", "S.r.l.", "S.p.A.", "A.Ş.", "Ltd. Şti.", "V.O.F.", ""}
)

// somebody of Europe: given and family name, birth date, e-mail address, phone number, street, town, postal code.
func somebody(r *rand.Rand) []string {
	names := [][2][]string{{dutchGiven, dutchLast}, {frenchGiven, frenchLast}, {italGiven, italLast}, {turkGiven, turkLast}}[r.IntN(4)]
	given, family := zipf(r, names[0]), zipf(r, names[1])
	if chance(r, 40) {
		family = invented(r, syllables, 2, 3) + pick(r, words("ini oglu aux inga stra ard etti man sma ier"))
	}
	town := pick(r, euroTowns)
	return []string{given, family, day(r, 1938, 2006), euroMail(r, given, family), euroPhone(r), euroRoad(r), town, zipOf(r, town)}
}

func euroRoad(r *rand.Rand) string {
	road := pick(r, euroRoads)
	if name := invented(r, syllables, 2, 3); chance(r, 70) {
		road = pick(r, []string{name + "straat", name + "weg", name + "laan", "rue " + name, "avenue " + name, "via " + name, name + " Sokak"})
	}
	return fmt.Sprint(road, " ", 1+r.IntN(180))
}

func euroPhone(r *rand.Rand) string {
	return pick(r, words("+316 +336 +393 +905")) + digits(r, 8)
}

func euroMail(r *rand.Rand, given, family string) string {
	g, f := mailName(given), mailName(family)
	domain := pick(r, words("gmail.com hotmail.com orange.fr libero.it ziggo.nl outlook.com yahoo.com kpnmail.nl free.fr"))
	switch r.IntN(4) {
	case 0:
		return g + "." + f + digits(r, 3) + "@" + domain
	case 1:
		return g + digits(r, 4) + "@" + domain
	case 2:
		return strings.ToLower(invented(r, syllables, 2, 4)) + digits(r, 2) + "@" + domain
	}
	return f + "_" + g[:min(1, len(g))] + digits(r, 4) + "@" + domain
}

const (
	eGiven = iota
	eFamily
	eBorn
	eMail
	ePhone
	eStreet
	eTown
	eCode
)

var euroColumns = words("first_name last_name birth_date email phone address city postal_code")

// lives are the changes of a life: moves, other numbers, other names.
func lives(r *rand.Rand, row []string, percent float64) {
	if chance(r, percent) {
		town := pick(r, euroTowns)
		row[eStreet], row[eTown], row[eCode] = euroRoad(r), town, zipOf(r, town)
	}
	if chance(r, percent) {
		row[ePhone] = euroPhone(r)
	}
	if chance(r, percent) {
		row[eMail] = euroMail(r, row[eGiven], row[eFamily])
	}
	if chance(r, percent/4) {
		row[eFamily] = pick(r, frenchLast)
	}
	if chance(r, percent/2) {
		row[eGiven] = string([]rune(row[eGiven])[:1]) + "."
	}
	if len(row[ePhone]) > 8 && chance(r, 30) {
		row[ePhone] = "0" + row[ePhone][3:5] + " " + row[ePhone][5:8] + " " + row[ePhone][8:]
	}
}

// misreadings are what scanners take for each other, two by two.
var misreadings = strings.Fields("rn m m rn cl d d cl li h h b 0 O O 0 1 l l 1 I l 5 S S 5 8 B B 8 e c c e u n n u a o ü ii ä a é e ç c ş s 6 G vv w w vv fi fl t f g q")

// ocr reads a text as a scanner does: some letters are taken for others that look alike, one is lost in a fold, or a blank comes into a word.
func ocr(r *rand.Rand, s string) string {
	for _, i := range r.Perm(len(misreadings) / 2)[:12] {
		if strings.Contains(s, misreadings[2*i]) {
			s = strings.Replace(s, misreadings[2*i], misreadings[2*i+1], 1)
			break
		}
	}
	letters := []rune(s)
	if at := r.IntN(max(1, len(letters))); len(letters) > 4 {
		switch {
		case chance(r, 12):
			return string(letters[:at]) + " " + string(letters[at:])
		case chance(r, 8):
			letters[at] = '?'
		}
	}
	return string(letters)
}

func scanned() Other {
	return Other{"forms read by a scanner", euroColumns, 0.5, somebody, func(r *rand.Rand, row []string) {
		lives(r, row, 10)
		for c := range row {
			if chance(r, 25) {
				row[c] = ocr(r, row[c])
			}
		}
		empties(r, row, 8)
	}, false}
}

func cutAt(s string, n int) string {
	letters := []rune(s)
	return strings.TrimSpace(string(letters[:min(n, len(letters))]))
}

// fixedWidth is what a system of long ago prints: capitals, both names in one field of twelve letters, a date of six digits.
func fixedWidth() Other {
	return Other{"fixed width", words("first_name last_name birth_date email phone address city postal_code"), 0.5, somebody, func(r *rand.Rand, row []string) {
		lives(r, row, 10)
		slips(r, row, 4)
		if born := row[eBorn]; len(born) == 10 && chance(r, 50) {
			row[eBorn] = born[2:4] + born[5:7] + born[8:]
		}
		for c, n := range [...]int{7, 8, 10, 14, 12, 14, 9, 5} {
			row[c] = cutAt(strings.ToUpper(plain(row[c])), n)
		}
		empties(r, row, 10)
	}, false}
}

// shifted has rows whose cells stand one column too far from somewhere on, for a comma was not quoted.
func shifted() Other {
	return Other{"shifted columns", append(euroColumns[:len(euroColumns):len(euroColumns)], "remark"), 0.5, func(r *rand.Rand) []string { return append(somebody(r), "") }, func(r *rand.Rand, row []string) {
		lives(r, row, 12)
		slips(r, row, 5)
		empties(r, row, 8)
		if chance(r, 20) {
			at := r.IntN(len(row) - 1)
			copy(row[at+1:], row[at:len(row)-1])
			row[at] = pick(r, []string{"", "", "Herr", "M."})
		}
	}, false}
}

// defaults are what forms fill in by themselves.
func defaults() Other {
	return Other{"defaults", euroColumns, 0.5, somebody, func(r *rand.Rand, row []string) {
		lives(r, row, 12)
		slips(r, row, 5)
		for c, texts := range [...][]string{
			eGiven: {"Klant", "Client", "Unknown"}, eFamily: {"Onbekend", "Inconnu", "X"}, eBorn: {"01.01.1900", "01.01.1900", "1970-01-01", "31/12/9999"}, eMail: {"unknown@x.com", "unknown@x.com", "geen@mail.nl"},
			ePhone: {"0000000", "0000000000", "+31600000000", "1234567890"}, eStreet: {"Hoofdkantoor 1", "Unknown", "-"}, eTown: {"Amsterdam", "XX"}, eCode: {"0000", "1000", "99999"},
		} {
			if chance(r, 20) {
				row[c] = pick(r, texts)
			}
		}
	}, false}
}

// firmPeople are firms and the people that speak for them: some rows have no person, and all of a firm share phone, address and often the e-mail address.
func firmPeople() Other {
	var firm []string
	left := 0
	return Other{"firms beside persons", words("first_name last_name business_name email phone address city postal_code"), 0.5, func(r *rand.Rand) []string {
		s := somebody(r)
		name := ""
		if chance(r, 50) {
			if left--; left < 0 {
				name = pick(r, []string{s[eFamily], strings.ToUpper(invented(r, syllables, 2, 3)), s[eTown]}) + " " + pick(r, euroFirms)
				firm, left = []string{name, "info@" + mailName(name) + ".eu", euroPhone(r), s[eStreet], s[eTown], s[eCode]}, r.IntN(5)
			}
			name = firm[0] + " " + pick(r, euroLegal)
			s[ePhone], s[eStreet], s[eTown], s[eCode] = firm[2], firm[3], firm[4], firm[5]
			if chance(r, 40) {
				s[eMail] = firm[1]
			}
			if left == 0 && chance(r, 50) {
				s[eGiven], s[eFamily], s[eMail] = "", "", firm[1]
			}
		}
		return []string{s[eGiven], s[eFamily], strings.TrimSpace(name), s[eMail], s[ePhone], s[eStreet], s[eTown], s[eCode]}
	}, func(r *rand.Rand, row []string) {
		if chance(r, 12) {
			row[4] = euroPhone(r)
		}
		if w := strings.Fields(row[2]); len(w) > 0 && chance(r, 40) {
			row[2] = strings.ToUpper(strings.Join(w[:max(1, len(w)-1)], " "))
		}
		if chance(r, 10) {
			row[0], row[1], row[2] = "", row[2], ""
		}
		slips(r, row, 5)
		empties(r, row[2:], 12)
	}, false}
}

// families share all but given names and birth dates: twins, and seniors and juniors of one name.
func families() Other {
	var home []string
	left := 0
	return Other{"twins, seniors and juniors", euroColumns, 0.45, func(r *rand.Rand) []string {
		s := somebody(r)
		if left--; left < 0 {
			home, left = append([]string(nil), s...), r.IntN(5)-1
			return s
		}
		for _, c := range [...]int{eFamily, eStreet, eTown, eCode} {
			s[c] = home[c]
		}
		for _, c := range [...]int{eMail, ePhone} {
			if chance(r, 50) {
				s[c] = home[c]
			}
		}
		switch r.IntN(4) {
		case 0: // twins
			s[eBorn] = home[eBorn]
		case 1:
			s[eGiven] = home[eGiven]
			if chance(r, 50) {
				s[eGiven] += pick(r, []string{" Jr.", " jun.", " II", " fils"})
			}
		}
		return s
	}, func(r *rand.Rand, row []string) {
		lives(r, row, 8)
		slips(r, row, 5)
		empties(r, row[2:], 12)
	}, false}
}

func manyScripts() Other {
	return Other{"many scripts", words("first_name last_name birth_date email phone city"), 0.5, func(r *rand.Rand) []string {
		s := somebody(r)
		of := [][2][]string{{greekGiven, greekLast}, {hebGiven, hebLast}, {hangGiven, hangLast}, {arabGiven, arabLast}, {japanGiven, japanLast}}[r.IntN(5)]
		given, family := zipf(r, of[0]), zipf(r, of[1])
		return []string{given, family, s[eBorn], euroMail(r, forms(r, given, 0), forms(r, family, 0)), s[ePhone], pick(r, words("Αθήνα Athens תל-אביב Tel-Aviv 서울 Seoul Dubai دبي 大阪 Osaka"))}
	}, func(r *rand.Rand, row []string) {
		own := 0.0
		if chance(r, 40) {
			own = 100
		}
		row[0], row[1] = forms(r, row[0], own), forms(r, row[1], own)
		if chance(r, 10) {
			row[0], row[1] = row[1], row[0]
		}
		if chance(r, 10) {
			row[0], row[1] = row[0]+" "+row[1], ""
		}
		if chance(r, 15) {
			row[4] = euroPhone(r)
		}
		if chance(r, 15) {
			row[3] = euroMail(r, forms(r, arabGiven[0], 0), forms(r, arabLast[0], 0))
		}
		slips(r, row[2:], 5)
		empties(r, row[2:], 20)
	}, false}
}

// nearlyEmpty keeps three or four cells of a row.
func nearlyEmpty() Other {
	return Other{"nearly empty rows", euroColumns, 0.6, somebody, func(r *rand.Rand, row []string) {
		lives(r, row, 6)
		slips(r, row, 4)
		for _, c := range r.Perm(len(row))[:len(row)-3-r.IntN(2)] {
			if c != eFamily || chance(r, 40) {
				row[c] = ""
			}
		}
	}, false}
}

// wholeNames have the whole name in one cell, in either order, with titles, and little else.
func wholeNames() Other {
	return Other{"whole names in one cell", words("first_name birth_date city phone"), 0.5, func(r *rand.Rand) []string {
		s := somebody(r)
		return []string{s[eGiven] + "|" + s[eFamily], s[eBorn], s[eTown], s[ePhone]}
	}, func(r *rand.Rand, row []string) {
		given, family, _ := strings.Cut(row[0], "|")
		switch {
		case chance(r, 10):
			given = string([]rune(given)[:1]) + "."
		case chance(r, 8):
			given = slip(r, given)
		}
		if chance(r, 8) {
			family = slip(r, family)
		}
		row[0] = given + " " + family
		switch {
		case chance(r, 20):
			row[0] = family + ", " + given
		case chance(r, 10):
			row[0] = family + " " + given
		}
		if chance(r, 15) {
			row[0] = pick(r, words("Dhr. Mevr. M. Mme Sig. Sig.ra Bay Dr.")) + " " + row[0]
		}
		if chance(r, 15) {
			row[3] = euroPhone(r)
		}
		slips(r, row[1:], 5)
		empties(r, row[1:], 20)
	}, false}
}

// twoColumns are names and one thing more.
func twoColumns(name string, more int) Other {
	of := [...]struct {
		column string
		cell   int
	}{3: {"postal_code", eCode}, 4: {"birth_date", eBorn}, 5: {"email", eMail}, 6: {"phone", ePhone}}[more]
	return Other{name, []string{"first_name", "last_name", of.column}, 0.5, func(r *rand.Rand) []string {
		s := somebody(r)
		return []string{s[eGiven], s[eFamily], s[of.cell]}
	}, func(r *rand.Rand, row []string) {
		s := append(row[:2:2], make([]string, 6)...)
		s[of.cell] = row[2]
		lives(r, s, 10)
		row[0], row[1], row[2] = s[eGiven], s[eFamily], s[of.cell]
		slips(r, row, 8)
		empties(r, row[2:], 10)
	}, false}
}

// oneLineAddresses are houses of several countries, each in one line.
func oneLineAddresses() Other {
	return Other{"addresses in one cell", words("address"), 0.6, func(r *rand.Rand) []string {
		s := somebody(r)
		flat := ""
		if chance(r, 25) {
			flat = " " + pick(r, words("bis A B C"))
		}
		return []string{s[eStreet] + flat + "|" + s[eCode] + "|" + s[eTown]}
	}, func(r *rand.Rand, row []string) {
		p := strings.Split(row[0], "|")
		slips(r, p[:1], 12)
		slips(r, p[2:], 6)
		if chance(r, 12) {
			p[1] = ""
		}
		sep := pick(r, []string{", ", ", ", " ", " - "})
		row[0] = p[0] + sep + strings.TrimSpace(p[1]+" "+p[2])
		if chance(r, 15) {
			row[0] = strings.ToUpper(plain(row[0]))
		}
	}, false}
}

// mixed has something of all of them.
func mixed(name string, repeats float64) Other {
	all := []func(*rand.Rand, []string){scanned().spoil, fixedWidth().spoil, defaults().spoil, func(r *rand.Rand, row []string) {
		lives(r, row, 15)
		slips(r, row, 12)
		empties(r, row, 20)
	}}
	return Other{name, euroColumns, repeats, somebody, func(r *rand.Rand, row []string) { all[r.IntN(len(all))](r, row) }, false}
}
