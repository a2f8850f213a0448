package conformance

import (
	"fmt"
	"strings"

	cp "github.com/aws/aws-sdk-go-v2/service/customerprofiles"
	"github.com/aws/aws-sdk-go-v2/service/customerprofiles/types"
)

var profileChecks = []Check{
	{"CreateProfile", "the id has 32 hex digits, and the profile has what was sent", "core.md 5.1", Model, func(t *T) {
		in := &cp.CreateProfileInput{
			DomainName: &t.domain, AccountNumber: new(unique("a")), AdditionalInformation: new(strings.Repeat("i", 1000)), BirthDate: new("1815-12-10"),
			PartyType: types.PartyTypeIndividual, Gender: types.GenderFemale, FirstName: new("Ada"), MiddleName: new("King"), LastName: new("Lovelace"),
			PhoneNumber: new(phone()), EmailAddress: new(unique("e") + "@example.com"),
			Address:    &types.Address{Address1: new("1 Main St"), City: new("London"), PostalCode: new("W1")},
			Attributes: map[string]string{"tier": "gold", "with blank": "x"},
		}
		id := *call(t, t.Client.CreateProfile, in).ProfileId
		if !hexID.MatchString(id) {
			t.Differs("ProfileId: got %q", id)
		}
		got := t.profile(id)
		sameText(t, "AccountNumber", got.AccountNumber, *in.AccountNumber)
		sameText(t, "AdditionalInformation", got.AdditionalInformation, *in.AdditionalInformation)
		sameText(t, "BirthDate", got.BirthDate, *in.BirthDate)
		same(t, "PartyType", got.PartyType, in.PartyType)
		same(t, "Gender", got.Gender, in.Gender)
		sameText(t, "MiddleName", got.MiddleName, "King")
		if got.Address == nil || got.Address.City == nil || *got.Address.City != "London" {
			t.Differs("Address: got %v", got.Address)
		}
		same(t, "Attributes", fmt.Sprint(got.Attributes), fmt.Sprint(in.Attributes))
	}},
	{"CreateProfile", "a profile of nothing is one, and two calls make two", "core.md 5.1", Inferred, func(t *T) {
		in := &cp.CreateProfileInput{DomainName: &t.domain}
		first, second := call(t, t.Client.CreateProfile, in), call(t, t.Client.CreateProfile, in)
		if *first.ProfileId == *second.ProfileId {
			t.Differs("both are %s", *first.ProfileId)
		}
		t.profile(*second.ProfileId)
	}},
	{"CreateProfile", "values come back as they were sent", "core.md 3.9", Inferred, func(t *T) {
		for what, v := range map[string]string{
			"null": "null", "blanks at either end": "  x\t", "emoji": "👩‍👩‍👧 ❤️", "right to left": "\u202bשלום عليكم\u202c", "255 code points": strings.Repeat("𝄞", 255),
			"markup": `<a href="x">&amp;</a>`, "control characters": "a\u0001\u007f", "a surrogate's escape": `\ud800`, "combining": "e\u0301 é",
		} {
			id := t.person(&cp.CreateProfileInput{LastName: &v, Attributes: map[string]string{"v": v}})
			got := t.profile(id)
			sameText(t, what+" as LastName", got.LastName, v)
			same(t, what+" as an attribute", got.Attributes["v"], v)
		}
	}},
	{"CreateProfile", "an empty text is none", "core.md 5.1", Inferred, func(t *T) {
		got := t.profile(t.person(&cp.CreateProfileInput{FirstName: new(""), LastName: new("x")}))
		if got.FirstName != nil && *got.FirstName != "" {
			t.Differs("FirstName: got %q", *got.FirstName)
		}
	}},
	{"CreateProfile", "more than 255 characters, or 1000 of AdditionalInformation, are refused", "core.md 3.9", Model, func(t *T) {
		for what, in := range map[string]*cp.CreateProfileInput{
			"FirstName": {FirstName: new(strings.Repeat("x", 256))}, "City": {Address: &types.Address{City: new(strings.Repeat("x", 256))}},
			"AdditionalInformation": {AdditionalInformation: new(strings.Repeat("x", 1001))},
			"an attribute":          {Attributes: map[string]string{"k": strings.Repeat("x", 256)}},
			"an attribute's name":   {Attributes: map[string]string{strings.Repeat("x", 256): "v"}},
			"Gender":                {Gender: "NONE"},
		} {
			in.DomainName = &t.domain
			refused(t, what, t.Client.CreateProfile, in, badRequest, "")
		}
	}},
	{"CreateProfile", "PartyType beside PartyTypeString is refused, as is Gender beside GenderString", "core.md 5.1", Inferred, func(t *T) {
		refused(t, "PartyType", t.Client.CreateProfile, &cp.CreateProfileInput{DomainName: &t.domain, PartyType: types.PartyTypeOther, PartyTypeString: new("x")}, badRequest, "")
		refused(t, "Gender", t.Client.CreateProfile, &cp.CreateProfileInput{DomainName: &t.domain, Gender: types.GenderMale, GenderString: new("x")}, badRequest, "")
	}},
	{"CreateProfile", "an unknown domain is not found", "core.md 6.2", Inferred, func(t *T) {
		refused(t, "an unknown domain", t.Client.CreateProfile, &cp.CreateProfileInput{DomainName: unknownDomain()}, notFound, "")
	}},
	{"UpdateProfile", "what is absent stays, an empty text removes, attributes and address parts go one by one", "core.md 5.1", Model, func(t *T) {
		id := t.person(&cp.CreateProfileInput{FirstName: new("Ada"), LastName: new("Byron"), Attributes: map[string]string{"a": "1", "b": "2"},
			Address: &types.Address{City: new("London"), Country: new("UK")}})
		out := call(t, t.Client.UpdateProfile, &cp.UpdateProfileInput{DomainName: &t.domain, ProfileId: &id, LastName: new(""),
			Attributes: map[string]string{"a": "", "c": "3"}, Address: &types.UpdateAddress{City: new(""), PostalCode: new("W1")}})
		sameText(t, "ProfileId", out.ProfileId, id)
		t.becomes(id, func(p types.Profile) string {
			switch a := p.Address; {
			case text(p.FirstName) != "Ada" || text(p.LastName) != "":
				return fmt.Sprintf("the names are %q, %q, want %q, %q", text(p.FirstName), text(p.LastName), "Ada", "")
			case fmt.Sprint(p.Attributes) != "map[b:2 c:3]":
				return fmt.Sprintf("Attributes are %v, want map[b:2 c:3]", p.Attributes)
			case a == nil || text(a.City) != "" || text(a.Country) != "UK" || text(a.PostalCode) != "W1":
				return "the parts of Address are not merged"
			}
			return ""
		})
	}},
	{"UpdateProfile", "PartyTypeString clears PartyType, and is cleared by an empty text", "core.md 5.1", Inferred, func(t *T) {
		id := t.person(&cp.CreateProfileInput{PartyType: types.PartyTypeBusiness})
		call(t, t.Client.UpdateProfile, &cp.UpdateProfileInput{DomainName: &t.domain, ProfileId: &id, PartyTypeString: new("club")})
		t.becomes(id, func(p types.Profile) string {
			if p.PartyType != "" || text(p.PartyTypeString) != "club" {
				return fmt.Sprintf("PartyType is %q, PartyTypeString %q", p.PartyType, text(p.PartyTypeString))
			}
			return ""
		})
		call(t, t.Client.UpdateProfile, &cp.UpdateProfileInput{DomainName: &t.domain, ProfileId: &id, PartyTypeString: new("")})
		t.becomes(id, func(p types.Profile) string { return absent("PartyTypeString", p.PartyTypeString) })
	}},
	{"UpdateProfile", "the new value finds the profile, and the old one does not", "core.md 5.1", Inferred, func(t *T) {
		before, after, account := unique("e")+"@example.com", unique("e")+"@example.com", unique("a")
		id := t.person(&cp.CreateProfileInput{EmailAddress: &before, AccountNumber: &account})
		t.finds("_email", before, account)
		call(t, t.Client.UpdateProfile, &cp.UpdateProfileInput{DomainName: &t.domain, ProfileId: &id, EmailAddress: &after})
		t.finds("_email", after, account)
		t.findsNothing("_email", before)
	}},
	{"UpdateProfile", "an unknown id is not found", "core.md 5.1", Inferred, func(t *T) {
		refused(t, "an unknown id", t.Client.UpdateProfile, &cp.UpdateProfileInput{DomainName: &t.domain, ProfileId: unknownID()}, notFound, "")
	}},
	{"UpdateProfile", "a malformed id is refused", "core.md 5.1", Model, func(t *T) {
		refused(t, "a malformed id", t.Client.UpdateProfile, &cp.UpdateProfileInput{DomainName: &t.domain, ProfileId: new("nobody")}, badRequest, "")
	}},
	{"DeleteProfile", "the profile is not found from then on, by no key", "core.md 5.1", Model, func(t *T) {
		email := unique("e") + "@example.com"
		id := t.person(&cp.CreateProfileInput{EmailAddress: &email})
		if out := call(t, t.Client.DeleteProfile, &cp.DeleteProfileInput{DomainName: &t.domain, ProfileId: &id}); text(out.Message) == "" {
			t.Differs("there is no Message")
		}
		t.findsNothing("_email", email)
		t.findsNothing("_profileId", id)
	}},
	{"DeleteProfile", "an unknown id is not found", "core.md 5.1", Inferred, func(t *T) {
		refused(t, "an unknown id", t.Client.DeleteProfile, &cp.DeleteProfileInput{DomainName: &t.domain, ProfileId: unknownID()}, notFound, "")
	}},
	{"BatchGetProfile", "the answer has the profiles there are, and an error for each other id", "core.md 5.1", Model, func(t *T) {
		id, missing := t.person(&cp.CreateProfileInput{FirstName: new("Ada")}), *unknownID()
		t.eventually(func() string {
			out := call(t, t.Client.BatchGetProfile, &cp.BatchGetProfileInput{DomainName: &t.domain, ProfileIds: []string{id, missing}})
			if len(out.Profiles) != 1 || text(out.Profiles[0].ProfileId) != id {
				return "the profile is not in the answer"
			}
			if len(out.Errors) != 1 || text(out.Errors[0].ProfileId) != missing || text(out.Errors[0].Code) == "" {
				return fmt.Sprintf("the unknown id has no error: %v", out.Errors)
			}
			return ""
		})
	}},
	{"BatchGetProfile", "21 ids are refused", "core.md 5.1", Model, func(t *T) {
		var ids []string
		for range 21 {
			ids = append(ids, *unknownID())
		}
		refused(t, "21 ids", t.Client.BatchGetProfile, &cp.BatchGetProfileInput{DomainName: &t.domain, ProfileIds: ids}, badRequest, "")
	}},
}

