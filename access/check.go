package access

import (
	"fmt"
	"slices"
	"strings"

	"kith/api"
)

// A policy that names what does not exist does something else than its author thinks, and a deny of it denies nothing. So it is checked when
// it is made: every pattern must be able to match, and every action must be able to meet a resource of its statement.

// kindSet is a set of kinds of resources, one bit each: "*" alone, domains, then kinds.
type kindSet uint16

const (
	anyKind    kindSet = 1 << 0 // AnyResource
	domainKind kindSet = 1 << 1
)

func kindBit(i int) kindSet { return 1 << (i + 2) }

// kindsOf returns what an operation acts on. A tag may be of every resource.
func kindsOf(op api.Operation) kindSet {
	t := targets[op.Name]
	switch {
	case t.tagged:
		return ^anyKind
	case !t.domain:
		return anyKind
	}
	set := domainKind
	for i, k := range kinds {
		if k.name == t.kind {
			set |= kindBit(i)
		}
	}
	return set
}

// Check says whether every action and resource that the policy names exists, and can meet. The error says what does not, and what may have
// been meant.
func (p *Policy) Check() error {
	for i := range p.Statement {
		if err := p.Statement[i].check(); err != nil {
			return fmt.Errorf("Statement %d: %w", i+1, err)
		}
	}
	return nil
}

func (s *Statement) check() error {
	covered := ^kindSet(0) // NotResource covers too much to say what it leaves out
	if s.Resource != nil {
		covered = 0
	}
	for _, r := range slices.Concat(s.Resource, s.NotResource) {
		set := r.kinds()
		if set == 0 {
			return badResource(r.text)
		}
		if s.Resource != nil {
			covered |= set
		}
	}
	for _, a := range s.NotAction {
		if len(operations(a)) == 0 {
			return badAction("NotAction", a)
		}
	}
	for _, a := range s.Action {
		ops := operations(a)
		if len(ops) == 0 {
			return badAction("Action", a)
		}
		var acts kindSet
		for _, op := range ops {
			acts |= kindsOf(op)
		}
		switch {
		case acts&covered != 0:
		case acts == anyKind:
			return fmt.Errorf("Action %q acts on no single domain: put it into a statement with Resource \"*\"", a)
		default:
			return fmt.Errorf("Action %q never acts on the Resource of this statement; it acts on %s", a, describe(acts))
		}
	}
	return nil
}

// operations returns those whose action a pattern matches.
func operations(pattern string) (ops []api.Operation) {
	for _, op := range api.Operations {
		if match(pattern, op.Action, true) {
			ops = append(ops, op)
		}
	}
	return ops
}

func badAction(element, pattern string) error {
	service, _, ok := strings.Cut(pattern, ":")
	if !ok || !strings.EqualFold(service, "profile") && !strings.EqualFold(service, "kith") {
		return fmt.Errorf("%s %q is not known: an action is \"*\", or begins with profile: or kith:%s", element, pattern, didYouMean(pattern, actions()))
	}
	return fmt.Errorf("%s %q is not known%s", element, pattern, didYouMean(pattern, actions()))
}

func actions() (names []string) {
	for _, op := range api.Operations {
		names = append(names, op.Action)
	}
	return names
}

// describe names the ARNs of a set of kinds.
func describe(set kindSet) string {
	var forms []string
	if set&anyKind != 0 {
		forms = append(forms, `"*"`)
	}
	if set&domainKind != 0 {
		forms = append(forms, ARN("domains/NAME"))
	}
	for i, k := range kinds {
		if set&kindBit(i) != 0 {
			forms = append(forms, ARN("domains/NAME/"+k.name+"/NAME"))
		}
	}
	return strings.Join(forms, ", ")
}

