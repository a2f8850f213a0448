package objecttype

import (
	"slices"
	"strings"

	"kith/schema"
)

// What sources call the attributes of a profile, in lower case and without anything but letters and digits.
var vocabulary = func() map[string]uint16 {
	all := map[string]uint16{}
	for id, names := range map[uint16]string{
		schema.FirstName:             "firstname fname givenname forename first",
		schema.MiddleName:            "middlename mname middleinitial secondname middle",
		schema.LastName:              "lastname lname surname familyname last",
		schema.BusinessName:          "businessname company companyname organization organisation organizationname organisationname employer",
		schema.BirthDate:             "birthdate dateofbirth dob birthday bday",
		schema.Gender:                "gender sex genderstring",
		schema.PartyType:             "partytype partytypestring",
		schema.AccountNumber:         "accountnumber accountno acctno acctnumber account",
		schema.AdditionalInformation: "additionalinformation notes note comment comments remarks",
		schema.PhoneNumber:           "phone phonenumber phoneno telephone telephonenumber tel primaryphone contactnumber contactphone",
		schema.MobilePhoneNumber:     "mobile mobilephone mobilenumber mobilephonenumber cell cellphone cellphonenumber handset",
		schema.HomePhoneNumber:       "homephone homephonenumber hometelephone",
		schema.BusinessPhoneNumber:   "businessphone businessphonenumber workphone workphonenumber officephone companyphone",
		schema.EmailAddress:          "email emailaddress mail primaryemail contactemail emailid",
		schema.PersonalEmailAddress:  "personalemail personalemailaddress privateemail homeemail",
		schema.BusinessEmailAddress:  "businessemail businessemailaddress workemail companyemail officeemail",
	} {
		for name := range strings.FieldsSeq(names) {
			all[name] = id
		}
	}
	return all
}()

// addressWords are the parts of an address, by their place in it.
var addressWords = func() map[string]uint16 {
	all := map[string]uint16{}
	for part, names := range []string{"address1 addressline1 street street1 streetaddress line1 address addressline addr", "address2 addressline2 street2 line2 apartment suite",
		"address3 addressline3 street3 line3", "address4 addressline4 street4 line4", "city town locality", "county", "state region stateprovince statecode",
		"province", "country countrycode countryname", "postalcode zip zipcode postcode postal"} {
		for name := range strings.FieldsSeq(names) {
			all[name] = uint16(part)
		}
	}
	return all
}()

// addressKinds are the words that say which address is meant.
var addressKinds = []struct {
	word string
	base uint16
}{
	{"billing", schema.BillingAddress}, {"billto", schema.BillingAddress}, {"invoice", schema.BillingAddress},
	{"shipping", schema.ShippingAddress}, {"shipto", schema.ShippingAddress}, {"delivery", schema.ShippingAddress},
	{"mailing", schema.MailingAddress},
}

// people are the words for whom a record is about. They may precede the name of an attribute, and with "id" they name whose it is.
var people = []string{"customer", "contact", "user", "client", "person", "profile", "guest", "lead", "member", "subscriber", "patient", "buyer", "consumer", "account", "primary", "default", "caller"}

// plain returns a name in lower case and without anything but letters and digits.
func plain(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'A' <= r && r <= 'Z':
			return r + 'a' - 'A'
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9', r >= 0x80:
			return r
		}
		return -1
	}, name)
}

// understand returns the attribute that a path of names means, 0 for none.
func understand(names []string) uint16 {
	leaf := plain(names[len(names)-1])
	around := ""
	if len(names) > 1 {
		around = plain(names[len(names)-2])
	}
	if id := vocabulary[around+leaf]; id != 0 && around != "" { // company.name
		return id
	}
	if id := addressOf(around, leaf); id != 0 {
		return id
	}
	for _, word := range append([]string{""}, people...) {
		if rest, ok := strings.CutPrefix(leaf, word); ok && rest != "" {
			if id := vocabulary[rest]; id != 0 {
				return id
			}
			if id := addressOf(around, rest); id != 0 {
				return id
			}
		}
	}
	return 0
}

// addressOf returns the part of an address that a name means, given the name of what it stands in.
func addressOf(around, leaf string) uint16 {
	base := uint16(schema.Address)
	for _, k := range addressKinds {
		if rest, ok := strings.CutPrefix(leaf, k.word); ok {
			leaf, base = rest, k.base
		} else if strings.HasPrefix(around, k.word) {
			base = k.base
		}
	}
	part, ok := addressWords[leaf]
	if !ok {
		if part, ok = addressWords[strings.TrimPrefix(leaf, "address")]; !ok {
			return 0
		}
	}
	return base + part
}

// idOf says whether a name is an identifier's, and whether it is a person's.
func idOf(name string) (id, person bool) {
	p := plain(name)
	switch p {
	case "id", "uuid", "guid", "key", "recordid", "externalid", "uid":
		return true, false
	}
	for _, end := range []string{"uuid", "guid", "id", "number", "no", "key"} {
		word, ok := strings.CutSuffix(p, end)
		if !ok || word == "" {
			continue
		}
		if slices.Contains(people, word) {
			return true, true
		}
		if camel := strings.ToUpper(end[:1]) + end[1:]; end != "no" && (strings.HasSuffix(name, camel) || strings.HasSuffix(name, "ID") && end == "id" ||
			strings.HasSuffix(strings.ToLower(name), "_"+end) || strings.HasSuffix(strings.ToLower(name), "-"+end)) { // orderId, order_id, and not "paid"
			return true, false
		}
	}
	return false, false
}

// updateWords name when a source has changed a record, the surest first.
var updateWords = []string{"sourcelastupdatedtimestamp", "lastupdatedtimestamp", "lastupdatedat", "lastupdated", "lastupdatetimestamp", "updatedat", "lastmodified", "lastmodifieddate", "lastmodifiedat",
	"modifiedat", "modifiedon", "updatedon", "systemmodstamp", "sysupdatedon", "lastupdate", "updatetime", "updatedtime", "dateupdated", "datemodified", "modified", "updated", "timestamp", "eventtimestamp"}

// updatePatterns are the formats that times are tried in.
var updatePatterns = []string{EpochMilli, "yyyy-MM-dd'T'HH:mm:ss'Z'", "yyyy-MM-dd'T'HH:mm:ss.SSS'Z'", "yyyy-MM-dd'T'HH:mm:ssXXX", "yyyy-MM-dd'T'HH:mm:ss.SSSXXX", "yyyy-MM-dd'T'HH:mm:ssZ",
	"yyyy-MM-dd'T'HH:mm:ss.SSSZ", "yyyy-MM-dd'T'HH:mm:ss", "yyyy-MM-dd'T'HH:mm:ss.SSS", "yyyy-MM-dd HH:mm:ss", "yyyy-MM-dd HH:mm:ss.SSS", "yyyy-MM-dd HH:mm:ss Z",
	"EEE, d MMM yyyy HH:mm:ss z", "yyyy-MM-dd", "yyyyMMddHHmmss"}
