package objecttype

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"kith/api"
	"kith/fault"
)

// plain has a mapping in which every rule holds.
const plainFields = `"id":{"Source":"_source.id"},"email":{"Source":"_source.email","Target":"_profile.EmailAddress","ContentType":"EMAIL_ADDRESS"},
	"name":{"Source":"_source.name","Target":"_profile.FirstName"},"titles":{"Source":"_source.lines[].title"}`
const plainKeys = `"visitId":[{"StandardIdentifiers":["UNIQUE"],"FieldNames":["id"]}],"_email":[{"StandardIdentifiers":["PROFILE"],"FieldNames":["email"]}]`

func TestRulesOfTypes(t *testing.T) {
	def := func(fields, keys, more string) string {
		return "{" + more + `"Fields":{` + fields + `},"Keys":{` + keys + `}}`
	}
	field := func(f string) string { return def(plainFields+","+f, plainKeys, "") }
	keys := func(k string) string { return def(plainFields, k, "") }
	creates := func(k string) string { return def(plainFields, k, `"AllowProfileCreation":true,`) }
	unique := `"visitId":[{"StandardIdentifiers":["UNIQUE"],"FieldNames":["id"]}]`
	for text, want := range map[string]string{
		field(`"x":{"Source":"_source.x"}`): "",
		// What a type is made of.
		`{}`:                               "needs Fields and Keys",
		`{"Fields":{` + plainFields + `}}`: "needs Fields and Keys",
		`{"TemplateId":"Nothing"}`:         "TemplateId Nothing is not one of the templates",
		`{"TemplateId":"_asset"}`:          "describes a standard object",
		`{"TemplateId":"CTR"}`:             "",
		`{"TemplateId":"CTR","Fields":{}}`: "TemplateId CTR gives Fields",
		`{"TemplateId":"CTR","AllowProfileCreation":false}`:                 "TemplateId CTR gives Fields",
		`{"TemplateId":"CTR","SourceLastUpdatedTimestampFormat":"yyyy"}`:    "TemplateId CTR gives Fields",
		`{"TemplateId":"CTR","ExpirationDays":5,"MaxProfileObjectCount":3}`: "",
		// Fields.
		field(`"tags":{"Source":"_source.x"}`):                                                                                           `Field "tags" must have another name`,
		field(`"_x":{"Source":"_source.x"}`):                                                                                             `Field "_x" must begin with a letter.`,
		field(`"1x":{"Source":"_source.x"}`):                                                                                             `Field "1x" must begin with a letter.`,
		field(`"x":{"Target":"_profile.LastName"}`):                                                                                      `Field "x" has no Source`,
		field(`"x":{"Source":"source.x"}`):                                                                                               `Field "x": Source "source.x" must be`,
		field(`"x":{"Source":"{{_source.x"}`):                                                                                            `Field "x": Source`,
		field(`"x":{"Source":"{{#lookup _source.x}}a{{/lookup}}"}`):                                                                      `not a known block`,
		field(`"x":{"Source":"_source.a..b"}`):                                                                                           `must have names between its dots`,
		field(`"x":{"Source":"_source.a[0].b"}`):                                                                                         `must have names between its dots`,
		field(`"x":{"Source":"_source.a[].b[].c"}`):                                                                                      `more than one []`,
		field(`"x":{"Source":"{{_source.a[].b}}"}`):                                                                                      `has [] in a template`,
		field(`"x":{"Source":"_source.x","Target":"LastName"}`):                                                                          `must begin with _profile.`,
		field(`"x":{"Source":"_source.x","Target":"_profile.Lastname"}`):                                                                 `is not an attribute of the standard profile`,
		field(`"x":{"Source":"_source.x","Target":"_profile.ProfileId"}`):                                                                `is reserved`,
		field(`"x":{"Source":"_source.x","Target":"_profile.ImportIds"}`):                                                                `is reserved`,
		field(`"x":{"Source":"_source.x","Target":"_profile.FoundByItems[]"}`):                                                           `is reserved`,
		field(`"x":{"Source":"_source.x","Target":"_order.OrderId"}`):                                                                    `is reserved: the server assigns it`,
		field(`"x":{"Source":"_source.x","Target":"_loyalty.LoyaltyId"}`):                                                                `is reserved: the server assigns it`,
		field(`"x":{"Source":"_source.x","Target":"_asset.Colour"}`):                                                                     `is not a field of _asset`,
		field(`"x":{"Source":"_source.x","Target":"_loyalty.a[]"}`):                                                                      `must be _loyalty. and names`,
		field(`"x":{"Source":"_source.x","Target":"_nothing.x"}`):                                                                        `must begin with _profile. or the name of another`,
		field(`"x":{"Source":"_source.x","Target":"_profile.FirstName"}`):                                                                `"name" and "x" have the same Target`,
		field(`"x":{"Source":"_source.x[].y","Target":"_profile.LastName"}`):                                                             `is a list, and Target "_profile.LastName" takes one value`,
		field(`"x":{"Source":"_source.x","Target":"_order.OrderItems[].Title"}`):                                                         `takes a list, and Source "_source.x" is one value`,
		field(`"x":{"Source":"_source.x","Target":"_profile.Gender"},"y":{"Source":"_source.y","Target":"_profile.GenderString"}`):       `mutually exclusive`,
		field(`"x":{"Source":"_source.x","Target":"_profile.PartyType"},"y":{"Source":"_source.y","Target":"_profile.PartyTypeString"}`): `mutually exclusive`,
		field(`"x":{"Source":"_source.x","Target":"_profile.SourceLastUpdatedTimestamp"}`):                                               `SourceLastUpdatedTimestampFormat must say`,
		def(plainFields+`,"x":{"Source":"_source.x","Target":"_profile.SourceLastUpdatedTimestamp"}`, plainKeys, `"SourceLastUpdatedTimestampFormat":"EpochMilli",`): "",
		def(plainFields, plainKeys, `"SourceLastUpdatedTimestampFormat":"yyyy-MM-ddTHH",`):                                                                           `the letter "T" means nothing`,
		// 1. Exactly one definition is UNIQUE.
		keys(`"k":[{"StandardIdentifiers":["PROFILE"],"FieldNames":["id"]}]`):                                                                   "No key is UNIQUE",
		keys(plainKeys + `,"k":[{"StandardIdentifiers":["UNIQUE"],"FieldNames":["name"]}]`):                                                     `Keys "k" and "visitId" are both UNIQUE`,
		keys(`"k":[{"StandardIdentifiers":["UNIQUE","PROFILE"],"FieldNames":["id"]},{"StandardIdentifiers":["UNIQUE"],"FieldNames":["name"]}]`): `Keys "k" and "k" are both UNIQUE`,
		// 2. One at least is PROFILE.
		keys(unique): "No key is PROFILE",
		// 3. A profile that an object makes is found by the next one.
		creates(unique + `,"k":[{"StandardIdentifiers":["PROFILE","LOOKUP_ONLY"],"FieldNames":["name"]}]`):                                                                           `Key "k" is LOOKUP_ONLY or NEW_ONLY, and so is every other`,
		creates(unique + `,"k":[{"StandardIdentifiers":["PROFILE","NEW_ONLY"],"FieldNames":["name"]}]`):                                                                              `Key "k" is LOOKUP_ONLY or NEW_ONLY, and so is every other`,
		keys(unique + `,"k":[{"StandardIdentifiers":["PROFILE","NEW_ONLY"],"FieldNames":["name"]}]`):                                                                                 "",
		creates(unique + `,"_profileId":[{"StandardIdentifiers":["PROFILE","LOOKUP_ONLY"],"FieldNames":["name"]}]`):                                                                  "",
		creates(plainKeys + `,"k":[{"StandardIdentifiers":["PROFILE","NEW_ONLY"],"FieldNames":["name"]}]`):                                                                           "",
		creates(unique + `,"k":[{"StandardIdentifiers":["PROFILE","NEW_ONLY"],"FieldNames":["name"]}],"l":[{"StandardIdentifiers":["PROFILE","SECONDARY"],"FieldNames":["email"]}]`): "",
		// 4. and 5. Which identifiers go together.
		keys(plainKeys + `,"k":[{"StandardIdentifiers":["UNIQUE","LOOKUP_ONLY"],"FieldNames":["name"]}]`):   `Key "k" is UNIQUE and LOOKUP_ONLY`,
		keys(plainKeys + `,"k":[{"StandardIdentifiers":["UNIQUE","NEW_ONLY"],"FieldNames":["name"]}]`):      `Key "k" is UNIQUE and LOOKUP_ONLY`,
		keys(plainKeys + `,"k":[{"StandardIdentifiers":["LOOKUP_ONLY","NEW_ONLY"],"FieldNames":["name"]}]`): `Key "k" is LOOKUP_ONLY, so that it is never stored`,
		keys(plainKeys + `,"k":[{"StandardIdentifiers":["SECONDARY"],"FieldNames":["name"]}]`):              `Key "k" is SECONDARY without PROFILE`,
		// 6. What a standard object is found by.
		field(`"x":{"Source":"_source.x","Target":"_order.Name"}`):                                                                                                                `no key has the standard identifier ORDER`,
		field(`"x":{"Source":"_source.x","Target":"_hotelReservation.Any.path"}`):                                                                                                 `no key has the standard identifier HOTEL_RESERVATION`,
		field(`"x":{"Source":"_source.x","Target":"_communicationRecord.Events.sent.Attributes.at"}`):                                                                             "",
		def(plainFields+`,"x":{"Source":"_source.x[].y","Target":"_airBooking.Legs[].From"}`, plainKeys+`,"b":[{"StandardIdentifiers":["AIR_BOOKING"],"FieldNames":["id"]}]`, ""): "",
		keys(plainKeys + `,"b":[{"StandardIdentifiers":["ORDER","ASSET"],"FieldNames":["name"]}]`):                                                                                "",
		// 7. What fills a key.
		keys(plainKeys + `,"k":[]`):                                                 `Key "k" has no definition`,
		keys(plainKeys + `,"k":[{"FieldNames":[]}]`):                                `without FieldNames`,
		keys(plainKeys + `,"k":[{"FieldNames":["nothing"]}]`):                       `names the field "nothing", which Fields does not have`,
		keys(plainKeys + `,"k":[{"FieldNames":["name","name"]}]`):                   `names the field "name" twice`,
		keys(plainKeys + `,"k":[{"FieldNames":["titles"]}]`):                        `whose Source is a list`,
		keys(plainKeys + `,"k":[{"FieldNames":["name","email"]}]`):                  "",
		keys(plainKeys + `,"_phone":[{"FieldNames":["name","email"]}]`):             `Key "_phone" is predefined and has one part`,
		keys(plainKeys + `,"_fullName":[{"FieldNames":["name","id"]}]`):             "",
		keys(plainKeys + `,"k":[{"FieldNames":["name"]},{"FieldNames":["email"]}]`): `different content types (number 1 and 2)`,
		keys(plainKeys + `,"k":[{"FieldNames":["name"]},{"FieldNames":["id"]}]`):    "",
		// 9. Names.
		keys(plainKeys + `,"Tags":[{"FieldNames":["name"]}]`): `Key "Tags" must have another name`,
		keys(plainKeys + `,"1k":[{"FieldNames":["name"]}]`):   `Key "1k" must begin with a letter`,
		// 10. Keys of ids that the server assigns.
		keys(plainKeys + `,"_profileId":[{"StandardIdentifiers":["PROFILE"],"FieldNames":["name"]}]`):           `Key "_profileId" holds ids that the server assigns`,
		keys(plainKeys + `,"_orderId":[{"StandardIdentifiers":["ORDER"],"FieldNames":["name"]}]`):               `Key "_orderId" holds ids that the server assigns`,
		keys(plainKeys + `,"_assetId":[{"StandardIdentifiers":["ASSET","LOOKUP_ONLY"],"FieldNames":["name"]}]`): "",
	} {
		_, err := made(t, text)
		if msg := fault.Message(err); (err == nil) != (want == "") || !strings.Contains(msg, want) {
			t.Errorf("%s\n\t%v, want %q", text, err, want)
		}
	}
}

