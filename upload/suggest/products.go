package suggest

import (
	"fmt"
	"strings"
)

// product is a kind of export that is known as a whole: by the names of columns that stand together in no other table, what others of its columns mean
// in it.
type product struct {
	name string
	// has are names that must all be there, separated by bars.
	has string
	// to says in each line where a column goes: its name, a colon and blanks, and the attribute; "-" is a custom attribute of its name, "#" the
	// id of the customer.
	to string
	// blocks are how the columns of a block of address columns are named, with a star for the part: the fullest block is the address of the customer.
	blocks []string
}

// products are the known exports, the more particular first.
var products = []product{
	{name: "HubSpot contacts", has: "Record ID|Lifecycle Stage", to: hubSpot},
	{name: "HubSpot contacts", has: "Record ID - Contact|First Name", to: hubSpot},
	{name: "HubSpot contacts", has: "Record ID|Contact owner", to: hubSpot},
	{name: "HubSpot contacts", has: "Datensatz-ID|Lifecycle-Phase", to: `
		Datensatz-ID: #
		Zugehöriges Unternehmen: -
		Zuständiger Mitarbeiter: -`},
	{name: "HubSpot contacts", has: "ID de fiche d'informations|Phase du cycle de vie", to: `
		ID de fiche d'informations: #`},
	{name: "HubSpot contacts", has: "ID de registro|Etapa del ciclo de vida", to: `
		ID de registro: #`},
	{name: "Salesforce person accounts", has: "Id|PersonContactId", to: salesforcePerson},
	{name: "Salesforce person accounts", has: "Id|IsPersonAccount|PersonEmail", to: salesforcePerson},
	{name: "Salesforce leads", has: "Id|LastName|LeadSource|Company|Status", to: `
		Id: #
		Name: -
		Company: BusinessName
		Title: -`},
	{name: "Salesforce contacts", has: "Id|AccountId|LastName", to: `
		Id: #
		AccountId: -
		ReportsToId: -
		OwnerId: -
		MasterRecordId: -
		Name: -
		Title: -
		Description: AdditionalInformation
		OtherPhone: -`},
	{name: "Salesforce accounts", has: "Id|Name|BillingStreet|BillingCity", to: `
		Id: #
		Name: BusinessName
		AccountNumber: -
		ParentId: -
		OwnerId: -
		MasterRecordId: -
		Description: AdditionalInformation`},
	{name: "Shopify customers", has: "First Name|Last Name|Email|Default Address Address1", to: `
		Customer ID: #
		Default Address Company: BusinessName
		Default Address Address1: Address.Address1
		Default Address Address2: Address.Address2
		Default Address City: Address.City
		Default Address Province Code: Address.Province
		Default Address Country Code: Address.Country
		Default Address Zip: Address.PostalCode
		Phone: PhoneNumber
		Default Address Phone: -
		Note: AdditionalInformation`},
	{name: "Shopify customers", has: "First Name|Last Name|Email|Accepts Marketing|Total Spent", to: `
		Customer ID: #
		Province: Address.Province
		Note: AdditionalInformation`},
	{name: "WooCommerce customers", has: "Username|Last Active|AOV", to: `
		Username: -
		Name: FullName
		Region: Address.State`},
	{name: "WooCommerce customers", has: "Username|Last Active|Total Spend", to: `
		Username: -
		Name: FullName
		Region: Address.State`},
	{name: "WooCommerce customers", has: "customer_id|billing_postcode", to: wooCommerce},
	{name: "WooCommerce customers", has: "user_email|billing_postcode", to: wooCommerce},
	{name: "Magento customers", has: "email|_website|_store", to: `
		email: EmailAddress
		firstname: FirstName
		lastname: LastName
		middlename: MiddleName
		dob: BirthDate
		gender: GenderString
		group_id: -
		store_id: -
		website_id: -
		password_hash: -`},
	{name: "Magento customers", has: "ID|Name|Customer Since|Web Site", to: `
		ID: #
		Name: FullName
		Email: EmailAddress
		Phone: PhoneNumber
		ZIP: Address.PostalCode
		Billing Address: BillingAddress.Address1
		Shipping Address: ShippingAddress.Address1
		Street Address: Address.Address1
		Billing Firstname: -
		Billing Lastname: -`},
	{name: "Mailchimp audience", has: "MEMBER_RATING|LEID|EUID", to: `
		Email Address: EmailAddress
		LEID: -
		EUID: -
		CC: -
		REGION: -
		NOTES: AdditionalInformation`},
	{name: "Klaviyo profiles", has: "Email|Klaviyo ID", to: klaviyo},
	{name: "Klaviyo profiles", has: "Email|Profile ID|Organization", to: klaviyo},
	{name: "Klaviyo profiles", has: "Email|Email Marketing Consent|Phone Number", to: klaviyo},
	{name: "Google contacts", has: "First Name|Last Name|Phonetic First Name|Labels", to: google},
	{name: "Google contacts", has: "Given Name|Family Name|Yomi Name|Group Membership", to: google},
	{name: "Google contacts", has: "Given Name|Family Name|E-mail 1 - Value", to: google},
	{name: "Outlook contacts", has: "First Name|Last Name|E-mail Address|Business Street|Home Street", to: `
		E-mail Address: EmailAddress
		E-mail 2 Address: PersonalEmailAddress
		E-mail 3 Address: BusinessEmailAddress
		Primary Phone: PhoneNumber
		Mobile Phone: MobilePhoneNumber
		Home Phone: HomePhoneNumber
		Business Phone: BusinessPhoneNumber
		Company: BusinessName
		Birthday: BirthDate
		Account: -
		Title: -
		Location: -
		Notes: AdditionalInformation`, blocks: []string{"Home *", "Business *", "Other *"}},
	{name: "Outlook contacts", has: "Vorname|Nachname|E-Mail-Adresse|Straße geschäftlich|Straße privat", to: `
		E-Mail-Adresse: EmailAddress
		E-Mail 2: Adresse: PersonalEmailAddress
		E-Mail 3: Adresse: BusinessEmailAddress
		Weitere Vornamen: MiddleName
		Haupttelefon: PhoneNumber
		Telefon geschäftlich: BusinessPhoneNumber
		Telefon privat: HomePhoneNumber
		Mobiltelefon: MobilePhoneNumber
		Firma: BusinessName
		Geburtstag: BirthDate
		Konto: -
		Ort: -
		Privat: -
		Notizen: AdditionalInformation`, blocks: []string{"* privat", "* geschäftlich", "Weitere *"}},
	{name: "Outlook contacts", has: "Prénom|Nom|Adresse de messagerie|Rue (bureau)|Rue (domicile)", to: `
		Adresse de messagerie: EmailAddress
		Adresse de messagerie 2: PersonalEmailAddress
		Adresse de messagerie 3: BusinessEmailAddress
		Deuxième prénom: MiddleName
		Téléphone principal: PhoneNumber
		Téléphone (bureau): BusinessPhoneNumber
		Téléphone (domicile): HomePhoneNumber
		Tél. mobile: MobilePhoneNumber
		Société: BusinessName
		Anniversaire: BirthDate
		Titre: -
		Notes: AdditionalInformation`, blocks: []string{"* (domicile)", "* (bureau)", "* (autre)"}},
	{name: "Stripe customers", has: "id|Email|Created (UTC)", to: stripe},
	{name: "Stripe customers", has: "id|Email|Card ID", to: stripe},
	{name: "Zendesk users", has: "id|name|email|role|organization", to: zendesk},
	{name: "Zendesk users", has: "name|email|external_id|restriction", to: zendesk},
	{name: "Zendesk users", has: "id|name|email|external_id|role", to: zendesk},
	{name: "Microsoft Dynamics contacts", has: "(Do Not Modify) Contact|(Do Not Modify) Row Checksum", to: `
		(Do Not Modify) Contact: #
		Full Name: FullName
		Business Phone: BusinessPhoneNumber
		Company Name: BusinessName` + dynamics},
	{name: "Microsoft Dynamics contacts", has: "(Nicht ändern) Kontakt|(Nicht ändern) Zeilenprüfsumme", to: `
		(Nicht ändern) Kontakt: #
		Vollständiger Name: FullName
		Telefon (geschäftlich): BusinessPhoneNumber
		Telefon (privat): HomePhoneNumber
		Firmenname: BusinessName
		Status: -`},
	{name: "Microsoft Dynamics accounts", has: "(Do Not Modify) Account|(Do Not Modify) Row Checksum", to: `
		(Do Not Modify) Account: #
		Account Name: BusinessName
		Account Number: -
		Main Phone: PhoneNumber
		Primary Contact: -
		Email (Primary Contact): EmailAddress` + dynamics},
	{name: "Microsoft Dynamics leads", has: "(Do Not Modify) Lead|(Do Not Modify) Row Checksum", to: `
		(Do Not Modify) Lead: #
		Name: FullName
		Business Phone: BusinessPhoneNumber
		Company Name: BusinessName` + dynamics},
	{name: "Microsoft Dynamics contacts", has: "contactid|emailaddress1|telephone1", to: `
		contactid: #
		fullname: FullName
		emailaddress1: EmailAddress
		emailaddress2: PersonalEmailAddress
		telephone1: BusinessPhoneNumber
		telephone2: HomePhoneNumber
		mobilephone: MobilePhoneNumber
		address1_line1: Address.Address1
		address1_line2: Address.Address2
		address1_line3: Address.Address3
		address1_city: Address.City
		address1_county: Address.County
		address1_stateorprovince: Address.State
		address1_postalcode: Address.PostalCode
		address1_country: Address.Country
		parentcustomerid: -
		description: AdditionalInformation`},
	{name: "Square customers", has: "Reference ID|Square Customer ID", to: `
		Square Customer ID: #
		Reference ID: -
		Nickname: -
		Memo: AdditionalInformation`},
	{name: "Brevo contacts", has: "EMAIL|SMS|WHATSAPP", to: brevo},
	{name: "Brevo contacts", has: "EMAIL|SMS|DOUBLE_OPT-IN", to: brevo},
	{name: "Shopify orders", has: "Name|Email|Financial Status|Fulfillment Status", to: `
		Email: EmailAddress
		Id: -
		Name: -
		Phone: PhoneNumber
		Billing Phone: PhoneNumber
		Billing Street: -
		Shipping Street: -
		Billing Company: BusinessName`},
	{name: "WordPress users", has: "user_login|user_email", to: wordPress},
}

