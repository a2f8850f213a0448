package objecttype

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"kith/api"
	"kith/fault"
	"kith/profile/fold"
)

// made makes a type of JSON such as {"Fields":{…},"Keys":{…}}, as PutProfileObjectType does, or says why not.
func made(t testing.TB, text string) (*Type, error) {
	t.Helper()
	var in api.PutProfileObjectTypeRequest
	if err := json.Unmarshal([]byte(text), &in); err != nil {
		t.Fatal(err)
	}
	in.ObjectTypeName, in.Description = api.Ptr("visit"), api.Ptr("d")
	def, err := (&Service{}).define(&in)
	if err != nil {
		return nil, err
	}
	return compile("visit", def)
}

func mustMake(t testing.TB, text string) *Type {
	t.Helper()
	typ, err := made(t, text)
	if err != nil {
		t.Fatal(err)
	}
	return typ
}

const orderType = `{"AllowProfileCreation":true,"SourcePriority":3,"SourceLastUpdatedTimestampFormat":"EpochMilli","Fields":{
	"id":{"Source":"_source.id"},
	"first":{"Source":"_source.customer.first","Target":"_profile.FirstName"},
	"email":{"Source":"_source.customer.email","Target":"_profile.PersonalEmailAddress","ContentType":"EMAIL_ADDRESS"},
	"phone":{"Source":"_source.customer.phone","ContentType":"PHONE_NUMBER"},
	"city":{"Source":"_source.customer.address.city","Target":"_profile.Address.City"},
	"label":{"Source":"{{_source.customer.first}} of {{_source.customer.address.city}}","Target":"_profile.Attributes.label"},
	"at":{"Source":"_source.at","Target":"_profile.SourceLastUpdatedTimestamp"},
	"total":{"Source":"_source.total","Target":"_order.TotalPrice","ContentType":"NUMBER"},
	"paid":{"Source":"_source.paid","Target":"_order.Attributes.paid"},
	"titles":{"Source":"_source.lines[].title","Target":"_order.OrderItems[].Title"},
	"prices":{"Source":"_source.lines[].price","Target":"_order.OrderItems[].Price"}},
	"Keys":{
	"orderId":[{"StandardIdentifiers":["UNIQUE","ORDER"],"FieldNames":["id"]}],
	"_email":[{"StandardIdentifiers":["PROFILE"],"FieldNames":["email"]}],
	"_phone":[{"StandardIdentifiers":["PROFILE","SECONDARY"],"FieldNames":["phone"]}],
	"both":[{"FieldNames":["first","city"]}]}}`

func TestExtract(t *testing.T) {
	typ := mustMake(t, orderType)
	got, err := typ.Extract([]byte(`{"id":7,"customer":{"first":"Ann","email":" Ann@X.org","phone":"+1 206 555 0100","address":{"city":"Z\u00fcrich"},"other":[1,{"x":2}]},
		"at":1700000000000,"total":12.50,"paid":true,"lines":[{"title":"Cup","price":5},{"price":2.5},{"title":null,"price":"5"}]}`), 0)
	if err != nil {
		t.Fatal(err)
	}
	want := `{UniqueKey:Nn+Y Values:[Ann  Ann@X.org Zürich Ann of Zürich] Inferred:[+1 206 555 0100  Ann@X.org] Keys:[{_email ann@x.org} {_phone 2065550100} {both Ann|Zürich} {orderId 7}] NewKeys:[] Match:[{_email ann@x.org}] Fallback:[{_phone 2065550100}] Standard:[{Type:_order Keys:[{orderId 7}] Fields:[{Path:Attributes.paid Values:[true]} {Path:OrderItems[].Price Values:[5 2.5 5]} {Path:OrderItems[].Title Values:[Cup  ]} {Path:TotalPrice Values:[12.50]}] 3 1700000000000000}]}`
	if text := show(got); text != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
	for _, v := range got.Values {
		if v.Kind != fold.Object || v.Stamp.Priority != 3 || v.Stamp.SourceTime != 1700000000000000 {
			t.Errorf("%+v", v)
		}
	}
}