func unknownID() *string { return new(random(16)) }

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func absent(what string, s *string) string {
	if text(s) != "" {
		return what + " is " + show(*s)
	}
	return ""
}

// person creates a profile and returns its id.
func (t *T) person(in *cp.CreateProfileInput) string {
	in.DomainName = &t.domain
	return *call(t, t.Client.CreateProfile, in).ProfileId
}

// profile reads a profile, once it is there.
func (t *T) profile(id string) (p types.Profile) {
	t.becomes(id, func(got types.Profile) string { p = got; return "" })
	return p
}

// becomes waits until a profile is there and has no difference.
func (t *T) becomes(id string, difference func(types.Profile) string) {
	t.eventually(func() string {
		items := t.search("_profileId", id)
		if len(items) != 1 {
			return fmt.Sprintf("a search for _profileId %s finds %d profiles", id, len(items))
		}
		return difference(items[0])
	})
}

// findsNothing notes a difference unless a search finds nothing.
func (t *T) findsNothing(key, value string) {
	t.eventually(func() string {
		if items := t.search(key, value); len(items) > 0 {
			return fmt.Sprintf("a search for %s %q finds %d profiles, want none", key, value, len(items))
		}
		return ""
	})
}

var searchChecks = []Check{
	{"SearchProfiles", "phone numbers are found however they are written", "core.md 3.6", Doc, func(t *T) {
		number, account := phone(), unique("a")
		t.person(&cp.CreateProfileInput{MobilePhoneNumber: new("(" + number[2:5] + ")-" + number[5:8] + "-" + number[8:]), AccountNumber: &account})
		t.finds("_phone", number, account)
		t.finds("_phone", "+1 ("+number[2:5]+") "+number[5:8]+"-"+number[8:], account)
		t.finds("_phone", number[2:], account)
	}},
	{"SearchProfiles", "e-mail addresses and names are found in capitals or not, other keys only as they are", "core.md 3.6", Doc, func(t *T) {
		name, account := unique("n"), unique("a")
		t.person(&cp.CreateProfileInput{BusinessEmailAddress: new(name + "@Example.COM"), FirstName: new("Ada"), LastName: &name, AccountNumber: &account})
		t.finds("_email", strings.ToUpper(name)+"@example.com", account)
		t.finds("_fullName", "ADA  "+strings.ToUpper(name), account)
		t.findsNothing("_account", strings.ToUpper(account))
	}},
	{"SearchProfiles", "an unknown value, and an unknown key, find nothing", "core.md 5.2", Inferred, func(t *T) {
		t.findsNothing("_profileId", *unknownID())
		t.findsNothing("nobodysKey", "x")
	}},
	{"SearchProfiles", "OR finds what has one of the keys, AND what has all, and FoundByItems says by which", "core.md 5.2", Model, func(t *T) {
		email, one, two := unique("e")+"@example.com", unique("a"), unique("a")
		first := t.person(&cp.CreateProfileInput{EmailAddress: &email, AccountNumber: &one})
		t.person(&cp.CreateProfileInput{EmailAddress: new(unique("e") + "@example.com"), AccountNumber: &two})
		t.finds("_account", one, one)
		t.finds("_account", two, two)
		in := &cp.SearchProfilesInput{DomainName: &t.domain, KeyName: new("_email"), Values: []string{email},
			AdditionalSearchKeys: []types.AdditionalSearchKey{{KeyName: new("_account"), Values: []string{one, two}}}}
		same(t, "found by OR", len(call(t, t.Client.SearchProfiles, in).Items), 2)
		in.LogicalOperator = types.LogicalOperatorAnd
		got := call(t, t.Client.SearchProfiles, in).Items
		if len(got) != 1 || text(got[0].ProfileId) != first {
			t.Stop("AND finds %d profiles, want the one with both keys", len(got))
		}
		same(t, "number of FoundByItems", len(got[0].FoundByItems), 2)
	}},
	{"SearchProfiles", "pages hold no more than asked for, and together everything once", "core.md 6.4", Model, func(t *T) {
		last := unique("n")
		for range 3 {
			t.person(&cp.CreateProfileInput{FirstName: new("Ada"), LastName: &last})
		}
		t.eventually(func() string {
			seen, n := map[string]bool{}, 0
			var token *string
			for range 10 {
				out := call(t, t.Client.SearchProfiles, &cp.SearchProfilesInput{DomainName: &t.domain, KeyName: new("_fullName"), Values: []string{"Ada " + last}, MaxResults: new(int32(2)), NextToken: token})
				if len(out.Items) > 2 {
					t.Stop("a page of at most 2 holds %d", len(out.Items))
				}
				for _, p := range out.Items {
					seen[*p.ProfileId] = true
					n++
				}
				if token = out.NextToken; token == nil {
					break
				}
			}
			if n != 3 || len(seen) != 3 {
				return fmt.Sprintf("the pages hold %d profiles, %d of them different, want 3", n, len(seen))
			}
			return ""
		})
	}},
	{"SearchProfiles", "pages of 0 and 101, values of more than 255 characters and more than five keys are refused", "core.md 5.2", Model, func(t *T) {
		in := func() *cp.SearchProfilesInput {
			return &cp.SearchProfilesInput{DomainName: &t.domain, KeyName: new("_account"), Values: []string{"x"}}
		}
		for _, n := range []int32{0, 101} {
			page := in()
			page.MaxResults = &n
			refused(t, "a page of "+show(n), t.Client.SearchProfiles, page, badRequest, "")
		}
		long, many := in(), in()
		long.Values = []string{strings.Repeat("x", 256)}
		refused(t, "a value of 256 characters", t.Client.SearchProfiles, long, badRequest, "")
		for range 5 {
			many.AdditionalSearchKeys = append(many.AdditionalSearchKeys, types.AdditionalSearchKey{KeyName: new("_account"), Values: []string{"x"}})
		}
		refused(t, "six keys", t.Client.SearchProfiles, many, badRequest, "")
	}},
	{"SearchProfiles", "a token of another search is refused", "core.md 6.4", Inferred, func(t *T) {
		last := unique("n")
		for range 2 {
			t.person(&cp.CreateProfileInput{FirstName: new("Ada"), LastName: &last})
		}
		in := &cp.SearchProfilesInput{DomainName: &t.domain, KeyName: new("_fullName"), Values: []string{"Ada " + last}, MaxResults: new(int32(1))}
		t.eventually(func() string {
			if in.NextToken = call(t, t.Client.SearchProfiles, in).NextToken; in.NextToken == nil {
				return "the first page has no NextToken"
			}
			return ""
		})
		in.Values = []string{"Somebody Else"}
		refused(t, "the token with other values", t.Client.SearchProfiles, in, badRequest, "")
	}},
	{"SearchProfiles", "a search without values is refused", "core.md 5.2", Inferred, func(t *T) {
		refused(t, "no values", t.Client.SearchProfiles, &cp.SearchProfilesInput{DomainName: &t.domain, KeyName: new("_account"), Values: []string{}}, badRequest, "")
	}},
}

