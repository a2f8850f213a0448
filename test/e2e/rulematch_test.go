package e2e

import (
	"fmt"
	"slices"
	"strings"

	"kith/api"
)

// This file is what matching by rules means, as simply as can be said: docs/spec/advanced.md 1.7 and COMPATIBILITY.md. It shares no code with
// package match/rule.

// ruleSet is rules over the attributes that the tests' profiles have.
type ruleSet struct {
	rules    [][]string
	merging  int
	anyToAny bool
	emails   []string // the selector
}

func (r ruleSet) request() *api.RuleBasedMatchingRequest {
	model := api.AttributeMatchingModelOneToOne
	if r.anyToAny {
		model = api.AttributeMatchingModelManyToMany
	}
	out := &api.RuleBasedMatchingRequest{Enabled: api.Ptr(true), AttributeTypesSelector: &api.AttributeTypesSelector{AttributeMatchingModel: &model, EmailAddress: r.emails}}
	for _, rule := range r.rules {
		out.MatchingRules = append(out.MatchingRules, api.MatchingRule{Rule: rule})
	}
	if r.merging > 0 {
		out.MaxAllowedRuleLevelForMerging = api.Ptr(int32(r.merging))
	}
	return out
}

// valuesOf returns what a profile has of an attribute, by field.
func (r ruleSet) valuesOf(p *api.Profile, name string) map[string]string {
	out := map[string]string{}
	set := func(field string, v *string) {
		if text := strings.ToLower(strings.TrimSpace(api.Val(v))); text != "" {
			out[field] = text
		}
	}
	switch name {
	case "EmailAddress":
		for _, field := range r.emails {
			set(field, map[string]*string{"EmailAddress": p.EmailAddress, "PersonalEmailAddress": p.PersonalEmailAddress, "BusinessEmailAddress": p.BusinessEmailAddress}[field])
		}
		if r.emails == nil {
			set("EmailAddress", p.EmailAddress)
		}
	case "AccountNumber":
		set(name, p.AccountNumber)
	case "FirstName":
		set(name, p.FirstName)
	case "LastName":
		set(name, p.LastName)
	default:
		v := p.Attributes[strings.TrimPrefix(name, "Attributes.")]
		set(name, &v)
	}
	return out
}

// keys returns what a profile has of all attributes of a rule together: a text for each choice of fields.
func (r ruleSet) keys(p *api.Profile, rule []string) map[string]bool {
	keys := map[string]bool{"": true}
	for _, name := range rule {
		next := map[string]bool{}
		for key := range keys {
			for field, v := range r.valuesOf(p, name) {
				if r.anyToAny {
					field = name
				}
				next[key+"|"+field+"="+v] = true
			}
		}
		keys = next
	}
	return keys
}

// found are matches as text: the level and the members.
func (r ruleSet) found(profiles []api.Profile, maxHolders, maxMembers int) (all []string) {
	n := len(profiles)
	holders := make([]map[string][]int, len(r.rules)) // by level and key
	level := make([]int, n)
	for l, rule := range r.rules {
		holders[l] = map[string][]int{}
		for i := range profiles {
			for key := range r.keys(&profiles[i], rule) {
				holders[l][key] = append(holders[l][key], i)
			}
		}
		for key, of := range holders[l] {
			if len(of) < 2 || len(of) > maxHolders {
				delete(holders[l], key)
				continue
			}
			for _, i := range of {
				if level[i] == 0 {
					level[i] = l + 1
				}
			}
		}
	}
	for l := range r.rules {
		of := make([]int, n) // the lowest with whom each is connected
		for i := range of {
			of[i] = i
		}
		for changed := true; changed; {
			changed = false
			for _, together := range holders[l] {
				if !slices.ContainsFunc(together, func(i int) bool { return level[i] == l+1 }) {
					continue
				}
				least := n
				for _, i := range together {
					least = min(least, of[i])
				}
				for _, i := range together {
					changed = changed || of[i] != least
					of[i] = least
				}
			}
		}
		groups := map[int][]string{}
		for i, least := range of {
			groups[least] = append(groups[least], *profiles[i].ProfileId)
		}
		for _, ids := range groups {
			if len(ids) > 1 && len(ids) <= maxMembers {
				slices.Sort(ids)
				all = append(all, fmt.Sprint(l+1, " ", strings.Join(ids, " ")))
			}
		}
	}
	slices.Sort(all)
	return all
}
