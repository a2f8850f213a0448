package access

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"kith/api"
)

func mustParse(t *testing.T, text string) *Policy {
	t.Helper()
	p, err := ParsePolicy(text)
	if err == nil {
		err = p.Check()
	}
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return p
}

// statement is a policy of one statement.
func statement(members string) string {
	return `{"Version":"2012-10-17","Statement":[{` + members + `}]}`
}

// The documented rules of IAM's evaluation, one row each: the policy, the action, what it is done to, and what is said.
func TestEvaluation(t *testing.T) {
	shop, secret := ARN("domains/shop"), ARN("domains/shop-secret")
	order := ARN("domains/shop/object-types/order")
	allow := func(action, resource string) string {
		return statement(`"Effect":"Allow","Action":` + action + `,"Resource":` + resource)
	}
	for name, c := range map[string]struct {
		policy, action, resource string
		want                     Effect
	}{
		"nothing speaks of it: denied by default": {allow(`"profile:GetDomain"`, `"*"`), "profile:DeleteDomain", shop, NotAllowed},
		"allowed":                                       {allow(`"profile:GetDomain"`, `"*"`), "profile:GetDomain", shop, Allowed},
		"an action in a list":                           {allow(`["profile:ListDomains","profile:GetDomain"]`, `"*"`), "profile:GetDomain", shop, Allowed},
		"an action in other letters":                    {allow(`"PROFILE:getdomain"`, `"*"`), "profile:GetDomain", shop, Allowed},
		"a pattern in other letters":                    {allow(`"profile:GET*"`, `"*"`), "profile:GetDomain", shop, Allowed},
		"* matches nothing, too":                        {allow(`"profile:GetDomain*"`, `"*"`), "profile:GetDomain", shop, Allowed},
		"? matches one":                                 {allow(`"profile:GetDomai?"`, `"*"`), "profile:GetDomain", shop, Allowed},
		"? does not match nothing":                      {allow(`["profile:GetDomain?ayout","profile:GetDomain"]`, `"*"`), "profile:GetDomainLayout", shop, Allowed},
		"* is every action, additions too":              {allow(`"*"`, `"*"`), "kith:CreateBackup", AnyResource, Allowed},
		"a resource":                                    {allow(`"profile:*"`, `"arn:aws:profile:us-east-1:000000000000:domains/shop"`), "profile:GetDomain", shop, Allowed},
		"another resource":                              {allow(`"profile:*"`, `"arn:aws:profile:us-east-1:000000000000:domains/shop"`), "profile:GetDomain", secret, NotAllowed},
		"a resource in other letters is another":        {allow(`"profile:*"`, `"arn:aws:profile:*:*:domains/Shop"`), "profile:GetDomain", shop, NotAllowed},
		"region and account as patterns":                {allow(`"profile:*"`, `"arn:aws:profile:us-*:*:domains/shop"`), "profile:GetDomain", shop, Allowed},
		"an ARN may end early":                          {allow(`"profile:*"`, `"arn:aws:profile:us-east-1:*"`), "profile:PutProfileObjectType", order, Allowed},
		"a domain is not what is in it":                 {allow(`"profile:*"`, `"arn:aws:profile:*:*:domains/shop"`), "profile:PutProfileObjectType", order, NotAllowed},
		"what is in a domain":                           {allow(`"profile:*"`, `"arn:aws:profile:*:*:domains/shop/*"`), "profile:PutProfileObjectType", order, Allowed},
		"an ARN does not match the resource *":          {allow(`"profile:*"`, `"arn:aws:profile:*:*:*"`), "profile:ListDomains", AnyResource, NotAllowed},
		"NotAction allows all others":                   {statement(`"Effect":"Allow","NotAction":"kith:*","Resource":"*"`), "profile:GetDomain", shop, Allowed},
		"NotAction does not allow what it lists":        {statement(`"Effect":"Allow","NotAction":["kith:*","profile:Delete*"],"Resource":"*"`), "profile:DeleteDomain", shop, NotAllowed},
		"NotAction in other letters":                    {statement(`"Effect":"Allow","NotAction":"profile:deletedomain","Resource":"*"`), "profile:DeleteDomain", shop, NotAllowed},
		"NotResource allows all others":                 {statement(`"Effect":"Allow","Action":"profile:*","NotResource":"arn:aws:profile:*:*:domains/shop-secret*"`), "profile:GetDomain", shop, Allowed},
		"NotResource does not allow what it lists":      {statement(`"Effect":"Allow","Action":"profile:*","NotResource":"arn:aws:profile:*:*:domains/shop-secret*"`), "profile:GetDomain", secret, NotAllowed},
		"NotResource reaches what has no ARN":           {statement(`"Effect":"Deny","Action":"profile:*","NotResource":"arn:aws:profile:*:*:domains/shop"`), "profile:ListDomains", AnyResource, Denied},
		"one statement as an object":                    {`{"Statement":{"Effect":"Allow","Action":"profile:GetDomain","Resource":"*"}}`, "profile:GetDomain", shop, Allowed},
		"the older version, and an Id":                  {`{"Version":"2008-10-17","Id":"x","Statement":[{"Sid":"a","Effect":"Allow","Action":"profile:GetDomain","Resource":"*"}]}`, "profile:GetDomain", shop, Allowed},
		"members in any order":                          {`{"Statement":[{"Resource":"*","Action":"profile:GetDomain","Effect":"Allow"}],"Version":"2012-10-17"}`, "profile:GetDomain", shop, Allowed},
		"allowed by the second of two":                  {two(`"Effect":"Allow","Action":"profile:ListDomains","Resource":"*"`, `"Effect":"Allow","Action":"profile:GetDomain","Resource":"*"`), "profile:GetDomain", shop, Allowed},
		"a deny after an allow":                         {two(`"Effect":"Allow","Action":"*","Resource":"*"`, `"Effect":"Deny","Action":"profile:GetDomain","Resource":"*"`), "profile:GetDomain", shop, Denied},
		"a deny before an allow":                        {two(`"Effect":"Deny","Action":"profile:GetDomain","Resource":"*"`, `"Effect":"Allow","Action":"*","Resource":"*"`), "profile:GetDomain", shop, Denied},
		"a deny in other letters":                       {two(`"Effect":"Allow","Action":"*","Resource":"*"`, `"Effect":"Deny","Action":"profile:deletedomain","Resource":"*"`), "profile:DeleteDomain", shop, Denied},
		"a deny by region":                              {two(`"Effect":"Allow","Action":"*","Resource":"*"`, `"Effect":"Deny","Action":"profile:*","Resource":"arn:aws:profile:us-east-1:*"`), "profile:DeleteDomain", shop, Denied},
		"a deny elsewhere":                              {two(`"Effect":"Allow","Action":"*","Resource":"*"`, `"Effect":"Deny","Action":"*","Resource":"arn:aws:profile:*:*:domains/shop-*"`), "profile:GetDomain", shop, Allowed},
		"a deny by NotAction: only what it lists stays": {two(`"Effect":"Allow","Action":"*","Resource":"*"`, `"Effect":"Deny","NotAction":"profile:Get*","Resource":"*"`), "profile:DeleteDomain", shop, Denied},
	} {
		t.Run(name, func(t *testing.T) {
			if got := mustParse(t, c.policy).Evaluate(c.action, c.resource); got != c.want {
				t.Errorf("%s\n%s on %s: %d, want %d", c.policy, c.action, c.resource, got, c.want)
			}
		})
	}
}

