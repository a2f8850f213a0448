package schema

import "strings"

// Attr names an attribute of the standard profile. Custom attributes have ID 0 and their name in Custom.
type Attr struct {
	ID     uint16
	Custom string
}

// The attributes' numbers. They are on disk: append only.
const (
	AccountNumber         = 1
	AdditionalInformation = 2
	PartyType             = 3
	BusinessName          = 4
	FirstName             = 5
	MiddleName            = 6
	LastName              = 7
	BirthDate             = 8
	Gender                = 9
	PhoneNumber           = 10
	MobilePhoneNumber     = 11
	HomePhoneNumber       = 12
	BusinessPhoneNumber   = 13
	EmailAddress          = 14
	PersonalEmailAddress  = 15
	BusinessEmailAddress  = 16
	PartyTypeString       = 17
	GenderString          = 18
	ProfileType           = 19
	EngagementPhone       = 20 // EngagementPreferences.Phone: JSON, a list of ContactPreference
	EngagementEmail       = 21 // EngagementPreferences.Email

	// An address takes addressParts numbers, in the order of partNames.
	Address         = 32
	ShippingAddress = 42
	MailingAddress  = 52
	BillingAddress  = 62
	lastAttr        = 71
)

const addressParts = 10

// partNames are the parts of an address, in the order of their numbers.
var partNames = [addressParts]string{"Address1", "Address2", "Address3", "Address4", "City", "County", "State", "Province", "Country", "PostalCode"}

var addressNames = map[uint16]string{Address: "Address", ShippingAddress: "ShippingAddress", MailingAddress: "MailingAddress", BillingAddress: "BillingAddress"}

var scalarNames = map[uint16]string{
	AccountNumber: "AccountNumber", AdditionalInformation: "AdditionalInformation", PartyType: "PartyType",
	BusinessName: "BusinessName", FirstName: "FirstName", MiddleName: "MiddleName", LastName: "LastName",
	BirthDate: "BirthDate", Gender: "Gender", PhoneNumber: "PhoneNumber", MobilePhoneNumber: "MobilePhoneNumber",
	HomePhoneNumber: "HomePhoneNumber", BusinessPhoneNumber: "BusinessPhoneNumber", EmailAddress: "EmailAddress",
	PersonalEmailAddress: "PersonalEmailAddress", BusinessEmailAddress: "BusinessEmailAddress",
	PartyTypeString: "PartyTypeString", GenderString: "GenderString", ProfileType: "ProfileType",
}

// enums are the attributes whose values are an enumeration; they are compared without case and stored in upper case.
var enums = map[uint16][]string{
	PartyType: {"INDIVIDUAL", "BUSINESS", "OTHER"},
	Gender:    {"MALE", "FEMALE", "UNSPECIFIED"},
}

var paths, byPath = func() ([lastAttr + 1]string, map[string]uint16) {
	var paths [lastAttr + 1]string
	for id, name := range scalarNames {
		paths[id] = name
	}
	for base, name := range addressNames {
		for i, part := range partNames {
			paths[int(base)+i] = name + "." + part
		}
	}
	byPath := map[string]uint16{}
	for id, path := range paths {
		if path != "" {
			byPath[path] = uint16(id)
		}
	}
	paths[EngagementPhone], paths[EngagementEmail] = "EngagementPreferences.Phone", "EngagementPreferences.Email" // no Target, and no key
	return paths, byPath
}()

const customPrefix = "Attributes."

// Path returns the attribute's path below _profile, such as "FirstName", "Address.City" or "Attributes.Tier".
func (a Attr) Path() string {
	if a.ID == 0 {
		return customPrefix + a.Custom
	}
	if int(a.ID) < len(paths) {
		return paths[a.ID]
	}
	return ""
}

// StandardPaths lists the paths of all attributes of the standard profile, in their order.
func StandardPaths() (all []string) {
	for _, path := range paths {
		if path != "" {
			all = append(all, path)
		}
	}
	return all
}

// AddressPart returns the address an attribute belongs to and the index of the part, or 0.
func (a Attr) AddressPart() (base uint16, part int) {
	if a.ID < Address || a.ID > lastAttr {
		return 0, 0
	}
	part = int(a.ID-Address) % addressParts
	return a.ID - uint16(part), part
}

// ParsePath returns the attribute of a path below _profile.
func ParsePath(path string) (Attr, bool) {
	if name, ok := strings.CutPrefix(path, customPrefix); ok {
		return Attr{Custom: name}, customName(name)
	}
	id, ok := byPath[path]
	return Attr{ID: id}, ok
}

// Less orders attributes: by number, custom ones last and by name.
func (a Attr) Less(b Attr) bool {
	if a.ID != b.ID {
		if a.ID == 0 || b.ID == 0 {
			return b.ID == 0
		}
		return a.ID < b.ID
	}
	return a.Custom < b.Custom
}

// Compare is Less for sorting.
func (a Attr) Compare(b Attr) int {
	switch {
	case a == b:
		return 0
	case a.Less(b):
		return -1
	}
	return 1
}

// MaxLen returns the most code points a value may have.
func (a Attr) MaxLen() int {
	if a.ID == AdditionalInformation {
		return 1000
	}
	return 255
}

// Enum returns the values of an attribute that is an enumeration, or nil.
func (a Attr) Enum() []string { return enums[a.ID] }

// Twin returns the attribute that must not be mapped together with a: PartyType and PartyTypeString, Gender and GenderString.
func (a Attr) Twin() (Attr, bool) {
	switch a.ID {
	case PartyType:
		return Attr{ID: PartyTypeString}, true
	case PartyTypeString:
		return Attr{ID: PartyType}, true
	case Gender:
		return Attr{ID: GenderString}, true
	case GenderString:
		return Attr{ID: Gender}, true
	}
	return Attr{}, false
}
