package conformance

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	cp "github.com/aws/aws-sdk-go-v2/service/customerprofiles"
	"github.com/aws/aws-sdk-go-v2/service/customerprofiles/types"
)

// scrubbing is how long it may take until profiles have lost what a deleted object type said.
const scrubbing = 30 * time.Second

var objectChecks = []Check{
	{"PutProfileObject", "an object that matches nobody makes a profile; searches find it by the keys of the type and of the profile", "core.md 4.2", Doc, func(t *T) {
		t.customerType()
		id, number := unique("c"), phone()
		if out := t.object("crm", customer(id, "first", "Ada", "email", id+"@example.com", "phone", number, "tier", "gold")); text(out) == "" || len(*out) > 255 {
			t.Differs("ProfileObjectUniqueKey: got %q", text(out))
		}
		p := t.found("crmId", id)
		sameText(t, "FirstName", p.FirstName, "Ada")
		sameText(t, "PhoneNumber", p.PhoneNumber, number)
		same(t, "the attribute tier", p.Attributes["tier"], "gold")
		for key, value := range map[string]string{"_email": id + "@EXAMPLE.com", "_phone": number, "crmEmail": id + "@example.com"} {
			if got := t.found(key, value); text(got.ProfileId) != text(p.ProfileId) {
				t.Differs("%s finds the profile %s, want %s", key, text(got.ProfileId), text(p.ProfileId))
			}
		}
	}},
	{"PutProfileObject", "an object with the unique key of another replaces it, and the profile keeps what the new one does not say", "core.md 4.5", Doc, func(t *T) {
		t.customerType()
		id := unique("c")
		first := t.object("crm", customer(id, "first", "Ada", "tier", "gold"))
		p := t.found("crmId", id)
		second := t.object("crm", customer(id, "first", "Augusta", "extra", "kept"))
		same(t, "the unique keys are the same", text(first) == text(second), true)
		t.becomes(*p.ProfileId, func(p types.Profile) string {
			if text(p.FirstName) != "Augusta" || p.Attributes["tier"] != "gold" {
				return fmt.Sprintf("FirstName is %q and the attribute tier %q", text(p.FirstName), p.Attributes["tier"])
			}
			return ""
		})
		t.objects(*p.ProfileId, "crm", 1)
		if got := t.objects(*p.ProfileId, "crm", 1); !strings.Contains(text(got[0].Object), `"kept"`) {
			t.Differs("the stored object is not the new one, with what is mapped nowhere: %s", text(got[0].Object))
		}
	}},
	{"PutProfileObject", "an object goes to the profile that has its key, also if an agent has made that", "core.md 4.3", Doc, func(t *T) {
		t.customerType()
		id := unique("c")
		email := id + "@example.com"
		t.object("crm", customer(id, "email", email, "first", "Ada"))
		p := t.found("crmId", id)
		other := unique("c")
		t.object("crm", customer(other, "email", strings.ToUpper(email)))
		if got := t.found("crmId", other); text(got.ProfileId) != text(p.ProfileId) {
			t.Differs("the object with the same e-mail address is on the profile %s, want %s", text(got.ProfileId), text(p.ProfileId))
		}
		t.objects(*p.ProfileId, "crm", 2)
	}},
	{"PutProfileObject", "a value that a person wrote stays", "core.md 4.5", Doc, func(t *T) {
		t.customerType()
		id := unique("c")
		t.object("crm", customer(id, "first", "Ada"))
		p := t.found("crmId", id)
		call(t, t.UpdateProfile, &cp.UpdateProfileInput{DomainName: &t.domain, ProfileId: p.ProfileId, FirstName: new("Countess")})
		t.object("crm", customer(id, "first", "Augusta", "tier", "silver"))
		t.becomes(*p.ProfileId, func(p types.Profile) string {
			if text(p.FirstName) != "Countess" || p.Attributes["tier"] != "silver" {
				return fmt.Sprintf("FirstName is %q and the attribute tier %q", text(p.FirstName), p.Attributes["tier"])
			}
			return ""
		})
	}},
	{"PutProfileObject", "empty and null members write nothing", "core.md 3.5", Doc, func(t *T) {
		t.customerType()
		id := unique("c")
		t.object("crm", customer(id, "first", "Ada", "tier", "gold"))
		p := t.found("crmId", id)
		t.object("crm", `{"id": "`+id+`", "first": "", "tier": null}`)
		got := t.profile(*p.ProfileId)
		sameText(t, "FirstName", got.FirstName, "Ada")
		same(t, "the attribute tier", got.Attributes["tier"], "gold")
	}},
	{"PutProfileObject", "an asset belongs to the profile, gathers what several objects say, and is found by its keys", "core.md 3.4", Doc, func(t *T) {
		name, account, serial := unique("type-"), unique("a"), unique("s")
		in := &cp.PutProfileObjectTypeInput{DomainName: &t.domain, ObjectTypeName: &name, Description: new("machines"),
			Fields: map[string]types.ObjectTypeField{"id": field("id", "", ""), "account": field("account", "", ""),
				"serial": field("serial", "_asset.SerialNumber", ""), "name": field("name", "_asset.AssetName", ""), "status": field("status", "_asset.Status", "")},
			Keys: map[string][]types.ObjectTypeKey{unique("k"): key("id", unq), "_account": key("account", prof), "_serialNumber": key("serial", types.StandardIdentifierAsset)}}
		call(t, t.PutProfileObjectType, in)
		profile := t.person(&cp.CreateProfileInput{AccountNumber: &account})
		t.finds("_account", account, account)
		t.object(name, fmt.Sprintf(`{"id": "1", "account": %q, "serial": %q, "name": "Press"}`, account, serial))
		t.object(name, fmt.Sprintf(`{"id": "2", "account": %q, "serial": %q, "status": "sold"}`, account, serial))
		t.finds("_serialNumber", serial, account)
		var asset map[string]any
		t.eventually(func() string {
			got := call(t, t.ListProfileObjects, &cp.ListProfileObjectsInput{DomainName: &t.domain, ProfileId: &profile, ObjectTypeName: new("_asset")}).Items
			if len(got) != 1 {
				return fmt.Sprintf("there are %d assets, want 1", len(got))
			}
			if err := json.Unmarshal([]byte(text(got[0].Object)), &asset); err != nil || asset["AssetName"] != "Press" || asset["Status"] != "sold" {
				return "the asset is " + text(got[0].Object)
			}
			return ""
		})
		if id, _ := asset["AssetId"].(string); id == "" {
			t.Differs("the asset has no AssetId: %v", asset)
		}
	}},
	{"PutProfileObject", "what is no JSON object, lacks all unique fields, or is of a standard object is refused", "core.md 4.1", Doc, func(t *T) {
		t.customerType()
		for what, object := range map[string]string{"no JSON": "{", "an array": "[]", "a text": `"x"`, "no id": `{"first": "Ada"}`, "an empty id": `{"id": "", "email": "x@example.com"}`} {
			refused(t, what, t.Client.PutProfileObject, &cp.PutProfileObjectInput{DomainName: &t.domain, ObjectTypeName: new("crm"), Object: &object}, badRequest, "")
		}
		refused(t, "_asset", t.Client.PutProfileObject, &cp.PutProfileObjectInput{DomainName: &t.domain, ObjectTypeName: new("_asset"), Object: new(`{"AssetName": "x"}`)}, badRequest, "")
	}},
	{"PutProfileObject", "an object of 256,000 characters is taken, one more is refused", "core.md 4.1", Model, func(t *T) {
		t.customerType()
		head := `{"id": "` + unique("c") + `", "note": "`
		object := head + strings.Repeat("x", 256000-len(head)-2) + `"}`
		t.object("crm", object)
		longer := strings.Replace(object, "x", "xx", 1)
		refused(t, "256,001 characters", t.Client.PutProfileObject, &cp.PutProfileObjectInput{DomainName: &t.domain, ObjectTypeName: new("crm"), Object: &longer}, badRequest, "")
	}},
	{"PutProfileObject", "an unknown type is not found", "core.md 4.1", Inferred, func(t *T) {
		refused(t, "an unknown type", t.Client.PutProfileObject, &cp.PutProfileObjectInput{DomainName: &t.domain, ObjectTypeName: new("nobody"), Object: new(`{"id": "1"}`)}, notFound, "")
	}},
	{"PutProfileObject", "the type of a template can be used without being put", "core.md 3.3", Doc, func(t *T) {
		id := unique("sf")
		t.object("Salesforce-Contact", `{"Id": "`+id+`", "FirstName": "Ada", "Email": "`+id+`@example.com"}`)
		sameText(t, "FirstName", t.found("_salesforceContactId", id).FirstName, "Ada")
		got := call(t, t.GetProfileObjectType, &cp.GetProfileObjectTypeInput{DomainName: &t.domain, ObjectTypeName: new("Salesforce-Contact")})
		if len(got.Fields) == 0 {
			t.Differs("GetProfileObjectType shows no fields of it")
		}
	}},
	{"BatchPutProfileObject", "each object goes by itself: good ones are put, bad ones told by their id", "core.md 4.7", Model, func(t *T) {
		t.customerType()
		id := unique("c")
		out := call(t, t.Client.BatchPutProfileObject, &cp.BatchPutProfileObjectInput{DomainName: &t.domain, ObjectTypeName: new("crm"), Items: []types.BatchPutProfileObjectRequestItem{
			{Id: new("good"), Object: new(customer(id, "first", "Ada"))}, {Id: new("bad"), Object: new("{")}}})
		if len(out.Successful) != 1 || text(out.Successful[0].Id) != "good" || text(out.Successful[0].ProfileObjectUniqueKey) == "" {
			t.Differs("Successful: got %+v", out.Successful)
		}
		if len(out.Failed) != 1 || text(out.Failed[0].Id) != "bad" || out.Failed[0].Code == nil || *out.Failed[0].Code != 400 || text(out.Failed[0].Message) == "" {
			t.Differs("Failed: got %+v", out.Failed)
		}
		sameText(t, "FirstName", t.found("crmId", id).FirstName, "Ada")
	}},
	{"BatchPutProfileObject", "eleven objects are refused", "core.md 4.7", Model, func(t *T) {
		t.customerType()
		in := &cp.BatchPutProfileObjectInput{DomainName: &t.domain, ObjectTypeName: new("crm")}
		for i := range 11 {
			in.Items = append(in.Items, types.BatchPutProfileObjectRequestItem{Id: new(fmt.Sprint("i", i)), Object: new(customer(unique("c")))})
		}
		refused(t, "eleven objects", t.Client.BatchPutProfileObject, in, badRequest, "")
	}},
	{"ListProfileObjects", "objects come as they were put, and are filtered by keys of their type", "core.md 5.4", Model, func(t *T) {
		t.customerType()
		id, other := unique("c"), unique("c")
		object := customer(id, "email", id+"@example.com", "tier", "gold", "nested", "x  y")
		t.object("crm", object)
		t.object("crm", customer(other, "email", id+"@example.com", "tier", "silver"))
		p := t.found("crmId", id)
		t.objects(*p.ProfileId, "crm", 2)
		in := &cp.ListProfileObjectsInput{DomainName: &t.domain, ProfileId: p.ProfileId, ObjectTypeName: new("crm"), ObjectFilter: &types.ObjectFilter{KeyName: new("crmId"), Values: []string{id}}}
		got := call(t, t.Client.ListProfileObjects, in).Items
		if len(got) != 1 {
			t.Stop("the filter lets %d objects pass, want 1", len(got))
		}
		sameText(t, "Object", got[0].Object, object)
		sameText(t, "ObjectTypeName", got[0].ObjectTypeName, "crm")
	}},
	{"ListProfileObjects", "pages hold no more than asked for, and together everything once", "core.md 6.4", Model, func(t *T) {
		t.customerType()
		id := unique("c")
		for i := range 3 {
			t.object("crm", customer(fmt.Sprint(id, "-", i), "email", id+"@example.com"))
		}
		p := t.found("crmEmail", id+"@example.com")
		t.objects(*p.ProfileId, "crm", 3)
		seen := map[string]bool{}
		in := &cp.ListProfileObjectsInput{DomainName: &t.domain, ProfileId: p.ProfileId, ObjectTypeName: new("crm"), MaxResults: new(int32(2))}
		for range 10 {
			out := call(t, t.Client.ListProfileObjects, in)
			if len(out.Items) > 2 {
				t.Stop("a page of at most 2 holds %d", len(out.Items))
			}
			for _, o := range out.Items {
				seen[text(o.ProfileObjectUniqueKey)] = true
			}
			if in.NextToken = out.NextToken; in.NextToken == nil {
				break
			}
		}
		same(t, "objects on all pages", len(seen), 3)
	}},
	{"ListProfileObjects", "an unknown type is not found", "core.md 5.4", Inferred, func(t *T) {
		id := t.person(&cp.CreateProfileInput{})
		refused(t, "an unknown type", t.Client.ListProfileObjects, &cp.ListProfileObjectsInput{DomainName: &t.domain, ProfileId: &id, ObjectTypeName: new("nobody")}, notFound, "")
	}},
	{"DeleteProfileObject", "the object and its keys go, and a second time it is not found", "core.md 5.4", Inferred, func(t *T) {
		t.customerType()
		id := unique("c")
		unique := t.object("crm", customer(id, "first", "Ada"))
		p := t.found("crmId", id)
		in := &cp.DeleteProfileObjectInput{DomainName: &t.domain, ProfileId: p.ProfileId, ObjectTypeName: new("crm"), ProfileObjectUniqueKey: unique}
		if out := call(t, t.Client.DeleteProfileObject, in); text(out.Message) == "" {
			t.Differs("there is no Message")
		}
		t.findsNothing("crmId", id)
		t.objects(*p.ProfileId, "crm", 0)
		refused(t, "a second time", t.Client.DeleteProfileObject, in, notFound, "")
	}},
	{"MergeProfiles", "objects of the others are on the main profile", "core.md 5.5", Model, func(t *T) {
		t.customerType()
		one, two := unique("c"), unique("c")
		t.object("crm", customer(one))
		t.object("crm", customer(two))
		main, other := t.found("crmId", one), t.found("crmId", two)
		call(t, t.MergeProfiles, &cp.MergeProfilesInput{DomainName: &t.domain, MainProfileId: main.ProfileId, ProfileIdsToBeMerged: []string{*other.ProfileId}})
		t.objects(*main.ProfileId, "crm", 2)
		if got := t.found("crmId", two); text(got.ProfileId) != *main.ProfileId {
			t.Differs("the key of the other finds %s, want %s", text(got.ProfileId), *main.ProfileId)
		}
	}},
	{"ListProfileHistoryRecords", "an object that is put is INGESTED, with its type and key", "core.md 5.6", Model, func(t *T) {
		t.customerType()
		id := unique("c")
		unique := t.object("crm", customer(id))
		p := t.found("crmId", id)
		t.eventually(func() string {
			got := call(t, t.ListProfileHistoryRecords, &cp.ListProfileHistoryRecordsInput{DomainName: &t.domain, ProfileId: p.ProfileId, ActionType: types.ActionTypeIngested}).ProfileHistoryRecords
			if len(got) != 1 || text(got[0].ObjectTypeName) != "crm" || text(got[0].ProfileObjectUniqueKey) != text(unique) {
				return fmt.Sprintf("the INGESTED records are %d, want one of the type crm with the unique key", len(got))
			}
			return ""
		})
	}},
}