func two(a, b string) string { return `{"Version":"2012-10-17","Statement":[{` + a + `},{` + b + `}]}` }

// What is refused when a policy is made, and the words that help its author.
func TestPoliciesAreCheckedWhenMade(t *testing.T) {
	s := func(members string) string { return statement(`"Effect":"Deny",` + members) }
	resource := func(r string) string { return s(`"Action":"profile:*","Resource":"` + r + `"`) }
	for _, c := range []struct{ policy, words string }{
		{``, "no JSON object"}, {`[]`, "no JSON object"}, {`null`, "no JSON object"}, {`{} x`, "no JSON object"}, {`{"Statement":[{}`, "no JSON object"},
		{"{\"Id\":\"\xff\"}", "no JSON object"}, {`{"Id":1}`, "Id must be a string"}, {`{"Statement":7}`, "must be an object"},
		{`{}`, "at least one Statement"}, {`{"Statement":[]}`, "at least one Statement"}, {`{"Version":"2012-10-17"}`, "at least one Statement"},
		{`{"Version":"2015-10-17","Statement":[]}`, `Version must be 2012-10-17 or 2008-10-17, not "2015-10-17"`},
		{`{"statement":[]}`, `did you mean "Statement"?`}, {`{"Statement":[],"Statement":[]}`, "duplicate"},
		{s(`"Actions":"*","Resource":"*"`), `Statement 1: "Actions" is no element of a policy; did you mean "Action"?`},
		{s(`"Action":"*","resource":"*"`), `did you mean "Resource"?`},
		{s(`"Action":"*","Resource":"*","Condition":{}`), "Condition is not supported"},
		{s(`"Action":"*","Resource":"*","Principal":"*"`), "Principal does not belong"},
		{statement(`"Effect":"allow","Action":"*","Resource":"*"`), `Effect must be Allow or Deny, not "allow"`},
		{statement(`"Action":"*","Resource":"*"`), "Effect is missing"},
		{s(`"Resource":"*"`), "either Action or NotAction"}, {s(`"Action":"*"`), "either Resource or NotResource"},
		{s(`"Action":"*","NotAction":"*","Resource":"*"`), "either Action or NotAction"},
		{s(`"Action":"*","Resource":"*","NotResource":"*"`), "either Resource or NotResource"},
		{s(`"Action":[],"Resource":"*"`), "Action must not be empty"}, {s(`"Action":"","Resource":"*"`), "empty string"},
		{s(`"Action":7,"Resource":"*"`), "a string or a list"}, {s(`"Action":[["*"]],"Resource":"*"`), "a string or a list"},
		{s(`"Action":"*","Resource":"` + strings.Repeat("x", 3000) + `"`), "more than 2048 bytes"},
		{two(`"Sid":"a","Effect":"Deny","Action":"*","Resource":"*"`, `"Sid":"a","Effect":"Deny","Action":"*","Resource":"*"`), "is that of Statement 1"},

		{s(`"Action":"profile:SerchProfiles","Resource":"*"`), `Action "profile:SerchProfiles" is not known; did you mean "profile:SearchProfiles"?`},
		{s(`"Action":"profile:Serch*","Resource":"*"`), `did you mean "profile:SearchProfiles"?`},
		{s(`"Action":"profile:DeleteProfils","Resource":"*"`), `did you mean "profile:DeleteProfile"?`},
		{s(`"Action":"profiles:GetDomain","Resource":"*"`), `begins with profile: or kith:; did you mean "profile:GetDomain"?`},
		{s(`"Action":"kith:GetDomain","Resource":"*"`), "is not known"},
		{s(`"Action":"s3:*","Resource":"*"`), "begins with profile: or kith:"},
		{s(`"NotAction":["profile:GetDomain","profile:Xyzzy"],"Resource":"*"`), `NotAction "profile:Xyzzy" is not known`},

		{resource("shop"), "must be"}, {resource("arn:aws:profile:us-east-1"), "must be"}, {resource("ARN:aws:profile:*:*:domains/shop"), "must be"},
		{resource("arn:aws-cn:profile:*:*:domains/shop"), `the partition of every resource of this server is "aws", not "aws-cn"`},
		{resource("arn:aws:profiles:*:*:domains/shop"), `the service of every resource of this server is "profile"`},
		{resource("arn:aws:profile:eu-west-1:*:domains/shop"), `the region of every resource of this server is "us-east-1", not "eu-west-1"`},
		{resource("arn:aws:profile:*:123456789012:domains/shop"), `the account of every resource of this server is "000000000000"`},
		{resource("arn:aws:profile:*:*:domain/shop"), "every resource begins with domains/"},
		{resource("arn:aws:profile:*:*:Domains/shop"), "every resource begins with domains/"},
		{resource("arn:aws:profile:*:*:domains/the shop"), "a domain's name has letters"},
		{resource("arn:aws:profile:*:*:domains/"), "a domain's name has letters"},
		{resource("arn:aws:profile:*:*:domains/shop/object-type/order"), `a domain has no "object-type"; did you mean "object-types"?`},
		{resource("arn:aws:profile:*:*:domains/shop/upload-jobs/*"), `a domain has no "upload-jobs"; there are`},
		{resource("arn:aws:profile:*:*:domains/shop/object-types"), "a name must follow object-types/"},
		{resource("arn:aws:profile:*:*:domains/shop/object-types/a/b"), "after object-types/ there must be one name"},
		{resource("arn:aws:profile:*:*:domains/${aws:username}"), "policy variable"},
		{s(`"Action":"profile:*","NotResource":["*","arn:aws:profile:*:*:domain/shop"]`), "every resource begins with domains/"},

		{s(`"Action":"profile:ListDomains","Resource":"arn:aws:profile:*:*:domains/shop"`), `acts on no single domain: put it into a statement with Resource "*"`},
		{s(`"Action":["profile:GetDomain","kith:CreateAccessKey"],"Resource":"arn:aws:profile:*:*:domains/shop"`), `Action "kith:CreateAccessKey" acts on no single domain`},
		{s(`"Action":"profile:SearchProfiles","Resource":"arn:aws:profile:*:*:domains/shop/object-types/order"`), "never acts on the Resource of this statement; it acts on arn:aws:profile:us-east-1:000000000000:domains/NAME"},
		{s(`"Action":"profile:GetDomainLayout","Resource":"arn:aws:profile:*:*:domains/shop/object-types/order"`), "domains/NAME/layouts/NAME"},
	} {
		p, err := ParsePolicy(c.policy)
		if err == nil {
			err = p.Check()
		}
		if err == nil || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%.200s\n\tsays %v, want %q in it", c.policy, err, c.words)
		}
	}
	for _, good := range []string{
		resource("arn:aws:profile:*:*:domains/shop*"), resource("arn:aws:profile:us-east-1:000000000000:domains/*/object-types/order"),
		resource("arn:*"), resource("arn:aws:profile:us-east-1:*"), resource("arn:a?s:profile:*:*:domains/s?op/*"), resource("arn:aws:profile:*:*:domains/shop/integrations/arn:aws:appflow:us-east-1:1:flow/a b"),
		s(`"Action":["profile:*","KITH:*"],"Resource":["arn:aws:profile:*:*:domains/shop","arn:aws:profile:*:*:domains/shop/*"]`),
		s(`"Action":["profile:TagResource"],"Resource":"arn:aws:profile:*:*:domains/*/layouts/*"`), Everything,
	} {
		mustParse(t, good)
	}
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		p, s string
		want bool
	}{{"*", "", true}, {"a*c", "abbc", true}, {"a*c", "abcd", false}, {"a?c", "abc", true}, {"a?c", "ac", false}, {"**a", "xa", true}, {"", "x", false}, {"A*C", "abc", false},
		{strings.Repeat("a*", 30) + "b", strings.Repeat("a", 5000), false}} {
		if got := match(c.p, c.s, false); got != c.want {
			t.Errorf("match %.20q %.20q: %t", c.p, c.s, got)
		}
		if !match(strings.ToUpper(c.p), c.s, true) && c.want {
			t.Errorf("folded match %.20q %.20q", c.p, c.s)
		}
	}
}

