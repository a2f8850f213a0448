package conformance

import (
	"strings"
	"time"

	cp "github.com/aws/aws-sdk-go-v2/service/customerprofiles"
	"github.com/aws/aws-sdk-go-v2/service/customerprofiles/types"
)

var domainChecks = []Check{
	{"CreateDomain", "the answer has the settings, the tags and both times", "core.md 2.2", Model, func(t *T) {
		name, before := "kith-conformance-"+random(8), time.Now().Add(-time.Hour)
		out, err := t.suite.create(t.ctx, name)
		if err != nil {
			t.Stop("it is refused: %s", sentence(err))
		}
		if out.DefaultExpirationDays == nil || *out.DefaultExpirationDays != 30 {
			t.Differs("DefaultExpirationDays: got %v, want 30", out.DefaultExpirationDays)
		}
		sameText(t, "DomainName", out.DomainName, name)
		if out.CreatedAt == nil || out.LastUpdatedAt == nil || out.CreatedAt.Before(before) || out.LastUpdatedAt.Before(*out.CreatedAt) {
			t.Differs("CreatedAt %v and LastUpdatedAt %v are not both there and in order", out.CreatedAt, out.LastUpdatedAt)
		}
		same(t, "the tag made-by", out.Tags["made-by"], "kith-conformance")
	}},
	{"CreateDomain", "a name that exists is refused, and the message says that it exists", "core.md 2.2", Observed, func(t *T) {
		in := &cp.CreateDomainInput{DomainName: &t.domain, DefaultExpirationDays: new(int32(30))}
		refused(t, "the same name again", t.Client.CreateDomain, in, badRequest, "Domain "+t.domain+" already exists")
	}},
	{"CreateDomain", "a name of other characters or of more than 64, and days out of 1 to 1098, are refused", "core.md 2.2", Model, func(t *T) {
		for _, name := range []string{"kith conformance", "kith-conformance-ü", "kith-conformance-" + strings.Repeat("x", 48)} {
			in := &cp.CreateDomainInput{DomainName: &name, DefaultExpirationDays: new(int32(30))}
			refused(t, "the name "+name, t.Client.CreateDomain, in, badRequest, "")
		}
		for _, days := range []int32{0, 1099} {
			in := &cp.CreateDomainInput{DomainName: new("kith-conformance-" + random(8)), DefaultExpirationDays: &days}
			refused(t, show(days)+" days", t.Client.CreateDomain, in, badRequest, "")
		}
	}},
	{"GetDomain", "the answer has the settings, the tags and the statistics", "core.md 2.3", Model, func(t *T) {
		t.eventually(func() string {
			if got := call(t, t.GetDomain, &cp.GetDomainInput{DomainName: &t.domain}); got.Stats == nil {
				return "there are no Stats"
			}
			return ""
		})
		got := call(t, t.GetDomain, &cp.GetDomainInput{DomainName: &t.domain})
		sameText(t, "DomainName", got.DomainName, t.domain)
		if got.DefaultExpirationDays == nil || *got.DefaultExpirationDays != 30 {
			t.Differs("DefaultExpirationDays: got %v, want 30", got.DefaultExpirationDays)
		}
		same(t, "the tag made-by", got.Tags["made-by"], "kith-conformance")
	}},
	{"GetDomain", "ProfileCount is the number of profiles", "core.md 2.3", Model, func(t *T) {
		name := t.anotherDomain()
		for range 2 {
			call(t, t.CreateProfile, &cp.CreateProfileInput{DomainName: &name, FirstName: new("Ada")})
		}
		t.within(max(t.suite.config.Patience, 30*time.Second), func() string {
			if got := call(t, t.GetDomain, &cp.GetDomainInput{DomainName: &name}); got.Stats == nil || got.Stats.ProfileCount != 2 {
				return "ProfileCount is not 2"
			}
			return ""
		})
	}},
	{"GetDomain", "an unknown domain is not found", "core.md 2.2", Observed, func(t *T) {
		refused(t, "an unknown domain", t.Client.GetDomain, &cp.GetDomainInput{DomainName: unknownDomain()}, notFound, "")
	}},
	{"UpdateDomain", "an absent member keeps its value, and LastUpdatedAt moves", "core.md 2.2", Inferred, func(t *T) {
		name := t.anotherDomain()
		first := call(t, t.UpdateDomain, &cp.UpdateDomainInput{DomainName: &name, DefaultExpirationDays: new(int32(77))})
		time.Sleep(5 * time.Millisecond) // times are in milliseconds
		second := call(t, t.UpdateDomain, &cp.UpdateDomainInput{DomainName: &name})
		if second.DefaultExpirationDays == nil || *second.DefaultExpirationDays != 77 {
			t.Differs("DefaultExpirationDays: got %v, want 77", second.DefaultExpirationDays)
		}
		if !second.LastUpdatedAt.After(*first.LastUpdatedAt) || !second.CreatedAt.Equal(*first.CreatedAt) {
			t.Differs("LastUpdatedAt went from %v to %v, CreatedAt from %v to %v", first.LastUpdatedAt, second.LastUpdatedAt, first.CreatedAt, second.CreatedAt)
		}
	}},
	{"UpdateDomain", "Tags are left as they are", "core.md 2.2", Inferred, func(t *T) {
		name := t.anotherDomain()
		out := call(t, t.UpdateDomain, &cp.UpdateDomainInput{DomainName: &name, Tags: map[string]string{"more": "x"}})
		same(t, "number of tags", len(out.Tags), 1)
	}},
	{"UpdateDomain", "an empty DeadLetterQueueUrl is none", "core.md 2.2", Model, func(t *T) {
		name := t.anotherDomain()
		out := call(t, t.UpdateDomain, &cp.UpdateDomainInput{DomainName: &name, DeadLetterQueueUrl: new("")})
		sameText(t, "DeadLetterQueueUrl", out.DeadLetterQueueUrl, "")
	}},
	{"UpdateDomain", "RuleBasedMatching is kept and answered, with a status", "advanced.md 1.6", Model, func(t *T) {
		name := t.anotherDomain()
		out := call(t, t.UpdateDomain, &cp.UpdateDomainInput{DomainName: &name, RuleBasedMatching: &types.RuleBasedMatchingRequest{
			Enabled: new(true), MatchingRules: []types.MatchingRule{{Rule: []string{"AccountNumber"}}},
			MaxAllowedRuleLevelForMatching: new(int32(1)), MaxAllowedRuleLevelForMerging: new(int32(1)),
			ConflictResolution:     &types.ConflictResolution{ConflictResolvingModel: types.ConflictResolvingModelRecency},
			AttributeTypesSelector: &types.AttributeTypesSelector{AttributeMatchingModel: types.AttributeMatchingModelOneToOne},
		}})
		switch r := out.RuleBasedMatching; {
		case r == nil || r.Enabled == nil || !*r.Enabled || r.Status == "":
			t.Differs("RuleBasedMatching is not enabled, or has no Status: %+v", r)
		case len(r.MatchingRules) != 1 || len(r.MatchingRules[0].Rule) != 1 || r.MatchingRules[0].Rule[0] != "AccountNumber":
			t.Differs("MatchingRules: got %v", r.MatchingRules)
		}
	}},
	{"UpdateDomain", "an unknown domain is not found", "core.md 2.2", Observed, func(t *T) {
		refused(t, "an unknown domain", t.Client.UpdateDomain, &cp.UpdateDomainInput{DomainName: unknownDomain()}, notFound, "")
	}},
	{"ListDomains", "pages hold no more than asked for, and together every domain once", "core.md 6.4", Model, func(t *T) {
		other := t.anotherDomain()
		t.eventually(func() string {
			seen := map[string]int{}
			var token *string
			for pages := 0; pages < 300; pages++ {
				out := call(t, t.ListDomains, &cp.ListDomainsInput{MaxResults: new(int32(1)), NextToken: token})
				if len(out.Items) > 1 {
					t.Stop("a page of at most 1 holds %d", len(out.Items))
				}
				for _, d := range out.Items {
					seen[*d.DomainName]++
				}
				if token = out.NextToken; token == nil {
					break
				}
			}
			if seen[t.domain] != 1 || seen[other] != 1 {
				return "the domains of the checks are not listed once each"
			}
			return ""
		})
	}},
	{"ListDomains", "pages of 0 and 101 are refused", "core.md 6.4", Model, func(t *T) {
		for _, n := range []int32{0, 101} {
			refused(t, "a page of "+show(n), t.Client.ListDomains, &cp.ListDomainsInput{MaxResults: &n}, badRequest, "")
		}
	}},
	{"ListDomains", "a token that no answer had is refused", "core.md 6.4", Inferred, func(t *T) {
		refused(t, "a made-up token", t.Client.ListDomains, &cp.ListDomainsInput{NextToken: new("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")}, badRequest, "")
	}},
	{"DeleteDomain", "the answer has a message, and the domain is not found from then on", "core.md 2.4", Model, func(t *T) {
		name := t.anotherDomain()
		if out := call(t, t.Client.DeleteDomain, &cp.DeleteDomainInput{DomainName: &name}); out.Message == nil || *out.Message == "" {
			t.Differs("there is no Message")
		}
		t.eventually(func() string {
			if _, err := t.Client.GetDomain(t.ctx, &cp.GetDomainInput{DomainName: &name}); !notFound.is(err) {
				return "GetDomain still answers"
			}
			return ""
		})
	}},
	{"DeleteDomain", "the name can be used again, and what was in the domain is gone", "core.md 2.4", Inferred, func(t *T) {
		name := t.anotherDomain()
		in := &cp.CreateDomainLayoutInput{DomainName: &name, LayoutDefinitionName: new("main"), DisplayName: new("Main"), Description: new("d"),
			LayoutType: types.LayoutTypeProfileExplorer, Layout: new("{}")}
		call(t, t.CreateDomainLayout, in)
		call(t, t.Client.DeleteDomain, &cp.DeleteDomainInput{DomainName: &name})
		t.eventually(func() string {
			if _, err := t.suite.create(t.ctx, name); err != nil {
				return "the name can't be used: " + sentence(err)
			}
			return ""
		})
		refused(t, "the layout of the domain that was", t.GetDomainLayout,
			&cp.GetDomainLayoutInput{DomainName: &name, LayoutDefinitionName: new("main")}, notFound, "")
	}},
	{"DeleteDomain", "an unknown domain is not found", "core.md 2.4", Inferred, func(t *T) {
		refused(t, "an unknown domain", t.Client.DeleteDomain, &cp.DeleteDomainInput{DomainName: unknownDomain()}, notFound, "")
	}},
}

