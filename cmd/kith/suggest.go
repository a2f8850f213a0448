package main

import (
	"fmt"
	"slices"
	"strings"

	"kith/schema"
)

// suggestion is one column of a file with where it goes.
type suggestion struct {
	Column      string
	Label       string // key in Fields
	Target      string // below _profile; "" leaves the column out
	ContentType schema.ContentType
}

// synonyms are the header names people use, without case and punctuation, for attributes of the standard profile.
var synonyms = func() map[string]string {
	all := map[string]string{}
	for target, names := range map[string]string{
		"AccountNumber":         "accountnumber account accountid accountno customerid custid customer customernumber customerno clientid userid memberid membernumber contactid personid recid recordid id uuid externalid kundennummer",
		"FirstName":             "firstname givenname forename fname first vorname prenom nombre",
		"MiddleName":            "middlename middle secondname",
		"LastName":              "lastname surname familyname lname last nachname nom apellido",
		"EmailAddress":          "email emailaddress mail mailaddress eaddress correo",
		"PersonalEmailAddress":  "personalemail personalemailaddress privateemail homeemail",
		"BusinessEmailAddress":  "businessemail businessemailaddress workemail companyemail",
		"PhoneNumber":           "phone phonenumber telephone telephonenumber tel telefon telefono primaryphone",
		"MobilePhoneNumber":     "mobile mobilephone mobilephonenumber mobilenumber cell cellphone cellnumber handy",
		"HomePhoneNumber":       "homephone homephonenumber hometel landline",
		"BusinessPhoneNumber":   "businessphone businessphonenumber workphone officephone",
		"BirthDate":             "birthdate dateofbirth dob birthday geburtsdatum",
		"GenderString":          "gender sex geschlecht",
		"BusinessName":          "company companyname business businessname organization organisation employer firma",
		"AdditionalInformation": "notes note comments comment remarks additionalinformation",
		"Address.Address1":      "address address1 addressline1 street street1 streetaddress strasse line1",
		"Address.Address2":      "address2 addressline2 street2 apartment unit line2",
		"Address.Address3":      "address3 addressline3",
		"Address.Address4":      "address4 addressline4",
		"Address.City":          "city town suburb locality ort stadt ville ciudad",
		"Address.County":        "county district",
		"Address.State":         "state statecode region bundesland",
		"Address.Province":      "province prov",
		"Address.Country":       "country countrycode land pays pais",
		"Address.PostalCode":    "zip zipcode postalcode postcode plz codepostal",
	} {
		for name := range strings.FieldsSeq(names) {
			all[name] = target
		}
	}
	return all
}()

// squeeze drops case and everything but letters and digits.
func squeeze(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, strings.ToLower(name))
}

// suggest proposes a mapping from header names. Standard attributes go to the first column that names them, all other
// columns become Attributes.<column>.
func suggest(header []string) []suggestion {
	if len(header) > 1 && header[0] == "ProfileId" {
		if all := exported(header); all != nil {
			return all
		}
	}
	taken := map[string]bool{}
	labels := map[string]bool{}
	var all []suggestion
	for i, column := range header {
		column = schema.ColumnName(column)
		s := suggestion{Column: column, Label: label(column, i, labels)}
		if column != "" && !strings.Contains(column, "{{") {
			s.Target = synonyms[squeeze(column)]
			if strings.HasPrefix(column, "kith_") { // put there by "kith rejects"
				all = append(all, s)
				continue
			}
			if s.Target == "" || taken[s.Target] {
				s.Target = "Attributes." + column
			}
			taken[s.Target] = true
		}
		s.ContentType = contentType(s.Target)
		all = append(all, s)
	}
	return all
}

