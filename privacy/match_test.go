package privacy

import (
	"testing"

	"kith/profile/fold"
	"kith/schema"
)

// Where nobody knows what the fields of an object mean, its texts and numbers are looked at as they are written.
func TestObjectsOfNoType(t *testing.T) {
	keys := newKeySet([]fold.Key{
		{Name: schema.KeyAccount, Value: "98765432109876543210"}, {Name: schema.KeyEmail, Value: "ann@example.com"}, {Name: "short", Value: "12345"},
	})
	for object, want := range map[string]bool{
		`{"who":{"mail":" Ann@Example.com "}}`:                true,
		`{"id":98765432109876543210}`:                         true,
		`{"id":98765432109876543211}`:                         false,
		`{"ids":[null,true,["98765432109876543210"]]}`:        true,
		`{"mail":"bob@example.com","mail":"ann@example.com"}`: true,
		`{"mail":"ann@example.com","mail":""}`:                true,
		`{"ann@example.com":1}`:                               false, // the name of a field is none of its values
		`{"who":{"98765432109876543210":{"a":"b"}}}`:          false,
		`{"short":"12345"}`:                                   false,
		`{"mail":"ann@example.com and others"}`:               false,
		`ann@example.com`:                                     true,
		`{"mail":"ann@example.com"`:                           false, // it ends too early, and is one text
		`{}`:                                                  false,
	} {
		if got := keys.carries(nil, object); got != want {
			t.Errorf("%s: %t, want %t", object, got, want)
		}
	}
}
