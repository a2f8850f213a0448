package conformance

import (
	"fmt"
	"slices"
	"time"

	cp "github.com/aws/aws-sdk-go-v2/service/customerprofiles"
	"github.com/aws/aws-sdk-go-v2/service/customerprofiles/types"
)

// matchPatience is how long rules may take until they are in use, and a match until it is found.
const matchPatience = 15 * time.Minute

// rulesDomain turns rules on in a domain of their own, and waits until they are in use.
func (t *T) rulesDomain(model types.AttributeMatchingModel, rules ...[]string) string {
	name := t.anotherDomain()
	block := &types.RuleBasedMatchingRequest{Enabled: new(true), AttributeTypesSelector: &types.AttributeTypesSelector{
		AttributeMatchingModel: model, EmailAddress: []string{"EmailAddress", "BusinessEmailAddress"}}}
	for _, r := range rules {
		block.MatchingRules = append(block.MatchingRules, types.MatchingRule{Rule: r})
	}
	call(t, t.UpdateDomain, &cp.UpdateDomainInput{DomainName: &name, RuleBasedMatching: block})
	t.within(matchPatience, func() string {
		out := call(t, t.GetDomain, &cp.GetDomainInput{DomainName: &name})
		if s := out.RuleBasedMatching.Status; s != types.RuleBasedMatchingStatusActive {
			return fmt.Sprintf("the rules are %s, want ACTIVE", s)
		}
		return ""
	})
	return name
}

// matches waits until the match of a profile is of a level and has these members, none: it has no match; and returns its id.
func (t *T) matches(domain, profile string, level int32, members ...string) (match string) {
	slices.Sort(members)
	t.within(matchPatience, func() string {
		out := call(t, t.GetSimilarProfiles, &cp.GetSimilarProfilesInput{DomainName: &domain, MatchType: types.MatchTypeRuleBasedMatching, SearchKey: new("profileId"), SearchValue: &profile})
		slices.Sort(out.ProfileIds)
		if len(members) == 0 && len(out.ProfileIds) == 0 {
			return ""
		}
		if !slices.Equal(out.ProfileIds, members) || out.RuleLevel == nil || *out.RuleLevel != level {
			return fmt.Sprintf("profile %s is in a match of %v, want one of level %d of %v", profile, out.ProfileIds, level, members)
		}
		match = text(out.MatchId)
		return ""
	})
	return match
}

func (t *T) personIn(domain string, in *cp.CreateProfileInput) string {
	in.DomainName = &domain
	return *call(t, t.CreateProfile, in).ProfileId
}

var ruleChecks = []Check{
	{"ListRuleBasedMatches", "who has the same values is in a match, and its id is listed; who lacks one is in none", "advanced.md 1.7", Doc, func(t *T) {
		d := t.rulesDomain(types.AttributeMatchingModelOneToOne, []string{"FirstName", "EmailAddress"})
		a := t.personIn(d, &cp.CreateProfileInput{FirstName: new("Ada"), EmailAddress: new("a@example.com"), BusinessEmailAddress: new("office@example.com")})
		b := t.personIn(d, &cp.CreateProfileInput{FirstName: new("Ada"), EmailAddress: new("b@example.com"), BusinessEmailAddress: new("office@example.com")})
		t.personIn(d, &cp.CreateProfileInput{EmailAddress: new("a@example.com")})
		match := t.matches(d, a, 1, a, b)
		out := call(t, t.Client.ListRuleBasedMatches, &cp.ListRuleBasedMatchesInput{DomainName: &d})
		if !slices.Equal(out.MatchIds, []string{match}) {
			t.Differs("MatchIds is %v, want [%s]", out.MatchIds, match)
		}
	}},
	{"GetSimilarProfiles", "rules are asked in their order, and the level of a match is that of its rule", "advanced.md 1.7", Doc, func(t *T) {
		d := t.rulesDomain(types.AttributeMatchingModelManyToMany, []string{"EmailAddress"}, []string{"LastName"})
		a := t.personIn(d, &cp.CreateProfileInput{EmailAddress: new("a@example.com"), LastName: new("King")})
		b := t.personIn(d, &cp.CreateProfileInput{BusinessEmailAddress: new("a@example.com"), LastName: new("King")})
		t.matches(d, b, 1, a, b)
		c := t.personIn(d, &cp.CreateProfileInput{LastName: new("Byron")})
		e := t.personIn(d, &cp.CreateProfileInput{LastName: new("Byron")})
		t.matches(d, c, 2, c, e)
		t.matches(d, a, 1, a, b)
	}},
	{"GetSimilarProfiles", "a match or a profile that there is not is not found, another key is refused", "advanced.md 1.5", Inferred, func(t *T) {
		d := t.rulesDomain(types.AttributeMatchingModelOneToOne, []string{"EmailAddress"})
		of := func(key, value string) *cp.GetSimilarProfilesInput {
			return &cp.GetSimilarProfilesInput{DomainName: &d, MatchType: types.MatchTypeRuleBasedMatching, SearchKey: &key, SearchValue: &value}
		}
		refused(t, "an unknown match", t.Client.GetSimilarProfiles, of("matchId", *unknownID()), notFound, "")
		refused(t, "an unknown profile", t.Client.GetSimilarProfiles, of("profileId", *unknownID()), notFound, "")
		refused(t, "an unknown key", t.Client.GetSimilarProfiles, of("phone", "1"), badRequest, "")
		t.matches(d, t.personIn(d, &cp.CreateProfileInput{EmailAddress: new("a@example.com")}), 0)
	}},
}