// anotherDomain makes a domain beside that of the checks. Run removes it at the end.
func (t *T) anotherDomain() string {
	name := "kith-conformance-" + random(8)
	if _, err := t.suite.create(t.ctx, name); err != nil {
		t.Stop("a domain can't be created: %s", sentence(err))
	}
	return name
}

func unknownDomain() *string { return new("kith-conformance-unknown-" + random(8)) }

// dataStoreDomain is a domain with a data store.
func (t *T) dataStoreDomain() string {
	name := t.anotherDomain()
	call(t, t.UpdateDomain, &cp.UpdateDomainInput{DomainName: &name, DataStore: &types.DataStoreRequest{Enabled: new(true)}})
	return name
}

var tagChecks = []Check{
	{"TagResource", "tags are added to those there are, and those of the same key replaced", "core.md 6.6", Model, func(t *T) {
		arn := t.arn(t.anotherDomain())
		call(t, t.TagResource, &cp.TagResourceInput{ResourceArn: &arn, Tags: map[string]string{"team": "a", "empty": ""}})
		call(t, t.TagResource, &cp.TagResourceInput{ResourceArn: &arn, Tags: map[string]string{"team": "b"}})
		t.tags(arn, map[string]string{"made-by": "kith-conformance", "team": "b", "empty": ""})
	}},
	{"TagResource", "keys that begin with aws:, and values of more than 256 characters, are refused", "core.md 6.6", Model, func(t *T) {
		arn := t.arn(t.domain)
		for what, tags := range map[string]map[string]string{"the key aws:x": {"aws:x": "1"}, "a value of 257 characters": {"k": strings.Repeat("x", 257)}} {
			refused(t, what, t.Client.TagResource, &cp.TagResourceInput{ResourceArn: &arn, Tags: tags}, badRequest, "")
		}
	}},
	{"TagResource", "a resource that is not there is not found", "core.md 6.6", Inferred, func(t *T) {
		in := &cp.TagResourceInput{ResourceArn: new(t.arn(*unknownDomain())), Tags: map[string]string{"k": "v"}}
		refused(t, "an unknown domain", t.Client.TagResource, in, notFound, "")
	}},
	{"UntagResource", "the tags of the keys are removed; keys that are not there do not matter", "core.md 6.6", Model, func(t *T) {
		arn := t.arn(t.anotherDomain())
		call(t, t.TagResource, &cp.TagResourceInput{ResourceArn: &arn, Tags: map[string]string{"a": "1", "b": "2"}})
		call(t, t.UntagResource, &cp.UntagResourceInput{ResourceArn: &arn, TagKeys: []string{"a", "missing"}})
		t.tags(arn, map[string]string{"made-by": "kith-conformance", "b": "2"})
	}},
	{"ListTagsForResource", "the tags given at creation are listed", "core.md 6.6", Model, func(t *T) {
		t.tags(t.arn(t.domain), map[string]string{"made-by": "kith-conformance"})
	}},
}

