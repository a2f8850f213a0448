package domain

import (
	"strings"
	"testing"

	"kith/api"
)

func TestRulesOfMatching(t *testing.T) {
	source, recency := &api.ConflictResolution{ConflictResolvingModel: api.Ptr(api.ConflictResolvingModelSource)}, &api.ConflictResolution{ConflictResolvingModel: api.Ptr(api.ConflictResolvingModelRecency)}
	named := &api.ConflictResolution{ConflictResolvingModel: source.ConflictResolvingModel, SourceName: api.Ptr("CRM")}
	criteria := func(names ...string) *api.Consolidation {
		return &api.Consolidation{MatchingAttributesList: [][]string{{"FirstName"}, names}}
	}
	on, off := api.Ptr(true), api.Ptr(false)
	for name, c := range map[string]struct {
		a     api.AutoMerging
		wrong string
	}{
		"off, without criteria": {api.AutoMerging{Enabled: off}, ""},
		"on, without criteria":  {api.AutoMerging{Enabled: on}, "Consolidation is missing"},
		"on":                    {api.AutoMerging{Enabled: on, Consolidation: criteria("Address.PostalCode", "Address", "Attributes.a b", "BusinessEmailAddress")}, ""},
		"recency":               {api.AutoMerging{Enabled: on, Consolidation: criteria("LastName"), ConflictResolution: recency}, ""},
		"an unknown field":      {api.AutoMerging{Enabled: off, Consolidation: criteria("LastName", "Surname")}, `MatchingAttributesList[1] has "Surname"`},
		"a part of no address":  {api.AutoMerging{Enabled: on, Consolidation: criteria("Address.Zip")}, "Address.Zip"},
		"a custom one, unnamed": {api.AutoMerging{Enabled: on, Consolidation: criteria("Attributes.")}, "Attributes."},
		"a source, unnamed":     {api.AutoMerging{Enabled: off, ConflictResolution: source}, "SourceName is missing"},
		"a source":              {api.AutoMerging{Enabled: off, ConflictResolution: named}, ""},
	} {
		judge(t, name, checkBlocks(&api.MatchingRequest{Enabled: on, AutoMerging: &c.a}, nil), c.wrong)
	}

	rules := func(rules ...[]string) (all []api.MatchingRule) {
		for _, r := range rules {
			all = append(all, api.MatchingRule{Rule: r})
		}
		return all
	}
	two := rules([]string{"EmailAddress", "Address.City"}, []string{"Attributes.tier"})
	selector := func(address, phone, email []string) *api.AttributeTypesSelector {
		return &api.AttributeTypesSelector{Address: address, PhoneNumber: phone, EmailAddress: email}
	}
	for name, c := range map[string]struct {
		rb    api.RuleBasedMatchingRequest
		wrong string
	}{
		"off":                      {api.RuleBasedMatchingRequest{Enabled: off}, ""},
		"on, without rules":        {api.RuleBasedMatchingRequest{Enabled: on}, "MatchingRules is missing"},
		"on":                       {api.RuleBasedMatchingRequest{Enabled: on, MatchingRules: two}, ""},
		"every attribute":          {api.RuleBasedMatchingRequest{Enabled: on, MatchingRules: rules(ruleAttributes[:15], ruleAttributes[15:])}, ""},
		"a field of a type":        {api.RuleBasedMatchingRequest{Enabled: on, MatchingRules: rules([]string{"MobilePhoneNumber"})}, "MatchingRules[0].Rule has"},
		"an address as a whole":    {api.RuleBasedMatchingRequest{Enabled: off, MatchingRules: rules([]string{"Address"})}, "which no rule compares"},
		"a custom one, unnamed":    {api.RuleBasedMatchingRequest{Enabled: on, MatchingRules: rules([]string{"Attributes."})}, "which no rule compares"},
		"an attribute twice":       {api.RuleBasedMatchingRequest{Enabled: on, MatchingRules: rules([]string{"LastName"}, []string{"LastName", "Gender", "LastName"})}, "MatchingRules[1].Rule has \"LastName\" twice"},
		"levels":                   {api.RuleBasedMatchingRequest{Enabled: on, MatchingRules: two, MaxAllowedRuleLevelForMatching: api.Ptr(int32(2)), MaxAllowedRuleLevelForMerging: api.Ptr(int32(2))}, ""},
		"a level without a rule":   {api.RuleBasedMatchingRequest{Enabled: on, MatchingRules: two, MaxAllowedRuleLevelForMatching: api.Ptr(int32(3))}, "the number of rules is 2"},
		"merging above matching":   {api.RuleBasedMatchingRequest{Enabled: on, MatchingRules: two, MaxAllowedRuleLevelForMatching: api.Ptr(int32(1)), MaxAllowedRuleLevelForMerging: api.Ptr(int32(2))}, "can't be above"},
		"merging above all rules":  {api.RuleBasedMatchingRequest{Enabled: on, MatchingRules: two, MaxAllowedRuleLevelForMerging: api.Ptr(int32(3))}, "can't be above"},
		"all addresses there are":  {api.RuleBasedMatchingRequest{Enabled: on, MatchingRules: two, AttributeTypesSelector: selector([]string{"Address", "BusinessAddress", "MaillingAddress", "ShippingAddress"}, nil, nil)}, ""},
		"all others there are":     {api.RuleBasedMatchingRequest{Enabled: on, MatchingRules: two, AttributeTypesSelector: selector([]string{"MailingAddress", "BillingAddress"}, selectable["PhoneNumber"], selectable["EmailAddress"])}, ""},
		"an address of another":    {api.RuleBasedMatchingRequest{Enabled: on, MatchingRules: two, AttributeTypesSelector: selector([]string{"EmailAddress"}, nil, nil)}, "AttributeTypesSelector.Address has"},
		"a phone twice":            {api.RuleBasedMatchingRequest{Enabled: on, MatchingRules: two, AttributeTypesSelector: selector(nil, []string{"PhoneNumber", "PhoneNumber"}, nil)}, "PhoneNumber has \"PhoneNumber\" twice"},
		"a mail that no one knows": {api.RuleBasedMatchingRequest{Enabled: on, MatchingRules: two, AttributeTypesSelector: selector(nil, nil, []string{"Email"})}, "AttributeTypesSelector.EmailAddress has"},
		"a source, unnamed":        {api.RuleBasedMatchingRequest{Enabled: on, MatchingRules: two, ConflictResolution: source}, "RuleBasedMatching.ConflictResolution.SourceName"},
	} {
		judge(t, name, checkBlocks(nil, &c.rb), c.wrong)
	}
}

func judge(t *testing.T, name string, err error, wrong string) {
	t.Helper()
	if wrong == "" && err != nil || wrong != "" && (err == nil || !strings.Contains(err.Error(), wrong)) {
		t.Errorf("%s: %v", name, err)
	}
}
