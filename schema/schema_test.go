package schema

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/text/unicode/norm"
)

func TestNormalize(t *testing.T) {
	for _, c := range []struct {
		ct       ContentType
		in, want string
	}{
		{String, " As Written ", "As Written"},
		{Email, " Ann@Example.COM ", "ann@example.com"}, {Email, "n/a", ""}, {Email, "ann", ""}, {Email, "\u200bann@x.de\u00ad", "ann@x.de"},
		{String, "\ufeff5", "5"}, {String, "Zoe\u0301", "Zo\u00e9"}, {Name, "Zoe\u0301\u200f  LEE", "zo\u00e9 lee"}, {Phone, "\u202a+44 20\u202c", "4420"},
		{Name, "  Ann   Lee ", "ann lee"}, {String, "12\u00a03\u3000", "12 3"},
		{Phone, "+15551234567", "5551234567"}, {Phone, "(555)-123-4567", "5551234567"},
		{Phone, "+1 (206) 345-7890", "2063457890"}, {Phone, "2063457890", "2063457890"},
		{Phone, "0044 20 7946 0000", "442079460000"}, {Phone, "+44 20 7946 0000", "442079460000"},
		{Phone, "22345678901", "22345678901"}, {Phone, "ext.", ""}, {Phone, "4.47911E+11", ""}, {Phone, "4,47911e+11 ", ""}, {Phone, "Tel. 5e+3x", "53"}, {Phone, "e+49 30 1", "49301"}, {Phone, "00", "00"},
		{Number, "1", "1"}, {Number, "1.0", "1"}, {Number, "01", "1"}, {Number, "+1.50", "1.5"}, {Number, "-0", "0"}, {Number, ".5", "0.5"},
		{Number, "5.", "5"}, {Number, "-00.10", "-0.1"}, {Number, "1e3", "1000"}, {Number, "1.5E-2", "0.015"}, {Number, "1e999999999", "1e999999999"},
		{Number, "12345678901234567890123", "12345678901234567890123"}, {Number, "n/a", "n/a"}, {Number, ".", "."}, {Number, "", ""},
	} {
		if got := Normalize(c.ct, c.in); got != c.want {
			t.Errorf("%s %q: %q, want %q", c.ct, c.in, got, c.want)
		}
	}
}

func TestNormalizeIsIdempotent(t *testing.T) {
	for _, ct := range []ContentType{String, Email, Name, Number} {
		for _, v := range []string{" A  b ", "+01.10", "1e2", "İ", "ß@X"} {
			once := Normalize(ct, v)
			if twice := Normalize(ct, once); twice != once {
				t.Errorf("%s %q: %q, then %q", ct, v, once, twice)
			}
		}
	}
}

func TestAttributesSurviveTheirPaths(t *testing.T) {
	n := 0
	for id := uint16(1); id <= lastAttr; id++ {
		path := Attr{ID: id}.Path()
		if path == "" || id == EngagementPhone || id == EngagementEmail { // these are no paths for callers
			continue
		}
		n++
		if back, ok := ParsePath(path); !ok || back.ID != id {
			t.Errorf("%d is %q, which is %+v", id, path, back)
		}
	}
	if n != 19+4*addressParts {
		t.Errorf("%d attributes", n)
	}
	if (Attr{ID: ShippingAddress + 4}).Path() != "ShippingAddress.City" {
		t.Error("address parts moved; they are on disk")
	}
}

func TestParseTarget(t *testing.T) {
	for target, ok := range map[string]bool{
		"_profile.FirstName": true, "_profile.Address.City": true, "_profile.Attributes.My key": true, "_profile.Attributes.a.b": true,
		"_profile.Attributes." + strings.Repeat("ü", 255): true,
		"_profile.Attributes." + strings.Repeat("ü", 256): false,
		"_profile.Attributes.a\x01b":                      false, "FirstName": false, "_profile.": false, "_profile.firstName": false, "_profile.Address": false, "_profile.Address.Planet": false,
		"_profile.ProfileId": false, "_profile.ImportIds": false, "_profile.FoundByItems[]": false, "_profile.Attributes.": false, "_order.Name": false,
	} {
		if _, err := ParseTarget(target); (err == nil) != ok {
			t.Errorf("%s: %v", target, err)
		}
	}
}

