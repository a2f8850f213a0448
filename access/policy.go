package access

import (
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"
)

// Policy is an IAM-like policy document. A request is allowed when a statement allows it and none denies it.
//
//	{"Version": "2012-10-17", "Statement": [
//	  {"Effect": "Allow", "Action": ["profile:Get*", "kith:*"], "Resource": "arn:aws:profile:*:*:domains/acme"}]}
//
// Action is profile:<Operation> or kith:<Operation>; Resource is the ARN of a domain, or "*". "*" matches any characters
// and "?" one. Partition, region and account of an ARN are not compared: there is one account, and clients choose the region. Operations that belong to no domain (ListDomains, the kith:* administration) need the resource "*".
type Policy struct {
	Version   string      `json:"Version,omitzero"`
	Statement []Statement `json:"Statement"`
}

// Statement is one rule of a Policy.
type Statement struct {
	Sid      string `json:"Sid,omitzero"`
	Effect   string `json:"Effect"`
	Action   texts  `json:"Action"`
	Resource texts  `json:"Resource"`
}

// texts is a string or a list of strings.
type texts []string

// UnmarshalJSON accepts both forms.
func (t *texts) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		*t = make(texts, 1)
		return json.Unmarshal(b, &(*t)[0])
	}
	return json.Unmarshal(b, (*[]string)(t))
}

// Everything is the policy of a root key.
const Everything = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`

// ParsePolicy reads a policy document. The error says what is wrong in words for its author.
func ParsePolicy(text string) (*Policy, error) {
	p := &Policy{}
	if err := json.Unmarshal([]byte(text), p, json.RejectUnknownMembers(true)); err != nil {
		return nil, fmt.Errorf("the policy is not valid: %w", err)
	}
	if len(p.Statement) == 0 {
		return nil, errors.New("the policy needs at least one Statement")
	}
	for i, s := range p.Statement {
		at := fmt.Sprintf("Statement %d", i+1)
		if s.Effect != "Allow" && s.Effect != "Deny" {
			return nil, fmt.Errorf("%s: Effect must be Allow or Deny", at)
		}
		if len(s.Action) == 0 || len(s.Resource) == 0 {
			return nil, fmt.Errorf("%s: Action and Resource must not be empty", at)
		}
		for _, a := range s.Action {
			if a != "*" && !strings.HasPrefix(a, "profile:") && !strings.HasPrefix(a, "kith:") {
				return nil, fmt.Errorf("%s: Action %q must be \"*\" or begin with profile: or kith:", at, a)
			}
		}
		for j, r := range s.Resource {
			s.Resource[j] = anywhere(r)
			if r != "*" && !strings.HasPrefix(r, "arn:") {
				return nil, fmt.Errorf("%s: Resource %q must be \"*\" or an ARN such as arn:aws:profile:*:*:domains/NAME", at, r)
			}
		}
	}
	return p, nil
}

// anywhere returns an ARN pattern for any partition, region and account.
func anywhere(arn string) string {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) < 6 {
		return arn
	}
	return "arn:*:" + parts[2] + ":*:*:" + parts[5]
}

// Allows says whether the policy allows an action on a resource; the resource "" belongs to no domain.
func (p *Policy) Allows(action, resource string) bool {
	allowed := false
	for _, s := range p.Statement {
		if !s.covers(action, resource) {
			continue
		}
		if s.Effect == "Deny" {
			return false
		}
		allowed = true
	}
	return allowed
}

func (s *Statement) covers(action, resource string) bool {
	return matchAny(s.Action, action) && matchAny(s.Resource, resource)
}

func matchAny(patterns []string, s string) bool {
	for _, p := range patterns {
		if match(p, s) {
			return true
		}
	}
	return false
}

// match compares s with a pattern of * and ?, in time proportional to their product at worst.
func match(pattern, s string) bool {
	p, i, star, mark := 0, 0, -1, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// DomainARN is the resource of everything in a domain.
func DomainARN(region, name string) string {
	return "arn:aws:profile:" + region + ":" + AccountID + ":domains/" + name
}

// AccountID is the account every key belongs to.
const AccountID = "000000000000"