// badResource says why a pattern matches nothing, by the parts of an ARN.
func badResource(pattern string) error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("Resource %q %s", pattern, fmt.Sprintf(format, args...))
	}
	parts := strings.SplitN(pattern, ":", 6)
	if len(parts) < 6 || parts[0] != "arn" {
		return bad("must be \"*\" or an ARN such as %s", "arn:aws:profile:*:*:domains/NAME")
	}
	for i, part := range []struct{ what, is string }{{"partition", "aws"}, {"service", "profile"}, {"region", Region}, {"account", AccountID}} {
		if !match(parts[i+1], part.is, false) {
			return bad("matches nothing: the %s of every resource of this server is %q, not %q; \"*\" matches any", part.what, part.is, parts[i+1])
		}
	}
	if rest, ok := strings.CutPrefix(parts[5], "domains/"); ok {
		_, inDomain, _ := strings.Cut(rest, "/")
		name, _, named := strings.Cut(inDomain, "/")
		var all []string
		for _, k := range kinds {
			if all = append(all, k.name); k.name == name && named {
				return bad("matches nothing: after %s/ there must be one name, of letters, digits, - and _", name)
			}
		}
		switch {
		case name != "" && !named:
			return bad("matches nothing: a name must follow %s/", name)
		case name != "":
			return bad("matches nothing: a domain has no %q%s; there are %s, and the domain's own ARN stands for all else in it",
				name, didYouMean(name, all), strings.Join(all, ", "))
		}
		return bad("matches nothing: a domain's name has letters, digits, - and _ only")
	}
	return bad("matches nothing: every resource begins with domains/, such as %s", "arn:aws:profile:*:*:domains/NAME")
}

// kinds returns the kinds of resources of which a pattern can match one.
func (p Pattern) kinds() (set kindSet) {
	if p.all {
		return ^kindSet(0)
	}
	if !p.here {
		return 0
	}
	if meets(p.name, template("")) {
		set |= domainKind
	}
	for i, k := range kinds {
		if meets(p.name, template(k.name)) {
			set |= kindBit(i)
		}
	}
	return set
}

// unit is one step of a template: a byte, or any byte of a class, once or any number of times.
type unit struct {
	char byte
	is   func(byte) bool // nil: char
	many bool
}

func (u unit) takes(c byte) bool { return u.is == nil && u.char == c || u.is != nil && u.is(c) }

// inName says whether names of resources may have a byte.
func inName(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

// anyByte is for the URIs that name integrations.
func anyByte(byte) bool { return true }

// template describes the ARNs of a kind, behind what all begin with; "" is that of domains.
func template(kind string) []unit {
	var t []unit
	literal := func(s string) {
		for i := range len(s) {
			t = append(t, unit{char: s[i]})
		}
	}
	name := func(is func(byte) bool) { t = append(t, unit{is: is}, unit{is: is, many: true}) }
	literal("domains/")
	name(inName)
	if kind != "" {
		literal("/" + kind + "/")
		if kind == "integrations" {
			name(anyByte)
		} else {
			name(inName)
		}
	}
	return t
}

// meets says whether there is a text that both the pattern and the template match. Time and memory are proportional to the product of
// their lengths and to the template's.
func meets(pattern string, t []unit) bool {
	// next[j] says whether the rest of the pattern behind position i and the template from j on meet; here is the same from i on.
	next, here := make([]bool, len(t)+1), make([]bool, len(t)+1)
	for i := len(pattern); i >= 0; i-- {
		for j := len(t); j >= 0; j-- {
			ended := i == len(pattern)
			switch {
			case ended && j == len(t):
				here[j] = true
			case !ended && pattern[i] == '*':
				here[j] = next[j] || j < len(t) && here[j+1]
			case j == len(t):
				here[j] = false
			case t[j].many:
				here[j] = here[j+1] || !ended && (pattern[i] == '?' || t[j].takes(pattern[i])) && next[j]
			default:
				here[j] = !ended && (pattern[i] == '?' || t[j].takes(pattern[i])) && next[j+1]
			}
		}
		next, here = here, next
	}
	return next[0]
}
