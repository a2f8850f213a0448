package restjson

import (
	"cmp"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// Path names a member inside a request, as in AWS's messages: lower camel case, "fields.email.member.source".
// A hidden path has a sensitive shape above or at it: values and map keys below are not quoted.
//
// Every member of every request gets one, and few are ever written out: a path stays on its caller's stack as long as nothing here lets it get away.
type Path struct {
	parent *Path
	name   string
	kind   pathKind
	index  int
	hidden bool
}

type pathKind byte

const (
	memberPath pathKind = iota
	indexPath
	valuePath
)

// Member returns the path of a structure member.
func (p *Path) Member(name string) *Path {
	return &Path{parent: p, name: name, hidden: p != nil && p.hidden}
}

// Index returns the path of list element i, counted from 1 as AWS does.
func (p *Path) Index(i int) *Path {
	return &Path{parent: p, kind: indexPath, index: i, hidden: p.hidden}
}

// Value returns the path of the map value under key.
func (p *Path) Value(key string) *Path {
	if p.hidden {
		key = "value"
	}
	return &Path{parent: p, kind: valuePath, name: key, hidden: p.hidden}
}

// Hide returns p with its values kept out of messages.
func (p *Path) Hide() *Path {
	return &Path{parent: p.parent, name: p.name, kind: p.kind, index: p.index, hidden: true}
}

// String returns the dotted form.
func (p *Path) String() string {
	var parts []string
	for ; p != nil; p = p.parent {
		switch p.kind {
		case memberPath:
			parts = append(parts, strings.ToLower(p.name[:1])+p.name[1:])
		case indexPath:
			parts = append(parts, strconv.Itoa(p.index+1)+".member")
		case valuePath:
			parts = append(parts, p.name+".member")
		}
	}
	slices.Reverse(parts)
	return strings.Join(parts, ".")
}

// maxReported bounds the message of a hostile request.
const maxReported = 20

// Violations collects what is wrong with a request.
type Violations struct {
	texts []string
	count int
}

// Message returns AWS's one-line form of all violations, or "" when there are none.
func (v *Violations) Message() string {
	if v.count == 0 {
		return ""
	}
	noun := "errors"
	if v.count == 1 {
		noun = "error"
	}
	text := fmt.Sprintf("%d validation %s detected: %s", v.count, noun, strings.Join(v.texts, "; "))
	if v.count > len(v.texts) {
		text += fmt.Sprintf("; and %d more", v.count-len(v.texts))
	}
	return text
}

// Required reports an absent member.
func (v *Violations) Required(p *Path) {
	v.add(fmt.Sprintf("Value null at '%s' failed to satisfy constraint: Member must not be null", p.String()))
}

func (v *Violations) add(text string) {
	v.count++
	if len(v.texts) < maxReported {
		v.texts = append(v.texts, text)
	}
}

// fail reports one broken constraint. Long and sensitive values are not quoted.
func (v *Violations) fail(p *Path, value, constraint string) { v.failText(p, false, value, constraint) }

func (v *Violations) failText(p *Path, sensitive bool, value, constraint string) {
	if sensitive || p.hidden {
		v.add(fmt.Sprintf("Value at '%s' failed to satisfy constraint: %s", p.String(), constraint))
		return
	}
	if utf8.RuneCountInString(value) > 256 {
		value = string([]rune(value)[:256]) + "…"
	}
	v.add(fmt.Sprintf("Value '%s' at '%s' failed to satisfy constraint: %s", value, p.String(), constraint))
}

// ExactlyOne reports a union that has not exactly one member.
func (v *Violations) ExactlyOne(p *Path, set ...bool) {
	n := 0
	for _, s := range set {
		if s {
			n++
		}
	}
	if n != 1 {
		v.add(fmt.Sprintf("Value at '%s' failed to satisfy constraint: Member must have exactly one of its members set, not %d", p.String(), n))
	}
}

// StringRule is what the model asks of a string shape. Max 0 means unbounded; lengths count code points.
type StringRule struct {
	Min, Max  int
	Pattern   *Pattern
	Enum      []string
	Sensitive bool
}

// String checks s.
func (v *Violations) String(rule *StringRule, p *Path, s string) { v.text(rule, p, s, "", "") }

// Key checks a map key; the failure is reported at the map, as AWS does.
func (v *Violations) Key(rule *StringRule, p *Path, s string) {
	v.text(rule, p, s, "Map keys must satisfy constraint: [", "]")
}

func (v *Violations) text(rule *StringRule, p *Path, s, before, after string) {
	fail := func(constraint string) { v.failText(p, rule.Sensitive, s, before+constraint+after) }
	if rule.Min > 0 || rule.Max > 0 {
		n := utf8.RuneCountInString(s)
		if n < rule.Min {
			fail(fmt.Sprintf("Member must have length greater than or equal to %d", rule.Min))
		}
		if rule.Max > 0 && n > rule.Max {
			fail(fmt.Sprintf("Member must have length less than or equal to %d", rule.Max))
		}
	}
	if rule.Pattern != nil && !rule.Pattern.Match(s) {
		fail("Member must satisfy regular expression pattern: " + rule.Pattern.text)
	}
	if rule.Enum != nil && !slices.Contains(rule.Enum, s) {
		fail("Member must satisfy enum value set: [" + strings.Join(rule.Enum, ", ") + "]")
	}
}

// NumberRule bounds a number; nil means unbounded.
type NumberRule struct{ Min, Max *float64 }

// Number checks n.
func Number[T int32 | int64 | float64](v *Violations, rule *NumberRule, p *Path, n T) {
	if rule.Min != nil && cmp.Compare(float64(n), *rule.Min) < 0 {
		v.fail(p, fmt.Sprint(n), fmt.Sprintf("Member must have value greater than or equal to %v", *rule.Min))
	}
	if rule.Max != nil && cmp.Compare(float64(n), *rule.Max) > 0 {
		v.fail(p, fmt.Sprint(n), fmt.Sprintf("Member must have value less than or equal to %v", *rule.Max))
	}
}

// Size checks the number of elements of a list or map. Max 0 means unbounded.
func (v *Violations) Size(p *Path, n, min, max int) {
	if n < min {
		v.add(fmt.Sprintf("Value at '%s' failed to satisfy constraint: Member must have length greater than or equal to %d", p.String(), min))
	}
	if max > 0 && n > max {
		v.add(fmt.Sprintf("Value at '%s' failed to satisfy constraint: Member must have length less than or equal to %d", p.String(), max))
	}
}

// Bound returns a pointer to f, for NumberRule.
func Bound(f float64) *float64 { return &f }

// Pattern is a pattern of the model, compiled on first use. It must match the whole string, unless it is anchored at its
// start only, which the model's text calls "begins with".
type Pattern struct {
	text    string
	compile func() func(string) bool
}

// tagKey is the one pattern of the model that RE2 can't hold: it has a look-ahead.
const tagKey = `^(?!aws:)[a-zA-Z+-=._:/]+$`

// NewPattern returns the pattern for text as it stands in the model.
func NewPattern(text string) *Pattern {
	p := &Pattern{text: text}
	p.compile = sync.OnceValue(func() func(string) bool {
		if text == tagKey {
			rest := regexp.MustCompile(`^[a-zA-Z+-=._:/]+$`)
			return func(s string) bool { return !strings.HasPrefix(s, "aws:") && rest.MatchString(s) }
		}
		if class, ok := plainClass(text); ok {
			return class
		}
		if strings.HasPrefix(text, "^") && !strings.HasSuffix(text, "$") {
			return regexp.MustCompile(text).MatchString
		}
		return regexp.MustCompile(`\A(?:` + text + `)\z`).MatchString
	})
	return p
}

// plainClass returns the test of a pattern that is one class of ASCII characters, once or more: most names have such a one, and every request has
// a name.
func plainClass(text string) (match func(string) bool, ok bool) {
	tree, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, false
	}
	tree = tree.Simplify()
	if tree.Op == syntax.OpConcat && len(tree.Sub) == 3 && tree.Sub[0].Op == syntax.OpBeginText && tree.Sub[2].Op == syntax.OpEndText {
		tree = tree.Sub[1]
	}
	if tree.Op != syntax.OpPlus || tree.Sub[0].Op != syntax.OpCharClass {
		return nil, false
	}
	var in [utf8.RuneSelf]bool
	for class := tree.Sub[0].Rune; len(class) > 0; class = class[2:] {
		if class[1] >= utf8.RuneSelf {
			return nil, false
		}
		for c := class[0]; c <= class[1]; c++ {
			in[c] = true
		}
	}
	return func(s string) bool {
		for i := range len(s) {
			if s[i] >= utf8.RuneSelf || !in[s[i]] {
				return false
			}
		}
		return s != ""
	}, true
}

// Match reports whether s satisfies the pattern.
func (p *Pattern) Match(s string) bool { return p.compile()(s) }