// What a pattern is said to be able to match, it matches: some ARN of that kind, found by filling in.
func TestPatternsMeetTemplates(t *testing.T) {
	for _, c := range []struct {
		pattern, kind string
		want          bool
	}{
		{"domains/?", "", true}, {"domains/??*", "", true}, {"domains/*/", "", false}, {"domains*", "", true}, {"domains/?/?", "", false},
		{"domains/*", "layouts", true}, {"domains/?*/layout?/?", "layouts", true}, {"domains/a/layouts/", "layouts", false}, {"*/layouts/*", "layouts", true}, {"domains/a/layouts/*", "recommenders", false}, {"*/layouts/*", "recommenders", true /* of a domain named layouts */},
		{"domains/*s/x", "layouts", true}, {"*/*/*/*", "", false}, {"*/*/*/*", "layouts", true}, {"*/*/*/*/*", "layouts", false}, {"*/*/*/*/*", "integrations", true},
	} {
		if got := meets(c.pattern, template(c.kind)); got != c.want {
			t.Errorf("%q and %q: %t", c.pattern, c.kind, got)
		}
	}
}

// meets agrees with trying all texts, for patterns and templates small enough to try.
func TestMeetsAgreesWithTryingAll(t *testing.T) {
	letters := func(c byte) bool { return c == 'a' }
	templates := [][]unit{
		{{char: 'd'}, {char: '/'}, {is: letters}, {is: letters, many: true}},
		{{char: 'd'}, {char: '/'}, {is: letters}, {is: letters, many: true}, {char: '/'}, {is: anyByte}, {is: anyByte, many: true}},
	}
	const alphabet = "ad/"
	var texts []string
	for level := []string{""}; len(level[0]) < 9; {
		var next []string
		for _, s := range level {
			for _, c := range alphabet {
				next = append(next, s+string(c))
			}
		}
		texts, level = append(texts, next...), next
	}
	r := rand.New(rand.NewPCG(1, 2))
	for _, template := range templates {
		var of []string
		for _, s := range texts {
			if meets(s, template) { // without wildcards, to meet is to match
				of = append(of, s)
			}
		}
		if len(of) < 5 || len(of) > len(texts)/2 || slices.Contains(of, "d/") || !slices.Contains(of, "d/a") && !slices.Contains(of, "d/a/d") {
			t.Fatalf("%d of %d texts: %.100q", len(of), len(texts), of)
		}
		for range 3000 {
			var b strings.Builder
			for range 1 + r.IntN(4) {
				b.WriteByte("ad/**??"[r.IntN(7)])
			}
			pattern := b.String()
			want := slices.ContainsFunc(of, func(s string) bool { return match(pattern, s, false) })
			if got := meets(pattern, template); got != want {
				t.Fatalf("%q: %t, and trying all says %t", pattern, got, want)
			}
		}
	}
}

