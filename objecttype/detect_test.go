package objecttype

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"kith/api"
	"kith/fault"
)

// told prints a detection: each field with its Target and content type, each key with its fields and identifiers.
func told(d *api.DetectedProfileObjectType) string {
	if d == nil {
		return "nothing"
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(d.Fields)) {
		f := d.Fields[name]
		fmt.Fprintf(&b, "%s>%s", strings.TrimPrefix(*f.Source, "_source."), strings.TrimPrefix(strings.TrimPrefix(api.Val(f.Target), "_profile."), "Attributes."))
		if *f.ContentType != "STRING" {
			fmt.Fprintf(&b, "(%s)", *f.ContentType)
		}
		b.WriteByte(' ')
	}
	for _, name := range slices.Sorted(maps.Keys(d.Keys)) {
		for _, k := range d.Keys[name] {
			fmt.Fprintf(&b, "| %s=%s %v ", name, strings.Join(k.FieldNames, "+"), k.StandardIdentifiers)
		}
	}
	return strings.TrimSpace(b.String()) + strings.TrimRight(" "+api.Val(d.SourceLastUpdatedTimestampFormat), " ")
}

func TestDetect(t *testing.T) {
	for _, c := range []struct {
		objects []string
		want    string
	}{
		{[]string{`{"id":"1","firstName":"Ann","last_name":"Lee","Email Address":"ann@example.org","mobile":"+1 206 555 0100","dob":"1980-01-01"}`},
			"Email Address>EmailAddress(EMAIL_ADDRESS) dob>BirthDate firstName>FirstName(NAME) id>id last_name>LastName(NAME) mobile>MobilePhoneNumber(PHONE_NUMBER) | _email=Email_Address [PROFILE] | _phone=mobile [PROFILE] | id=id [UNIQUE]"},
		{[]string{`{"orderId":"o1","customerId":"c1","total":5.5,"updated_at":"2024-02-29T10:11:12Z"}`, `{"orderId":"o2","customerId":"c1","total":7,"updated_at":"2024-02-28T10:11:12Z"}`},
			"customerId>customerId orderId>orderId total>total(NUMBER) updated_at>SourceLastUpdatedTimestamp | customerId=customerId [PROFILE] | orderId=orderId [UNIQUE] yyyy-MM-dd'T'HH:mm:ss'Z'"},
		{[]string{`{"user":{"id":7,"name":"Ann Lee","contact":{"email":"a@b.co","phone":"206-555-0100"}},"ts":1,"lastModified":1700000000000}`},
			"lastModified>SourceLastUpdatedTimestamp ts>ts(NUMBER) user.contact.email>EmailAddress(EMAIL_ADDRESS) user.contact.phone>PhoneNumber(PHONE_NUMBER) user.id>user.id user.name>user.name | _email=user.contact.email [PROFILE] | _fullName=user.name [] | _phone=user.contact.phone [PROFILE] | user_id=user.id [UNIQUE PROFILE] EpochMilli"},
		{[]string{`{"memberNumber":"m1","billing_address":{"street":"S","city":"C","zip":"1"},"shippingCity":"X","address":{"city":"Y","state":"Z"},"country":"US","company":{"name":"Acme"}}`},
			"address.city>Address.City address.state>Address.State billing_address.city>BillingAddress.City billing_address.street>BillingAddress.Address1 billing_address.zip>BillingAddress.PostalCode company.name>BusinessName(NAME) country>Address.Country memberNumber>memberNumber shippingCity>ShippingAddress.City | memberNumber=memberNumber [UNIQUE PROFILE]"},
		{[]string{`{"login":"ann@example.org","second":"bob@example.org","gender":"female","sex":"f","paid":true}`},
			"gender>Gender login>EmailAddress(EMAIL_ADDRESS) paid>paid second>PersonalEmailAddress(EMAIL_ADDRESS) sex>sex | _email=login [PROFILE UNIQUE] | _email=second [PROFILE]"},
		{[]string{`{"gender":"f","accountNumber":"77"}`}, "accountNumber>AccountNumber gender>GenderString | _account=accountNumber [PROFILE] | accountNumber=accountNumber [UNIQUE]"},
		{[]string{`{"email":"not one","id":"1"}`}, "email>email id>id | id=id [UNIQUE PROFILE]"},
		{[]string{`{"id":"1","email":"a@b.co"}`, `{"id":"2"}`}, "email>EmailAddress(EMAIL_ADDRESS) id>id | _email=email [PROFILE] | id=id [UNIQUE PROFILE]"},
		{[]string{`{"id":"1","email":"a@b.co"}`, `{"id":"1","email":"b@b.co"}`}, "email>EmailAddress(EMAIL_ADDRESS) id>id | _email=email [PROFILE UNIQUE]"},
		{[]string{`{"id":"1","email":"a@b.co"}`, `{"id":"1","email":"a@b.co"}`}, "nothing"},
		{[]string{`{"colour":"red"}`}, "nothing"},
		{[]string{`{}`}, "nothing"},
		{[]string{`{"list":[{"id":1}],"x":null,"y":""}`}, "nothing"},
		{[]string{`{"id":"1","note":"` + strings.Repeat("x", 1001) + `","a.b":"x","":"y","x":"` + strings.Repeat("x", 256) + `"}`}, "id>id | id=id [UNIQUE PROFILE]"},
	} {
		leaves, err := readLeaves(c.objects)
		if err != nil {
			t.Errorf("%v: %v", c.objects, err)
			continue
		}
		d := detect(leaves, len(c.objects))
		if got := told(d); got != c.want {
			t.Errorf("%.200s\ngot  %s\nwant %s", c.objects, got, c.want)
		}
		canBePut(t, d, c.objects)
	}
}

