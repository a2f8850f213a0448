package objecttype

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"kith/schema"
)

// checkAgainstTheLibrary reads what orderType says of an object with encoding/json.
func checkAgainstTheLibrary(t *testing.T, object []byte, got *Extracted) {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(object))
	dec.UseNumber()
	var all map[string]any
	if err := dec.Decode(&all); err != nil {
		t.Fatalf("%s: the library says %v", object, err)
	}
	text := func(path ...string) string {
		var v any = all
		for _, name := range path {
			m, _ := v.(map[string]any)
			v = m[name]
		}
		s := ""
		switch v := v.(type) {
		case string:
			s = v
		case json.Number:
			s = v.String()
		case bool:
			s = map[bool]string{true: "true", false: "false"}[v]
		}
		if strings.TrimSpace(s) == "" {
			return ""
		}
		return s
	}
	want := map[string]string{"FirstName": text("customer", "first"), "PersonalEmailAddress": text("customer", "email"), "Address.City": text("customer", "address", "city")}
	for path, v := range want {
		a, _ := schema.ParsePath(path)
		found := ""
		for _, x := range got.Values {
			if x.Attr == a {
				found = x.Text
			}
		}
		if found != v {
			t.Fatalf("%s: %s is %q, the library has %q", object, path, found, v)
		}
	}
	if v := schema.Normalize(schema.Email, text("customer", "email")); (v != "") != (len(got.Match) == 1) || v != "" && got.Match[0].Value != v {
		t.Fatalf("%s: %v, want %q", object, got.Match, v)
	}
}
