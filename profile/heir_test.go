package profile

import (
	"math/rand/v2"
	"testing"

	"kith/domain"
	"kith/objecttype"
)

// Whatever is covered has no key that what covers it lacks.
func TestCovers(t *testing.T) {
	own := []domain.Key{{Name: "k", Parts: []domain.KeyPart{{Attribute: "Attributes.tier"}}}, {Name: "l", Parts: []domain.KeyPart{{Attribute: "Address.City"}, {Attribute: "FirstName"}}}}
	for name, keys := range map[string][]domain.Key{"predefined": nil, "own": own} {
		t.Run(name, func(t *testing.T) {
			attrs := NewKeyAttrs(keys)
			rnd := rand.New(rand.NewPCG(1, 2))
			some := func() (values []Value) {
				for _, a := range []objecttype.Attr{{ID: objecttype.AccountNumber}, {ID: objecttype.FirstName}, {ID: objecttype.MiddleName}, {ID: objecttype.LastName},
					{ID: objecttype.PhoneNumber}, {ID: objecttype.EmailAddress}, {ID: objecttype.Address + 4}, {Custom: "note"}, {Custom: "tier"}} {
					if n := rnd.IntN(5); n > 0 {
						values = append(values, Value{Attr: a, Text: string(rune('a'+n/4)) + "1", Stamp: Stamp{Time: 1}})
					}
				}
				return values
			}
			covered, equal := 0, 0
			for range 20_000 {
				have := &Contribution{Kind: Import, Expires: 9, Stamp: Stamp{Time: 1}, Values: some()}
				wants := some()
				if rnd.IntN(10) == 0 {
					wants = have.Values
				}
				var body []byte
				for _, v := range wants {
					body = AppendValue(body, v, Stamp{Time: 1})
				}
				has := map[IndexKey]bool{}
				for _, k := range have.IndexKeys(keys) {
					has[k] = true
				}
				all := true
				Keys(wants, keys, func(name, value string) { all = all && has[IndexKey{name, value}] })
				if all {
					equal++
				}
				if attrs.Covers(have.Append(nil), body) {
					covered++
					if !all {
						t.Fatalf("%+v is said to cover %+v", have.Values, wants)
					}
				}
			}
			if covered < equal*3/4 {
				t.Fatalf("%d are seen to be covered of %d", covered, equal)
			}
			// What tells more than its bytes show covers nothing.
			v := []Value{{Attr: first, Text: "a", Stamp: Stamp{Time: 1}}}
			body := AppendValue(nil, v[0], Stamp{Time: 1})
			for name, c := range map[string]*Contribution{
				"an edit":     {Kind: Manual, Stamp: Stamp{Time: 1}, Values: v},
				"folded":      {Kind: Import, Stamp: Stamp{Time: 1}, Values: []Value{{Attr: first, Text: "a", Stamp: Stamp{Time: 1}, Expires: 5}}},
				"with extras": {Kind: Import, Stamp: Stamp{Time: 1}, Extra: []IndexKey{{"n", "v"}}, Values: v},
				"its stamp":   {Kind: Import, Stamp: Stamp{Time: 2}, Values: v},
			} {
				if attrs.Covers(c.Append(nil), body) {
					t.Errorf("%s covers", name)
				}
			}
			if b := (&Contribution{Kind: Import, Values: v}).Append(nil); attrs.Covers(b[:len(b)-1], body) || attrs.Covers(nil, body) {
				t.Error("half a contribution covers")
			}
		})
	}
}
