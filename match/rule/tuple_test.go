package rule

import (
	"slices"
	"strings"
	"testing"

	"kith/api"
	"kith/profile/fold"
	"kith/schema"
)

// shown makes a profile of "path=text", or "path=text@DE" of a phone number that was written in a country.
func shown(t *testing.T, fields ...string) *fold.Profile {
	t.Helper()
	p := &fold.Profile{}
	for _, f := range fields {
		path, text, _ := strings.Cut(f, "=")
		a, ok := schema.ParsePath(path)
		if !ok {
			t.Fatalf("no attribute %s", path)
		}
		v := fold.Value{Attr: a, Text: text}
		if text, country, ok := strings.Cut(text, "@@"); ok {
			v.Text = text
			v.Country, _ = schema.ParseCountry(country)
		}
		p.Values = append(p.Values, v)
	}
	slices.SortFunc(p.Values, func(a, b fold.Value) int { return a.Attr.Compare(b.Attr) })
	return p
}

func block(model api.AttributeMatchingModel, rules ...string) *api.RuleBasedMatchingResponse {
	rb := &api.RuleBasedMatchingResponse{Enabled: api.Ptr(true), AttributeTypesSelector: &api.AttributeTypesSelector{AttributeMatchingModel: &model}}
	for _, r := range rules {
		rb.MatchingRules = append(rb.MatchingRules, api.MatchingRule{Rule: strings.Fields(r)})
	}
	return rb
}

// levels says at which levels two profiles satisfy a rule together.
func levels(r *Rules, a, b *fold.Profile) (all []int) {
	of := slices.Clone(r.Matcher().Tuples(a))
	for _, t := range r.Matcher().Tuples(b) {
		if slices.Contains(of, t) && !slices.Contains(all, int(t.Level)) {
			all = append(all, int(t.Level))
		}
	}
	return all
}

const (
	oneToOne   = api.AttributeMatchingModelOneToOne
	manyToMany = api.AttributeMatchingModelManyToMany
)