// customer is an object of the type crm: its id and further members.
func customer(id string, members ...string) string {
	o := map[string]string{"id": id}
	for i := 0; i+1 < len(members); i += 2 {
		o[members[i]] = members[i+1]
	}
	b, _ := json.Marshal(o) // strings
	return string(b)
}

// object puts an object and returns its unique key.
func (t *T) object(name, object string) *string {
	return call(t, t.Client.PutProfileObject, &cp.PutProfileObjectInput{DomainName: &t.domain, ObjectTypeName: &name, Object: &object}).ProfileObjectUniqueKey
}

// found waits until a search finds one profile, and returns it.
func (t *T) found(key, value string) (p types.Profile) {
	t.eventually(func() string {
		items := t.search(key, value)
		if len(items) != 1 {
			return fmt.Sprintf("a search for %s %q finds %d profiles, want 1", key, value, len(items))
		}
		p = items[0]
		return ""
	})
	return p
}

// objects waits until a profile has so many objects of a type, and returns them.
func (t *T) objects(profile, name string, want int) (got []types.ListProfileObjectsItem) {
	t.eventually(func() string {
		got = call(t, t.ListProfileObjects, &cp.ListProfileObjectsInput{DomainName: &t.domain, ProfileId: &profile, ObjectTypeName: &name}).Items
		if len(got) != want {
			return fmt.Sprintf("the profile has %d objects, want %d", len(got), want)
		}
		return ""
	})
	return got
}

