package suggest

import "testing"

// Names of columns mean attributes in the first twelve languages: without case, accents, signs, filling words and what stands in brackets.
func TestNamesOfColumns(t *testing.T) {
	for target, all := range map[string][]string{
		"FirstName":                 {"First Name", "FIRST_NAME", "firstName", "Customer's First Name", "Contact first name *", "Vorname des Kunden", "Prénom du client", "PRENOM", "Primer nombre", "Primeiro nome", "Voornaam", "Imię", "Adı", "名", "이름", "First name (required)"},
		"LastName":                  {"Last-Name", "surname", "Nachname", "Nom de famille", "Apellidos", "Sobrenome", "Cognome", "Achternaam", "Nazwisko", "Soyadı", "姓", "성"},
		"EmailAddress":              {"E-Mail", "e mail address", "Your email", "E-Mail-Adresse", "Adresse e-mail du client", "Correo electrónico", "Endereço de e-mail", "Indirizzo e-mail", "E-mailadres", "Adres e-mail", "E-posta adresi", "メールアドレス", "顧客メールアドレス", "电子邮件", "客户邮箱", "이메일", "고객 이메일", "Email【必須】"},
		"PhoneNumber":               {"Tel.-Nr.", "Phone", "Phone No.", "Telefon", "Numéro de téléphone", "Teléfono", "Telefone", "Numero di telefono", "Telefoonnummer", "Numer telefonu", "電話番号", "电话", "전화번호", "Telefonnummer (geschäftlich oder privat)"},
		"MobilePhoneNumber":         {"Handy-Nr.", "Mobile / Cell", "Mobil oder Handy", "Cell No", "Mobile", "Cell Phone", "Handynummer", "Tél. mobile", "Móvil", "Celular", "Cellulare", "Mobiel nummer", "Telefon komórkowy", "Cep telefonu", "携帯電話", "手机号", "휴대폰"},
		"BirthDate":                 {"born", "Born on", "Date of Birth", "Geburtsdatum", "Date de naissance", "Fecha de nacimiento", "Data de nascimento", "Data di nascita", "Geboortedatum", "Data urodzenia", "Doğum tarihi", "生年月日", "出生日期", "생년월일"},
		"BusinessName":              {"Company", "Firma", "Société", "Empresa", "Azienda", "Bedrijfsnaam", "Nazwa firmy", "Şirket", "会社名", "公司", "회사명"},
		"Address.Address1":          {"ADDR1", "Straße u. Hausnr.", "Str./Nr.", "Address", "Street", "Straße", "Straße und Hausnummer", "Adresse", "Rue", "Dirección", "Endereço", "Indirizzo", "Straat", "Ulica", "Adres", "住所", "地址", "주소"},
		"Address.City":              {"Town/City", "Ort / Stadt", "City", "Ort", "Ville", "Ciudad", "Cidade", "Città", "Woonplaats", "Miasto", "Şehir", "市区町村", "城市", "도시", "Address: City"},
		"Address.PostalCode":        {"ZIP", "Postal code", "PLZ", "Code postal", "Código postal", "CAP", "Postcode", "Kod pocztowy", "Posta kodu", "郵便番号", "邮编", "우편번호", "Address 1: ZIP/Postal Code"},
		"Address.Country":           {"Country", "Land", "Pays", "País", "Paese", "Kraj", "Ülke", "国", "国家", "국가"},
		"ShippingAddress.City":      {"Shipping City", "shipping_city", "ShippingCity", "Lieferadresse Ort", "Lieferort", "Liefer-Ort", "Ville de livraison", "Ciudad de envío", "Cidade de entrega", "Città di spedizione", "Miasto dostawy", "Teslimat şehir", "收货城市"},
		"BillingAddress.PostalCode": {"Billing ZIP", "Rechnungs-PLZ", "Rechnungsadresse PLZ", "Code postal de facturation", "Código postal de facturación", "CAP fatturazione", "Factuur postcode", "請求先郵便番号"},
		"ShippingAddress.Address1":  {"Shipping address", "Lieferadresse", "Adresse de livraison", "Dirección de envío", "Endereço de entrega", "Indirizzo di spedizione", "Bezorgadres", "Adres dostawy", "Teslimat adresi", "配送先住所", "收货地址", "배송지 주소"},
		"BillingAddress.Address1":   {"Billing Address", "Rechnungsadresse", "Adresse de facturation", "Dirección de facturación", "Endereço de cobrança", "Indirizzo di fatturazione", "Factuuradres", "Fatura adresi", "請求先住所", "账单地址", "청구지 주소"},
		"MailingAddress.City":       {"Mailing City", "MailingCity", "Postal City"},
		"":                          {"Shipping phone", "Colour", "Order number", "Tier", "Name of the dog", "Assistant's Phone", "Home City of the team", "Emergency contact phone number", "Phone/Fax", "PLZ/Ort", "n/a", "and/or", "/", "Tax no."},
	} {
		for _, name := range all {
			if got := meaning(name); got != target {
				t.Errorf("%q means %q, not %q", name, got, target)
			}
		}
	}
}

