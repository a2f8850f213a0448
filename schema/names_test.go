package schema

import "testing"

func TestSplitName(t *testing.T) {
	for full, want := range map[string][2]string{
		"Ann Lee": {"Ann", "Lee"}, "Roth, Bea": {"Bea", "Roth"}, "Cleo": {"Cleo", ""}, "": {"", ""}, "Dr. Ann Marie Lee": {"Ann Marie", "Lee"},
		"Ludwig van Beethoven": {"Ludwig", "van Beethoven"}, "Maria de la Cruz": {"Maria", "de la Cruz"}, "Prof. Dr. Otto von der Heide": {"Otto", "von der Heide"},
		"von Bülow, Vicco": {"Vicco", "von Bülow"}, "Lee, Dr. Ann": {"Ann", "Lee"}, "Lee,": {"Lee", ""}, "  Ann\u00a0 Lee ": {"Ann", "Lee"}, "Herr Roth": {"Roth", ""}, "山田 太郎": {"太郎", "山田"}, "山田\u3000太郎": {"太郎", "山田"}, "김 철수": {"철수", "김"}, "山田, 太郎": {"太郎", "山田"},
		"マイケル ジャクソン": {"マイケル", "ジャクソン"},
	} {
		given, family := SplitName(full)
		if given != want[0] || family != want[1] {
			t.Errorf("%q: %q and %q, want %q", full, given, family, want)
		}
	}
	for text, want := range map[string]string{
		"{{#givenName}}{{_source.n}}{{/givenName}}": "Ann", "{{#familyName}}{{_source.n}}{{/familyName}}": "Lee", "{{#familyName}}{{_source.none}}{{/familyName}}": "",
	} {
		s, err := ParseSource(text)
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Eval(func(path string) any {
			if path == "n" {
				return "Lee, Ann"
			}
			return nil
		})
		if err != nil || got != want {
			t.Errorf("%s: %q, %v", text, got, err)
		}
	}
}