// FuzzPolicy: whatever is accepted keeps the rules that hold for all policies.
func FuzzPolicy(f *testing.F) {
	f.Add(Everything, "profile:GetDomain", "shop")
	f.Add(statement(`"Effect":"Deny","NotAction":["profile:Get*"],"NotResource":"arn:aws:profile:*:*:domains/sh?p"`), "kith:CreateBackup", "x")
	f.Add(two(`"Sid":"a","Effect":"Allow","Action":"PROFILE:*","Resource":"arn:aws:profile:us-east-1:*"`, `"Effect":"Deny","Action":"*","Resource":"*"`), "profile:PutProfileObject", "a/object-types/b")
	f.Fuzz(func(t *testing.T, text, action, name string) {
		p, err := ParsePolicy(text)
		if err != nil || p.Check() != nil {
			return
		}
		for _, resource := range []string{ARN("domains/" + name), AnyResource} {
			got := p.Evaluate(action, resource)
			if swapped := p.Evaluate(strings.ToUpper(strings.ToLower(action)), resource); isASCII(action) && swapped != got {
				t.Fatalf("%q: %d, and %d in capitals", action, got, swapped)
			}
			everything, err := ParsePolicy(Everything)
			if err != nil {
				t.Fatal(err)
			}
			key := Key{Policies: []*Policy{everything, p}}
			if allowed := key.Authorize(action, []string{resource}) == nil; allowed != (got == Allowed) {
				t.Fatalf("a boundary that says %d leaves allowed at %t", got, allowed)
			}
			more := &Policy{Statement: append([]Statement{{Deny: true, Action: []string{"*"}, Resource: []Pattern{NewPattern("*")}}}, p.Statement...)}
			if more.Evaluate(action, resource) != Denied {
				t.Fatal("a deny of everything was outvoted")
			}
		}
		// A policy that was accepted can match: each of its actions is one of an operation's.
		for _, s := range p.Statement {
			for _, a := range append(s.Action, s.NotAction...) {
				if len(operations(a)) == 0 {
					t.Fatalf("action %q", a)
				}
			}
		}
	})
}

func isASCII(s string) bool { return strings.IndexFunc(s, func(r rune) bool { return r > 127 }) < 0 }

// Every operation has an action of its own, and at most one kind besides the domain: what Resources counts on.
func TestEveryOperationHasATarget(t *testing.T) {
	seen := map[string]string{}
	for _, op := range api.Operations {
		if other := seen[strings.ToLower(op.Action)]; other != "" {
			t.Errorf("%s and %s have one action", op.Name, other)
		}
		seen[strings.ToLower(op.Action)] = op.Name
		if n := strings.Count(op.Path, "Name}"); n > 2 && !strings.Contains(op.Path, "{AttributeName}") {
			t.Errorf("%s names %d things in its path: %s", op.Name, n, op.Path)
		}
	}
	if _, ok := targets["GetDomain"]; !ok || len(targets) != len(api.Operations) {
		t.Error(fmt.Sprint(len(targets), " targets"))
	}
}
