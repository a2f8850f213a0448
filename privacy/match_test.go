package privacy

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"kith/api"
	"kith/deadletter"
	"kith/domain"
	"kith/fault"
	"kith/objecttype"
	"kith/profile/fold"
	"kith/schema"
	"kith/store"
	"kith/store/faulty"
	"kith/store/mem"
)

// Where nobody knows what the fields of an object mean, its texts and numbers are looked at as they are written.
func TestObjectsOfNoType(t *testing.T) {
	keys := newKeySet(&domain.Record{}, []fold.Key{
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

// A letter whose type can't be looked up just now is not taken for one of no type: a short key would be missed, and the statement be false.
func TestLettersAreReadByTheirTypes(t *testing.T) {
	st, name := &faulty.Store{Store: mem.New()}, api.Ptr("d")
	domains := &domain.Service{Store: st, Now: time.Now}
	s := &Service{
		Domains: domains, Types: &objecttype.Service{Domains: domains},
		Letters: &deadletter.Service{Store: st, Domains: domains, Now: time.Now, Log: slog.New(slog.DiscardHandler)},
	}
	if _, err := domains.CreateDomain(t.Context(), &api.CreateDomainRequest{DomainName: name, DefaultExpirationDays: api.Ptr(int32(1))}); err != nil {
		t.Fatal(err)
	}
	rec, err := domains.Lookup(t.Context(), *name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Types.PutProfileObjectType(t.Context(), &api.PutProfileObjectTypeRequest{
		DomainName: name, ObjectTypeName: api.Ptr("Card"), Description: api.Ptr("cards"),
		Fields: map[string]api.ObjectTypeField{"id": {Source: api.Ptr("_source.id")}, "no": {Source: api.Ptr("_source.no"), Target: api.Ptr("_profile.AccountNumber")}},
		Keys: map[string][]api.ObjectTypeKey{
			"cardId":   {{FieldNames: []string{"id"}, StandardIdentifiers: []api.StandardIdentifier{"UNIQUE"}}},
			"_account": {{FieldNames: []string{"no"}, StandardIdentifiers: []api.StandardIdentifier{"PROFILE", "LOOKUP_ONLY"}}},
		},
	}); err != nil {
		t.Fatal(err)
	}
	for _, l := range []deadletter.Letter{
		{ObjectType: "Card", Reason: "No profile has its keys.", Object: `{"id":"1","no":"4711"}`},
		{ObjectType: "Gone", Reason: "No profile has its keys.", Object: `{"id":"2","no":"4711"}`},
	} {
		if err := s.Letters.Keep(t.Context(), rec, l); err != nil {
			t.Fatal(err)
		}
	}
	keys := newKeySet(&domain.Record{}, []fold.Key{{Name: schema.KeyAccount, Value: "4711"}})
	s.Types = &objecttype.Service{Domains: domains} // which remembers nothing
	st.Before(func(op faulty.Op, p store.Partition) error {
		if op == faulty.Get && p.Key == "k/object-types" {
			return fault.ErrUnavailable
		}
		return nil
	})
	if n, err := s.eachLetter(t.Context(), rec, keys, true); !errors.Is(err, fault.ErrUnavailable) {
		t.Errorf("%d letters, %v", n, err)
	}
	st.Before(nil)
	for _, want := range []int64{1, 0} {
		if n, err := s.eachLetter(t.Context(), rec, keys, true); n != want || err != nil {
			t.Errorf("%d letters, want %d, %v", n, want, err)
		}
	}
}