const brevo = `
		EMAIL: EmailAddress
		SMS: MobilePhoneNumber
		WHATSAPP: -`

const hubSpot = `
		Record ID: #
		Record ID - Contact: #
		Email: EmailAddress
		Work email: BusinessEmailAddress
		Phone Number: PhoneNumber
		Mobile Phone Number: MobilePhoneNumber
		Company Name: BusinessName
		Street Address: Address.Address1
		State/Region: Address.State
		Associated Company: -
		Contact owner: -`

const salesforcePerson = `
		Id: #
		FirstName: FirstName
		LastName: LastName
		MiddleName: MiddleName
		Name: -
		AccountNumber: -
		PersonContactId: -
		ParentId: -
		OwnerId: -
		MasterRecordId: -
		PersonEmail: EmailAddress
		PersonMobilePhone: MobilePhoneNumber
		PersonHomePhone: HomePhoneNumber
		Phone: PhoneNumber
		PersonBirthdate: BirthDate
		PersonMailingStreet: MailingAddress.Address1
		PersonMailingCity: MailingAddress.City
		PersonMailingState: MailingAddress.State
		PersonMailingPostalCode: MailingAddress.PostalCode
		PersonMailingCountry: MailingAddress.Country
		Description: AdditionalInformation`

const wooCommerce = `
		customer_id: #
		user_id: #
		ID: #
		email: EmailAddress
		user_email: EmailAddress
		billing_email: EmailAddress
		first_name: FirstName
		last_name: LastName
		billing_first_name: FirstName
		billing_last_name: LastName
		billing_phone: PhoneNumber
		billing_company: BusinessName
		display_name: -
		nickname: -
		user_login: -
		username: -`

