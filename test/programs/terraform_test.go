package programs

import (
	"context"
	"fmt"
	"maps"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/customerprofiles"
	"github.com/aws/aws-sdk-go-v2/service/customerprofiles/types"
)

// domainConfig is what somebody writes for an aws_customerprofiles_domain, and, as state, what was read of one.
type domainConfig struct {
	name, queue, key string
	days             int32
	matching         *types.MatchingRequest
	rules            *types.RuleBasedMatchingRequest
	status           types.RuleBasedMatchingStatus // read only
	tags             map[string]string
}

// terraform applies configurations of one domain as the provider does: it keeps a state, and asks only for what differs from it.
type terraform struct {
	*account
	state *domainConfig
}

// apply brings the domain to a configuration, and leaves what it then reads as its state.
func (p *terraform) apply(ctx context.Context, c domainConfig) error {
	if p.state != nil && p.state.name != c.name { // a change of what can't be changed
		if err := p.destroy(ctx); err != nil {
			return err
		}
	}
	var err error
	if p.state == nil {
		err = p.create(ctx, c)
	} else {
		err = p.update(ctx, c)
	}
	if err != nil {
		return err
	}
	if err := p.refresh(ctx); err != nil {
		return err
	}
	if p.state == nil {
		return fmt.Errorf("domain %s was created and can't be read", c.name)
	}
	return nil
}

func (p *terraform) create(ctx context.Context, c domainConfig) error {
	in := &customerprofiles.CreateDomainInput{DomainName: &c.name, DefaultExpirationDays: &c.days, Matching: c.matching, RuleBasedMatching: c.rules, Tags: c.tags}
	if c.queue != "" {
		in.DeadLetterQueueUrl = &c.queue
	}
	if c.key != "" {
		in.DefaultEncryptionKey = &c.key
	}
	out, err := p.CreateDomain(ctx, in)
	if err != nil {
		return err
	}
	p.state = &domainConfig{name: *out.DomainName}
	return nil
}

// update sends the members that differ, and tags by the ARN. A member that is taken out of the configuration is sent as "", a block not at all.
func (p *terraform) update(ctx context.Context, c domainConfig) error {
	in, changes := &customerprofiles.UpdateDomainInput{DomainName: &c.name}, false
	set := func(differs bool, do func()) {
		if differs {
			do()
			changes = true
		}
	}
	set(p.state.queue != c.queue, func() { in.DeadLetterQueueUrl = &c.queue })
	set(p.state.key != c.key, func() { in.DefaultEncryptionKey = &c.key })
	set(p.state.days != c.days, func() { in.DefaultExpirationDays = &c.days })
	set(fmt.Sprintf("%+v", flat(p.state.matching)) != fmt.Sprintf("%+v", flat(c.matching)), func() { in.Matching = c.matching })
	set(fmt.Sprintf("%+v", flat(p.state.rules)) != fmt.Sprintf("%+v", flat(c.rules)), func() { in.RuleBasedMatching = c.rules })
	if changes {
		if _, err := p.UpdateDomain(ctx, in); err != nil {
			return err
		}
	}
	return p.retag(ctx, c)
}

func (p *terraform) retag(ctx context.Context, c domainConfig) error {
	arn := p.arn("domains/" + c.name)
	var old []string
	for k, v := range p.state.tags {
		if now, ok := c.tags[k]; !ok || now != v {
			old = append(old, k)
		}
	}
	if len(old) > 0 {
		if _, err := p.UntagResource(ctx, &customerprofiles.UntagResourceInput{ResourceArn: arn, TagKeys: old}); err != nil {
			return err
		}
	}
	added := maps.Clone(c.tags)
	maps.DeleteFunc(added, func(k, v string) bool { old, ok := p.state.tags[k]; return ok && old == v })
	if len(added) > 0 {
		if _, err := p.TagResource(ctx, &customerprofiles.TagResourceInput{ResourceArn: arn, Tags: added}); err != nil {
			return err
		}
	}
	return nil
}

