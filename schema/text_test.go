package schema

import "testing"

func TestWhatNobodySees(t *testing.T) {
	for in, want := range map[string]string{
		"": "", " \t\r\n": "", "\u200b\ufeff\u00a0\u3000": "", "a": "a", " a b\r": "a b", "\u00a0Bonn\u200e\t": "Bonn", "a\u200bb": "a\u200bb", "\u00e9 ": "\u00e9", "\xff ": "\xff",
	} {
		if got := string(Trim([]byte(in))); got != want {
			t.Errorf("Trim(%q): %q, want %q", in, got, want)
		}
		if Blank([]byte(in)) != (want == "") {
			t.Errorf("Blank(%q)", in)
		}
	}
	for in, want := range map[string]string{
		"\ufeffid": "id", "first\u00a0name": "first name", "tier\u200b": "tier", "loyalty\n tier": "loyalty tier", "Pre\u0301nom": "Pr\u00e9nom", "so\u00adft": "soft", "  ": "",
	} {
		if got := ColumnName(in); got != want {
			t.Errorf("ColumnName(%q): %q, want %q", in, got, want)
		}
	}
	for _, r := range "a \u00a0é👩\t" {
		if Invisible(r) {
			t.Errorf("%U is invisible", r)
		}
	}
}

func TestCut(t *testing.T) {
	for _, c := range []struct {
		text string
		n    int
		want string
	}{
		{"abc", 5, "abc"}, {"abc", 2, "ab"}, {"ab cd", 3, "ab"}, {"né", 2, "né"},
		{"ne\u0301x", 2, "n"},                         // the accent belongs to the e
		{"a👨‍👩‍👧b", 3, "a"}, {"a👨‍👩‍👧b", 6, "a👨‍👩‍👧"}, // a family is one character of five code points
		{"🇩🇪🇫🇷", 3, "🇩🇪"}, {"e\u0301", 1, ""},
	} {
		if got := string(Cut([]byte(c.text), c.n)); got != c.want {
			t.Errorf("%q cut to %d is %q, not %q", c.text, c.n, got, c.want)
		}
	}
}
