package schema

import "testing"

func TestTablesOfTypes(t *testing.T) {
	for name, want := range map[string]string{"Orders": "orders", "web-Visits": "web_visits", "_profile": "profile_standard", "a_b": "a_b"} {
		if got := TableName(name); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
	for _, c := range []struct {
		names []string
		same  bool
	}{
		{nil, false}, {[]string{"a", "b", "a_"}, false}, {[]string{"a", "a"}, false},
		{[]string{"a", "b", "A"}, true}, {[]string{"a-b", "a_b"}, true}, {[]string{"Asset_Standard"}, true}, {[]string{"profile-standard"}, true}, {[]string{"asset", "profile"}, false},
	} {
		if _, _, same := SameTable(c.names); same != c.same {
			t.Errorf("%v: %t", c.names, same)
		}
	}
}