// arn is the ARN of a domain.
func (t *T) arn(domain string) string {
	return "arn:aws:profile:" + t.Options().Region + ":" + t.suite.config.Account + ":domains/" + domain
}

// tags notes a difference unless a resource has exactly these tags.
func (t *T) tags(arn string, want map[string]string) {
	t.eventually(func() string {
		got := call(t, t.ListTagsForResource, &cp.ListTagsForResourceInput{ResourceArn: &arn}).Tags
		for k, v := range want {
			if have, ok := got[k]; !ok || have != v {
				return "the tag " + k + " is not " + show(v) + " but " + show(have)
			}
		}
		if len(got) != len(want) {
			return "there are other tags, too: " + show(got)
		}
		return ""
	})
}

var layoutChecks = []Check{
	{"CreateDomainLayout", "the layout is answered as it was sent", "advanced.md 6", Model, func(t *T) {
		in := t.layout()
		out := call(t, t.Client.CreateDomainLayout, in)
		sameText(t, "Layout", out.Layout, *in.Layout)
		sameText(t, "DisplayName", out.DisplayName, *in.DisplayName)
		got := call(t, t.GetDomainLayout, &cp.GetDomainLayoutInput{DomainName: &t.domain, LayoutDefinitionName: in.LayoutDefinitionName})
		sameText(t, "Layout read again", got.Layout, *in.Layout)
		refused(t, "the same name again", t.Client.CreateDomainLayout, in, badRequest, "")
	}},
	{"GetDomainLayout", "an unknown layout is not found", "advanced.md 6", Inferred, func(t *T) {
		refused(t, "an unknown layout", t.Client.GetDomainLayout, &cp.GetDomainLayoutInput{DomainName: &t.domain, LayoutDefinitionName: new("unknown")}, notFound, "")
	}},
	{"UpdateDomainLayout", "what is present changes, the rest stays", "advanced.md 6", Inferred, func(t *T) {
		in := t.layout()
		call(t, t.Client.CreateDomainLayout, in)
		out := call(t, t.Client.UpdateDomainLayout, &cp.UpdateDomainLayoutInput{DomainName: &t.domain, LayoutDefinitionName: in.LayoutDefinitionName, DisplayName: new("Other")})
		sameText(t, "DisplayName", out.DisplayName, "Other")
		sameText(t, "Layout", out.Layout, *in.Layout)
	}},
	{"ListDomainLayouts", "a layout is listed", "advanced.md 6", Model, func(t *T) {
		in := t.layout()
		call(t, t.Client.CreateDomainLayout, in)
		t.eventually(func() string {
			for page := cp.NewListDomainLayoutsPaginator(t.Client, &cp.ListDomainLayoutsInput{DomainName: &t.domain}); page.HasMorePages(); {
				out, err := page.NextPage(t.ctx)
				t.notBuilt(err)
				if err != nil {
					t.Stop("the list is refused: %s", sentence(err))
				}
				for _, item := range out.Items {
					if *item.LayoutDefinitionName == *in.LayoutDefinitionName {
						return ""
					}
				}
			}
			return "the layout is not listed"
		})
	}},
	{"DeleteDomainLayout", "the layout is not found from then on", "advanced.md 6", Model, func(t *T) {
		in := t.layout()
		call(t, t.Client.CreateDomainLayout, in)
		call(t, t.Client.DeleteDomainLayout, &cp.DeleteDomainLayoutInput{DomainName: &t.domain, LayoutDefinitionName: in.LayoutDefinitionName})
		t.eventually(func() string {
			_, err := t.Client.GetDomainLayout(t.ctx, &cp.GetDomainLayoutInput{DomainName: &t.domain, LayoutDefinitionName: in.LayoutDefinitionName})
			if !notFound.is(err) {
				return "GetDomainLayout still answers"
			}
			return ""
		})
	}},
}

