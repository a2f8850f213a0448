package apitest

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode/utf8"
)

// variant is a string with the constraint it breaks, if any.
type variant struct {
	what, value, want string
}

// stringVariants returns strings at the bounds of a shape. A valid variant that the shape's pattern makes impossible is left out.
func stringVariants(s *Shape) []variant {
	var all []variant
	valid := func(what string, n int) {
		if text, ok := stringOf(s, n); ok {
			all = append(all, variant{what, text, ""})
		}
	}
	broken := func(what string, n int, want string) {
		text, ok := stringOf(s, n)
		if !ok {
			text = strings.Repeat("x", n)
		}
		all = append(all, variant{what, text, want})
	}
	if s.Enum != nil {
		for _, e := range s.Enum {
			all = append(all, variant{"enum", e, ""})
		}
		return append(all, variant{"not in the enum", s.Enum[0] + "x", "Member must satisfy enum value set: [" + strings.Join(s.Enum, ", ") + "]"})
	}
	if s.Min != nil && *s.Min > 0 {
		n := int(*s.Min)
		broken("min-1", n-1, fmt.Sprintf("Member must have length greater than or equal to %d", n))
		valid("min", n)
	}
	if s.Max != nil {
		n := int(*s.Max)
		valid("max", n)
		broken("max+1", n+1, fmt.Sprintf("Member must have length less than or equal to %d", n))
	}
	if s.Pattern == "" && s.Max != nil { // lengths count characters, not bytes
		all = append(all, variant{"max in characters", strings.Repeat("ü", int(*s.Max)), ""})
	}
	all = append(all, variant{"valid", sampleString(s, 1), ""})
	if s.Pattern != "" {
		all = append(all, variant{"not the pattern", unlike(s), "Member must satisfy regular expression pattern: " + s.Pattern})
	}
	return all
}

// sampleString returns a valid string; those for different n differ as far as the shape has room.
func sampleString(s *Shape, n int) string {
	if s.Enum != nil {
		return s.Enum[(n-1)%len(s.Enum)]
	}
	if s.Min != nil {
		n += max(0, int(*s.Min)-1)
	}
	for length := n; length < n+64; length++ {
		if text, ok := stringOf(s, length); ok {
			return text
		}
	}
	return build(s.parsed(), new(int)) // the pattern gives the length
}

// stringOf returns a string of n characters that has the shape's pattern.
func stringOf(s *Shape, n int) (string, bool) {
	if s.Pattern == "" {
		return strings.Repeat("a", n), true
	}
	re := s.parsed()
	missing := n - utf8.RuneCountInString(build(re, new(int)))
	if missing < 0 {
		return "", false
	}
	text := build(re, &missing)
	return text, missing == 0
}

func (s *Shape) parsed() *syntax.Regexp {
	re, err := syntax.Parse(expressible(s.Pattern), syntax.Perl)
	if err != nil {
		panic(err)
	}
	return re
}

// expressible leaves out the one look-ahead of the model: generated strings never begin so.
func expressible(pattern string) string { return strings.Replace(pattern, "(?!aws:)", "", 1) }

// build writes a string that an expression matches: the least, and more of the first part that may go on without end, as long as
// extra is above 0. What is used of it is taken off.
func build(re *syntax.Regexp, extra *int) string {
	switch re.Op {
	case syntax.OpLiteral:
		return string(re.Rune)
	case syntax.OpCharClass:
		return string(pick(re.Rune))
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return "a"
	case syntax.OpCapture, syntax.OpAlternate:
		return build(re.Sub[0], extra)
	case syntax.OpConcat:
		var b strings.Builder
		for _, sub := range re.Sub {
			b.WriteString(build(sub, extra))
		}
		return b.String()
	case syntax.OpStar, syntax.OpPlus:
		n := *extra
		*extra = 0
		if re.Op == syntax.OpPlus {
			n++
		}
		return strings.Repeat(build(re.Sub[0], new(int)), n)
	case syntax.OpRepeat:
		return strings.Repeat(build(re.Sub[0], new(int)), re.Min)
	case syntax.OpBeginText, syntax.OpEndText, syntax.OpBeginLine, syntax.OpEndLine, syntax.OpEmptyMatch, syntax.OpQuest:
		return ""
	}
	panic("no sample of " + re.String())
}

// pick returns a character of a class, a letter if it has one.
func pick(ranges []rune) rune {
	for i := 0; i < len(ranges); i += 2 {
		if ranges[i] <= 'b' && 'b' <= ranges[i+1] {
			return 'b'
		}
	}
	return ranges[0]
}

// unlike returns a string of an allowed length that has not the shape's pattern.
func unlike(s *Shape) string {
	whole := regexp.MustCompile(`\A(?:` + expressible(s.Pattern) + `)\z`)
	text := []rune(sampleString(s, 3))
	for _, c := range " \n!é" {
		text[0] = c
		if !whole.MatchString(string(text)) {
			return string(text)
		}
	}
	panic("everything matches " + s.Pattern)
}
