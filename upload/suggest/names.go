package suggest

import (
	"cmp"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// names are those that people give to columns, by the attribute they mean, without case, accents and signs. Languages: English, German,
// French, Spanish, Portuguese, Italian, Dutch, Polish, Turkish, Japanese, Chinese, Korean; and the exports of common products.
var names = map[string]string{
	"FirstName": `first firstname fname givenname forename contactfirstname vorname rufname prenom nombre nombres primernombre nome primeironome
		voornaam imie ad adi isim 名 名前名 名字 이름 firstnamelocal`,
	"MiddleName": "middle middlename secondname zweitername deuxiemeprenom segundonombre nomedomeio secondonome tweedenaam drugieimie",
	"LastName": `last lastname lname surname familyname contactlastname nachname familienname zuname nom nomdefamille apellido apellidos sobrenome apelido
		cognome achternaam familienaam nazwisko soyad soyadi 姓 苗字 姓氏 성`,
	"EmailAddress": `電子信箱 電郵 电子邮箱 邮箱地址 이메일주소 eメール eメールアドレス email emailaddress mail mailaddress emailid eaddress primaryemail contactemail email1value email1address emailmaddress emailadresse mailadresse
		courriel adressemail adresseemail adresseelectronique correo correoelectronico emailcorreo enderecoemail posta postaelettronica indirizzoemail
		mailadres emailadres adresemail eposta epostaadresi メール メールアドレス 电子邮件 邮箱 邮件 電子郵件 이메일 전자우편`,
	"PersonalEmailAddress": "emailpersonnel emailpersonal emailpessoal emailpersonale privateemailadresse emailadresseprivat personalemail personalemailaddress privateemail homeemail emailprivat email2address email2value",
	"BusinessEmailAddress": "emailgeschaftlich geschaftlicheemail emaildienstlich emailfirma emailarbeit emailadressegeschaftlich emailprofessionnel emailprofesional emailprofissional emailtrabajo emailtrabalho emaillavoro emailaziendale emailwerk emailsluzbowy businessemail businessemailaddress workemail companyemail emailgeschaeftlich email3address",
	"PhoneNumber": `nrtelefonu telefonnumara telefonno お電話番号 聯絡電話 联系电话 連絡電話 연락처 phone phonenumber phoneno phonenr numerotelefono numerotelephone numerotelefone telephone telephonenumber tel telno primaryphone contactphone phone1value phone1 telefon telefonnummer telefonnr rufnummer
		telephonefixe numerodetelephone telefono numerodetelefono telefone telefoonnummer telefoon numertelefonu telefonnumarasi
		電話 電話番号 电话 電話號碼 电话号码 전화 전화번호 billingphone`,
	"MobilePhoneNumber": `numerotelephonemobile numerodetelephonemobile numerotelephoneportable numerodetelephoneportable numerotelefonomovil numerodetelefonomovil numerotelefonocelular numerodetelefonocelular numerotelefonecelular numerotelefonemovel telportable portabletel numerodeportable numerocelular telcelular telmovil numerocellulare telefonocellulare cellularenumero gsm gsmno gsmnumarasi gsmnummer ceptel cepno ceptelno mobiltel telmobil mobilnr mobilfunk mobilfunknummer mobiltelefonnummer mobieltelefoon mobieletelefoon telkom telefonkom nrkomorkowy telefonkomorkowynumer 行動電話 手機號碼 手机号码 携帯番号 휴대폰번호 휴대전화번호 핸드폰번호 mobile mobilephone mobilephonenumber mobilenumber mobileno cell cellphone cellnumber handy mobil mobilnummer mobiltelefon handynummer portable telmobile
		telephoneportable telephonemobile movil celular telefonocelular telefonomovil telemovel cellulare mobiel mobielnummer komorka telefonkomorkowy ceptelefonu
		携帯 携帯電話 携帯電話番号 手机 手机号 手機 휴대폰 휴대전화 핸드폰`,
	"HomePhoneNumber":     "telprivat teleprivat privattel privattelefon telefonnummerprivat telfixe telephonedomicilefixe telcasa fixo telefonefixo festnetznummer vastetelefoon evtelefonu homephone homephonenumber homenumber hometel landline festnetz telefonprivat telefonocasa telephonedomicile homephone1",
	"BusinessPhoneNumber": "businessphone businessphonenumber workphone officephone companyphone telgeschaeftlich telgeschaftlich telefongeschaftlich teldienstlich telefondienstlich geschaftlichestelefon telefongeschaeftlich telefonarbeit telefonotrabajo",
	"BirthDate": `born bornon dayofbirth bday bdate neele nele gebdatum gebdat gebtag geboren geborenam ddn datedenaiss fechanac fnacimiento fechadenac dtnascimento dtnasc natoil geboortedag dataur datadogum dogumgunu 出生年月日 出生年月 出生日 birth birthdate dateofbirth dob birthday dateborn geburtsdatum geburtstag datedenaissance naissance anniversaire fechadenacimiento fechanacimiento nacimiento cumpleanos
		datadenascimento datanascimento nascimento datadinascita datanascita geboortedatum dataurodzenia dogumtarihi 生年月日 誕生日 出生日期 生日 생년월일 생일`,
	"GenderString": "gender sex geschlecht genre sexe genero sexo genere sesso geslacht plec cinsiyet 性別 性别 성별",
	"BusinessName": `nameunternehmens namedesunternehmens unternehmensname nomdelentreprise nomentreprise nomsociete nombreempresa nombredelaempresa nomeempresa nomeazienda nomedellazienda company companyname business businessname organization organisation organizationname employer account accountname firm firma firmenname unternehmen societe entreprise
		raisonsociale empresa razonsocial compania nomedaempresa azienda ragionesociale bedrijf bedrijfsnaam nazwafirmy sirket sirketadi 会社 会社名 公司 公司名称 회사 회사명 organization1name billingcompany`,
	"AdditionalInformation": "note notes comment comments remark remarks description additionalinformation bemerkung bemerkungen notiz notizen commentaire commentaires remarque notas comentarios observaciones observacoes osservazioni opmerkingen uwagi notlar 備考 备注 비고",
	"Address.Address1": `adressepostale strasse1 rue1 calle1 via1 address address1 addressline addressline1 addressstreet street street1 streetaddress streetname streetandnumber line1 line addr addr1 addrline1 adr adr1 strasse strassenr strnr strhausnr strassehausnr strasseuhausnr strasseuhausnummer strasseundhausnr strasseundnr strassehausnummer strasseundhausnummer adresse adresse1 rue voie
		direccion direccion1 calle domicilio endereco rua logradouro morada indirizzo via straat adres adresregel1 straatnaam ulica adres1 sokak acikadres 住所 住所1 番地 地址 街道 주소 도로명주소`,
	"Address.Address2":   "strasse2 rue2 calle2 via2 addr2 addrline2 adr2 address2 addressline2 street2 line2 apartment apt unit suite adresszusatz complementdadresse complement adresse2 direccion2 complemento indirizzo2 toevoeging adresregel2 住所2 建物名",
	"Address.Address3":   "addr3 address3 addressline3 street3 line3",
	"Address.Address4":   "address4 addressline4 street4 line4",
	"Address.City":       "city town suburb locality addresscity ort stadt wohnort ville commune ciudad poblacion localidad municipio cidade localidade citta comune localita stad plaats woonplaats miasto miejscowosc sehir il 市区町村 市町村 市 城市 도시 시",
	"Address.County":     "county landkreis condado ilce powiat",
	"Address.State":      "etatregion estadoregion departementregion depregion bundeslandkanton state statecode stateprovince stateregion region bundesland estado uf departamento wojewodztwo 都道府県 州",
	"Address.Province":   "province provincecode prov provincia provincie 省 省份 도",
	"Address.Country":    "landregion paysregion paysouregion paisregion paisoregion paeseregione landregio krajregion country countrycode countryregion countryname land pays pais paese nazione kraj ulke 国 国名 国家 國家 국가 나라",
	"Address.PostalCode": "pincode zip zipcode zippostal zippostalcode postal postalcode postalzipcode postcode plz postleitzahl codepostal cp codigopostal cep cap codiceavviamentopostale postnummer kodpocztowy postakodu 郵便番号 邮编 邮政编码 郵遞區號 우편번호",
}

// targets are the attributes by the names that mean them: those of names, before those of moreNames.
var (
	inFirst = invert(names)
	inMore  = invert(moreNames)
	targets = func() map[string]string {
		all := maps.Clone(inMore)
		maps.Copy(all, inFirst)
		return all
	}()
)

// others are what names mean where the values don't fit what they mean first: a cep is a postal code in Brazil, and a mobile phone in Turkey.
var others = map[string]string{"cep": "MobilePhoneNumber"}

// fullNames are the names of columns that hold the whole name of a person.
var fullNames = words(`name fullname customername clientname contactname displayname personname customer client kunde kundenname vollstandigername vollername nomcomplet nombrecompleto nombreyapellidos nomecompleto nomeecognome nominativo volledigenaam naam imieinazwisko adsoyad adisoyadi adsoyadi adivesoyadi isimsoyisim prenometnom prenomnom vorundnachname vorundzuname vornamename apellidosynombre apellidosynombres imienazwisko 客戶姓名 客户姓名 會員姓名 成員姓名 성함 氏名 名前 お名前 顧客名 姓名 客户名称 성명 고객명 fileas ansprechpartner ansprechperson kontaktperson contactperson interlocuteur personadecontacto personacontacto referente contactpersoonnaam osobakontaktowa yetkilikisi 担当者 担当者名 联系人 聯絡人 담당자
	name1 billingname guestname gastname patientname attendeename participantname studentname donorname buyername passengername firstlastname firstnamelastname firstandlastname namesurname vornamenachname namn fullstandigtnamn kundnamn navn fuldenavn fulltnavn kundenavn nimi kokonimi asiakkaannimi jmenoaprijmeni celejmeno menoapriezvisko numecomplet numesiprenume полноеимя имяифамилия имяфамилия імятапрізвище ονοματεπωνυμο الاسم الاسمالكامل اسمالعميل שם שםמלא שםלקוח` + " " + familyFirstNames)

// familyFirst are the names of columns of whole names whose first word is the family name.
var familyFirst = words(familyFirstNames)

const familyFirstNames = `lastnamefirstname lastfirstname surnamefirstname surnamename namevorname nachnamevorname nomprenom nomprenoms nometprenom nometprenoms cognomeenome cognomenome nazwiskoiimie prijmeniajmeno prijmenijmeno priezviskoameno nev teljesnev numeprenume
	фио фамилияимяотчество фамилияимя фамилияиимя піб прізвищеімя прізвищетаімя επωνυμοονομα`

// ids are the names of columns that tell customers apart: first those that say so themselves, then those that say that they are some id.
var ids = words(`accountnumber accountno customerid customerno customernumber custid custno clientid clientno memberid memberno membernumber contactid personid leadid subscriberid
	kundennummer kundnr kundnummer kdnummer debitor debitornr debitorennr kundennr kundenid kdnr mitgliedsnummer debitorennummer numeroclient nclient numclient idclient noclient codeclient numerodecliente numerocliente idcliente codigocliente codcliente numerodocliente codicecliente
	kundnummer kundnr kundenr kundeid kundenummer medlemsnummer medlemsnr asiakasnumero asiakasnro ugyfelszam ugyfelkod ugyfelazonosito 顧客コード 会員コード 得意先コード 得意先番号 お客様コード 客户编码 客户代码 會員代碼 고객코드 회원코드
	klantnummer klantid klantnr numerklienta idklienta musterino musterinumarasi musteriid 顧客番号 顧客id 会員番号 お客様番号 客户编号 客户id 客戶編號 會員編號 会员编号 會員號 顧客編號 会员号 고객번호 회원번호
	id uuid guid key userid recordid recid externalid personnumber identifier accountid 番号 编号 번호 identifiant identificador identificatie`)

// blocks are the words that say which of the addresses a column belongs to.
var blocks = invert(map[string]string{
	"MailingAddress": "mailing mail postal post postanschrift correspondence correspondance korespondencyjny korespondencji yazisma",
	"ShippingAddress": `shipping ship shipment delivery deliver liefer lieferung lieferadresse lieferanschrift versand versandadresse livraison expedition envio entrega spedizione consegna
		verzend verzending bezorg aflever levering leveradres bezorgadres afleveradres verzendadres dostawy wysylki dostawa teslimat kargo gonderim 配送先 お届け先 送付先 収貨 收货 收件 配送 送货 배송 배송지`,
	"BillingAddress": `billing bill invoice rechnung rechnungs rechnungsadresse rechnungsanschrift facturation facture facturacion factura cobranca faturamento fatturazione fattura
		factuur facturatie factuuradres faktury faktura rozliczeniowy fatura 請求先 ご請求先 账单 帳單 发票 청구 청구지`,
})

// blockWords are those of them that begin a word of several, the longest first: "Rechnungsort", "配送先郵便番号".
var blockWords = func() (all []string) {
	for w := range blocks {
		if len(w) > 4 {
			all = append(all, w)
		}
	}
	slices.SortFunc(all, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	return all
}()

// filling are words that say nothing.
var filling = words(`s d l default primary main the your my of and contact customer client person user account member subscriber value field required optional enter please
	kunde kunden kundin haupt ihr ihre ihren der die das des dem bitte pflichtfeld kontakt du de la le les des votre vos cliente clientes principal contacto su del el los
	kund kundens asiakkaan zakaznika ugyfel clientului клиента клиент покупателя контакта ваш ваше ваша клієнта πελατη العميل לקוח הלקוח
	contato da do dos sua seu obrigatorio contatto della di il vostro suo klant uw van contactpersoon klienta twoj twoja klient musteri musterinin kisi`)

// people are words of East Asian languages before what they say of a customer.
var people = []string{"お客様", "顧客", "会員", "ご", "お", "客户", "客戶", "会员", "會員", "用户", "用戶", "联系人", "고객", "회원"}

func words(text string) map[string]bool {
	all := map[string]bool{}
	for w := range strings.FieldsSeq(text) {
		all[w] = true
	}
	return all
}

// invert turns lists of words by what they mean into what a word means.
func invert(lists map[string]string) map[string]string {
	all := map[string]string{}
	for meaning, list := range lists {
		for w := range strings.FieldsSeq(list) {
			all[fold(w)] = meaning
		}
	}
	return all
}

// spelt replaces letters that have no accent to drop, and that people spell in ASCII.
var spelt = strings.NewReplacer("〒", "郵便番号", "º", "o", "ª", "a", "№", "no", "ß", "ss", "ς", "σ", "ł", "l", "Ł", "l", "ı", "i", "İ", "i", "ø", "o", "æ", "ae")

// fold drops case, accents, and everything but letters and digits.
func fold(name string) string {
	name = spelt.Replace(name)
	return norm.NFC.String(strings.Map(func(r rune) rune {
		switch {
		case unicode.IsMark(r) && r < 0x3000:
			return -1
		case unicode.IsLetter(r), unicode.IsDigit(r), unicode.IsMark(r):
			return unicode.ToLower(r)
		}
		return -1
	}, norm.NFD.String(name)))
}

// parts cuts a name into its words, folded: at signs and blanks, and where a capital follows a small letter.
func parts(name string) (all []string) {
	var word []rune
	end := func() {
		if w := fold(string(word)); w != "" {
			all = append(all, w)
		}
		word = nil
	}
	small := false
	for _, r := range name {
		switch {
		case !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r):
			end()
		case small && unicode.IsUpper(r):
			end()
			word = append(word, r)
		default:
			word = append(word, r)
		}
		small = unicode.IsLower(r)
	}
	end()
	return all
}

// meaning returns the attribute that the name of a column means, or "". What stands in brackets counts only where the name means nothing without it.
func meaning(name string) string {
	if t := targets[fold(name)]; t != "" {
		return t
	}
	words := parts(name)
	for _, weak := range []bool{false, true} {
		if t := ofWords(words, weak); t != "" {
			return t
		}
	}
	if plain := bracketed.ReplaceAllString(name, " "); plain != name {
		return meaning(plain)
	}
	return ofEither(name)
}

// either stands between two names of one thing: "Town/City".
var either = regexp.MustCompile(`\s*/\s*|\s+(?:or|oder|ou|of|lub|veya)\s+`)

// ofEither returns what all the names mean that a name consists of, if that is the same.
func ofEither(name string) (t string) {
	all := either.Split(name, -1)
	for i, part := range all {
		if len(all) < 2 || part == "" || strings.Contains(part, "/") {
			return ""
		}
		m := meaning(part)
		if m == "" || i > 0 && m != t {
			return ""
		}
		t = m
	}
	return t
}

var bracketed = regexp.MustCompile(`\([^()]*\)|\[[^\[\]]*\]|（[^（）]*）|【[^【】]*】|\{[^{}]*\}`)

// weakBlocks are words of an address only where nothing else makes sense: there are postal codes, and e-mail.
var weakBlocks = words("mail postal post")

// ofWords returns what the words of a name mean together. weak says that words of weakBlocks tell which address is meant.
func ofWords(words []string, weak bool) string {
	block := ""
	var rest []string
	for _, w := range words {
		switch {
		case block == "" && blocks[w] != "" && (weak || !weakBlocks[w]):
			block = blocks[w]
		case filling[w]:
		default:
			rest = append(rest, w)
		}
	}
	core := strings.Join(rest, "")
	if block == "" {
		for _, w := range blockWords {
			if after, ok := strings.CutPrefix(core, w); ok && after != "" && (addressPart(after) || isAddress[after]) {
				block, core = blocks[w], after
				break
			}
		}
	}
	t := targets[core]
	for _, a := range addressWords {
		if after, ok := strings.CutPrefix(core, a); ok && addressPart(after) && t == "" {
			t = targets[after]
		}
	}
	for _, p := range people {
		if after, ok := strings.CutPrefix(core, p); ok && t == "" {
			t = targets[after]
		}
	}
	if n := len(rest) - 1; t == "" && n > 0 && idWords[rest[n]] { // "Handy-Nr."
		if t = targets[strings.Join(rest[:n], "")]; !strings.HasSuffix(t, "PhoneNumber") {
			t = ""
		}
	}
	part, inAddress := strings.CutPrefix(t, "Address.")
	switch {
	case block == "":
		return t
	case inAddress:
		return block + "." + part
	case core == "" || isAddress[core]:
		return block + ".Address1"
	}
	return "" // a phone for deliveries is no phone of the customer
}

// addressWords are those before a part of an address: "Address City", "Address 1: ZIP".
var addressWords = []string{"address1", "address", "adresse1", "adresse", "direccion1", "endereco1", "indirizzo1", "adres1", "addr", "anschrift", "direccion", "endereco", "indirizzo", "adres", "home", "residential", "residence", "住所", "地址", "주소"}

// isAddress are the words that are an address as a whole.
var isAddress = words("address adresse addr anschrift adr direccion endereco indirizzo adres adresi adresie 住所 地址 주소")

// addressPart says whether a word means a part of an address.
func addressPart(word string) bool { return strings.HasPrefix(targets[word], "Address.") }

// isFullName says whether a column is one of whole names, by its name.
func isFullName(name string) bool {
	for range 2 {
		if fullNames[fold(name)] {
			return true
		}
		var rest []string
		for _, w := range parts(name) {
			if !filling[w] {
				rest = append(rest, w)
			}
		}
		core := strings.Join(rest, "")
		if fullNames[core] {
			return true
		}
		for _, p := range people {
			if after, ok := strings.CutPrefix(core, p); ok && (fullNames[after] || after == "名") {
				return true
			}
		}
		name = bracketed.ReplaceAllString(name, " ")
	}
	return false
}

// isFamilyFirst says whether a name is that of a column of whole names whose first word is the family name.
func isFamilyFirst(name string) bool {
	return familyFirst[fold(name)] || familyFirst[fold(bracketed.ReplaceAllString(name, " "))]
}

// Knows says whether a name is known to be that of a column of customers.
func Knows(name string) bool { return meaning(name) != "" || isID(name) || isFullName(name) }

// isChineseName says whether a name is that of a column of whole names in Chinese.
func isChineseName(name string) bool {
	return strings.HasSuffix(name, "姓名") || strings.HasPrefix(name, "客户") || strings.HasPrefix(name, "客戶")
}

// anyName are names that columns have without anybody having given them one, and such as say only that there is a date; digits are no part of them.
var anyName = words("col column field var value unnamed untitled attribute header spalte feld wert ohnetitel colonne champ valeur sanstitre columna campo valor sintitulo coluna semtitulo colonna senzatitolo kolom veld waarde kolumna pole wartosc sutun alan deger 列 項目 字段 列名 열 필드 date day datum tag jour fecha dia data giorno dag dzien tarih gun 日付 日期 날짜")

// saysNothing says whether a column's name is one that nobody has given it, such as "x1", "Column C" or "Spalte 3".
func saysNothing(name string) bool {
	core := strings.TrimFunc(fold(name), unicode.IsDigit)
	if utf8.RuneCountInString(core) < 3 && !strings.ContainsFunc(core, func(r rune) bool { return r > unicode.MaxLatin1 }) || anyName[core] {
		return true
	}
	return anyName[core[:len(core)-1]] || anyName[strings.TrimRightFunc(core[:len(core)-1], unicode.IsDigit)] // the letter of "Column C"
}

// isFax says whether a name is that of a fax number, at which nobody can be called.
func isFax(name string) bool {
	f := fold(name)
	return strings.Contains(f, "fax") || strings.Contains(f, "ファックス") || strings.Contains(f, "传真") || strings.Contains(f, "傳真") || strings.Contains(f, "팩스")
}

// secrets are the names of columns that no customer profile is to have.
var secrets = words("cvv cvc cvv2 cvc2 cardcvv cardcvc securitycode password passwordhash passwd pwd userpass passwort kennwort motdepasse contrasena senha wachtwoord haslo sifre parola rptoken useractivationkey パスワード 密码 密碼 비밀번호")

// idWords are words for a number that tells apart, and ofCustomers those for whom.
var (
	idWords     = words("id nr no num number nummer numero numeris code codigo codice cod cislo kod tunnus numero szam azonosito номер код ид идентификатор κωδικοσ αριθμοσ رقم מספר guid uuid key ref reference 番号 编号 번호")
	records     = words("record external unique datensatz registro fiche informations enregistrement rekordu rekord kayit レコード 记录 記錄 레코드")
	ofCustomers = words(`cust mitgl kd kdn customer client member user contact person subscriber patient guest donor student buyer kunde kunden mitglied mitglieds patienten teilnehmer
		kund kundens medlem asiakas asiakkaan zakaznik zakaznika ugyfel clientului клиент клиента покупатель покупателя контакта пользователя абонента клієнта покупця користувача πελατη العميل عميل العضو לקוח הלקוח
		cliente socio paciente usuario utente membre adherent patient abonne klant lid klienta czlonka musteri uye hasta`)
)

// eastIDs are words for the id of whom another word before them names, in East Asian languages: 会員ID.
var eastIDs = words("id no 番号 編號 编号 號碼 号 號 コード 编码 代码 代碼 번호 코드")

// isID says whether a name is that of an id.
func isID(name string) bool {
	folded := fold(name)
	if ids[folded] {
		return true
	}
	var rest []string
	whose, what := false, false
	for _, w := range parts(bracketed.ReplaceAllString(name, " ")) {
		switch {
		case ofCustomers[w]:
			whose = true
		case idWords[w]:
			what = true
		case filling[w], records[w]:
			continue
		}
		rest = append(rest, w)
	}
	for _, p := range people {
		if after, ok := strings.CutPrefix(folded, p); ok && eastIDs[after] {
			return true
		}
	}
	return ids[strings.Join(rest, "")] || whose && what && len(rest) == 2
}
