package conformance

import (
	"fmt"
	"strings"

	cp "github.com/aws/aws-sdk-go-v2/service/customerprofiles"
	"github.com/aws/aws-sdk-go-v2/service/customerprofiles/types"
)

// key is a key of some fields.
func key(fields string, ids ...types.StandardIdentifier) []types.ObjectTypeKey {
	return []types.ObjectTypeKey{{FieldNames: strings.Fields(fields), StandardIdentifiers: ids}}
}

// field is a field that is read from a member of the same name; target may be "".
func field(name, target string, content types.FieldContentType) types.ObjectTypeField {
	f := types.ObjectTypeField{Source: new("_source." + name), ContentType: content}
	if target != "" {
		f.Target = &target
	}
	return f
}

const (
	unq       = types.StandardIdentifierUnique
	prof      = types.StandardIdentifierProfile
	secondary = types.StandardIdentifierSecondary
	lookup    = types.StandardIdentifierLookupOnly
)

// customers are the objects of a CRM: found by their id, or else by their e-mail address.
func (t *T) customers(name string) *cp.PutProfileObjectTypeInput {
	return &cp.PutProfileObjectTypeInput{DomainName: &t.domain, ObjectTypeName: &name, Description: new("customers of a CRM"), AllowProfileCreation: true,
		Fields: map[string]types.ObjectTypeField{
			"id": field("id", "", ""), "first": field("first", "_profile.FirstName", ""), "tier": field("tier", "_profile.Attributes.tier", ""),
			"email": field("email", "_profile.EmailAddress", types.FieldContentTypeEmailAddress),
			"phone": field("phone", "_profile.PhoneNumber", types.FieldContentTypePhoneNumber),
		},
		Keys: map[string][]types.ObjectTypeKey{"crmId": key("id", unq, prof), "crmEmail": key("email", prof, secondary), "crmTier": key("tier")},
	}
}

// customerType makes the type crm once.
func (t *T) customerType() {
	t.once("crm", func() { call(t, t.PutProfileObjectType, t.customers("crm")) })
}