// refresh reads the domain into the state; what is gone is no longer in it.
func (p *terraform) refresh(ctx context.Context) error {
	out, err := p.GetDomain(ctx, &customerprofiles.GetDomainInput{DomainName: &p.state.name})
	if gone(err) {
		p.state = nil
		return nil
	}
	if err != nil {
		return err
	}
	s := &domainConfig{
		name: *out.DomainName, queue: aws.ToString(out.DeadLetterQueueUrl), key: aws.ToString(out.DefaultEncryptionKey),
		days: *out.DefaultExpirationDays, tags: out.Tags,
	}
	if m := out.Matching; m != nil {
		s.matching = &types.MatchingRequest{Enabled: m.Enabled, AutoMerging: m.AutoMerging, ExportingConfig: m.ExportingConfig, JobSchedule: m.JobSchedule}
	}
	if r := out.RuleBasedMatching; r != nil {
		s.status = r.Status
		s.rules = &types.RuleBasedMatchingRequest{
			Enabled: r.Enabled, AttributeTypesSelector: r.AttributeTypesSelector, ConflictResolution: r.ConflictResolution, ExportingConfig: r.ExportingConfig,
			MatchingRules: r.MatchingRules, MaxAllowedRuleLevelForMatching: r.MaxAllowedRuleLevelForMatching, MaxAllowedRuleLevelForMerging: r.MaxAllowedRuleLevelForMerging,
		}
	}
	p.state = s
	return nil
}

// destroy deletes the domain; one that has gone already is as good.
func (p *terraform) destroy(ctx context.Context) error {
	_, err := p.DeleteDomain(ctx, &customerprofiles.DeleteDomainInput{DomainName: &p.state.name})
	if err != nil && !gone(err) {
		return err
	}
	p.state = nil
	return nil
}

// importDomain adopts a domain of which only the id is known.
func (p *terraform) importDomain(ctx context.Context, id string) error {
	p.state = &domainConfig{name: id}
	return p.refresh(ctx)
}

// expect compares the state with a configuration, as the plan after an apply does, which must be empty.
func (p *terraform) expect(t *testing.T, what string, c domainConfig) {
	t.Helper()
	if p.state == nil {
		t.Fatalf("%s: the domain is gone", what)
	}
	same(t, what+": name", p.state.name, c.name)
	same(t, what+": queue", p.state.queue, c.queue)
	same(t, what+": key", p.state.key, c.key)
	same(t, what+": days", p.state.days, c.days)
	same(t, what+": matching", flat(p.state.matching), flat(c.matching))
	same(t, what+": rules", flat(p.state.rules), flat(c.rules))
	same(t, what+": tags", len(p.state.tags), len(c.tags))
	for k, v := range c.tags {
		same(t, what+": tag "+k, p.state.tags[k], v)
	}
}

// flat is a block as a state file has it: values instead of pointers.
func flat(block any) any {
	switch b := block.(type) {
	case *types.MatchingRequest:
		if b == nil {
			return nil
		}
		out := []any{aws.ToBool(b.Enabled)}
		if s := b.JobSchedule; s != nil {
			out = append(out, s.DayOfTheWeek, aws.ToString(s.Time))
		}
		if a := b.AutoMerging; a != nil {
			out = append(out, aws.ToBool(a.Enabled), aws.ToFloat64(a.MinAllowedConfidenceScoreForMerging), flatResolution(a.ConflictResolution))
			if a.Consolidation != nil {
				out = append(out, fmt.Sprint(a.Consolidation.MatchingAttributesList))
			}
		}
		return append(out, flatExport(b.ExportingConfig))
	case *types.RuleBasedMatchingRequest:
		if b == nil {
			return nil
		}
		out := []any{aws.ToBool(b.Enabled), aws.ToInt32(b.MaxAllowedRuleLevelForMatching), aws.ToInt32(b.MaxAllowedRuleLevelForMerging), flatResolution(b.ConflictResolution), flatExport(b.ExportingConfig)}
		for _, r := range b.MatchingRules {
			out = append(out, fmt.Sprint(r.Rule))
		}
		if s := b.AttributeTypesSelector; s != nil {
			out = append(out, s.AttributeMatchingModel, fmt.Sprint(s.Address, s.EmailAddress, s.PhoneNumber))
		}
		return out
	}
	return nil
}

func flatResolution(c *types.ConflictResolution) string {
	if c == nil {
		return ""
	}
	return string(c.ConflictResolvingModel) + " " + aws.ToString(c.SourceName)
}