// exported proposes the mapping of a file that "kith export" wrote, whose columns are paths of attributes; nil: it did not. Left out is what
// has no Target, and, of two attributes that exclude each other, the one that is an enumeration.
func exported(header []string) (all []suggestion) {
	labels := map[string]bool{}
	for i, column := range header {
		s := suggestion{Column: column, Label: label(column, i, labels)}
		attr, ok := schema.ParsePath(column)
		if !ok && i > 0 && !strings.HasPrefix(column, "EngagementPreferences.") {
			return nil
		}
		_, twin := attr.Twin()
		if _, err := schema.ParseTarget("_profile." + column); err == nil && !(twin && attr.Enum() != nil) {
			s.Target = column
		}
		s.ContentType = contentType(s.Target)
		all = append(all, s)
	}
	return all
}

// label makes a legal and unique key of Fields.
func label(column string, i int, taken map[string]bool) string {
	l := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_', r == '-':
			return r
		}
		return '_'
	}, column)
	if len(l) > 56 {
		l = l[:56]
	}
	if strings.Trim(l, "_") == "" || taken[l] {
		l = fmt.Sprintf("%s_%d", l, i+1)
	}
	taken[l] = true
	return l
}

func contentType(target string) schema.ContentType {
	a, ok := schema.ParsePath(target)
	if !ok {
		return schema.String
	}
	if name, ct := schema.PredefinedKey(a); name != "" {
		return ct
	}
	switch a.ID {
	case schema.FirstName, schema.MiddleName, schema.LastName:
		return schema.Name
	}
	return schema.String
}

// override applies a --map COLUMN=TARGET. TARGET is a path with or without _profile., or "-" to leave the column out.
func override(all []suggestion, text string) error {
	column, target, ok := strings.Cut(text, "=")
	if !ok {
		return fmt.Errorf("--map %q must be COLUMN=TARGET", text)
	}
	target = strings.TrimPrefix(target, "_profile.")
	if target == "-" {
		target = ""
	} else if _, err := schema.ParseTarget("_profile." + target); err != nil {
		return fmt.Errorf("--map %s: %w", text, err)
	}
	i := columnIndex(all, column)
	if i < 0 {
		return fmt.Errorf("--map %s: the file has no column %q", text, column)
	}
	for j := range all {
		if j != i && all[j].Target == target && target != "" {
			all[j].Target = "Attributes." + all[j].Column
			all[j].ContentType = contentType(all[j].Target)
		}
	}
	for j := i; j < len(all); j++ {
		if all[j].Column == all[i].Column {
			all[j].Target, all[j].ContentType = target, contentType(target)
		}
	}
	return nil
}

// onceEach returns an error if two columns of one name are mapped: nobody could tell which is meant.
func onceEach(all []suggestion) error {
	first := map[string]int{}
	for i, s := range all {
		if s.Column == "" || s.Target == "" {
			continue
		}
		if j, ok := first[s.Column]; ok {
			return fmt.Errorf("the header names column %q twice, as number %d and %d: name one of them differently, or leave both out with --map %q", s.Column, j+1, i+1, s.Column+"=-")
		}
		first[s.Column] = i
	}
	return nil
}

func columnIndex(all []suggestion, column string) int {
	column = schema.ColumnName(column)
	same := func(s suggestion) bool { return s.Column == column }
	if i := slices.IndexFunc(all, same); i >= 0 {
		return i
	}
	same = func(s suggestion) bool { return strings.EqualFold(s.Column, column) }
	return slices.IndexFunc(all, same)
}

// chooseKey returns the column that identifies a customer: the one asked for, else an account number, an e-mail or a phone.
func chooseKey(all []suggestion, asked string) (suggestion, error) {
	if asked != "" {
		if i := columnIndex(all, asked); i >= 0 {
			return all[i], nil
		}
		return suggestion{}, fmt.Errorf("--key %s: the file has no such column", asked)
	}
	for _, target := range []string{"AccountNumber", "EmailAddress", "PhoneNumber", "MobilePhoneNumber"} {
		for _, s := range all {
			if s.Target == target {
				return s, nil
			}
		}
	}
	return suggestion{}, fmt.Errorf("no column looks like a customer's number, e-mail or phone: say with --key COLUMN which one identifies a customer")
}