var attributeChecks = []Check{
	{"ListProfileAttributeValues", "the values of an attribute are listed, each once", "core.md 5.7", Model, func(t *T) {
		city := unique("City ")
		for range 2 {
			t.person(&cp.CreateProfileInput{Address: &types.Address{City: &city}, Attributes: map[string]string{"shoe": city}})
		}
		for _, name := range []string{"Address.City", "Attributes.shoe"} {
			t.within(max(t.suite.config.Patience, scrubbing), func() string {
				n := 0
				for _, item := range call(t, t.Client.ListProfileAttributeValues, &cp.ListProfileAttributeValuesInput{DomainName: &t.domain, AttributeName: &name}).Items {
					if text(item.Value) == city {
						n++
					}
				}
				if n != 1 {
					return fmt.Sprintf("%s: the value is listed %d times, want once", name, n)
				}
				return ""
			})
		}
	}},
	{"ListObjectTypeAttributes", "the members of a type's objects are listed", "core.md 5.7", Model, func(t *T) {
		t.customerType()
		t.object("crm", customer(unique("c"), "first", "Ada"))
		t.within(max(t.suite.config.Patience, scrubbing), func() string {
			seen := map[string]bool{}
			for page := cp.NewListObjectTypeAttributesPaginator(t.Client, &cp.ListObjectTypeAttributesInput{DomainName: &t.domain, ObjectTypeName: new("crm")}); page.HasMorePages(); {
				out, err := page.NextPage(t.ctx)
				t.notBuilt(err)
				if err != nil {
					t.Stop("the list is refused: %s", sentence(err))
				}
				for _, item := range out.Items {
					seen[text(item.AttributeName)] = true
					if item.LastUpdatedAt == nil {
						t.Differs("%s has no LastUpdatedAt", text(item.AttributeName))
					}
				}
			}
			if !seen["id"] || !seen["first"] {
				return fmt.Sprintf("id and first are not among the attributes: %v", seen)
			}
			return ""
		})
	}},
	{"ListObjectTypeAttributeValues", "the values of a member are listed", "core.md 5.7", Model, func(t *T) {
		t.customerType()
		first := unique("Ada ")
		t.object("crm", customer(unique("c"), "first", first))
		t.within(max(t.suite.config.Patience, scrubbing), func() string {
			for _, item := range call(t, t.Client.ListObjectTypeAttributeValues, &cp.ListObjectTypeAttributeValuesInput{DomainName: &t.domain, ObjectTypeName: new("crm"), AttributeName: new("first")}).Items {
				if text(item.Value) == first {
					return ""
				}
			}
			return "the value is not listed"
		})
	}},
	{"GetObjectTypeAttributeStatistics", "a domain without a data store has none", "core.md 5.7", Inferred, func(t *T) {
		t.customerType()
		refused(t, "without a data store", t.Client.GetObjectTypeAttributeStatistics, &cp.GetObjectTypeAttributeStatisticsInput{DomainName: &t.domain, ObjectTypeName: new("crm"), AttributeName: new("id")}, badRequest, "")
	}},
}

