package schema

import (
	"crypto/sha256"
	"strings"
)

// The predefined keys that standard-profile attributes fill (docs/spec/core.md 3.8).
const (
	KeyPhone     = "_phone"
	KeyEmail     = "_email"
	KeyAccount   = "_account"
	KeyFullName  = "_fullName"
	KeyProfileID = "_profileId"
)

// predefined are the keys that every domain has (docs/spec/core.md 3.8), besides those of standard objects.
var predefined = func() map[string]bool {
	all := map[string]bool{}
	for _, k := range []string{KeyPhone, KeyEmail, KeyAccount, KeyFullName, KeyProfileID, "_ctrContactId", "_marketoLeadId", "_salesforceAccountId",
		"_salesforceContactId", "_salesforceAssetId", "_zendeskUserId", "_zendeskExternalId", "_zendeskTicketId", "_serviceNowSystemId",
		"_serviceNowIncidentId", "_serviceNowTaskId", "_segmentUserId", "_shopifyCustomerId", "_shopifyOrderId"} {
		all[k] = true
	}
	for _, s := range Standards {
		all[s.IDKey] = true
		for _, k := range s.Keys {
			all[k] = true
		}
	}
	return all
}()

// Predefined says whether a key is one that every domain has. Its values are compared by KeyContentType, whatever fills it.
func Predefined(key string) bool { return predefined[key] }

// PredefinedKey returns the predefined key that an attribute alone fills, with its content type, or "".
func PredefinedKey(a Attr) (string, ContentType) {
	switch a.ID {
	case PhoneNumber, MobilePhoneNumber, HomePhoneNumber, BusinessPhoneNumber:
		return KeyPhone, Phone
	case EmailAddress, PersonalEmailAddress, BusinessEmailAddress:
		return KeyEmail, Email
	case AccountNumber:
		return KeyAccount, String
	}
	return "", ""
}

// KeyContentType returns the content type by which values of a key are compared.
func KeyContentType(key string) ContentType {
	switch key {
	case KeyPhone:
		return Phone
	case KeyEmail:
		return Email
	case KeyFullName:
		return Name
	}
	return String
}

// FullNames returns the index forms of a person's name: with and without the middle name, without repetition.
func FullNames(first, middle, last string) []string {
	join := func(parts ...string) string { return Normalize(Name, strings.Join(parts, " ")) }
	short := join(first, last)
	if middle == "" {
		if short == "" {
			return nil
		}
		return []string{short}
	}
	full := join(first, middle, last)
	if short == "" || short == full {
		return []string{full}
	}
	return []string{full, short}
}

// maxIndexValue is the longest value that an index holds in clear; longer ones are held by their digest.
const maxIndexValue = 600

// IndexValue returns the form of a normalised value inside an index: itself, or a digest when it is long. A hit on either is
// a hint that the profile confirms.
func IndexValue(normalized string) string {
	if len(normalized) <= maxIndexValue {
		return normalized
	}
	sum := sha256.Sum256([]byte(normalized))
	return "\x02" + string(sum[:])
}

// IndexBytes is IndexValue for bytes; it returns its argument when that is short.
func IndexBytes(normalized []byte) []byte {
	if len(normalized) <= maxIndexValue {
		return normalized
	}
	return []byte(IndexValue(string(normalized)))
}

// TupleSep separates the parts of a composite key's normalised value.
const TupleSep = "\x1f"
