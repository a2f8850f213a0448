package access

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Policy is a policy document in the language of IAM. It is evaluated as IAM does: what no statement allows is denied, and what one
// denies is denied whatever others allow.
//
//	{"Version": "2012-10-17", "Statement": [
//	  {"Effect": "Allow", "Action": ["profile:Get*", "kith:*UploadJob*"], "Resource": "arn:aws:profile:*:*:domains/acme"}]}
//
// An action is profile:<Operation>, or kith:<Operation> for an addition, without regard to case. A resource is the ARN of what an
// operation acts on (resource.go), in exactly its letters, or "*"; operations that act on no single domain need "*". In both "*" stands for
// any characters, slashes included, within a part of an ARN, and "?" for one; an ARN that ends early in "*" leaves the other parts open.
// NotAction and NotResource speak of all but what they list.
type Policy struct {
	Statement []Statement
}

// Statement is one rule of a Policy. One of Action and NotAction is set, and one of Resource and NotResource.
type Statement struct {
	Deny                  bool
	Action, NotAction     []string
	Resource, NotResource []Pattern
}

// Everything is the policy of a root key.
const Everything = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`

// maxPattern bounds a pattern of a policy, as ARNs are bounded.
const maxPattern = 2048

// elements are the names a policy may use, for suggestions.
var elements = []string{"Version", "Id", "Statement", "Sid", "Effect", "Action", "NotAction", "Resource", "NotResource"}

// ParsePolicy reads a policy document: its form, not yet whether it speaks of actions and resources that exist (Check). The error says
// what is wrong in words for its author.
func ParsePolicy(text string) (*Policy, error) {
	members, err := object([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("the policy is no JSON object: %w", err)
	}
	p := &Policy{}
	for _, m := range members {
		switch m.name {
		case "Version":
			err = oneOf(m, "2012-10-17", "2008-10-17")
		case "Id":
			_, err = m.text()
		case "Statement":
			p.Statement, err = parseStatements(m.value)
		default:
			err = unknownElement(m.name)
		}
		if err != nil {
			return nil, err
		}
	}
	if len(p.Statement) == 0 {
		return nil, errors.New("the policy needs at least one Statement")
	}
	return p, nil
}

// parseStatements reads a statement or a list of them.
func parseStatements(value jsontext.Value) ([]Statement, error) {
	list := []jsontext.Value{value}
	if value.Kind() == '[' {
		list = nil
		if err := json.Unmarshal(value, &list); err != nil {
			return nil, fmt.Errorf("Statement is not valid JSON: %w", err)
		}
	}
	var all []Statement
	sids := map[string]int{}
	for i, v := range list {
		s, sid, err := parseStatement(v)
		if err != nil {
			return nil, fmt.Errorf("Statement %d: %w", i+1, err)
		}
		if first := sids[sid]; first > 0 && sid != "" {
			return nil, fmt.Errorf("Statement %d: Sid %q is that of Statement %d, too; each needs its own", i+1, sid, first)
		}
		sids[sid] = i + 1
		all = append(all, s)
	}
	return all, nil
}

func parseStatement(value jsontext.Value) (s Statement, sid string, err error) {
	members, err := object(value)
	if err != nil {
		return s, "", fmt.Errorf("%w", err)
	}
	effect := ""
	for _, m := range members {
		switch m.name {
		case "Sid":
			sid, err = m.text()
		case "Effect":
			effect, err = m.text()
			if err == nil {
				err = oneOf(m, "Allow", "Deny")
			}
		case "Action":
			s.Action, err = m.patterns()
		case "NotAction":
			s.NotAction, err = m.patterns()
		case "Resource":
			s.Resource, err = m.resources()
		case "NotResource":
			s.NotResource, err = m.resources()
		case "Condition":
			err = errors.New("Condition is not supported; leave it out")
		case "Principal", "NotPrincipal":
			err = fmt.Errorf("%s does not belong into the policy of a key, which speaks of that key", m.name)
		default:
			err = unknownElement(m.name)
		}
		if err != nil {
			return s, "", err
		}
	}
	s.Deny = effect == "Deny"
	switch {
	case effect == "":
		err = errors.New("Effect is missing: it must be Allow or Deny")
	case (s.Action == nil) == (s.NotAction == nil):
		err = errors.New("it needs either Action or NotAction")
	case (s.Resource == nil) == (s.NotResource == nil):
		err = errors.New("it needs either Resource or NotResource")
	}
	return s, sid, err
}

func unknownElement(name string) error {
	return fmt.Errorf("%q is no element of a policy%s", name, didYouMean(name, elements))
}

// member is a member of a JSON object, in the order of the text.
type member struct {
	name  string
	value jsontext.Value
}

// object reads a JSON object. Duplicate names are errors.
func object(text []byte) ([]member, error) {
	d := jsontext.NewDecoder(bytes.NewReader(text))
	if kind := d.PeekKind(); kind != '{' {
		if _, err := d.ReadValue(); err != nil {
			return nil, err
		}
		return nil, errors.New("it must be an object")
	}
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	var members []member
	for d.PeekKind() == '"' {
		name, err := d.ReadToken()
		if err != nil {
			return nil, err
		}
		m := member{name: name.String()}
		if m.value, err = d.ReadValue(); err != nil {
			return nil, err
		}
		m.value = bytes.Clone(m.value)
		members = append(members, m)
	}
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows its end")
	}
	return members, nil
}

func (m member) text() (string, error) {
	var s string
	if m.value.Kind() != '"' || json.Unmarshal(m.value, &s) != nil {
		return "", fmt.Errorf("%s must be a string", m.name)
	}
	return s, nil
}

func oneOf(m member, values ...string) error {
	s, err := m.text()
	if err != nil {
		return err
	}
	for _, v := range values {
		if s == v {
			return nil
		}
	}
	return fmt.Errorf("%s must be %s, not %q", m.name, strings.Join(values, " or "), s)
}

// patterns reads a string or a list of strings.
func (m member) patterns() ([]string, error) {
	var list []string
	if m.value.Kind() == '"' {
		list = make([]string, 1)
		if err := json.Unmarshal(m.value, &list[0]); err != nil {
			return nil, fmt.Errorf("%s is not valid JSON: %w", m.name, err)
		}
	} else if m.value.Kind() != '[' || json.Unmarshal(m.value, &list) != nil {
		return nil, fmt.Errorf("%s must be a string or a list of strings", m.name)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s must not be empty", m.name)
	}
	for _, p := range list {
		switch {
		case p == "":
			return nil, fmt.Errorf("%s must not have an empty string", m.name)
		case len(p) > maxPattern:
			return nil, fmt.Errorf("%s has a string of more than %d bytes", m.name, maxPattern)
		case strings.Contains(p, "${"):
			return nil, fmt.Errorf("%s %q has a policy variable, which is not supported; write the value", m.name, p)
		}
	}
	return list, nil
}

func (m member) resources() ([]Pattern, error) {
	list, err := m.patterns()
	if err != nil {
		return nil, err
	}
	var all []Pattern
	for _, text := range list {
		all = append(all, NewPattern(text))
	}
	return all, nil
}

// Effect is what a policy says of an action on a resource.
type Effect int

// The effects, from weak to strong.
const (
	NotAllowed Effect = iota // no statement speaks of it: implicitly denied
	Allowed
	Denied // a statement denies it
)

// Evaluate says what the policy says of an action on one resource.
func (p *Policy) Evaluate(action, resource string) Effect {
	e := NotAllowed
	name, isARN := strings.CutPrefix(resource, arnPrefix)
	for i := range p.Statement {
		s := &p.Statement[i]
		if !s.speaksOf(action) || !s.covers(name, isARN) {
			continue
		}
		if s.Deny {
			return Denied
		}
		e = Allowed
	}
	return e
}

func (s *Statement) speaksOf(action string) bool {
	list := s.Action
	if s.NotAction != nil {
		list = s.NotAction
	}
	listed := slices.ContainsFunc(list, func(p string) bool { return match(p, action, true) })
	return listed == (s.NotAction == nil)
}

func (s *Statement) covers(name string, isARN bool) bool {
	list := s.Resource
	if s.NotResource != nil {
		list = s.NotResource
	}
	listed := slices.ContainsFunc(list, func(p Pattern) bool { return p.all || isARN && p.here && match(p.name, name, false) })
	return listed == (s.NotResource == nil)
}

// match compares s with a pattern of * and ?, in time proportional to their product at worst; with fold, A to Z are a to z.
func match(pattern, s string, fold bool) bool {
	p, i, star, mark := 0, 0, -1, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i] || fold && lower(pattern[p]) == lower(s[i])):
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

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