var objectTypeChecks = []Check{
	{"PutProfileObjectType", "the type is answered as it was sent, and read again so", "core.md 3.2", Model, func(t *T) {
		in := t.customers(unique("type-"))
		in.ExpirationDays, in.SourcePriority, in.Tags = new(int32(7)), new(int32(3)), map[string]string{"team": "a"}
		out := call(t, t.Client.PutProfileObjectType, in)
		got := call(t, t.GetProfileObjectType, &cp.GetProfileObjectTypeInput{DomainName: &t.domain, ObjectTypeName: in.ObjectTypeName})
		for what, o := range map[string]struct {
			description *string
			fields      map[string]types.ObjectTypeField
			keys        map[string][]types.ObjectTypeKey
			days        *int32
			creation    bool
		}{
			"answered":   {out.Description, out.Fields, out.Keys, out.ExpirationDays, out.AllowProfileCreation},
			"read again": {got.Description, got.Fields, got.Keys, got.ExpirationDays, got.AllowProfileCreation},
		} {
			sameText(t, "Description "+what, o.description, *in.Description)
			same(t, "number of Fields "+what, len(o.fields), len(in.Fields))
			same(t, "number of Keys "+what, len(o.keys), len(in.Keys))
			same(t, "AllowProfileCreation "+what, o.creation, true)
			if o.days == nil || *o.days != 7 {
				t.Differs("ExpirationDays %s: got %v, want 7", what, o.days)
			}
			sameText(t, "Target of email "+what, o.fields["email"].Target, "_profile.EmailAddress")
			same(t, "ContentType of email "+what, o.fields["email"].ContentType, types.FieldContentTypeEmailAddress)
		}
		same(t, "the tag team", got.Tags["team"], "a")
	}},
	{"PutProfileObjectType", "it replaces a type as a whole; what is absent is as in the beginning", "core.md 3.2", Inferred, func(t *T) {
		in := t.customers(unique("type-"))
		in.ExpirationDays = new(int32(7))
		first := call(t, t.Client.PutProfileObjectType, in)
		in.ExpirationDays, in.Description = nil, new("other")
		delete(in.Fields, "phone")
		second := call(t, t.Client.PutProfileObjectType, in)
		same(t, "number of Fields", len(second.Fields), 4)
		if second.ExpirationDays != nil {
			t.Differs("ExpirationDays: got %d, want none", *second.ExpirationDays)
		}
		if !second.CreatedAt.Equal(*first.CreatedAt) {
			t.Differs("CreatedAt went from %v to %v", first.CreatedAt, second.CreatedAt)
		}
	}},
	{"PutProfileObjectType", "keys and targets that can't be are refused", "core.md 3.7", Doc, refusedTypes},
	{"PutProfileObjectType", "a type of a template needs neither Fields nor Keys, and has the template's", "core.md 3.2", Doc, func(t *T) {
		in := &cp.PutProfileObjectTypeInput{DomainName: &t.domain, ObjectTypeName: new(unique("type-")), Description: new("x"), TemplateId: new("Salesforce-Contact")}
		out := call(t, t.Client.PutProfileObjectType, in)
		sameText(t, "TemplateId", out.TemplateId, "Salesforce-Contact")
		in.TemplateId = new("Nobody-Knows")
		in.ObjectTypeName = new(unique("type-"))
		refused(t, "an unknown template", t.Client.PutProfileObjectType, in, badRequest, "")
	}},
	{"GetProfileObjectType", "an unknown type is not found", "core.md 3.1", Inferred, func(t *T) {
		refused(t, "an unknown type", t.Client.GetProfileObjectType, &cp.GetProfileObjectTypeInput{DomainName: &t.domain, ObjectTypeName: new("nobody")}, notFound, "")
	}},
	{"ListProfileObjectTypes", "a type is listed", "core.md 3.1", Model, func(t *T) {
		name := unique("type-")
		call(t, t.PutProfileObjectType, t.customers(name))
		t.eventually(func() string {
			var token *string
			for range 50 {
				out := call(t, t.Client.ListProfileObjectTypes, &cp.ListProfileObjectTypesInput{DomainName: &t.domain, NextToken: token, MaxResults: new(int32(5))})
				for _, item := range out.Items {
					if *item.ObjectTypeName == name {
						return ""
					}
				}
				if token = out.NextToken; token == nil {
					break
				}
			}
			return "it is not listed"
		})
	}},
	{"DeleteProfileObjectType", "the type is not found from then on; its objects are gone, and what they said of profiles", "core.md 3.2", Model, func(t *T) {
		name, account := unique("type-"), unique("a")
		in := t.customers(name)
		in.Fields = map[string]types.ObjectTypeField{"id": field("id", "_profile.Attributes.fromType", ""), "account": field("account", "", "")}
		in.Keys = map[string][]types.ObjectTypeKey{unique("k"): key("id", unq), "_account": key("account", prof)}
		call(t, t.PutProfileObjectType, in)
		profile := t.person(&cp.CreateProfileInput{AccountNumber: &account})
		t.finds("_account", account, account)
		t.object(name, `{"id": "1", "account": "`+account+`"}`)
		t.becomes(profile, func(p types.Profile) string {
			if p.Attributes["fromType"] != "1" {
				return "the object says nothing of the profile"
			}
			return ""
		})
		if out := call(t, t.Client.DeleteProfileObjectType, &cp.DeleteProfileObjectTypeInput{DomainName: &t.domain, ObjectTypeName: &name}); text(out.Message) == "" {
			t.Differs("there is no Message")
		}
		t.within(max(t.suite.config.Patience, scrubbing), func() string {
			if got := t.profile(profile).Attributes["fromType"]; got != "" {
				return "the profile still has the attribute " + show(got)
			}
			return ""
		})
		refused(t, "GetProfileObjectType", t.Client.GetProfileObjectType, &cp.GetProfileObjectTypeInput{DomainName: &t.domain, ObjectTypeName: &name}, notFound, "")
	}},
	{"DeleteProfileObjectType", "an unknown type is not found", "core.md 3.1", Inferred, func(t *T) {
		refused(t, "an unknown type", t.Client.DeleteProfileObjectType, &cp.DeleteProfileObjectTypeInput{DomainName: &t.domain, ObjectTypeName: new("nobody")}, notFound, "")
	}},
	{"ListProfileObjectTypeTemplates", "the documented templates are listed, each once", "core.md 3.3", Doc, func(t *T) {
		seen := map[string]int{}
		var token *string
		for range 50 {
			out := call(t, t.Client.ListProfileObjectTypeTemplates, &cp.ListProfileObjectTypeTemplatesInput{NextToken: token, MaxResults: new(int32(10))})
			for _, item := range out.Items {
				seen[text(item.TemplateId)]++
			}
			if token = out.NextToken; token == nil {
				break
			}
		}
		for _, id := range []string{"CTR", "Salesforce-Account", "Salesforce-Contact", "Marketo-leads", "Zendesk-users", "Servicenow-sys_user", "Segment-Identify", "Shopify-Customer", "Shopify-Order"} {
			same(t, "times that "+id+" is listed", seen[id], 1)
		}
	}},
	{"GetProfileObjectTypeTemplate", "a template has fields and keys; an unknown one is not found", "core.md 3.3", Doc, func(t *T) {
		got := call(t, t.Client.GetProfileObjectTypeTemplate, &cp.GetProfileObjectTypeTemplateInput{TemplateId: new("Salesforce-Contact")})
		if len(got.Fields) == 0 || len(got.Keys["_salesforceContactId"]) == 0 {
			t.Differs("there are %d fields; the keys are %v", len(got.Fields), got.Keys)
		}
		refused(t, "an unknown template", t.Client.GetProfileObjectTypeTemplate, &cp.GetProfileObjectTypeTemplateInput{TemplateId: new("Nobody-Knows")}, notFound, "")
	}},
	{"DetectProfileObjectType", "fields and a unique key are found in a sample", "core.md 4.8", Inferred, func(t *T) {
		got := call(t, t.Client.DetectProfileObjectType, &cp.DetectProfileObjectTypeInput{DomainName: &t.domain, Objects: []string{
			`{"customerId": "c-1", "firstName": "Ada", "email": "ada@example.com"}`, `{"customerId": "c-2", "firstName": "Ben", "email": "ben@example.com"}`}})
		if len(got.DetectedProfileObjectTypes) != 1 || len(got.DetectedProfileObjectTypes[0].Fields) != 3 || len(got.DetectedProfileObjectTypes[0].Keys) == 0 {
			t.Stop("got %+v", got.DetectedProfileObjectTypes)
		}
		// What is detected can be put as it is.
		d := got.DetectedProfileObjectTypes[0]
		call(t, t.PutProfileObjectType, &cp.PutProfileObjectTypeInput{DomainName: &t.domain, ObjectTypeName: new(unique("type-")), Description: new("detected"), AllowProfileCreation: true, Fields: d.Fields, Keys: d.Keys})
	}},
	{"DetectProfileObjectType", "text that is no JSON, and six objects, are refused", "core.md 4.8", Doc, func(t *T) {
		refused(t, "no JSON", t.Client.DetectProfileObjectType, &cp.DetectProfileObjectTypeInput{DomainName: &t.domain, Objects: []string{"{"}}, badRequest, "")
		refused(t, "six objects", t.Client.DetectProfileObjectType, &cp.DetectProfileObjectTypeInput{DomainName: &t.domain, Objects: strings.Fields(strings.Repeat(`{"id":"1"} `, 6))}, badRequest, "")
	}},
}

