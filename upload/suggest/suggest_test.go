package suggest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"kith/schema"
)

func table(text string) (header []string, rows [][]string) {
	for i, line := range strings.Split(strings.TrimSpace(text), "\n") {
		cells := strings.Split(line, "|")
		if i == 0 {
			header = cells
		} else {
			rows = append(rows, cells)
		}
	}
	return header, rows
}

func propose(t *testing.T, header []string, rows [][]string, whole bool) *Proposal {
	t.Helper()
	p, err := For(Table{Header: header, Rows: rows, Whole: whole}, Wishes{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// said writes a proposal as column=target, the key with a star.
func said(p *Proposal) string {
	var all []string
	for i, c := range p.Columns {
		t := c.Target
		if i == p.Key {
			t += "*"
		}
		all = append(all, c.Name+"="+t)
	}
	return strings.Join(all, " ")
}

func TestProposals(t *testing.T) {
	for name, c := range map[string]struct{ table, want string }{
		"names are no key":           {"Customer|Customer ID|Email\nAnn Lee|C1|a@x.de\nAnn Lee|C2|b@x.de", "Customer=FirstName Customer=LastName Customer ID=AccountNumber* Email=EmailAddress"},
		"the id that differs":        {"Account ID|Contact ID|Email\nA1|K1|a@x.de\nA1|K2|b@x.de", "Account ID=Attributes.Account ID Contact ID=AccountNumber* Email=EmailAddress"},
		"e-mail before ids":          {"id|Email\n7|a@x.de\n7|b@x.de", "id=AccountNumber Email=EmailAddress*"},
		"phone at last":              {"Vorname|Handy\nAnn|0171 1\nBea|0171 2", "Vorname=FirstName Handy=MobilePhoneNumber*"},
		"a postal code":              {"id|CEP\n1|01310-100\n2|20040002", "id=AccountNumber* CEP=Address.PostalCode"},
		"a mobile phone":             {"id|Cep\n1|0532 123 45 67\n2|+90 533 765 43 21", "id=AccountNumber* Cep=MobilePhoneNumber"},
		"national phones":            {"A|B\nK1|0171 / 1234567\nK2|030-98765432", "A=Attributes.A B=PhoneNumber*"},
		"phones of Paris":            {"A|B\nK1|01.42.68.53.00\nK2|06 12 34 56 78\nK3|0612345678", "A=Attributes.A B=PhoneNumber*"},
		"numbers of firms":           {"Codice|Partita IVA\nK1|01234567890\nK2|02345678901", "Codice=Attributes.Codice Partita IVA=Attributes.Partita IVA"},
		"digits of phones":           {"A|B\nK1|01711234567\nK2|0301234567", "A=Attributes.A B=PhoneNumber*"},
		"phones of New York":         {"x1|x2\nK1|(212) 555-1234\nK2|212-555-9876\nK3|212.555.0000", "x1=Attributes.x1 x2=PhoneNumber*"},
		"phones of Tokyo":            {"A|B\nK1|03-1234-5678\nK2|090-1234-5678", "A=Attributes.A B=PhoneNumber*"},
		"a fax":                      {"id|Telefax\n1|0171 / 1234567\n2|030-98765432", "id=AccountNumber* Telefax=Attributes.Telefax"},
		"ids of countries":           {"id|A|B|C|D\n1|012-34-5678|123.456.789-09|12.345.678/0001-90|01310-100\n2|123-45-6789|987.654.321-00|98.765.432/0001-10|04538-133", "id=AccountNumber* A=Attributes.A B=Attributes.B C=Attributes.C D=Attributes.D"},
		"numbers with zeros":         {"id|A|B|C\n1|0000012345|0001-234567|07.03.1985\n2|0000012346|0001-234568|08.11.1952", "id=AccountNumber* A=Attributes.A B=Attributes.B C=BirthDate"},
		"dates of birth":             {"id|Column3|Column4\n1|1985-03-14|2024-01-02\n2|1952-11-08|2023-05-06\n3|2001-01-30|2022-07-08", "id=AccountNumber* Column3=BirthDate Column4=Attributes.Column4"},
		"days of something":          {"id|founded\n1|1985-03-14\n2|1952-11-08", "id=AccountNumber* founded=Attributes.founded"},
		"short names":                {"KUNDNR|GEBDAT|Tél. portable|ADI SOYADI\n1|14.03.1985|06 12 34 56 78|Şükrü Yıldız", "KUNDNR=AccountNumber* GEBDAT=BirthDate Tél. portable=MobilePhoneNumber ADI SOYADI=FirstName ADI SOYADI=LastName"},
		"born on":                    {"N° client|Né(e) le\n1|14/03/1985", "N° client=AccountNumber* Né(e) le=BirthDate"},
		"Taiwan":                     {"會員編號|姓|名|電子信箱|行動電話\nM1|陳|怡君|a@x.tw|0912-345-678", "會員編號=AccountNumber* 姓=LastName 名=FirstName 電子信箱=EmailAddress 行動電話=MobilePhoneNumber"},
		"labels of Google":           {"Given Name|Family Name|E-mail 1 - Value|E-mail 2 - Type|E-mail 2 - Value|Phone 1 - Value|Phone 2 - Type|Phone 2 - Value\nAnn|Lee|a@x.de|* Work|a@firm.de|+49 30 1234567|Work|+49 30 7654321", "Given Name=FirstName Family Name=LastName E-mail 1 - Value=EmailAddress* E-mail 2 - Type=Attributes.E-mail 2 - Type E-mail 2 - Value=BusinessEmailAddress Phone 1 - Value=PhoneNumber Phone 2 - Type=Attributes.Phone 2 - Type Phone 2 - Value=BusinessPhoneNumber"},
		"Chinese names":              {"客户编号|姓名\n1|王小明\n2|欧阳娜娜", "客户编号=AccountNumber* 姓名=FirstName 姓名=LastName"},
		"Korean names":               {"고객번호|성명\n1|김민수\n2|남궁민", "고객번호=AccountNumber* 성명=FirstName 성명=LastName"},
		"Japanese names":             {"顧客番号|姓名|フリガナ\n1|田中実|タナカミノル\n2|林花|ハヤシハナ", "顧客番号=AccountNumber* 姓名=Attributes.姓名 フリガナ=Attributes.フリガナ"},
		"numbers of states":          {"id|SSN\n1|078-05-1120\n2|078-05-1121", "id=AccountNumber* SSN=Attributes.SSN"},
		"phones of abroad":           {"id|Rückruf\n1|+49 171 1234567\n2|+1 206 555 0100", "id=AccountNumber* Rückruf=PhoneNumber"},
		"no phones":                  {"id|VAT\n1|01234567890\n2|02345678901", "id=AccountNumber* VAT=Attributes.VAT"},
		"numbers named Kunde":        {"Kunde|Name 1|Ort\n100001|Müller GmbH|Ulm\n100002|Schmidt AG|Bonn", "Kunde=AccountNumber* Name 1=BusinessName Ort=Address.City"},
		"names named Kunde":          {"Kunde|E-Mail\nAnn Lee|a@x.de\nBea Roth|b@x.de", "Kunde=FirstName Kunde=LastName E-Mail=EmailAddress*"},
		"fuller names first":         {"Customer|Full name|Email\nBird Shop|Ann Lee|a@x.de\nSurf Shop|Bea Roth|b@x.de", "Customer=Attributes.Customer Full name=FirstName Full name=LastName Email=EmailAddress*"},
		"name and surname":           {"id|Name|Surname\n1|Ann|Lee\n2|Bea|Roth", "id=AccountNumber* Name=FirstName Surname=LastName"},
		"whole and surname":          {"id|Name|Surname\n1|Ann Lee|Lee\n2|Bea Roth|Roth", "id=AccountNumber* Name=Attributes.Name Surname=LastName"},
		"flags":                      {"id|Email|Phone|Mobile\n1|1|0|1\n2|0|1|1", "id=AccountNumber* Email=Attributes.Email Phone=Attributes.Phone Mobile=Attributes.Mobile"},
		"ids of some":                {"Customer No|Email\n1|a@x.de\n|b@x.de\n3|c@x.de", "Customer No=AccountNumber Email=EmailAddress*"},
		"ids of some, mails of some": {"Customer No|Email\n1|a@x.de\n|\n3|c@x.de", "Customer No=AccountNumber* Email=EmailAddress"},
		"family names first":         {"ФИО|E-mail\nИванова Анна Петровна|a@x.de\nПетров Олег|b@x.de", "ФИО=FirstName ФИО=LastName E-mail=EmailAddress*"},
		"orders of Shopify":          {"Name|Email|Financial Status|Fulfillment Status|Billing Name|Id\n#1|a@x.de|paid|f|Ann Lee|450\n#2|a@x.de|paid|f|Ann Lee|451", "Name=Attributes.Name Email=EmailAddress* Financial Status=Attributes.Financial Status Fulfillment Status=Attributes.Fulfillment Status Billing Name=FirstName Billing Name=LastName Id=Attributes.Id"},
		"Square":                     {"Reference ID|First Name|Square Customer ID\n7|Ann|K5J2\n8|Bea|8S1Q", "Reference ID=Attributes.Reference ID First Name=FirstName Square Customer ID=AccountNumber*"},
		"Brevo":                      {"EMAIL|SMS|WHATSAPP\na@x.de|4915|4915", "EMAIL=EmailAddress* SMS=MobilePhoneNumber WHATSAPP=Attributes.WHATSAPP"},
		"shy names":                  {"id|First name|By|Grad\n1|Ann|Sam|Dr.\n2|Bea|Sam|Dr.", "id=AccountNumber* First name=FirstName By=Attributes.By Grad=Attributes.Grad"},
		"shy names at home":          {"Kundenr.|Fornavn|By\n1|Ann|Odense\n2|Bea|Aarhus", "Kundenr.=AccountNumber* Fornavn=FirstName By=Address.City"},
		"Croatian":                   {"Ime|Prezime|E-mail|Grad|Poštanski broj\nŽeljko|Horvat|z@x.hr|Šibenik|22000", "Ime=FirstName Prezime=LastName E-mail=EmailAddress* Grad=Address.City Poštanski broj=Address.PostalCode"},
		"numbers for contact":        {"Forename|Contact number|Email\nAnn|07700 900123|a@x.de\nBea|07700900124|b@x.de", "Forename=FirstName Contact number=PhoneNumber Email=EmailAddress*"},
		"phones named numbers":       {"Customer Name|Customer Number\nAnn Lee|+44 7700 900123\nBea Roth|+44 7700 900124", "Customer Name=FirstName Customer Name=LastName Customer Number=PhoneNumber*"},
		"contacts' numbers":          {"Contact number|Email\nC1|a@x.de\nC2|b@x.de", "Contact number=AccountNumber* Email=EmailAddress"},
		"work and home":              {"id|Email (work)|Email (home)|Phone|Phone (private)\n1|a@firm.de|a@x.de|030 1|030 2", "id=AccountNumber* Email (work)=EmailAddress Email (home)=PersonalEmailAddress Phone=PhoneNumber Phone (private)=HomePhoneNumber"},
		"second without a word":      {"id|E-Mail 1|E-Mail 2\n1|a@firm.de|a@x.de", "id=AccountNumber* E-Mail 1=EmailAddress E-Mail 2=Attributes.E-Mail 2"},
		"two given names":            {"id|First name\n1|Anna Maria\n2|Eva Lena", "id=AccountNumber* First name=FirstName"},
		"last and first":             {"id|Last Name, First Name\n1|Lee Ann\n2|Roth Bea", "id=AccountNumber* Last Name, First Name=FirstName Last Name, First Name=LastName"},
		"Japanese ids":               {"会員ID|〒\nM1|100-0001\nM2|100-0002", "会員ID=AccountNumber* 〒=Address.PostalCode"},
		"guests":                     {"Guest Name|Guest Email\nAnn Lee|a@x.de\nBea Roth|b@x.de", "Guest Name=FirstName Guest Name=LastName Guest Email=EmailAddress*"},
		"nothing":                    {"colour|size\nred|1", "colour=Attributes.colour size=Attributes.size"},
		"content":                    {"id|contact\n1|a@x.de\n2|b@x.de", "id=AccountNumber* contact=EmailAddress"},
		"German": {"Kundennummer|Anrede|Vorname|Nachname|E-Mail-Adresse|Telefon|Mobil|Geburtsdatum|Straße|PLZ|Ort|Land|Firma\n0001|Herr|Jürgen|Müller|j@x.de|030|0171|1|S 5|01067|Dresden|D|M",
			"Kundennummer=AccountNumber* Anrede=Attributes.Anrede Vorname=FirstName Nachname=LastName E-Mail-Adresse=EmailAddress Telefon=PhoneNumber Mobil=MobilePhoneNumber Geburtsdatum=BirthDate Straße=Address.Address1 PLZ=Address.PostalCode Ort=Address.City Land=Address.Country Firma=BusinessName"},
		"German, short": {"Kd.-Nr.|Name|Vorname\n1|Roth|Ann\n2|Weiß|Bea", "Kd.-Nr.=AccountNumber* Name=LastName Vorname=FirstName"},
		"French": {"Nom|Prénom|Courriel|Téléphone|Adresse|Code postal|Ville|Pays|Date de naissance|Société\nDupont|Élodie|e@x.de|06|1 rue|75001|Paris|F|1|ACME",
			"Nom=LastName Prénom=FirstName Courriel=EmailAddress* Téléphone=PhoneNumber Adresse=Address.Address1 Code postal=Address.PostalCode Ville=Address.City Pays=Address.Country Date de naissance=BirthDate Société=BusinessName"},
		"Spanish":  {"Nombre|Apellidos|Correo electrónico|Móvil|Código postal|Ciudad\nA|B|a@x.de|6|28001|Madrid", "Nombre=FirstName Apellidos=LastName Correo electrónico=EmailAddress* Móvil=MobilePhoneNumber Código postal=Address.PostalCode Ciudad=Address.City"},
		"Polish":   {"Imię|Nazwisko|Adres e-mail|Ulica|Miasto\nA|B|a@x.de|U 1|Łódź", "Imię=FirstName Nazwisko=LastName Adres e-mail=EmailAddress* Ulica=Address.Address1 Miasto=Address.City"},
		"Turkish":  {"Müşteri No|Adı|Soyadı|Şehir\n1|A|B|C", "Müşteri No=AccountNumber* Adı=FirstName Soyadı=LastName Şehir=Address.City"},
		"Japanese": {"顧客番号|名|姓|市区町村\nK1|美咲|佐藤|大阪市\nK2|花|林|東京都", "顧客番号=AccountNumber* 名=FirstName 姓=LastName 市区町村=Address.City"},
		"HubSpot": {"Record ID|First Name|Last Name|Email|Phone Number|Mobile Phone Number|Street Address|City|State/Region|Postal Code|Country/Region|Company Name|Date of birth|Lifecycle Stage\n51|Mia|Jones|m@x.de|6|7|2|C|MA|0|US|Acme|1|Lead",
			"Record ID=AccountNumber* First Name=FirstName Last Name=LastName Email=EmailAddress Phone Number=PhoneNumber Mobile Phone Number=MobilePhoneNumber Street Address=Address.Address1 City=Address.City State/Region=Address.State Postal Code=Address.PostalCode Country/Region=Address.Country Company Name=BusinessName Date of birth=BirthDate Lifecycle Stage=Attributes.Lifecycle Stage"},
		"Salesforce": {"Id|AccountId|LastName|FirstName|MailingStreet|MailingCity|MailingState|MailingPostalCode|MailingCountry|Phone|Email|Birthdate\n003A1|001A1|G|R|3 C|Austin|TX|7|USA|5|r@x.de|1",
			"Id=AccountNumber* AccountId=Attributes.AccountId LastName=LastName FirstName=FirstName MailingStreet=MailingAddress.Address1 MailingCity=MailingAddress.City MailingState=MailingAddress.State MailingPostalCode=MailingAddress.PostalCode MailingCountry=MailingAddress.Country Phone=PhoneNumber Email=EmailAddress Birthdate=BirthDate"},
		"Shopify": {"Customer ID|First Name|Last Name|Email|Default Address Company|Default Address Address1|Default Address City|Default Address Province Code|Default Address Country Code|Default Address Zip|Phone|Tags\n'70|A|H|a@x.de|Acme|1|Tokyo|JP|JP|'1|'8|v",
			"Customer ID=AccountNumber* First Name=FirstName Last Name=LastName Email=EmailAddress Default Address Company=BusinessName Default Address Address1=Address.Address1 Default Address City=Address.City Default Address Province Code=Address.Province Default Address Country Code=Address.Country Default Address Zip=Address.PostalCode Phone=PhoneNumber Tags=Attributes.Tags"},
		"WooCommerce": {"customer_id|billing_first_name|billing_city|shipping_postcode|billing_email\n5|A|Bonn|1|a@x.de", "customer_id=AccountNumber* billing_first_name=Attributes.billing_first_name billing_city=BillingAddress.City shipping_postcode=ShippingAddress.PostalCode billing_email=EmailAddress"},
	} {
		header, rows := table(c.table)
		if got := said(propose(t, header, rows, true)); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", name, got, c.want)
		}
	}
}

// Whole names are split the way round that the name of their column says.
func TestSplitsOfNames(t *testing.T) {
	for text, want := range map[string]string{
		"Full name|E-mail\nAnn Lee|a@x.de\nBea Roth|b@x.de":    "givenName",
		"ФИО|E-mail\nИванова Анна|a@x.de\nПетров Олег|b@x.de":  "familyFirstGivenName",
		"Name Vorname|E-Mail\nRoth Bea|a@x.de\nLee Ann|b@x.de": "familyFirstGivenName",
		"姓名|邮箱\n王小明|a@x.cn\n李白|b@x.cn":                         "chineseGivenName",
	} {
		header, rows := table(text)
		p := propose(t, header, rows, true)
		if got, want := p.Columns[0].Source, "{{#"+want+"}}{{_source."+header[0]+"}}{{/"+want+"}}"; got != want {
			t.Errorf("%q: %s, want %s", header, got, want)
		}
	}
}

// What is proposed is accepted: sources and targets are valid, labels are legal and differ, and no attribute is filled twice.
func TestProposalsAreAccepted(t *testing.T) {
	var header []string
	for i := range 400 {
		header = append(header, fmt.Sprintf("q%d", i))
	}
	header = append(header, "email", "note", "note", "{{x}}", "", "\u200b", "a\x01b", strings.Repeat("x", 300), "kith_line", "Name", "id\n2")
	row := make([]string, len(header))
	row[0], row[400], row[409], row[410] = "v", "a@x.de", "Ann Lee", "7"
	for _, whole := range []bool{true, false} {
		p := propose(t, header, [][]string{row}, whole)
		labels, targets, n := map[string]bool{}, map[string]bool{}, 0
		for _, c := range p.Columns {
			if labels[c.Label] || len(c.Label) > 64 || c.Label == "" {
				t.Errorf("label %q", c.Label)
			}
			labels[c.Label] = true
			if c.Target == "" {
				if c.Why == "" {
					t.Errorf("column %q is left out without a reason", c.Name)
				}
				continue
			}
			n++
			if targets[c.Target] {
				t.Errorf("%s is filled twice", c.Target)
			}
			targets[c.Target] = true
			if _, err := schema.ParseTarget("_profile." + c.Target); err != nil {
				t.Errorf("column %q: %v", c.Name, err)
			}
			if _, err := schema.ParseSource(c.Source); err != nil {
				t.Errorf("column %q: %v", c.Name, err)
			}
		}
		if n > maxFields || p.Key < 0 || p.Columns[p.Key].Target == "" {
			t.Errorf("%d fields, key %d", n, p.Key)
		}
	}
}

// Every name is written as it is looked up, and means one attribute: else what it means would change from run to run.
func TestNamesMeanOneAttribute(t *testing.T) {
	seen := map[string]string{}
	for target, list := range names {
		for name := range strings.FieldsSeq(list) {
			if other, ok := seen[fold(name)]; ok || fold(name) != name {
				t.Errorf("%q means %s and %s, or is not as it is looked up", name, target, other)
			}
			seen[fold(name)] = target
		}
	}
	for _, set := range []map[string]bool{fullNames, ids, filling} {
		for name := range set {
			if fold(name) != name {
				t.Errorf("%q can't be found: it is looked up as %q", name, fold(name))
			}
		}
	}
}

// Labels differ, whatever the names make of themselves.
func TestLabelsDiffer(t *testing.T) {
	p := propose(t, []string{"a_b_3", "a b", "a.b", "a_b_3_3", "\u3042", "__5_5", "_6"}, nil, false)
	seen := map[string]string{}
	for _, c := range p.Columns {
		if other, ok := seen[c.Label]; ok {
			t.Errorf("%q and %q are both %s", other, c.Name, c.Label)
		}
		seen[c.Label] = c.Name
	}
}

// A header of an export is mapped to what its columns are.
func TestSuggestsWhatExportsHave(t *testing.T) {
	header := append([]string{"ProfileId"}, schema.StandardPaths()...)
	header = append(header, "Attributes.Tier")
	var left []string
	for _, s := range propose(t, header, nil, false).Columns {
		if s.Target == "" {
			left = append(left, s.Name)
		} else if s.Target != s.Name {
			t.Errorf("%s goes to %s", s.Name, s.Target)
		}
	}
	if want := []string{"ProfileId", "PartyType", "Gender", "ProfileType", "EngagementPreferences.Phone", "EngagementPreferences.Email"}; !slices.Equal(left, want) {
		t.Errorf("left out are %v, want %v", left, want)
	}
	if got := propose(t, []string{"ProfileId", "first name"}, nil, false).Columns; got[1].Target != "FirstName" {
		t.Errorf("another file with ProfileId: %v", got)
	}
}

// An id that was not taken to identify customers, because a spreadsheet has spoilt some of it, is told.
func TestPassedOverKeyIsTold(t *testing.T) {
	for name, c := range map[string]struct {
		table, key string
		told       bool
	}{
		"repeated too":   {"id|Email\n4.47911E+11|a@x.de\n447911123456|b@x.de\n447911123456|c@x.de", "Email", true},
		"all spoilt":     {"id|Email\n4.47911E+11|a@x.de\n4.47912E+11|b@x.de", "Email", true},
		"some spoilt":    {"id|Email\n4.47911E+11|a@x.de\n447911123457|b@x.de\n447911123456|c@x.de", "id", false},
		"one that lacks": {"id|Email\n7|a@x.de\n7|b@x.de", "Email", false},
	} {
		header, rows := table(c.table)
		p, err := For(Table{Header: header, Rows: rows, Whole: true, Bad: func(v []byte) bool { return spoilt.Match(v) }}, Wishes{})
		if err != nil {
			t.Fatal(err)
		}
		told := slices.ContainsFunc(p.Warnings, func(w Warning) bool { return w.Code == "key-passed-over" && w.Level == Doubt && w.Column == "id" })
		if got := p.Columns[p.Key].Name; got != c.key || told != c.told {
			t.Errorf("%s: %s identifies customers, told %t: %v", name, got, told, p.Warnings)
		}
	}
}

// A file whose rows are cells is told apart from one that has a single column.
func TestRowsInQuotesAreTold(t *testing.T) {
	for _, c := range []struct {
		header, cell string
		want         bool
	}{{`id,"first name",email`, `1,"Ann",a@x.de`, true}, {"id;email", "1;a@x.de", true}, {"email", "a@x.de", false}, {"Name, Vorname", "Roth", false}} {
		p := propose(t, []string{c.header}, [][]string{{c.cell}}, true)
		if got := slices.ContainsFunc(p.Warnings, func(w Warning) bool { return w.Code == "rows-in-quotes" && w.Level == Stop }); got != c.want {
			t.Errorf("%s: %v", c.header, p.Warnings)
		}
	}
}

// Cells that hold more than an e-mail address are told.
func TestMoreThanAnAddressIsTold(t *testing.T) {
	for cell, want := range map[string]bool{"Ann <a@x.de>": true, "<a@x.de>": true, "mailto:a@x.de": true, "a@x.de; b@x.de": true, "a@x.de,": true, "a@x.de": false, "unbekannt": false} {
		header, rows := table("id|Email\n1|z@x.de\n2|" + cell + "\n3|y@x.de")
		p := propose(t, header, rows, true)
		if got := slices.ContainsFunc(p.Warnings, func(w Warning) bool {
			return w.Code == "more-than-an-address" && w.Level == Doubt && w.Column == "Email"
		}); got != want {
			t.Errorf("%s: told %t, want %t: %v", cell, got, want, p.Warnings)
		}
	}
}

// Phone numbers that a spreadsheet has spoilt are told, where they are no key as well; those that it has not are not.
func TestSpoiltPhonesAreTold(t *testing.T) {
	for cell, want := range map[string]bool{"4.47911E+11": true, "4,47911E+11": true, "4E+11": true, "########": true, "447911123456": false, "+44 7911 123456": false, "#12": false, "0E+0": false} {
		header, rows := table("Customer ID|Phone\nC1|030 1234567\nC2|" + cell + "\nC3|030 7654321")
		p := propose(t, header, rows, true)
		got := slices.ContainsFunc(p.Warnings, func(w Warning) bool { return w.Code == "values-spoilt" && w.Level == Doubt && w.Column == "Phone" })
		if got != want {
			t.Errorf("%s: told %t, want %t: %v", cell, got, want, p.Warnings)
		}
	}
}