// canBePut checks that a type that was detected in objects can be put, and then they as objects of it.
func canBePut(t *testing.T, d *api.DetectedProfileObjectType, objects []string) {
	t.Helper()
	if d == nil {
		return
	}
	in := &api.PutProfileObjectTypeRequest{ObjectTypeName: api.Ptr("x"), Description: api.Ptr("d"), AllowProfileCreation: api.Ptr(true), Fields: d.Fields, Keys: d.Keys,
		SourceLastUpdatedTimestampFormat: d.SourceLastUpdatedTimestampFormat}
	def, err := (&Service{}).define(in)
	if err != nil {
		t.Fatalf("%s: %v", objects, err)
	}
	if err := checkOthers("x", def, &set{}, true); err != nil {
		t.Fatalf("%s: %v", objects, err)
	}
	typ, err := compile("x", def)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		if _, err := typ.Extract([]byte(o), 0); err != nil {
			t.Fatalf("%s of %s: %v", o, told(d), err)
		}
	}
}

func TestDetectRefuses(t *testing.T) {
	many := `{"a0":0`
	for i := range MaxDetected {
		many += fmt.Sprintf(`,"a%d":{}`, i+1)
	}
	for object, want := range map[string]string{
		``: "Number 2 of Objects must be one JSON object", `[]`: "Number 2 of Objects must be one JSON object", `{"a":1`: "at byte 6", `{"a":1}x`: "at byte", `{"a":1,"a":2}`: "at byte",
		many + `}`: "Number 2 of Objects has more than 120 attributes", strings.Replace(many, `"a0":0,`, ``, 1) + `}`: "",
		`{"a":` + strings.Repeat("[", 120) + strings.Repeat("]", 120) + `}`: "nests more than 100",
	} {
		_, err := readLeaves([]string{`{}`, object})
		if msg := fault.Message(err); (err == nil) != (want == "") || !strings.Contains(msg, want) {
			t.Errorf("%.60s: %v, want %q", object, err, want)
		}
	}
}

// Whatever is detected can be put, and so can the objects.
func FuzzDetect(f *testing.F) {
	f.Add(`{"id":"1","email":"a@b.co","phone":"+1 206 555 0100","updatedAt":"2024-02-29T10:11:12Z"}`, `{"id":"2","customer":{"id":5,"name":"x"}}`)
	f.Fuzz(func(t *testing.T, one, two string) {
		objects := []string{one, two}
		leaves, err := readLeaves(objects)
		if err != nil {
			return
		}
		canBePut(t, detect(leaves, len(objects)), objects)
	})
}

// FuzzExtract holds what is read of an object to what the standard library reads, and to the limits.
func FuzzExtract(f *testing.F) {
	typ := mustMake(f, orderType)
	f.Add([]byte(`{"id":7,"customer":{"first":"Ann","email":"a@b","phone":"1","address":{"city":"Z\u00fc"}},"lines":[{"title":"x"},5,null]}`))
	f.Add([]byte(`{"id":"\ud83d\ude00","customer":{"first":null,"phone":[],"email":"x"},"at":5}`))
	f.Fuzz(func(t *testing.T, object []byte) {
		got, err := typ.Extract(object, 0)
		if err != nil {
			if fault.Message(err) == "" {
				t.Fatal(err)
			}
			return
		}
		checkAgainstTheLibrary(t, object, got)
	})
}

// FuzzTemplate evaluates any template that can be put on any object: it ends, says nothing of nothing, and fails with a fault only.
func FuzzTemplate(f *testing.F) {
	f.Add("{{#each _source.a}}{{this.b}}{{#if c}}x{{else}}{{_source.d}}{{/if}}{{/each}}", `{"id":1,"a":[{"b":1,"c":0},null,"x"],"d":{"e":[]}}`)
	f.Add("{{#with _source.a}}{{#removeExtraSpace}} {{b}}  {{/removeExtraSpace}}{{/with}}", `{"id":1,"a":{"b":"\u00fc"}}`)
	f.Fuzz(func(t *testing.T, source, object string) {
		def := &definition{Fields: map[string]api.ObjectTypeField{"id": {Source: api.Ptr("_source.id")}, "x": {Source: &source, Target: api.Ptr("_profile.Attributes.x")}},
			Keys: map[string][]api.ObjectTypeKey{"k": {{FieldNames: []string{"id"}, StandardIdentifiers: []api.StandardIdentifier{"UNIQUE", "PROFILE"}}}}}
		if err := check("x", def, Quotas{}); err != nil {
			if fault.Message(err) == "" {
				t.Fatal(err)
			}
			return
		}
		typ, err := compile("x", def)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := typ.Extract([]byte(object), 0); err != nil && fault.Message(err) == "" {
			t.Fatal(err)
		}
		if strings.Contains(source, "_source.id") {
			return
		}
		if x, err := typ.Extract([]byte(`{"id":1}`), 0); err != nil || len(x.Values) > 0 {
			t.Fatalf("of nothing it says %v, %v", x, err)
		}
	})
}