func flatExport(c *types.ExportingConfig) string {
	if c == nil || c.S3Exporting == nil {
		return ""
	}
	return aws.ToString(c.S3Exporting.S3BucketName) + " " + aws.ToString(c.S3Exporting.S3KeyName)
}

func export(key string) *types.ExportingConfig {
	return &types.ExportingConfig{S3Exporting: &types.S3ExportingConfig{S3BucketName: aws.String("exports-of-mine"), S3KeyName: &key}}
}

func matchingBlock(model types.ConflictResolvingModel, source *string, attributes [][]string, score float64, day types.JobScheduleDayOfTheWeek, key string) *types.MatchingRequest {
	return &types.MatchingRequest{
		Enabled: aws.Bool(true), JobSchedule: &types.JobSchedule{DayOfTheWeek: day, Time: aws.String("18:00")}, ExportingConfig: export(key),
		AutoMerging: &types.AutoMerging{
			Enabled: aws.Bool(true), ConflictResolution: &types.ConflictResolution{ConflictResolvingModel: model, SourceName: source},
			Consolidation: &types.Consolidation{MatchingAttributesList: attributes}, MinAllowedConfidenceScoreForMerging: &score,
		},
	}
}

func rulesBlock(model types.AttributeMatchingModel, level int32, rules ...[]string) *types.RuleBasedMatchingRequest {
	r := &types.RuleBasedMatchingRequest{
		Enabled: aws.Bool(true), MaxAllowedRuleLevelForMatching: &level, MaxAllowedRuleLevelForMerging: &level, ExportingConfig: export("rules/"),
		ConflictResolution: &types.ConflictResolution{ConflictResolvingModel: types.ConflictResolvingModelRecency},
		AttributeTypesSelector: &types.AttributeTypesSelector{
			AttributeMatchingModel: model, Address: []string{"Address"}, EmailAddress: []string{"EmailAddress", "BusinessEmailAddress"}, PhoneNumber: []string{"PhoneNumber"},
		},
	}
	for _, rule := range rules {
		r.MatchingRules = append(r.MatchingRules, types.MatchingRule{Rule: rule})
	}
	return r
}