var integrationChecks = []Check{
	{"PutIntegration", "an integration is kept, answered and replaced by its Uri", "advanced.md 7.2", Model, func(t *T) {
		t.customerType()
		in := t.integration()
		in.Tags = map[string]string{"team": "a"}
		first := call(t, t.Client.PutIntegration, in)
		sameText(t, "Uri", first.Uri, *in.Uri)
		sameText(t, "ObjectTypeName", first.ObjectTypeName, "crm")
		second := call(t, t.Client.PutIntegration, in)
		if !second.CreatedAt.Equal(*first.CreatedAt) {
			t.Differs("CreatedAt went from %v to %v", first.CreatedAt, second.CreatedAt)
		}
		got := call(t, t.GetIntegration, &cp.GetIntegrationInput{DomainName: &t.domain, Uri: in.Uri})
		sameText(t, "ObjectTypeName read again", got.ObjectTypeName, "crm")
		same(t, "the tag team", got.Tags["team"], "a")
	}},
	{"PutIntegration", "ObjectTypeName beside ObjectTypeNames, neither of both, and an unknown type are refused", "advanced.md 7.1", Inferred, func(t *T) {
		t.customerType()
		for what, spoil := range map[string]func(*cp.PutIntegrationInput){
			"both":            func(in *cp.PutIntegrationInput) { in.ObjectTypeNames = map[string]string{"SegmentIdentify": "crm"} },
			"neither":         func(in *cp.PutIntegrationInput) { in.ObjectTypeName = nil },
			"an unknown type": func(in *cp.PutIntegrationInput) { in.ObjectTypeName = new("nobody") },
		} {
			in := t.integration()
			spoil(in)
			_, err := t.Client.PutIntegration(t.ctx, in)
			t.notBuilt(err)
			if !badRequest.is(err) && !notFound.is(err) {
				t.Differs("%s: it is answered %v", what, err)
			}
		}
	}},
	{"GetIntegration", "an unknown Uri is not found", "advanced.md 7.2", Inferred, func(t *T) {
		refused(t, "an unknown Uri", t.Client.GetIntegration, &cp.GetIntegrationInput{DomainName: &t.domain, Uri: t.integration().Uri}, notFound, "")
	}},
	{"ListIntegrations", "an integration is listed, and not when it is deleted", "advanced.md 7.2", Model, func(t *T) {
		t.customerType()
		in := t.integration()
		call(t, t.PutIntegration, in)
		t.lists(*in.Uri, true)
		call(t, t.DeleteIntegration, &cp.DeleteIntegrationInput{DomainName: &t.domain, Uri: in.Uri})
		t.lists(*in.Uri, false)
	}},
	{"ListAccountIntegrations", "the integrations of a Uri are listed, with their domains", "advanced.md 7.2", Model, func(t *T) {
		t.customerType()
		in := t.integration()
		call(t, t.PutIntegration, in)
		t.eventually(func() string {
			got := call(t, t.Client.ListAccountIntegrations, &cp.ListAccountIntegrationsInput{Uri: in.Uri}).Items
			if len(got) != 1 || text(got[0].DomainName) != t.domain {
				return fmt.Sprintf("%d are listed, want the one of the domain", len(got))
			}
			return ""
		})
	}},
	{"DeleteIntegration", "an unknown Uri is not found", "advanced.md 7.2", Inferred, func(t *T) {
		refused(t, "an unknown Uri", t.Client.DeleteIntegration, &cp.DeleteIntegrationInput{DomainName: &t.domain, Uri: t.integration().Uri}, notFound, "")
	}},
}

// integration is a request for an integration of a Uri of its own.
func (t *T) integration() *cp.PutIntegrationInput {
	return &cp.PutIntegrationInput{DomainName: &t.domain, ObjectTypeName: new("crm"), Uri: new("arn:aws:appflow:" + t.Options().Region + ":" + t.suite.config.Account + ":flow/" + unique("flow-"))}
}

// lists notes a difference unless ListIntegrations has a Uri, or has it not.
func (t *T) lists(uri string, want bool) {
	t.eventually(func() string {
		found := false
		in := &cp.ListIntegrationsInput{DomainName: &t.domain}
		for range 50 {
			out := call(t, t.Client.ListIntegrations, in)
			for _, item := range out.Items {
				found = found || text(item.Uri) == uri
			}
			if in.NextToken = out.NextToken; in.NextToken == nil {
				break
			}
		}
		if found != want {
			return fmt.Sprintf("it is listed: %t, want %t", found, want)
		}
		return ""
	})
}