// show prints what was extracted, values by their texts alone.
func show(x *Extracted) string {
	texts := func(values []fold.Value) (all []string) {
		for _, v := range values {
			all = append(all, v.Text)
		}
		return all
	}
	std := []string{}
	for _, s := range x.Standard {
		std = append(std, fmt.Sprintf("{Type:%s Keys:%v Fields:%+v %d %d}", s.Type, s.Keys, s.Fields, s.Stamp.Priority, s.Stamp.SourceTime))
	}
	return strings.ReplaceAll(fmt.Sprintf("{UniqueKey:%.4s Values:%v Inferred:%v Keys:%v NewKeys:%v Match:%v Fallback:%v Standard:%v}",
		x.UniqueKey, texts(x.Values), texts(x.Inferred), x.Keys, x.NewKeys, x.Match, x.Fallback, std), "\x1f", "|")
}

func TestObjectsAreRefused(t *testing.T) {
	typ := mustMake(t, orderType)
	fine := `"id":"1","customer":{"email":"a@b"}`
	for object, want := range map[string]string{
		``:                                    "at byte 0",
		`[]`:                                  "must be a JSON object",
		`"x"`:                                 "must be a JSON object",
		`{`:                                   "at byte 1",
		`{` + fine:                            "at byte",
		`{` + fine + `}}`:                     "at byte",
		`{` + fine + `} {}`:                   "something follows it",
		`{` + fine + `,"id":"2"}`:             "same name twice",
		`{` + fine + `,"u":{"a":1,"a":2}}`:    "same name twice",
		"{" + fine + ",\"u\":\"\xff\"}":       "Unicode",
		`{` + fine + `,"u":"\ud800"}`:         "Unicode",
		`{"customer":{"email":"a@b"}}`:        `unique key "orderId" is empty: give a value for id`,
		`{"id":{},"customer":{"email":"a"}}`:  `unique key "orderId" is empty`,
		`{"id":"  ","customer":{"email":""}}`: `unique key "orderId" is empty`,
		`{"id":"1"}`:                          "_email (email), _phone (phone)",
		`{"id":"1","customer":{"phone":"x"}}`: "All keys that find a profile are empty",
		`{` + fine + `,"at":"yesterday"}`:     `Field "at"`,
		`{"id":"1","customer":{"email":"a@b","first":"` + strings.Repeat("ü", 256) + `"}}`:  `Field "first" has 256 characters, and _profile.FirstName holds 255 at most`,
		`{` + fine + `,"deep":` + strings.Repeat("[", 120) + strings.Repeat("]", 120) + `}`: "nests more than 100",
		`{` + fine + `,"lines":[` + strings.Repeat(`{},`, maxItems) + `{}]}`:                "more than 2000 items",
	} {
		_, err := typ.Extract([]byte(object), 0)
		if msg := fault.Message(err); !strings.Contains(msg, want) {
			t.Errorf("%.80s: %v, want %s", object, err, want)
		}
	}
	for _, object := range []string{`{` + fine + `}`, `{"id":"1","customer":{"phone":"1"},"deep":"` + strings.Repeat("[{", 120) + `"}`,
		`{"id":"1","customer":{"email":"a@b","first":"` + strings.Repeat("ü", 251) + `"}}`, ` {"\u0069d":1,"customer":{"email":"a@b","address":5},"lines":{"title":1}} `} {
		if _, err := typ.Extract([]byte(object), 0); err != nil {
			t.Errorf("%.80s: %v", object, err)
		}
	}
}

