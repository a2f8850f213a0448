package domain

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"kith/api"
	"kith/fault"
	"kith/schema"
)

// Rules of the blocks Matching and RuleBasedMatching that the model can't say. Behaviour: docs/spec/advanced.md sections 1.1 and 1.6.

// ruleAttributes are what a rule may compare besides Attributes.<name>. An address, a phone number and an e-mail address are types here: which of
// a profile's fields stand for them is said by the selector.
var ruleAttributes = []string{
	"AccountNumber", "Address.Address", "Address.City", "Address.Country", "Address.County", "Address.PostalCode", "Address.State", "Address.Province",
	"BirthDate", "BusinessName", "EmailAddress", "FirstName", "Gender", "LastName", "MiddleName", "PhoneNumber",
}

// selectable are the fields of each type, spelled as AWS documents them, and as profiles have them where that differs.
var selectable = map[string][]string{
	"Address":      {"Address", "BusinessAddress", "BillingAddress", "MaillingAddress", "MailingAddress", "ShippingAddress"},
	"PhoneNumber":  {"PhoneNumber", "HomePhoneNumber", "MobilePhoneNumber", "BusinessPhoneNumber"},
	"EmailAddress": {"EmailAddress", "BusinessEmailAddress", "PersonalEmailAddress"},
}

// checkBlocks refuses settings of matching that nothing could run by.
func checkBlocks(m *api.MatchingRequest, rb *api.RuleBasedMatchingRequest) error {
	if m != nil && m.AutoMerging != nil {
		if err := checkAutoMerging(m.AutoMerging); err != nil {
			return err
		}
	}
	if rb == nil {
		return nil
	}
	return checkRules(rb)
}

func checkAutoMerging(a *api.AutoMerging) error {
	const at = "Matching.AutoMerging"
	if *a.Enabled && a.Consolidation == nil {
		return fault.BadRequestf("%s.Consolidation is missing: merging by itself needs criteria.", at)
	}
	if a.Consolidation != nil {
		for i, criterion := range a.Consolidation.MatchingAttributesList {
			for _, name := range criterion {
				if !isAttribute(name) {
					return fault.BadRequestf("%s.Consolidation.MatchingAttributesList[%d] has %q, which no profile has: name a field of the standard profile, such as FirstName or Address.PostalCode, or Attributes.<name>.", at, i, name)
				}
			}
		}
	}
	return CheckResolution(at+".", a.ConflictResolution)
}

// isAttribute says whether a name is a field of the standard profile, an address as a whole included, or a custom one.
func isAttribute(name string) bool {
	_, ok := schema.ParsePath(name)
	return ok || slices.Contains([]string{"Address", "ShippingAddress", "MailingAddress", "BillingAddress"}, name)
}

// CheckResolution refuses a conflict resolution that lacks what it needs; at begins its path in the request.
func CheckResolution(at string, c *api.ConflictResolution) error {
	if c != nil && *c.ConflictResolvingModel == api.ConflictResolvingModelSource && c.SourceName == nil {
		return fault.BadRequestf("%sConflictResolution.SourceName is missing: ConflictResolvingModel SOURCE needs the object type whose values win.", at)
	}
	return nil
}

func checkRules(rb *api.RuleBasedMatchingRequest) error {
	const at = "RuleBasedMatching"
	n := int32(len(rb.MatchingRules))
	if *rb.Enabled && n == 0 {
		return fault.BadRequestf("%s.MatchingRules is missing: matching by rules needs one at least.", at)
	}
	for i, rule := range rb.MatchingRules {
		if err := checkRule(fmt.Sprintf("%s.MatchingRules[%d].Rule", at, i), rule.Rule); err != nil {
			return err
		}
	}
	matching, merging := n, int32(0)
	api.Set(&matching, rb.MaxAllowedRuleLevelForMatching)
	api.Set(&merging, rb.MaxAllowedRuleLevelForMerging)
	switch {
	case matching > n:
		return fault.BadRequestf("%s.MaxAllowedRuleLevelForMatching is %d, but the number of rules is %d, and a rule's level is its place among them.", at, matching, n)
	case merging > matching:
		return fault.BadRequestf("%s.MaxAllowedRuleLevelForMerging is %d, and can't be above MaxAllowedRuleLevelForMatching, which is %d: what is merged must match first.", at, merging, matching)
	}
	if s := rb.AttributeTypesSelector; s != nil {
		for _, of := range []struct {
			name   string
			fields []string
		}{{"Address", s.Address}, {"PhoneNumber", s.PhoneNumber}, {"EmailAddress", s.EmailAddress}} {
			if err := checkSelector(at+".AttributeTypesSelector."+of.name, of.fields, selectable[of.name]); err != nil {
				return err
			}
		}
	}
	return CheckResolution(at+".", rb.ConflictResolution)
}

func checkRule(at string, rule []string) error {
	for i, name := range rule {
		custom, isCustom := strings.CutPrefix(name, "Attributes.")
		if !slices.Contains(ruleAttributes, name) && (!isCustom || custom == "") {
			return fault.BadRequestf("%s has %q, which no rule compares: use Attributes.<name> or one of %s.", at, name, strings.Join(ruleAttributes, ", "))
		}
		if slices.Contains(rule[:i], name) {
			return fault.BadRequestf("%s has %q twice.", at, name)
		}
	}
	return nil
}

func checkSelector(at string, fields, allowed []string) error {
	for i, name := range fields {
		if !slices.Contains(allowed, name) {
			return fault.BadRequestf("%s has %q: use %s.", at, name, strings.Join(allowed, ", "))
		}
		if slices.Contains(fields[:i], name) {
			return fault.BadRequestf("%s has %q twice.", at, name)
		}
	}
	return nil
}

// rulesOf shows the rules of a domain with their status. changed: they are new.
func (s *Service) rulesOf(ctx context.Context, rec *Record, changed bool) (*api.RuleBasedMatchingResponse, error) {
	if s.Rules != nil && changed {
		s.Rules.Changed(rec)
	}
	if s.Rules == nil || rec.RuleBasedMatching == nil || !api.Val(rec.RuleBasedMatching.Enabled) {
		return rec.RuleBasedMatching, nil
	}
	status, err := s.Rules.Status(ctx, rec)
	if err != nil {
		return nil, err
	}
	out := *rec.RuleBasedMatching
	out.Status = &status
	return &out, nil
}

// rulesChange says whether a request changes the rules of a domain, or refuses that.
func (s *Service) rulesChange(ctx context.Context, rec *Record, in *api.RuleBasedMatchingRequest) (bool, error) {
	if in == nil {
		return false, nil
	}
	next := &Record{}
	next.setBlocks(nil, in, nil)
	was := rec.RuleBasedMatching
	if was != nil {
		plain := *was
		plain.Status = nil // records of older versions have one
		was = &plain
	}
	if reflect.DeepEqual(was, next.RuleBasedMatching) {
		return false, nil
	}
	if s.Rules == nil || was == nil || !api.Val(was.Enabled) || !api.Val(in.Enabled) {
		return true, nil
	}
	return true, s.Rules.MayChange(ctx, rec)
}