const klaviyo = `
		Email: EmailAddress
		Phone Number: PhoneNumber
		Organization: BusinessName
		Klaviyo ID: -
		Profile ID: -
		External ID: -
		Title: -
		Source: -`

const google = `
		First Name: FirstName
		Given Name: FirstName
		Middle Name: MiddleName
		Additional Name: MiddleName
		Last Name: LastName
		Family Name: LastName
		Name: -
		File As: -
		Nickname: -
		Location: -
		Organization Name: BusinessName
		Organization 1 - Name: BusinessName
		E-mail 1 - Value: EmailAddress
		E-mail 2 - Value: PersonalEmailAddress
		E-mail 3 - Value: BusinessEmailAddress
		Phone 1 - Value: PhoneNumber
		Phone 2 - Value: MobilePhoneNumber
		Phone 3 - Value: HomePhoneNumber
		Address 1 - Label: -
		Address 1 - Type: -
		Address 1 - Formatted: -
		Address 1 - Street: Address.Address1
		Address 1 - Extended Address: Address.Address2
		Address 1 - City: Address.City
		Address 1 - Region: Address.State
		Address 1 - Postal Code: Address.PostalCode
		Address 1 - Country: Address.Country
		Notes: AdditionalInformation`

const stripe = `
		id: #
		Name: FullName
		Description: AdditionalInformation
		Email: EmailAddress
		Phone: PhoneNumber
		Status: -
		Card ID: -
		Card Name: -
		Card Address Line1: BillingAddress.Address1
		Card Address Line2: BillingAddress.Address2
		Card Address City: BillingAddress.City
		Card Address State: BillingAddress.State
		Card Address Country: BillingAddress.Country
		Card Address Zip: BillingAddress.PostalCode
		Card Issue Country: -`

