package access

import (
	"testing"

	"kith/api"
)

// BenchmarkAuthorize is what a request pays for its policy: a key of a domain, and one that three others bind.
func BenchmarkAuthorize(b *testing.B) {
	var op api.Operation
	for _, o := range api.Operations {
		if o.Name == "SearchProfiles" {
			op = o
		}
	}
	one, err := ParsePolicy(`{"Statement":[{"Effect":"Allow","Action":["profile:*","kith:*UploadJob*"],"Resource":["arn:aws:profile:*:*:domains/shop","arn:aws:profile:*:*:domains/shop/*"]},
		{"Effect":"Deny","Action":"profile:DeleteDomain","Resource":"*"}]}`)
	if err != nil {
		b.Fatal(err)
	}
	for name, key := range map[string]Key{"alone": {Policies: []*Policy{one}}, "bound": {Policies: []*Policy{one, one, one, one}}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := key.Authorize(op.Action, Resources(nil, op, func(string) string { return "shop" }, nil, "")); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
