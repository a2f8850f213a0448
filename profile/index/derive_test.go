package index

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"kith/domain"
	"kith/profile/fold"
	"kith/schema"
)

// phoneKeys are keys of the domain whose parts are read as phone numbers and names, one with a part that a predefined key is made of, too.
var phoneKeys = append(slices.Clone(ownKeys), domain.Key{Name: "fax", Parts: []domain.KeyPart{{Attribute: "Attributes.fax", ContentType: "PHONE_NUMBER"}}},
	domain.Key{Name: "mobile", Parts: []domain.KeyPart{{Attribute: "MobilePhoneNumber", ContentType: "PHONE_NUMBER"}, {Attribute: "LastName", ContentType: "STRING"}}},
	domain.Key{Name: "none"})

// What is derived from an encoded contribution is what its values yield, whatever they are and wherever they were written.
func TestDeriverYieldsWhatIsDecoded(t *testing.T) {
	rng := rand.New(rand.NewPCG(21, 22))
	d := NewDeriver(phoneKeys)
	names := map[string]int{}
	for range 20_000 {
		c := part(rng, 20).Contribution
		if rng.IntN(2) == 0 {
			i, _ := slices.BinarySearchFunc(c.Values, schema.Attr{Custom: "fax"}, func(v fold.Value, a schema.Attr) int { return v.Attr.Compare(a) })
			c.Values = slices.Insert(slices.Clone(c.Values), i, fold.Value{Attr: schema.Attr{Custom: "fax"}, Text: "030 / 555-1234", Kind: fold.Import, Stamp: fold.Stamp{Time: 20, Row: 2}})
		}
		country, _ := schema.ParseCountry([]string{"", "DE", "US"}[rng.IntN(3)])
		ReadIn(c.Values, country, phoneKeys)
		want := map[string]bool{}
		var keys Set
		keys.AddContribution(c, phoneKeys)
		for _, k := range keys.Keys() {
			want[PartitionKey(k)] = true
			names[k.Name]++
		}
		got := map[string]bool{}
		err := d.Each(c.Append(nil), func(family int, value []byte) { got[d.Families()[family]+"\x01"+string(value)] = true })
		if err != nil || !maps.Equal(got, want) {
			t.Fatalf("%v: %q, want %q, of %+v", err, slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)), c)
		}
	}
	for _, name := range []string{"loyalty", "who", "fax", "mobile", "upload:x", schema.KeyAccount, schema.KeyEmail, schema.KeyPhone, schema.KeyFullName} {
		if names[name] == 0 {
			t.Errorf("no contribution had a key %s", name)
		}
	}
}

// A contribution that is cut is damaged, or one that says less.
func TestDeriverOfDamage(t *testing.T) {
	rng := rand.New(rand.NewPCG(23, 24))
	d := NewDeriver(phoneKeys)
	for range 300 {
		p := part(rng, 20)
		b := p.Append(nil)
		for n := range b {
			_, want := fold.DecodeContribution(b[:n])
			err := d.Each(b[:n], func(int, []byte) {})
			if err != nil && want == nil || n < 17 && err == nil {
				t.Fatalf("%d bytes of %d: %v, decoding says %v", n, len(b), err, want)
			}
		}
	}
}