const zendesk = `
		id: #
		name: FullName
		email: EmailAddress
		phone: PhoneNumber
		organization: BusinessName
		external_id: -
		notes: AdditionalInformation
		details: -
		alias: -
		role: -`

const dynamics = `
		Email: EmailAddress
		Mobile Phone: MobilePhoneNumber
		Address 1: Street 1: Address.Address1
		Address 1: Street 2: Address.Address2
		Address 1: Street 3: Address.Address3
		Address 1: City: Address.City
		Address 1: County: Address.County
		Address 1: State/Province: Address.State
		Address 1: ZIP/Postal Code: Address.PostalCode
		Address 1: Country/Region: Address.Country
		Street 1: Address.Address1
		Street 2: Address.Address2
		Status: -
		Status Reason: -
		Owner: -`

const wordPress = `
		ID: #
		user_email: EmailAddress
		first_name: FirstName
		last_name: LastName
		billing_phone: PhoneNumber
		billing_company: BusinessName
		display_name: FullName
		user_login: -
		user_nicename: -
		nickname: -
		user_pass: -
		description: AdditionalInformation`

// fullName in a product's list is a whole name, to be split where nothing else has its parts.
const fullName = "FullName"

// product recognises a known export, and gives its columns the attributes that they mean in it. An id that is no account number stays what it is.
func (p *Proposal) product() {
	columns := map[string]int{}
	for i, c := range p.Columns {
		if f := strings.ToLower(c.Name); c.usable() && f != "" {
			columns[f] = i
		}
	}
	for _, k := range products {
		if k.in(columns) {
			p.Product = k.name
			p.apply(k, columns)
			return
		}
	}
}

// in says whether a table has what a product's exports have.
func (k *product) in(columns map[string]int) bool {
	for name := range strings.SplitSeq(k.has, "|") {
		if _, ok := columns[strings.ToLower(name)]; !ok {
			return false
		}
	}
	return true
}