func TestTuples(t *testing.T) {
	with := func(rb *api.RuleBasedMatchingResponse, address, phone, email string) *api.RuleBasedMatchingResponse {
		rb.AttributeTypesSelector.Address, rb.AttributeTypesSelector.PhoneNumber, rb.AttributeTypesSelector.EmailAddress = strings.Fields(address), strings.Fields(phone), strings.Fields(email)
		return rb
	}
	mails := func(model api.AttributeMatchingModel) *api.RuleBasedMatchingResponse {
		return with(block(model, "EmailAddress"), "", "", "EmailAddress BusinessEmailAddress")
	}
	homes := func(model api.AttributeMatchingModel) *api.RuleBasedMatchingResponse {
		return with(block(model, "Address.City Address.PostalCode"), "Address MaillingAddress BusinessAddress", "", "")
	}
	yes, no := []int{1}, []int(nil)
	for _, c := range []struct {
		name   string
		rb     *api.RuleBasedMatchingResponse
		strict bool
		a, b   string // fields, divided by |
		want   []int
	}{
		{"equal", block(oneToOne, "LastName"), false, "LastName=Lee", "LastName=Lee", yes},
		{"another value", block(oneToOne, "LastName"), false, "LastName=Lee", "LastName=Leigh", no},
		{"missing", block(oneToOne, "LastName"), false, "FirstName=Ann", "FirstName=Ann", no},
		{"blank", block(oneToOne, "LastName"), false, "LastName= ", "LastName= ", no},
		{"one of two missing", block(oneToOne, "LastName FirstName"), false, "LastName=Lee", "LastName=Lee|FirstName=Ann", no},
		{"both", block(oneToOne, "LastName FirstName"), false, "LastName=Lee|FirstName=Ann", "LastName=Lee|FirstName=Ann", yes},
		{"values that change places", block(oneToOne, "LastName FirstName"), false, "LastName=Ann|FirstName=Lee", "LastName=Lee|FirstName=Ann", no},
		{"values that run together", block(oneToOne, "LastName FirstName"), false, "LastName=AB|FirstName=C", "LastName=A|FirstName=BC", no},
		{"case", block(oneToOne, "LastName"), false, "LastName=LEE", "LastName= lee ", yes},
		{"case, strictly", block(oneToOne, "LastName"), true, "LastName=LEE", "LastName=lee", no},
		{"blanks, strictly", block(oneToOne, "LastName"), true, "LastName=Lee", "LastName=Lee ", no},
		{"equal, strictly", block(oneToOne, "LastName"), true, "LastName=Lee", "LastName=Lee", yes},
		{"folded", block(oneToOne, "LastName"), false, "LastName=STRASSE", "LastName=Straße", yes},
		{"composed", block(oneToOne, "LastName"), false, "LastName=Jose\u0301", "LastName=JOSÉ", yes},
		{"accents count", block(oneToOne, "LastName"), false, "LastName=Jose", "LastName=José", no},
		{"invisible characters", block(oneToOne, "LastName"), false, "LastName=\u200eLee", "LastName=Lee\u00ad", yes},
		{"custom attributes", block(oneToOne, "Attributes.tier"), false, "Attributes.tier=Gold", "Attributes.tier=gold|Attributes.x=1", yes},
		{"custom attributes of other names", block(oneToOne, "Attributes.tier"), false, "Attributes.tier=Gold", "Attributes.Tier=Gold", no},
		{"gender", block(oneToOne, "Gender"), false, "Gender=FEMALE", "GenderString=female", yes},
		{"phones", block(oneToOne, "PhoneNumber"), false, "PhoneNumber=+1 (206) 555-0100", "PhoneNumber=12065550100", yes},
		{"phones of a country", block(oneToOne, "PhoneNumber"), false, "PhoneNumber=030 1234567@@DE", "PhoneNumber=+49301234567", yes},
		{"phones of different countries", block(oneToOne, "PhoneNumber"), false, "PhoneNumber=030 1234567@@DE", "PhoneNumber=030 1234567@@NL", no},
		{"phones that are none", block(oneToOne, "PhoneNumber"), false, "PhoneNumber=n/a", "PhoneNumber=n/a", no},
		{"phones, strictly", block(oneToOne, "PhoneNumber"), true, "PhoneNumber=206-5550100", "PhoneNumber=2065550100", no},
		{"a phone that is not selected", block(oneToOne, "PhoneNumber"), false, "MobilePhoneNumber=1", "MobilePhoneNumber=1", no},
		{"a selected phone", with(block(oneToOne, "PhoneNumber"), "", "MobilePhoneNumber", ""), false, "MobilePhoneNumber=123456", "MobilePhoneNumber=123456", yes},
		{"ONE_TO_ONE, another field", mails(oneToOne), false, "EmailAddress=a@x.com", "BusinessEmailAddress=a@x.com", no},
		{"ONE_TO_ONE, one field differs", mails(oneToOne), false, "EmailAddress=a@x.com|BusinessEmailAddress=o@x.com", "EmailAddress=b@x.com|BusinessEmailAddress=o@x.com", yes},
		{"MANY_TO_MANY, another field", mails(manyToMany), false, "EmailAddress=a@x.com", "BusinessEmailAddress=a@x.com", yes},
		{"MANY_TO_MANY, a field that is not selected", mails(manyToMany), false, "EmailAddress=a@x.com", "PersonalEmailAddress=a@x.com", no},
		{"two types, each by a field of its own", with(block(oneToOne, "EmailAddress PhoneNumber"), "", "PhoneNumber HomePhoneNumber", "EmailAddress BusinessEmailAddress"), false,
			"EmailAddress=a@x.com|HomePhoneNumber=5550100", "EmailAddress=a@x.com|PhoneNumber=1|HomePhoneNumber=5550100", yes},
		{"parts of one address", homes(oneToOne), false, "Address.City=Oslo|Address.PostalCode=0150", "Address.City=oslo|Address.PostalCode=0150", yes},
		{"parts of two addresses", homes(manyToMany), false, "Address.City=Oslo|MailingAddress.PostalCode=0150", "Address.City=Oslo|Address.PostalCode=0150", no},
		{"an address of another kind", homes(manyToMany), false, "BillingAddress.City=Oslo|BillingAddress.PostalCode=0150", "MailingAddress.City=Oslo|MailingAddress.PostalCode=0150", yes},
		{"an address of another kind, ONE_TO_ONE", homes(oneToOne), false, "BillingAddress.City=Oslo|BillingAddress.PostalCode=0150", "MailingAddress.City=Oslo|MailingAddress.PostalCode=0150", no},
		{"an address that is not selected", homes(manyToMany), false, "ShippingAddress.City=Oslo|ShippingAddress.PostalCode=0150", "ShippingAddress.City=Oslo|ShippingAddress.PostalCode=0150", no},
		{"lines of an address", block(oneToOne, "Address.Address"), false, "Address.Address1=1 Main St|Address.Address2=Apt 2", "Address.Address1=1 Main St Apt 2", yes},
		{"other lines", block(oneToOne, "Address.Address"), false, "Address.Address1=1 Main St|Address.Address2=Apt 2", "Address.Address1=1 Main St|Address.Address2=Apt 3", no},
		{"several rules", block(oneToOne, "EmailAddress", "LastName", "FirstName LastName"), false, "LastName=Lee|FirstName=Ann", "LastName=Lee|FirstName=Ann", []int{2, 3}},
	} {
		r := Compile(c.rb, 7, c.strict)
		a, b := shown(t, strings.Split(c.a, "|")...), shown(t, strings.Split(c.b, "|")...)
		if got, back := levels(r, a, b), levels(r, b, a); !slices.Equal(got, c.want) || !slices.Equal(back, c.want) {
			t.Errorf("%s: they match at %v, and %v the other way, want %v", c.name, got, back, c.want)
		}
	}
}