// So they do in the languages that came later.
func TestNamesOfColumnsInOtherLanguages(t *testing.T) {
	for language, all := range map[string]map[string]string{
		"Swedish":   {"Förnamn": "FirstName", "Efternamn": "LastName", "E-postadress": "EmailAddress", "Mobiltelefon": "MobilePhoneNumber", "Gatuadress": "Address.Address1", "Postnummer": "Address.PostalCode", "Ort": "Address.City", "Födelsedatum": "BirthDate", "Företag": "BusinessName"},
		"Danish":    {"Fornavn": "FirstName", "Efternavn": "LastName", "Mobil": "MobilePhoneNumber", "Adresse": "Address.Address1", "Postnr.": "Address.PostalCode", "By": "Address.City", "Fødselsdato": "BirthDate"},
		"Norwegian": {"Etternavn": "LastName", "Epost": "EmailAddress", "Poststed": "Address.City", "Kjønn": "GenderString"},
		"Finnish":   {"Etunimi": "FirstName", "Sukunimi": "LastName", "Sähköposti": "EmailAddress", "Puhelin": "PhoneNumber", "Katuosoite": "Address.Address1", "Postinumero": "Address.PostalCode", "Postitoimipaikka": "Address.City", "Maa": "Address.Country"},
		"Czech":     {"Jméno": "FirstName", "Příjmení": "LastName", "Ulice": "Address.Address1", "Město": "Address.City", "PSČ": "Address.PostalCode", "Země": "Address.Country", "Datum narození": "BirthDate"},
		"Hungarian": {"Vezetéknév": "LastName", "Keresztnév": "FirstName", "E-mail cím": "EmailAddress", "Telefonszám": "PhoneNumber", "Irányítószám": "Address.PostalCode", "Város": "Address.City", "Születési dátum": "BirthDate"},
		"Romanian":  {"Prenume": "FirstName", "Nume": "LastName", "Adresă de e-mail": "EmailAddress", "Oraș": "Address.City", "Județ": "Address.County", "Cod poștal": "Address.PostalCode", "Țară": "Address.Country"},
		"Russian":   {"Имя": "FirstName", "Имя клиента": "FirstName", "Фамилия": "LastName", "Отчество": "MiddleName", "Электронная почта": "EmailAddress", "Эл. почта": "EmailAddress", "Номер телефона": "PhoneNumber", "Мобильный телефон": "MobilePhoneNumber", "Город": "Address.City", "Адрес": "Address.Address1", "Индекс": "Address.PostalCode", "Дата рождения": "BirthDate", "Пол": "GenderString", "Компания": "BusinessName"},
		"Ukrainian": {"Ім'я": "FirstName", "Прізвище": "LastName", "По батькові": "MiddleName", "Електронна пошта": "EmailAddress", "Місто": "Address.City"},
		"Greek":     {"Όνομα": "FirstName", "Επώνυμο": "LastName", "ΕΠΩΝΥΜΟ": "LastName", "Τηλέφωνο": "PhoneNumber", "Κινητό": "MobilePhoneNumber", "Πόλη": "Address.City", "Διεύθυνση": "Address.Address1", "Οδός": "Address.Address1", "ΟΔΟΣ": "Address.Address1", "Τ.Κ.": "Address.PostalCode", "Χώρα": "Address.Country"},
		"Arabic":    {"الاسم الأول": "FirstName", "اسم العائلة": "LastName", "البريد الإلكتروني": "EmailAddress", "رقم الهاتف": "PhoneNumber", "رقم الجوال": "MobilePhoneNumber", "المدينة": "Address.City", "الدولة": "Address.Country", "تاريخ الميلاد": "BirthDate"},
		"Hebrew":    {"שם פרטי": "FirstName", "שם משפחה": "LastName", "דוא\"ל": "EmailAddress", "טלפון": "PhoneNumber", "נייד": "MobilePhoneNumber", "עיר": "Address.City", "מיקוד": "Address.PostalCode"},
		"Spanish":   {"Primer apellido": "LastName", "Apellido paterno": "LastName", "Calle y número": "Address.Address1"},
		"products":  {"Home Address 1": "Address.Address1", "Home City": "Address.City", "Street Address 2": "Address.Address2", "Person - Phone - Mobile": "MobilePhoneNumber", "Phone Numbers": "PhoneNumber", "Created by": "", "Home page": ""},
	} {
		for name, target := range all {
			if got := meaning(name); got != target {
				t.Errorf("%s: %q means %q, not %q", language, name, got, target)
			}
		}
	}
	for _, name := range []string{"Kundnummer", "Kundenr.", "Číslo zákazníka", "Asiakasnumero", "Ügyfélszám", "Cod client", "Номер клиента", "Код клиента", "Номер клієнта", "Κωδικός πελάτη", "رقم العميل", "מספר לקוח", "顧客コード", "客户编码"} {
		if !isID(name) {
			t.Errorf("%q is not taken for an id", name)
		}
	}
	for _, name := range []string{"Номер телефона", "Номер заказа", "Код товара", "Telefonszám", "Číslo objednávky", "رقم الطلب"} {
		if isID(name) {
			t.Errorf("%q is taken for an id", name)
		}
	}
}