// apply gives the columns of a known export their attributes. The first column of the list that has values takes an attribute.
func (p *Proposal) apply(k product, columns map[string]int) {
	why := fmt.Sprintf("so it is in exports of %s", k.name)
	give := func(i int, target string) {
		c := &p.Columns[i]
		if target == "#" {
			target = "AccountNumber"
		}
		before := p.by(target)
		switch {
		case target == "-":
			c.settled = true
			return
		case target == fullName:
			return // its name and its values tell
		case before >= 0 && (p.Columns[before].Filled > 0 || c.Filled == 0):
			c.settled = true
			return
		case before >= 0:
			p.Columns[before].Target = ""
		}
		if c.settled = true; !c.fits(target) {
			return
		}
		c.Target, c.Why = target, why
	}
	for line := range strings.SplitSeq(k.to, "\n") {
		at := strings.LastIndex(line, ": ")
		if at < 0 {
			continue
		}
		if i, ok := columns[strings.ToLower(strings.TrimSpace(line[:at]))]; ok {
			give(i, p.labelled(columns, p.Columns[i].Name, strings.TrimSpace(line[at+2:])))
		}
	}
	p.fullestBlock(k.blocks, columns, give)
}

// byLabel are the attributes of second addresses and numbers, by what exports call them beside.
var byLabel = map[string]map[string]string{
	"EmailAddress": {"home": "PersonalEmailAddress", "personal": "PersonalEmailAddress", "privat": "PersonalEmailAddress", "work": "BusinessEmailAddress", "arbeit": "BusinessEmailAddress", "geschaftlich": "BusinessEmailAddress"},
	"PhoneNumber": {"mobile": "MobilePhoneNumber", "mobil": "MobilePhoneNumber", "home": "HomePhoneNumber", "privat": "HomePhoneNumber", "work": "BusinessPhoneNumber",
		"arbeit": "BusinessPhoneNumber", "geschaftlich": "BusinessPhoneNumber"},
}

// labelled returns the attribute of a second address or number, such as "E-mail 2 - Value": what the column of labels beside it says, if that says one thing.
func (p *Proposal) labelled(columns map[string]int, name, target string) string {
	what, ok := strings.CutSuffix(strings.ToLower(name), " - value")
	for kind, labels := range byLabel {
		if !ok || target == kind || !strings.HasSuffix(target, kind) {
			continue
		}
		for _, beside := range []string{" - label", " - type"} {
			if i, ok := columns[what+beside]; ok && p.Columns[i].Distinct == 1 {
				if t := labels[fold(p.Columns[i].Samples[0])]; t != "" {
					return t
				}
			}
		}
	}
	return target
}

// blockParts are the parts of an address as exports call them, and the attributes that they are.
var blockParts = []struct{ names, behind, target string }{
	{"street|straße|rue", "", "Address1"}, {"street|straße|rue", " 2", "Address2"}, {"street|straße|rue", " 3", "Address3"}, {"city|ort|ville", "", "City"},
	{"state|region|bundesland/kanton|dép/région", "", "State"}, {"postal code|postleitzahl|code postal", "", "PostalCode"},
	{"country/region|country|land/region|pays/région", "", "Country"},
}

// ofBlock calls yield with the columns of a block.
func ofBlock(block string, columns map[string]int, yield func(i int, target string)) {
	for _, part := range blockParts {
		for name := range strings.SplitSeq(part.names, "|") {
			if i, ok := columns[strings.Replace(strings.ToLower(block), "*", name, 1)+part.behind]; ok {
				yield(i, part.target)
			}
		}
	}
}

// fullestBlock makes the block of address columns that has most values the address of the customer; the others stay what they are called.
func (p *Proposal) fullestBlock(blocks []string, columns map[string]int, give func(i int, target string)) {
	best, most := "", -1
	for _, b := range blocks {
		n := 0
		ofBlock(b, columns, func(i int, _ string) { n += p.Columns[i].Filled })
		if n > most {
			best, most = b, n
		}
	}
	for _, b := range blocks {
		ofBlock(b, columns, func(i int, target string) {
			if b != best {
				target = "-"
			} else {
				target = "Address." + target
			}
			give(i, target)
		})
	}
}