// A profile has a bounded number of tuples, and those of another domain say nothing.
func TestTuplesAreBounded(t *testing.T) {
	rb := block(manyToMany, "EmailAddress PhoneNumber Address.City", "LastName")
	s := rb.AttributeTypesSelector
	s.EmailAddress, s.PhoneNumber = []string{"EmailAddress", "BusinessEmailAddress", "PersonalEmailAddress"}, []string{"PhoneNumber", "HomePhoneNumber", "MobilePhoneNumber", "BusinessPhoneNumber"}
	s.Address = []string{"Address", "ShippingAddress", "MailingAddress", "BillingAddress"}
	r := Compile(rb, 1, false)
	p := shown(t, "EmailAddress=1@x", "BusinessEmailAddress=2@x", "PersonalEmailAddress=3@x", "PhoneNumber=1", "HomePhoneNumber=2", "MobilePhoneNumber=3", "BusinessPhoneNumber=4",
		"Address.City=a", "ShippingAddress.City=b", "MailingAddress.City=c", "BillingAddress.City=d", "LastName=Lee")
	tuples := r.Matcher().Tuples(p)
	if len(tuples) != 3*4*4+1 || r.most() != len(tuples) || !slices.IsSortedFunc(tuples, Tuple.compare) {
		t.Errorf("%d tuples, %d at most", len(tuples), r.most())
	}
	if other := Compile(rb, 2, false).Matcher().Tuples(p); slices.ContainsFunc(other, func(o Tuple) bool { return slices.Contains(tuples, o) }) {
		t.Error("a domain has tuples of another")
	}
}

// What matches by depends on the rules, and on nothing else: then they need not be evaluated again.
func TestRulesThatAreTheSame(t *testing.T) {
	rb := func() *api.RuleBasedMatchingResponse {
		out := block(oneToOne, "EmailAddress", "LastName FirstName")
		out.MaxAllowedRuleLevelForMatching = api.Ptr(int32(2))
		return out
	}
	was := Compile(rb(), 1, false).print
	for name, c := range map[string]struct {
		change func(*api.RuleBasedMatchingResponse)
		same   bool
	}{
		"nothing":             {func(*api.RuleBasedMatchingResponse) {}, true},
		"an export":           {func(rb *api.RuleBasedMatchingResponse) { rb.ExportingConfig = &api.ExportingConfig{} }, true},
		"a level that is all": {func(rb *api.RuleBasedMatchingResponse) { rb.MaxAllowedRuleLevelForMatching = nil }, true},
		"a level less":        {func(rb *api.RuleBasedMatchingResponse) { rb.MaxAllowedRuleLevelForMatching = api.Ptr(int32(1)) }, false},
		"merging":             {func(rb *api.RuleBasedMatchingResponse) { rb.MaxAllowedRuleLevelForMerging = api.Ptr(int32(1)) }, false},
		"a rule more": {func(rb *api.RuleBasedMatchingResponse) {
			rb.MatchingRules = append(rb.MatchingRules, rb.MatchingRules[0])
			rb.MaxAllowedRuleLevelForMatching = nil
		}, false},
		"attributes in a rule": {func(rb *api.RuleBasedMatchingResponse) { rb.MatchingRules[1].Rule = []string{"LastName"} }, false},
		"MANY_TO_MANY": {func(rb *api.RuleBasedMatchingResponse) {
			*rb.AttributeTypesSelector.AttributeMatchingModel = manyToMany
		}, false},
		"a field of a selector": {func(rb *api.RuleBasedMatchingResponse) {
			rb.AttributeTypesSelector.EmailAddress = []string{"BusinessEmailAddress"}
		}, false},
	} {
		changed := rb()
		c.change(changed)
		if is := Compile(changed, 1, false).print; (is == was) != c.same {
			t.Errorf("%s: they are the same: %v", name, is == was)
		}
	}
	if Compile(rb(), 1, true).print == was {
		t.Error("strict rules are those that are not")
	}
}

func TestRowsOfMatchesAreReadBack(t *testing.T) {
	d := &doc{changes: 77, tuples: []Tuple{{1, [hashLen]byte{1}}, {15, [hashLen]byte{255}}}}
	if got, err := decodeDoc(d.append(nil)); err != nil || got.changes != 77 || !slices.Equal(got.tuples, d.tuples) {
		t.Errorf("%+v, %v", got, err)
	}
	for n := range d.append(nil) {
		if n != 9 && n != 9+1+hashLen {
			if _, err := decodeDoc(d.append(nil)[:n]); err == nil {
				t.Errorf("a document of %d bytes is read", n)
			}
		}
	}
	id := MatchID{1, 2, 255}
	if got, ok := ParseMatchID(id.String()); !ok || got != id {
		t.Errorf("%s is read as %s", id, got)
	}
	for _, text := range []string{"", "x", "01", id.String() + "00", strings.Repeat("g", 32)} {
		if _, ok := ParseMatchID(text); ok {
			t.Errorf("%q is an id", text)
		}
	}
}
