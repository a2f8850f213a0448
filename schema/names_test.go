package schema

import "testing"

func TestSplitName(t *testing.T) {
	for full, want := range map[string][2]string{
		"Ann Lee": {"Ann", "Lee"}, "Roth, Bea": {"Bea", "Roth"}, "Cleo": {"Cleo", ""}, "": {"", ""}, "Dr. Ann Marie Lee": {"Ann Marie", "Lee"},
		"Ludwig van Beethoven": {"Ludwig", "van Beethoven"}, "Maria de la Cruz": {"Maria", "de la Cruz"}, "Prof. Dr. Otto von der Heide": {"Otto", "von der Heide"},
		"von Bülow, Vicco": {"Vicco", "von Bülow"}, "Lee, Dr. Ann": {"Ann", "Lee"}, "Lee,": {"Lee", ""}, "  Ann\u00a0 Lee ": {"Ann", "Lee"}, "Herr Roth": {"Roth", ""}, "山田 太郎": {"太郎", "山田"}, "山田\u3000太郎": {"太郎", "山田"}, "김 철수": {"철수", "김"}, "山田, 太郎": {"太郎", "山田"},
		"マイケル ジャクソン": {"マイケル", "ジャクソン"}, "김민수": {"민수", "김"}, "남궁민": {"민", "남궁"}, "남궁": {"궁", "남"}, "田中実": {"田中実", ""}, "王小明": {"王小明", ""}, "삼성전자주식회사": {"삼성전자주식회사", ""},
		"Mr. Bob Ray Jr.": {"Bob", "Ray Jr."}, "Bob Ray, Jr.": {"Bob", "Ray Jr."}, "Ray Jr., Bob": {"Bob", "Ray Jr."}, "Ann Lee, PhD": {"Ann", "Lee"}, "Lee, Ann, MD": {"Ann", "Lee"}, "John van Ray III": {"John", "van Ray III"}, "Bob Jr.": {"Bob Jr.", ""}, "Naoko Ii": {"Naoko", "Ii"},
		"Jr.": {"Jr.", ""},
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

func TestSplitFamilyFirst(t *testing.T) {
	for full, want := range map[string][2]string{
		"Иванова Анна Петровна": {"Анна Петровна", "Иванова"}, "Roth Bea": {"Bea", "Roth"}, "Roth, Bea": {"Bea", "Roth"}, "van der Berg Jan Piet": {"Jan Piet", "van der Berg"}, "Cleo": {"Cleo", ""}, "Dr. Nagy Éva": {"Éva", "Nagy"},
		"De La": {"La", "De"}, "": {"", ""},
	} {
		if given, family := SplitFamilyFirst(full); given != want[0] || family != want[1] {
			t.Errorf("%q: %q and %q, want %q", full, given, family, want)
		}
	}
}

func TestSplitChineseName(t *testing.T) {
	for full, want := range map[string][2]string{
		"王小明": {"小明", "王"}, "欧阳娜娜": {"娜娜", "欧阳"}, "歐陽修": {"修", "歐陽"}, "李白": {"白", "李"}, " 张\u200b伟 ": {"伟", "张"}, "王": {"王", ""}, "Ann Lee": {"Ann", "Lee"}, "王 小明": {"小明", "王"}, "深圳市腾讯公司": {"深圳市腾讯公司", ""}, "": {"", ""},
	} {
		if given, family := SplitChineseName(full); given != want[0] || family != want[1] {
			t.Errorf("%q: %q and %q, want %q", full, given, family, want)
		}
	}
}