// refusedTypes checks the rules of keys and fields, each by a type that breaks one.
func refusedTypes(t *T) {
	for what, spoil := range map[string]func(*cp.PutProfileObjectTypeInput){
		"no UNIQUE key":   func(in *cp.PutProfileObjectTypeInput) { in.Keys["crmId"] = key("id", prof) },
		"two UNIQUE keys": func(in *cp.PutProfileObjectTypeInput) { in.Keys["crmEmail"] = key("email", unq, prof) },
		"no PROFILE key": func(in *cp.PutProfileObjectTypeInput) {
			in.Keys = map[string][]types.ObjectTypeKey{"crmId": key("id", unq)}
		},
		"UNIQUE and LOOKUP_ONLY": func(in *cp.PutProfileObjectTypeInput) { in.Keys["crmId"] = key("id", unq, prof, lookup) },
		"SECONDARY alone":        func(in *cp.PutProfileObjectTypeInput) { in.Keys["crmTier"] = key("tier", secondary) },
		"only LOOKUP_ONLY": func(in *cp.PutProfileObjectTypeInput) {
			in.Keys = map[string][]types.ObjectTypeKey{"crmId": key("id", unq), "crmEmail": key("email", prof, lookup)}
		},
		"a key of an unknown field": func(in *cp.PutProfileObjectTypeInput) { in.Keys["crmTier"] = key("nobody") },
		"a key without fields":      func(in *cp.PutProfileObjectTypeInput) { in.Keys["crmTier"] = key("") },
		"_asset without ASSET":      func(in *cp.PutProfileObjectTypeInput) { in.Fields["a"] = field("a", "_asset.AssetName", "") },
		"the target ProfileId":      func(in *cp.PutProfileObjectTypeInput) { in.Fields["a"] = field("a", "_profile.ProfileId", "") },
		"an unknown attribute":      func(in *cp.PutProfileObjectTypeInput) { in.Fields["a"] = field("a", "_profile.Colour", "") },
		"an unknown object":         func(in *cp.PutProfileObjectTypeInput) { in.Fields["a"] = field("a", "_nobody.Name", "") },
		"a source without _source":  func(in *cp.PutProfileObjectTypeInput) { in.Fields["a"] = types.ObjectTypeField{Source: new("a")} },
		"a template that does not parse": func(in *cp.PutProfileObjectTypeInput) {
			in.Fields["a"] = types.ObjectTypeField{Source: new("{{#if _source.a}}x")}
		},
		"Gender beside GenderString": func(in *cp.PutProfileObjectTypeInput) {
			in.Fields["a"], in.Fields["b"] = field("a", "_profile.Gender", ""), field("b", "_profile.GenderString", "")
		},
		"a template beside Fields": func(in *cp.PutProfileObjectTypeInput) { in.TemplateId = new("Salesforce-Contact") },
		"a name of an underscore":  func(in *cp.PutProfileObjectTypeInput) { in.ObjectTypeName = new("_nobody") },
		"251 fields": func(in *cp.PutProfileObjectTypeInput) {
			for i := range 246 {
				in.Fields[fmt.Sprintf("f%d", i)] = field("x", "", "")
			}
		},
		"eleven keys": func(in *cp.PutProfileObjectTypeInput) {
			for i := range 8 {
				in.Keys[fmt.Sprintf("k%d", i)] = key("tier")
			}
		},
	} {
		in := t.customers(unique("type-"))
		spoil(in)
		refused(t, what, t.Client.PutProfileObjectType, in, badRequest, "")
	}
}