// layout is a request for a layout of a name of its own.
func (t *T) layout() *cp.CreateDomainLayoutInput {
	return &cp.CreateDomainLayoutInput{DomainName: &t.domain, LayoutDefinitionName: new(unique("layout-")), DisplayName: new("Main"), Description: new("of the checks"),
		LayoutType: types.LayoutTypeProfileExplorer, Layout: new(`{"rows": [1,  2]}`)}
}

var domainObjectTypeChecks = []Check{
	{"PutDomainObjectType", "the type is kept and answered", "core.md 4.9", Model, func(t *T) {
		name := t.dataStoreDomain()
		in := catalog(name)
		out := call(t, t.Client.PutDomainObjectType, in)
		sameText(t, "Description", out.Description, *in.Description)
		got := call(t, t.GetDomainObjectType, &cp.GetDomainObjectTypeInput{DomainName: &name, ObjectTypeName: in.ObjectTypeName})
		sameText(t, "Target of the field id", got.Fields["id"].Target, "_catalogItem.Id")
	}},
	{"PutDomainObjectType", "a domain without a data store takes none", "core.md 4.9", Model, func(t *T) {
		refused(t, "without a data store", t.Client.PutDomainObjectType, catalog(t.domain), badRequest, "")
	}},
	{"GetDomainObjectType", "an unknown type is not found", "core.md 4.9", Inferred, func(t *T) {
		refused(t, "an unknown type", t.Client.GetDomainObjectType, &cp.GetDomainObjectTypeInput{DomainName: &t.domain, ObjectTypeName: new("unknown")}, notFound, "")
	}},
	{"ListDomainObjectTypes", "the type is listed, and not when it is deleted", "core.md 4.9", Model, func(t *T) {
		name := t.dataStoreDomain()
		call(t, t.Client.PutDomainObjectType, catalog(name))
		listed := func(want int) {
			t.eventually(func() string {
				if got := call(t, t.Client.ListDomainObjectTypes, &cp.ListDomainObjectTypesInput{DomainName: &name}); len(got.Items) != want {
					return show(len(got.Items)) + " types are listed, want " + show(want)
				}
				return ""
			})
		}
		listed(1)
		call(t, t.DeleteDomainObjectType, &cp.DeleteDomainObjectTypeInput{DomainName: &name, ObjectTypeName: new("items")})
		listed(0)
	}},
	{"DeleteDomainObjectType", "an unknown type is not found", "core.md 4.9", Inferred, func(t *T) {
		refused(t, "an unknown type", t.Client.DeleteDomainObjectType, &cp.DeleteDomainObjectTypeInput{DomainName: &t.domain, ObjectTypeName: new("unknown")}, notFound, "")
	}},
}

func catalog(domain string) *cp.PutDomainObjectTypeInput {
	return &cp.PutDomainObjectTypeInput{DomainName: &domain, ObjectTypeName: new("items"), Description: new("what the shop sells"),
		Fields: map[string]types.DomainObjectTypeField{"id": {Source: new("_source.id"), Target: new("_catalogItem.Id")}}}
}