var keyChecks = []Check{
	{"AddProfileKey", "the key is answered as sent, and finds the profile beside the others", "core.md 5.3", Model, func(t *T) {
		account, one, two := unique("a"), unique("c"), unique("c")
		id := t.person(&cp.CreateProfileInput{AccountNumber: &account})
		for range 2 { // it is no error that they are there already
			out := call(t, t.Client.AddProfileKey, &cp.AddProfileKeyInput{DomainName: &t.domain, ProfileId: &id, KeyName: new("_ctrContactId"), Values: []string{one, two}})
			sameText(t, "KeyName", out.KeyName, "_ctrContactId")
			same(t, "Values", strings.Join(out.Values, " "), one+" "+two)
		}
		t.finds("_ctrContactId", one, account)
		t.finds("_ctrContactId", two, account)
		t.finds("_account", account, account)
	}},
	{"AddProfileKey", "_profileId can't be given, nor an unknown name with an underscore", "core.md 5.3", Inferred, func(t *T) {
		id := t.person(&cp.CreateProfileInput{})
		for _, name := range []string{"_profileId", "_nobody"} {
			refused(t, name, t.Client.AddProfileKey, &cp.AddProfileKeyInput{DomainName: &t.domain, ProfileId: &id, KeyName: &name, Values: []string{"x"}}, badRequest, "")
		}
	}},
	{"AddProfileKey", "an unknown profile is not found", "core.md 5.3", Inferred, func(t *T) {
		refused(t, "an unknown id", t.Client.AddProfileKey, &cp.AddProfileKeyInput{DomainName: &t.domain, ProfileId: unknownID(), KeyName: new("_account"), Values: []string{"x"}}, notFound, "")
	}},
	{"DeleteProfileKey", "the value finds the profile no more, and others still do", "core.md 5.3", Model, func(t *T) {
		account, one, two := unique("a"), unique("c"), unique("c")
		id := t.person(&cp.CreateProfileInput{AccountNumber: &account})
		call(t, t.Client.AddProfileKey, &cp.AddProfileKeyInput{DomainName: &t.domain, ProfileId: &id, KeyName: new("_ctrContactId"), Values: []string{one, two}})
		out := call(t, t.Client.DeleteProfileKey, &cp.DeleteProfileKeyInput{DomainName: &t.domain, ProfileId: &id, KeyName: new("_ctrContactId"), Values: []string{one}})
		if text(out.Message) == "" {
			t.Differs("there is no Message")
		}
		t.findsNothing("_ctrContactId", one)
		t.finds("_ctrContactId", two, account)
	}},
	{"DeleteProfileKey", "the attribute that a value came from stays", "core.md 5.3", Inferred, func(t *T) {
		email := unique("e") + "@example.com"
		id := t.person(&cp.CreateProfileInput{EmailAddress: &email})
		call(t, t.Client.DeleteProfileKey, &cp.DeleteProfileKeyInput{DomainName: &t.domain, ProfileId: &id, KeyName: new("_email"), Values: []string{email}})
		sameText(t, "EmailAddress", t.profile(id).EmailAddress, email)
	}},
	{"DeleteProfileKey", "a value that is not there is no error; an unknown profile is not found", "core.md 5.3", Inferred, func(t *T) {
		id := t.person(&cp.CreateProfileInput{})
		call(t, t.Client.DeleteProfileKey, &cp.DeleteProfileKeyInput{DomainName: &t.domain, ProfileId: &id, KeyName: new("_account"), Values: []string{"x"}})
		refused(t, "an unknown id", t.Client.DeleteProfileKey, &cp.DeleteProfileKeyInput{DomainName: &t.domain, ProfileId: unknownID(), KeyName: new("_account"), Values: []string{"x"}}, notFound, "")
	}},
}