func TestQuotasOfTypes(t *testing.T) {
	fields, keys := map[string]api.ObjectTypeField{}, map[string][]api.ObjectTypeKey{}
	for i := range 251 {
		fields[fmt.Sprintf("f%d", i)] = api.ObjectTypeField{Source: api.Ptr("_source.x")}
	}
	keys["a"] = []api.ObjectTypeKey{{FieldNames: []string{"f0"}, StandardIdentifiers: []api.StandardIdentifier{"UNIQUE", "PROFILE"}}}
	for i := range 10 {
		keys["b"] = append(keys["b"], api.ObjectTypeKey{FieldNames: []string{fmt.Sprintf("f%d", i)}})
	}
	def := &definition{Fields: fields, Keys: keys}
	if err := check("x", def, Quotas{}); !strings.Contains(fault.Message(err), "Fields has 251 fields; the limit is 250") {
		t.Error(err)
	}
	if err := check("x", def, Quotas{Fields: 251}); !strings.Contains(fault.Message(err), "more than 10 definitions") {
		t.Error(err)
	}
	if err := check("x", def, Quotas{Fields: 251, Keys: 11}); err != nil {
		t.Error(err)
	}
}

// 8. Keys of one name have the same content types in a domain, and (advanced.md 10.1) a data store tells all types apart.
func TestRulesOfTypesTogether(t *testing.T) {
	var def definition
	if err := json.Unmarshal([]byte(`{"Incarnation":"1","Fields":{`+plainFields+`},"Keys":{`+plainKeys+`,"_own":[{"FieldNames":["name"]}],"pair":[{"FieldNames":["name","email"]}]}}`), &def); err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct {
		keys  Keys
		alive []string
		want  string
	}{
		{Keys{}, nil, `Key "_own" must begin with a letter`},
		{Keys{"_own": {"STRING"}}, nil, ""},
		{Keys{"_own": {"STRING"}, "pair": {"STRING", "EMAIL_ADDRESS"}}, []string{"visit", "visits"}, ""},
		{Keys{"_own": {"NAME"}}, nil, `Key "_own" has the content types [STRING] here and [NAME] in object type other`},
		{Keys{"_own": {"STRING"}, "pair": {"EMAIL_ADDRESS", "STRING"}}, nil, `Key "pair" has`},
		{Keys{"_own": {"STRING"}, "pair": {"STRING"}}, nil, `Key "pair" has`},
		{Keys{"_own": {"STRING"}}, []string{"VISIT"}, "can't be told from VISIT"},
	} {
		all := &set{keys: c.keys, owners: map[string]string{"_own": "other", "pair": "other"}, alive: map[string]uint64{}}
		for _, name := range c.alive {
			all.alive[name] = 1
		}
		if err := checkOthers("visit", &def, all, true); (err == nil) != (c.want == "") || !strings.Contains(fault.Message(err), c.want) {
			t.Errorf("%d: %v, want %q", i, err, c.want)
		}
		if err := checkOthers("visit", &def, all, false); strings.Contains(fault.Message(err), "told from") {
			t.Errorf("%d: without a data store: %v", i, err)
		}
	}
}

