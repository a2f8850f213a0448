package restjson

import (
	"regexp"
	"testing"
)

// The test of a plain class says what the expression says.
func TestPlainClass(t *testing.T) {
	texts := []string{"", "a", "Z9_-", "a b", "a\n", "é", "a/b", "$", "^a$", "a.b", "\xff", "_email", "a\u2028"}
	for pattern, plain := range map[string]bool{
		`^[a-zA-Z0-9_-]+$`: true, `[a-zA-Z0-9_.-]+`: true, `[a-f0-9]{32}`: false, `^[a-z]*$`: false, `^\S+$`: false, `[^a]+`: false,
		`^[a-z]+`: false, `(?i)^[a-z]+$`: false, `^[a-zA-Z_$][a-zA-Z_0-9-$]*$`: false, `.*`: false,
	} {
		match, ok := plainClass(pattern)
		if ok != plain {
			t.Errorf("%s is plain: %v", pattern, ok)
		}
		if !ok {
			continue
		}
		whole := regexp.MustCompile(`\A(?:` + pattern + `)\z`)
		for _, s := range texts {
			if match(s) != whole.MatchString(s) {
				t.Errorf("%s on %q: %v", pattern, s, match(s))
			}
		}
	}
}