// Names of ids, of whole names, and of neither.
func TestNamesOfIDsAndPersons(t *testing.T) {
	for _, name := range []string{"id", "ID", "Customer ID", "customer_id", "CustomerNumber", "Kd.-Nr.", "Kundennummer", "Kunden-Nr.", "Numéro client", "N° client", "Nº de cliente", "№ client", "ID cliente", "Código cliente", "Codice cliente", "Klantnummer", "Numer klienta", "Müşteri No", "顧客番号", "客户编号", "고객번호", "Patient ID", "Member No.", "Mitgl.-Nr.", "Cust. No.", "Datensatz-ID", "ID de registro", "Subscriber number", "Mitglieds-Nr."} {
		if !isID(name) {
			t.Errorf("%q is not taken for an id", name)
		}
	}
	for _, name := range []string{"Order ID", "Invoice number", "Phone number", "Card ID", "Owner ID", "House no.", "Name", "Tax number", "Hausnummer", "Bestellnummer"} {
		if isID(name) {
			t.Errorf("%q is taken for an id", name)
		}
	}
	for _, name := range []string{"Name", "Full Name", "Customer name", "Name des Kunden", "Nom complet", "Nombre completo", "Nome completo", "Nome e cognome", "Volledige naam", "Imię i nazwisko", "Ad Soyad", "氏名", "お客様名", "客户姓名", "고객명", "Customer Name (full name)", "Ansprechpartner", "联系人"} {
		if !isFullName(name) {
			t.Errorf("%q is not taken for a whole name", name)
		}
	}
}