// What a definition of identifiers makes of a key's value.
func TestKeysOfObjects(t *testing.T) {
	typ := mustMake(t, `{"Fields":{"a":{"Source":"_source.a"},"b":{"Source":"_source.b","ContentType":"NUMBER"},"c":{"Source":"_source.c"},"d":{"Source":"_source.d","ContentType":"NAME"}},"Keys":{
		"z":[{"StandardIdentifiers":["UNIQUE","PROFILE"],"FieldNames":["a","b"]}],
		"a":[{"StandardIdentifiers":["PROFILE"],"FieldNames":["c"]},{"StandardIdentifiers":["PROFILE","SECONDARY"],"FieldNames":["a"]}],
		"m":[{"StandardIdentifiers":["PROFILE","LOOKUP_ONLY"],"FieldNames":["c"]}],
		"n":[{"StandardIdentifiers":["PROFILE","NEW_ONLY"],"FieldNames":["c"]}],
		"_fullName":[{"FieldNames":["c","d"]}],
		"_phone":[{"FieldNames":["d"]}]}}`)
	for object, want := range map[string]string{
		`{"a":"x","b":"01.0","c":"C","d":"D  E"}`:   "Keys:[{_fullName c d e} {a C} {a x} {z x|1}] NewKeys:[{n C}] Match:[{z x|1} {a C} {m C} {n C}] Fallback:[{a x}]",
		`{"a":"x","b":1,"c":"C"}`:                   "Keys:[{a C} {a x} {z x|1}] NewKeys:[{n C}] Match:[{z x|1} {a C} {m C} {n C}] Fallback:[{a x}]",
		`{"a":"x"}`:                                 "Keys:[{a x}] NewKeys:[] Match:[] Fallback:[{a x}]", // the unique key is enough to replace the object, and not to find a profile
		`{"a":"x\u001fy","b":1}`:                    "Keys:[{a x|y} {z x y|1}] NewKeys:[] Match:[{z x y|1}] Fallback:[{a x|y}]",
		`{"b":" 1 ","c":"x","d":"+1 555 010 0000"}`: "Keys:[{_fullName x +1 555 010 0000} {_phone 5550100000} {a x}] NewKeys:[{n x}] Match:[{a x} {m x} {n x}] Fallback:[]",
	} {
		got, err := typ.Extract([]byte(object), 0)
		if err != nil {
			t.Errorf("%s: %v", object, err)
			continue
		}
		text := show(got)
		text = text[strings.Index(text, "Keys:"):strings.Index(text, " Standard:")]
		if text != want {
			t.Errorf("%s\ngot  %s\nwant %s", object, text, want)
		}
	}
	one, _ := typ.Extract([]byte(`{"a":"x","b":1}`), 0)
	for object, same := range map[string]bool{`{"a":" x ","b":"1.0","c":"C"}`: true, `{"a":"x","b":2}`: false, `{"a":"x1"}`: false, `{"a":"x"}`: false} {
		other, err := typ.Extract([]byte(object), 0)
		if err != nil || (other.UniqueKey == one.UniqueKey) != same || len(other.UniqueKey) != 44 {
			t.Errorf("%s: %v, %v", object, other, err)
		}
	}
}