// Every argument of the resource is created, read, changed in place and taken away, and nothing else changes with it; after every apply the
// plan is empty.
func TestTerraformDomain(t *testing.T) {
	ctx := t.Context()
	p := &terraform{account: start(t)}
	c := domainConfig{name: "from-terraform", days: 120}
	steps := []struct {
		what   string
		change func()
	}{
		{"created with what is required", func() {}},
		{"days", func() { c.days = 365 }},
		{"a queue", func() { c.queue = "https://sqs.eu-central-1.amazonaws.com/" + p.id + "/dead" }},
		{"a key", func() { c.key = "arn:aws:kms:eu-central-1:" + p.id + ":key/k" }},
		{"matching", func() {
			c.matching = matchingBlock(types.ConflictResolvingModelSource, aws.String("CRM"), [][]string{{"PhoneNumber"}, {"FirstName"}}, 0.1, "MONDAY", "example/")
		}},
		{"matching, changed", func() {
			c.matching = matchingBlock(types.ConflictResolvingModelRecency, nil, [][]string{{"EmailAddress"}}, 0.8, "SUNDAY", "other/")
		}},
		{"matching, a score that is not given", func() {
			c.matching = matchingBlock(types.ConflictResolvingModelRecency, nil, [][]string{{"EmailAddress"}}, 0, "SUNDAY", "other/")
		}},
		{"rules", func() {
			c.rules = rulesBlock(types.AttributeMatchingModelOneToOne, 1, []string{"Address.City", "Address.Country"})
		}},
		{"rules, changed", func() {
			c.rules = rulesBlock(types.AttributeMatchingModelManyToMany, 2, []string{"Address.City", "Address.Country"}, []string{"EmailAddress"}, []string{"PhoneNumber"})
		}},
		{"rules, off", func() { c.rules = &types.RuleBasedMatchingRequest{Enabled: aws.Bool(false)} }},
		{"tags", func() { c.tags = map[string]string{"team": "crm", "env": "test"} }},
		{"tags, changed", func() { c.tags = map[string]string{"team": "other", "cost": "7"} }},
		{"no tags", func() { c.tags = nil }},
		{"no queue", func() { c.queue = "" }},
		{"no key", func() { c.key = "" }},
		{"matching, off", func() { c.matching = &types.MatchingRequest{Enabled: aws.Bool(false)} }},
		{"nothing", func() {}},
		{"everything", func() {
			c.queue, c.key, c.days, c.tags = "https://sqs.eu-central-1.amazonaws.com/1/q", "alias/k", 7, map[string]string{"a": ""}
			c.matching = matchingBlock(types.ConflictResolvingModelRecency, nil, [][]string{{"LastName", "Attributes.x"}}, 1, "FRIDAY", "a/")
			c.rules = rulesBlock(types.AttributeMatchingModelOneToOne, 1, []string{"AccountNumber"})
		}},
		{"everything, under another name", func() { c.name = "another-name" }},
	}
	for _, s := range steps {
		s.change()
		if err := p.apply(ctx, c); err != nil {
			t.Fatalf("%s: %v", s.what, err)
		}
		p.expect(t, s.what, c)
		if on := c.rules != nil && *c.rules.Enabled; on != (p.state.status != "") {
			t.Errorf("%s: Status is %q", s.what, p.state.status)
		}
		for p.state.status == types.RuleBasedMatchingStatusPending || p.state.status == types.RuleBasedMatchingStatusInProgress { // rules stand still, as AWS's do
			if err := p.refresh(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}

	other := &terraform{account: p.account} // a second state, of the same domain
	if err := other.importDomain(ctx, c.name); err != nil {
		t.Fatal(err)
	}
	other.expect(t, "imported", c)
	if err := other.importDomain(ctx, "no-such-domain"); err != nil || other.state != nil {
		t.Errorf("an import of nothing: %v, %+v", err, other.state)
	}
	if err := other.create(ctx, c); !refused(err, "Domain "+c.name+" already exists") {
		t.Errorf("a create of what exists: %v", err)
	}

	if err := p.destroy(ctx); err != nil {
		t.Fatal(err)
	}
	p.state = &domainConfig{name: c.name}
	if err := p.refresh(ctx); err != nil || p.state != nil {
		t.Errorf("what was destroyed is read: %v, %+v", err, p.state)
	}
	p.state = &domainConfig{name: c.name}
	if err := p.destroy(ctx); err != nil {
		t.Errorf("destroyed twice: %v", err)
	}
	if err := p.apply(ctx, c); err != nil { // the name is free at once
		t.Fatal(err)
	}
	p.expect(t, "created anew", c)
}

// What was deleted behind its back is planned to be created, and is.
func TestTerraformDomainThatDisappeared(t *testing.T) {
	ctx := t.Context()
	p := &terraform{account: start(t)}
	c := domainConfig{name: "fleeting", days: 30, tags: map[string]string{"a": "1"}}
	if err := p.apply(ctx, c); err != nil {
		t.Fatal(err)
	}
	must(p.DeleteDomain(ctx, &customerprofiles.DeleteDomainInput{DomainName: &c.name}))(t)
	if err := p.refresh(ctx); err != nil || p.state != nil {
		t.Fatalf("%v, %+v", err, p.state)
	}
	if err := p.apply(ctx, c); err != nil {
		t.Fatal(err)
	}
	p.expect(t, "created anew", c)
}

// A change that is refused changes nothing, and the plan stays.
func TestTerraformDomainThatIsRefused(t *testing.T) {
	ctx := t.Context()
	p := &terraform{account: start(t)}
	c := domainConfig{name: "careful", days: 30}
	if err := p.apply(ctx, c); err != nil {
		t.Fatal(err)
	}
	bad := c
	bad.days, bad.rules = 60, rulesBlock(types.AttributeMatchingModelOneToOne, 2, []string{"LastName"})
	if err := p.apply(ctx, bad); !refused(err, "MaxAllowedRuleLevelForMatching") {
		t.Fatal(err)
	}
	bad = c
	bad.name, bad.days = "bad name", 60
	if err := (&terraform{account: p.account}).apply(ctx, bad); !refused(err, "failed to satisfy constraint") {
		t.Fatal(err)
	}
	if err := p.refresh(ctx); err != nil {
		t.Fatal(err)
	}
	p.expect(t, "after a refusal", c)
}
