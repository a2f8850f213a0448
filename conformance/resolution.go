package conformance

import (
	"encoding/json"
	"fmt"

	cp "github.com/aws/aws-sdk-go-v2/service/customerprofiles"
	"github.com/aws/aws-sdk-go-v2/service/customerprofiles/types"
)

// objectTypeOf puts a type of a name of its own, whose objects have the members of fields.
func (t *T) objectTypeOf(change func(*cp.PutProfileObjectTypeInput), fields map[string]types.ObjectTypeField, keys map[string][]types.ObjectTypeKey) string {
	in := &cp.PutProfileObjectTypeInput{DomainName: &t.domain, ObjectTypeName: new(unique("type-")), Description: new("of one check"), AllowProfileCreation: true, Fields: fields, Keys: keys}
	if change != nil {
		change(in)
	}
	call(t, t.PutProfileObjectType, in)
	return *in.ObjectTypeName
}

// objectOf is an object of these members.
func objectOf(members ...string) string {
	return customer(members[1], members[2:]...)
}

// resolutionChecks are about which profile an object goes to, and which value wins there.
var resolutionChecks = []Check{
	{"PutProfileObject", "a key that several profiles have is not used", "core.md 4.3", Doc, func(t *T) {
		account, k := unique("a"), unique("k")
		name := t.objectTypeOf(nil, map[string]types.ObjectTypeField{"id": field("id", "", ""), "account": field("account", "", "")},
			map[string][]types.ObjectTypeKey{k: key("id", unq), "_account": key("account", prof)})
		one, two := t.person(&cp.CreateProfileInput{AccountNumber: &account}), t.person(&cp.CreateProfileInput{AccountNumber: &account})
		t.profile(one)
		t.profile(two)
		t.object(name, objectOf("id", "1", "account", account))
		if got := text(t.found(k, "1").ProfileId); got == one || got == two {
			t.Differs("the object is on one of the two profiles with the key, want one of its own")
		}
	}},
	{"PutProfileObject", "a secondary key is asked only when no primary key has found a profile", "core.md 4.3", Doc, func(t *T) {
		t.customerType()
		first, second, third := unique("c"), unique("c"), unique("c")
		t.object("crm", customer(first, "email", first+"@example.com"))
		t.object("crm", customer(second, "email", second+"@example.com"))
		a, b := t.found("crmId", first), t.found("crmId", second)
		t.object("crm", customer(first, "email", second+"@example.com")) // the primary key is the first one's
		t.objects(*a.ProfileId, "crm", 1)
		t.object("crm", customer(third, "email", first+"@example.com", "tier", "x")) // the first one's key of before was replaced
		if got := text(t.found("crmId", third).ProfileId); got == *b.ProfileId {
			t.Differs("the object is on the profile %s, which has neither of its keys", got)
		}
	}},
	{"PutProfileObject", "where creation is off, an object of nobody is answered well and makes no profile", "core.md 4.3", Inferred, func(t *T) {
		k := unique("k")
		name := t.objectTypeOf(func(in *cp.PutProfileObjectTypeInput) { in.AllowProfileCreation = false },
			map[string]types.ObjectTypeField{"id": field("id", "", "")}, map[string][]types.ObjectTypeKey{k: key("id", unq, prof)})
		t.object(name, objectOf("id", "1"))
		t.findsNothing(k, "1")
	}},
	{"PutProfileObject", "an object whose key says another profile moves there", "core.md 4.2", Inferred, func(t *T) {
		one, two, k := unique("a"), unique("a"), unique("k")
		name := t.objectTypeOf(nil, map[string]types.ObjectTypeField{"id": field("id", "", ""), "account": field("account", "", "")},
			map[string][]types.ObjectTypeKey{k: key("id", unq), "_account": key("account", prof)})
		first, second := t.person(&cp.CreateProfileInput{AccountNumber: &one}), t.person(&cp.CreateProfileInput{AccountNumber: &two})
		t.finds("_account", one, one)
		t.finds("_account", two, two)
		t.object(name, objectOf("id", "1", "account", one))
		t.objects(first, name, 1)
		t.object(name, objectOf("id", "1", "account", two))
		t.objects(first, name, 0)
		t.objects(second, name, 1)
		t.finds(k, "1", two)
	}},
	{"PutProfileObject", "a LOOKUP_ONLY key finds the profile and is not kept; a NEW_ONLY key is kept by the object that makes the profile", "core.md 3.7", Doc, func(t *T) {
		account, k, look, fresh := unique("a"), unique("k"), unique("l"), unique("n")
		name := t.objectTypeOf(nil, map[string]types.ObjectTypeField{"id": field("id", "", ""), "account": field("account", "_profile.AccountNumber", ""), "look": field("look", "", ""), "fresh": field("fresh", "", "")},
			map[string][]types.ObjectTypeKey{k: key("id", unq), "_account": key("account", prof), look: key("look", prof, lookup), fresh: key("fresh", prof, types.StandardIdentifierNewOnly)})
		t.object(name, objectOf("id", "1", "account", account, "look", "x", "fresh", "y"))
		t.finds(k, "1", account)
		t.finds(fresh, "y", account)
		t.findsNothing(look, "x")
		t.object(name, objectOf("id", "2", "account", account, "fresh", "z"))
		t.finds(k, "2", account)
		t.findsNothing(fresh, "z")
	}},
	{"PutProfileObject", "an object that makes a profile fills its e-mail address and phone number, though they are mapped nowhere", "core.md 4.4", Doc, func(t *T) {
		k, number := unique("k"), phone()
		name := t.objectTypeOf(nil, map[string]types.ObjectTypeField{"id": field("id", "", ""), "mail": field("mail", "", types.FieldContentTypeEmailAddress), "tel": field("tel", "", types.FieldContentTypePhoneNumber)},
			map[string][]types.ObjectTypeKey{k: key("id", unq, prof)})
		id := unique("c")
		t.object(name, objectOf("id", id, "mail", id+"@example.com", "tel", number))
		p := t.found(k, id)
		sameText(t, "EmailAddress", p.EmailAddress, id+"@example.com")
		sameText(t, "PhoneNumber", p.PhoneNumber, number)
	}},
	{"PutProfileObject", "a type of a stronger SourcePriority wins whenever it writes, and over what a person wrote", "core.md 4.5", Doc, func(t *T) {
		account := unique("a")
		typeOf := func(priority int32) string {
			return t.objectTypeOf(func(in *cp.PutProfileObjectTypeInput) { in.SourcePriority = &priority },
				map[string]types.ObjectTypeField{"id": field("id", "", ""), "account": field("account", "", ""), "first": field("first", "_profile.FirstName", "")},
				map[string][]types.ObjectTypeKey{unique("k"): key("id", unq), "_account": key("account", prof)})
		}
		strong, weak := typeOf(1), typeOf(2)
		id := t.person(&cp.CreateProfileInput{AccountNumber: &account, FirstName: new("Manual")})
		t.finds("_account", account, account)
		for _, step := range []struct{ name, first, want string }{{weak, "Weak", "Weak"}, {strong, "Strong", "Strong"}, {weak, "Weaker", "Strong"}} {
			t.object(step.name, objectOf("id", "1", "account", account, "first", step.first))
			t.becomes(id, func(p types.Profile) string {
				if text(p.FirstName) != step.want {
					return fmt.Sprintf("after %s was put FirstName is %q, want %q", step.first, text(p.FirstName), step.want)
				}
				return ""
			})
		}
	}},
	{"PutProfileObject", "of equals, the later _profile.SourceLastUpdatedTimestamp wins, whichever comes last", "core.md 4.5", Inferred, func(t *T) {
		account := unique("a")
		name := t.objectTypeOf(func(in *cp.PutProfileObjectTypeInput) { in.SourceLastUpdatedTimestampFormat = new("EpochMilli") },
			map[string]types.ObjectTypeField{"id": field("id", "", ""), "account": field("account", "_profile.AccountNumber", ""), "first": field("first", "_profile.FirstName", ""), "at": field("at", "_profile.SourceLastUpdatedTimestamp", "")},
			map[string][]types.ObjectTypeKey{unique("k"): key("id", unq), "_account": key("account", prof)})
		t.object(name, objectOf("id", "1", "account", account, "first", "Later", "at", "1767225600000"))
		p := t.found("_account", account)
		t.object(name, objectOf("id", "2", "account", account, "first", "Earlier", "at", "1735689600000"))
		t.objects(*p.ProfileId, name, 2)
		sameText(t, "FirstName", t.profile(*p.ProfileId).FirstName, "Later")
	}},
	{"PutProfileObject", "a source may be a template, with conditions", "core.md 3.5", Doc, func(t *T) {
		k := unique("k")
		from := func(source, target string) types.ObjectTypeField {
			return types.ObjectTypeField{Source: &source, Target: &target}
		}
		name := t.objectTypeOf(nil, map[string]types.ObjectTypeField{"id": field("id", "", ""),
			"full":  from("{{_source.first}} {{_source.last}}", "_profile.LastName"),
			"greet": from("{{#if _source.last}}family{{else}}friend{{/if}}", "_profile.Attributes.greet"),
			"deep":  from("_source.nested.x", "_profile.Attributes.deep"),
			"neat":  from("{{#removeExtraSpace}}  {{_source.first}}   {{_source.last}} {{/removeExtraSpace}}", "_profile.Attributes.neat")},
			map[string][]types.ObjectTypeKey{k: key("id", unq, prof)})
		t.object(name, `{"id": "1", "first": "Ada <&>", "last": "King", "nested": {"x": 5}}`)
		p := t.found(k, "1")
		sameText(t, "LastName", p.LastName, "Ada <&> King")
		same(t, "the condition", p.Attributes["greet"], "family")
		same(t, "the nested number", p.Attributes["deep"], "5")
		same(t, "the text without extra blanks", p.Attributes["neat"], "Ada <&> King")
	}},
	{"PutProfileObject", "the members of an array become those of an order", "core.md 3.3", Doc, func(t *T) {
		buyer, order := unique("buyer"), unique("order")
		t.object("Shopify-Customer", fmt.Sprintf(`{"id": %q, "first_name": "Ada"}`, buyer))
		p := t.found("_shopifyCustomerId", buyer)
		t.object("Shopify-Order", fmt.Sprintf(`{"id": %q, "customer": {"id": %q}, "line_items": [{"title": "Cup", "price": "4.50", "quantity": 2}, {"title": "Tea", "price": "3.00", "quantity": 1}]}`, order, buyer))
		if got := t.found("_shopifyOrderId", order); text(got.ProfileId) != *p.ProfileId {
			t.Stop("the order is on the profile %s, want the buyer's, %s", text(got.ProfileId), *p.ProfileId)
		}
		got := t.objects(*p.ProfileId, "_order", 1)
		var o struct {
			OrderId    string
			OrderItems []struct{ Title, Price, Quantity string }
		}
		if err := json.Unmarshal([]byte(text(got[0].Object)), &o); err != nil || o.OrderId == "" || len(o.OrderItems) != 2 || o.OrderItems[0].Title != "Cup" || o.OrderItems[1].Price != "3.00" {
			t.Differs("the order is %s", text(got[0].Object))
		}
	}},
	{"SearchProfiles", "a key of two fields is found by both, joined by one blank", "core.md 3.7", Inferred, func(t *T) {
		k, id, both := unique("k"), unique("c"), unique("b")
		name := t.objectTypeOf(nil, map[string]types.ObjectTypeField{"id": field("id", "", ""), "a": field("a", "", types.FieldContentTypeName), "b": field("b", "", "")},
			map[string][]types.ObjectTypeKey{k: key("id", unq, prof), both: key("a b")})
		t.object(name, objectOf("id", id, "a", "Two Words", "b", "x-1"))
		if got, want := text(t.found(both, "two words x-1").ProfileId), text(t.found(k, id).ProfileId); got != want {
			t.Differs("it finds the profile %s, want %s", got, want)
		}
		t.findsNothing(both, "two words x-2")
	}},
	{"SearchProfiles", "the attribute's own name finds profiles, where the domain has no key so named", "core.md 5.2", Inferred, func(t *T) {
		email, account := unique("e")+"@example.com", unique("a")
		t.person(&cp.CreateProfileInput{EmailAddress: &email, AccountNumber: &account})
		t.finds("EmailAddress", email, account)
		t.finds("AccountNumber", account, account)
	}},
	{"ListProfileObjects", "objects come newest first, and the profile itself is the object _profile", "core.md 5.4", Inferred, func(t *T) {
		t.customerType()
		mail := unique("e") + "@example.com"
		for _, tier := range []string{"1", "2", "3"} {
			t.object("crm", customer(unique("c"), "email", mail, "tier", tier))
		}
		p := t.found("crmEmail", mail)
		order := ""
		for _, o := range t.objects(*p.ProfileId, "crm", 3) {
			var got struct{ Tier string }
			if err := json.Unmarshal([]byte(text(o.Object)), &got); err != nil {
				t.Differs("an object is no JSON: %v", err)
			}
			order += got.Tier
		}
		same(t, "the order of the objects", order, "321")
		self := t.objects(*p.ProfileId, "_profile", 1)
		var got map[string]any
		if err := json.Unmarshal([]byte(text(self[0].Object)), &got); err != nil || got["EmailAddress"] != mail {
			t.Differs("the object _profile is %s", text(self[0].Object))
		}
	}},
	{"BatchPutProfileObject", "an Id that is there twice refuses the call", "core.md 4.7", Inferred, func(t *T) {
		t.customerType()
		refused(t, "an Id twice", t.Client.BatchPutProfileObject, &cp.BatchPutProfileObjectInput{DomainName: &t.domain, ObjectTypeName: new("crm"), Items: []types.BatchPutProfileObjectRequestItem{
			{Id: new("x"), Object: new(customer(unique("c")))}, {Id: new("x"), Object: new(customer(unique("c")))}}}, badRequest, "")
	}},
	{"UpdateDomain", "a data store can't be disabled again", "advanced.md 10.1", Doc, func(t *T) {
		name := t.dataStoreDomain()
		refused(t, "disabling it", t.Client.UpdateDomain, &cp.UpdateDomainInput{DomainName: &name, DataStore: &types.DataStoreRequest{Enabled: new(false)}}, badRequest, "")
	}},
}