func TestSource(t *testing.T) {
	values := map[string]any{"First": "Ann", "Last": "Lee", "None": "", "First Name": "Ann Q", "list": []any{map[string]any{"x": "1"}, map[string]any{"x": "2"}}, "obj": map[string]any{"k": "v"},
		"no": Literal("false"), "zero": Literal("0.0"), "exp": Literal("-0E5"), "ten": Literal("10")}
	lookup := func(path string) any { return values[path] }
	for text, want := range map[string]string{
		"_source.First":                                                  "Ann",
		"_source.First Name":                                             "Ann Q",
		"_source.Absent":                                                 "",
		"{{_source.First}} {{_source.Last}}":                             "Ann Lee",
		"x-{{_source.None}}":                                             "",
		"x-{{_source.None}}{{_source.First}}":                            "x-Ann",
		"{{ _source.First Name }}!":                                      "Ann Q!",
		"{{{_source.First}}}":                                            "Ann",
		"{{#if _source.None}}a{{else}}b{{/if}}{{_source.First}}":         "bAnn",
		"{{#unless _source.None}}a{{/unless}}{{_source.First}}":          "aAnn",
		"{{#with _source.obj}}{{k}}{{this.k}}{{/with}}":                  "vv",
		"{{#each _source.list}}{{this.x}},{{/each}}{{_source.First}}":    "1,2,Ann",
		"{{#each _source.None}}x{{else}}none {{/each}}{{_source.First}}": "none Ann",
		"{{#removeExtraSpace}} {{_source.First}}   {{_source.None}} b {{/removeExtraSpace}}": "Ann b",
		"<b>{{_source.Last}}&":                                            "<b>Lee&",
		"{{#if _source.First}}yes{{else}}no{{/if}}":                       "yes",
		"{{#if _source.None}}yes{{else}}no{{/if}}":                        "",
		"{{#if _source.no}}yes{{else}}no {{_source.no}}{{/if}}":           "no false",
		"{{#if _source.zero}}yes{{else}}no {{_source.zero}}{{/if}}":       "no 0.0",
		"{{#if _source.exp}}yes{{else}}no{{/if}}":                         "no",
		"{{#if _source.ten}}yes {{_source.ten}}{{/if}}":                   "yes 10",
		"{{#with _source.obj}}{{_source.First}} {{k}}{{/with}}":           "Ann v",
		"{{#each _source.list}}{{#if this.x}}{{this.x}};{{/if}}{{/each}}": "1;2;",
	} {
		s, err := ParseSource(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got, err := s.Eval(lookup); got != want || err != nil {
			t.Errorf("%s: %q, want %q: %v", text, got, want, err)
		}
	}
	for _, text := range []string{"", "First", "_source.", "{{", "{{_source.a", "{{a}}", "{{}}", "x{{/if}}", "{{#if _source.a}}x", "{{#if}}x{{/if}}",
		"{{#if _source.a}}x{{/each}}", "{{#lookup _source.a}}x{{/lookup}}", "{{#if _source.a}}{{else}}{{else}}{{/if}}", "{{else}}{{_source.a}}",
		strings.Repeat("{{#if _source.a}}", 20) + "{{_source.a}}" + strings.Repeat("{{/if}}", 20)} {
		if _, err := ParseSource(text); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
}

// Blocks within blocks over lists multiply; what takes too long is given up.
func TestTemplatesEnd(t *testing.T) {
	list := make([]any, 1000)
	for i := range list {
		list[i] = "x"
	}
	long := strings.Repeat("y", 10_000)
	for text, want := range map[string]error{
		"{{#each _source.a}}{{_source.long}}{{/each}}":                                                        ErrTemplate,
		"{{_source.long}}{{_source.long}}":                                                                    nil,
		"{{#each _source.a}}{{this}}{{/each}}":                                                                nil,
		"{{#each _source.a}}{{#each _source.a}}{{this}}{{/each}}{{/each}}":                                    ErrTemplate,
		strings.Repeat("{{#each _source.a}}", 15) + "{{this}}" + strings.Repeat("{{/each}}", 15):              ErrTemplate,
		"{{#removeExtraSpace}}{{#each _source.a}}{{#each _source.a}} {{/each}}{{/each}}{{/removeExtraSpace}}": ErrTemplate,
	} {
		s, err := ParseSource(text)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Eval(func(path string) any {
			if path == "long" {
				return long
			}
			return list
		}); !errors.Is(err, want) {
			t.Errorf("%.60s: %v, want %v", text, err, want)
		}
	}
}

func FuzzSource(f *testing.F) {
	f.Add("{{#if _source.a}}x{{else}}{{_source.b}}{{/if}}", "v")
	f.Add("{{#each _source.a}}{{this}}{{/each}}", "")
	f.Fuzz(func(t *testing.T, text, value string) {
		s, err := ParseSource(text)
		if err != nil {
			return
		}
		if len(s.Paths()) == 0 {
			t.Fatal("a source without a path")
		}
		got, err := s.Eval(func(string) any { return value })
		if err != nil {
			t.Fatal(err)
		}
		if value == "" && got != "" && !strings.Contains(text, "{{") {
			t.Fatalf("%q", got)
		}
		if empty, _ := s.Eval(func(string) any { return nil }); empty != "" {
			t.Fatalf("without values it yields %q", empty)
		}
	})
}

// The forms of values as the standard library makes them, rune by rune.
func plainNormalize(ct ContentType, value string) string {
	if strings.ContainsFunc(value, Invisible) {
		value = strings.Map(func(r rune) rune {
			if Invisible(r) {
				return -1
			}
			return r
		}, value)
	}
	for _, blank := range "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000" {
		value = strings.ReplaceAll(value, string(blank), " ")
	}
	value = norm.NFC.String(value)
	switch ct {
	case Phone:
		if regexp.MustCompile(`^[-0-9., +]*[eE]\+[0-9 ]+$`).MatchString(value) && value[0]|0x20 != 'e' {
			return ""
		}
		d := onlyDigits(value)
		if len(d) > 2 && d[:2] == "00" {
			d = d[2:]
		}
		if len(d) == 11 && d[0] == '1' {
			d = d[1:]
		}
		return d
	case Email:
		if !strings.Contains(value, "@") {
			return ""
		}
		return strings.ToLower(strings.TrimSpace(value))
	case Name:
		return strings.ToLower(strings.Join(strings.Fields(value), " "))
	}
	return strings.TrimSpace(value)
}

func onlyDigits(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, s)
}

func FuzzNormalizeAgainstTheLibrary(f *testing.F) {
	for _, s := range []string{"", " Ann  LEE ", "\u0085x\u2003Y", "İK", "0044 20 7946", "1 206 555 0100", "a\vb\fc", "Á\xff", "\x1f a", "4.47911E+11", "1e+", "12 e+4"} {
		f.Add(s, "x")
	}
	f.Fuzz(func(t *testing.T, s, other string) {
		for _, ct := range []ContentType{String, Phone, Email, Name} {
			if got, want := Normalize(ct, s), plainNormalize(ct, s); got != want {
				t.Fatalf("%s %q: %q, the library has %q", ct, s, got, want)
			}
			if got := string(AppendNormalized([]byte("dst"), ct, []byte(s))); got != "dst"+plainNormalize(ct, s) {
				t.Fatalf("%s %q: %q", ct, s, got)
			}
		}
		if got, want := string(AppendName(nil, []byte(s), []byte(other))), plainNormalize(Name, s+" "+other); got != want {
			t.Fatalf("%q and %q: %q, want %q", s, other, got, want)
		}
	})
}

func FuzzNormalize(f *testing.F) {
	f.Add("+1 (206) 555-0100")
	f.Add("-0012.3400")
	f.Fuzz(func(t *testing.T, s string) {
		for _, ct := range []ContentType{String, Number, Phone, Email, Name} {
			n := Normalize(ct, s)
			if ct != Phone && ct != Name && ct != Email && Normalize(ct, n) != n {
				t.Fatalf("%s %q: %q is not stable", ct, s, n)
			}
		}
	})
}