func TestTemplatesOfObjects(t *testing.T) {
	for source, want := range map[string]string{
		"{{#each _source.lines}}{{this.sku}}x{{qty}} {{/each}}":                             "ax2 bx x ",
		"{{#if _source.vip}}gold{{else}}plain{{/if}}":                                       "plain",
		"{{#unless _source.vip}}plain{{/unless}}":                                           "plain",
		"{{#with _source.who}}{{first}} {{last}}{{/with}}":                                  "Ann ",
		"{{#removeExtraSpace}} {{_source.who.first}}   {{_source.n}} {{/removeExtraSpace}}": "Ann 1e3",
		"{{#each _source.tags}}[{{this}}]{{/each}}":                                         "[a][1][true][]",
		"{{#each _source.who}}x{{else}}no list {{_source.n}}{{/each}}":                      "no list 1e3",
		"x{{_source.who}}{{_source.lines}}{{_source.none}}":                                 "",
		"<{{_source.html}}>": "<<b>&\"quoted\">",
	} {
		typ := mustMake(t, `{"Fields":{"id":{"Source":"_source.n"},"x":{"Source":`+string(must(json.Marshal(source)))+`,"Target":"_profile.FirstName"}},
			"Keys":{"k":[{"StandardIdentifiers":["UNIQUE","PROFILE"],"FieldNames":["id"]}]}}`)
		got, err := typ.Extract([]byte(`{"n":1e3,"vip":false,"who":{"first":"Ann","last":null},"tags":["a",1,true,null],"html":"<b>&\"quoted\"",
			"lines":[{"sku":"a","qty":2},{"sku":"b","qty":""},5]}`), 0)
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		text := ""
		if len(got.Values) > 0 {
			text = got.Values[0].Text
		}
		if text != want {
			t.Errorf("%s: %q, want %q", source, text, want)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// A standard object without any of its keys says nothing; a communication record is its object's.
func TestStandardObjectsNeedAKey(t *testing.T) {
	typ := mustMake(t, `{"Fields":{"id":{"Source":"_source.id"},"serial":{"Source":"_source.serial"},"status":{"Source":"_source.status","Target":"_asset.Status"},
		"sent":{"Source":"_source.sent","Target":"_communicationRecord.Events.sent.Attributes.at"}},
		"Keys":{"k":[{"StandardIdentifiers":["UNIQUE","PROFILE"],"FieldNames":["id"]}],"serial":[{"StandardIdentifiers":["ASSET"],"FieldNames":["serial"]}],
		"order":[{"StandardIdentifiers":["ORDER"],"FieldNames":["id"]}]}}`)
	for object, want := range map[string]string{
		`{"id":1,"serial":"s","status":"ok"}`: "_asset [{serial s}] [{Status [ok]}] ",
		`{"id":1,"status":"ok","sent":"x"}`:   "_communicationRecord UNIQUE [{Events.sent.Attributes.at [x]}] ",
		`{"id":1,"serial":"s"}`:               "_asset [{serial s}] [] ",
	} {
		x, err := typ.Extract([]byte(object), 0)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, s := range x.Standard {
			keys := fmt.Sprint(s.Keys)
			if keys == fmt.Sprintf("[{k %s}]", x.UniqueKey) {
				keys = "UNIQUE"
			}
			got += fmt.Sprintf("%s %s %v ", s.Type, keys, s.Fields)
		}
		if got != want {
			t.Errorf("%s: %s, want %s", object, got, want)
		}
	}
}

func BenchmarkExtract(b *testing.B) {
	typ := mustMake(b, orderType)
	object := []byte(`{"id":"order-1234567","customer":{"first":"Annette","last":"Lee","email":"annette.lee@example.org","phone":"+1 206 555 0100","address":{"street":"Main Street 12","city":"Seattle","zip":"98101","country":"US"},"segment":"gold","birthday":"1980-02-29"},"at":1700000000000,"total":112.50,"paid":true,"currency":"USD","lines":[{"sku":"A-1","title":"Cup with a long name","price":5,"quantity":2},{"sku":"A-2","title":"Plate","price":2.5,"quantity":6},{"sku":"A-3","title":"Fork","price":"5","quantity":12}],"notes":"` + strings.Repeat("Delivered to the neighbour. ", 12) + `","tags":["a","b","c"],"channel":"web"}`)
	b.SetBytes(int64(len(object)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := typ.Extract(object, 0); err != nil {
			b.Fatal(err)
		}
	}
}
