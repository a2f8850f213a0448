package suggest

// moreNames are those of names in Swedish, Danish, Norwegian, Finnish, Czech, Slovak, Hungarian, Romanian, Russian, Ukrainian, Greek, Arabic and Hebrew, and more of
// the first languages and of exports. What both have, names decides.
var moreNames = map[string]string{
	"FirstName":  `ime fornamn fornavn etunimi jmeno krestnijmeno meno krstnemeno keresztnev utonev prenume имя імя име ονομα μικροονομα الاسمالأول שםפרטי`,
	"MiddleName": `отчество побатькові mellannamn mellemnavn mellomnavn`,
	"LastName": `prezime priimek efternamn efternavn etternavn sukunimi prijmeni priezvisko vezeteknev csaladnev nume фамилия прізвище επωνυμο επιθετο اسمالعائلة
		العائلة الكنية שםמשפחה primerapellido apellidopaterno apellido1`,
	"EmailAddress": `epost epostadress epostadresse emailadress mailadress sahkoposti sahkopostiosoite emailovaadresa emailcim adresadeemail adresaemail
		emails emailaddresses электроннаяпочта электронныйадрес элпочта эпочта почта адресэлектроннойпочты емейл имейл електроннапошта
		елпошта электроннаяадреса ηλεκτρονικοταχυδρομειο διευθυνσηemail البريدالإلكتروني بريدإلكتروني الإيميل דואל דואראלקטרוני אימייל
		כתובתמייל מייל`,
	"PhoneNumber": `brojtelefona contactnumber contactno contactnr contactphonenumber phonenumbers phones telefon1 telephone1number tel1 telefono1 telefone1 tlf tlfnr puhelin puhelinnumero telefonnicislo telefonszam
		numardetelefon nrdetelefon nrtelefon телефон номертелефона контактныйтелефон тел номертелефону контактнийтелефон τηλεφωνο τηλ
		αριθμοστηλεφωνου رقمالهاتف الهاتف هاتف טלפון מספרטלפון`,
	"MobilePhoneNumber": `mobitel phonemobile phonecell mobiltlf matkapuhelin kannykka mobilszam mobiltelefonszam mobilnitelefon telefonmobil мобильный мобильныйтелефон
		номермобильноготелефона сотовый сотовыйтелефон мобтелефон мобільний мобільнийтелефон κινητο κινητοτηλεφωνο الجوال جوال رقمالجوال
		الهاتفالمحمول رقمالموبايل الموبايل נייד טלפוןנייד מספרנייד סלולרי`,
	"HomePhoneNumber":     `phonehome hemtelefon домашнийтелефон домашнійтелефон טלפוןבבית`,
	"BusinessPhoneNumber": `phonework phonebusiness phoneoffice arbetstelefon рабочийтелефон робочийтелефон`,
	"BirthDate": `datumrođenja datumrojstva fodelsedatum fodelsedag fodselsdato fodselsdag syntymaaika syntymapaiva datumnarozeni datumnarodenia szuletesidatum szuletesiido
		szuletesnap datanasterii датарождения деньрождения датанародження ημερομηνιαγεννησησ ημνιαγεννησησ γενεθλια تاريخالميلاد תאריךלידה`,
	"GenderString": `kjonn sukupuoli pohlavi pohlavie пол стать φυλο الجنس מין`,
	"BusinessName": `foretag foretagsnamn firmanavn virksomhed selskap bedriftsnavn yritys yrityksennimi spolecnost nazevfirmy spolocnost nazovfirmy
		cegnev ceg numefirma компания организация названиекомпании названиеорганизации наименованиеорганизации компанія назвакомпанії
		εταιρεια επωνυμιαεταιρειασ الشركة اسمالشركة חברה שםחברה`,
	"AdditionalInformation": `anteckningar merknader bemaerkninger poznamka poznamky megjegyzes observatii комментарий комментарии примечание примечания примітка
		примітки σημειωσεισ σχολια ملاحظات הערות`,
	"Address.Address1": `streetaddress1 ulicainumer ulicanr ulicaczislo calleynumero ruaenumero straatennummer straathuisnummer straatenhuisnummer
		gatuadress gata adress gateadresse osoite katuosoite ulice uliceacislo ulicecp adresa utca utcahazszam cim lakcim strada адрес
		улица адреса вулиця διευθυνση οδοσ العنوان عنوان الشارع כתובת רחוב`,
	"Address.Address2": `streetaddress2`,
	"Address.City": `grad град by postort poststed kaupunki postitoimipaikka mesto obec varos telepules oras localitate город населенныйпункт місто πολη المدينة
		مدينة עיר`,
	"Address.County":  `judet megye`,
	"Address.State":   `fylke maakunta область регион регіон νομοσ`,
	"Address.Country": `drzava maa zeme krajina orszag tara страна країна χωρα الدولة البلد מדינה ארץ`,
	"Address.PostalCode": `postanskibroj postnastevilka postnr postinumero psc iranyitoszam codpostal индекс почтовыйиндекс індекс поштовийіндекс τκ ταχυδρομικοσκωδικασ ταχκωδικασ
		الرمزالبريدي מיקוד`,
}

// shyNames are names of moreNames that are words of other languages, too: they count where another name of the header is of its language. A Grad is a town in
// Croatian and a degree in German, and things are written By somebody.
var shyNames = words("by tara maa cim ceg gata grad")

// elsewhere says whether a name of the header is one that only the languages of moreNames have.
func (p *Proposal) elsewhere() bool {
	for i := range p.Columns {
		if f := fold(p.Columns[i].Name); inMore[f] != "" && inFirst[f] == "" && !shyNames[f] {
			return true
		}
	}
	return false
}
