package store_test

import (
	"testing"

	"kith/store"
)

func TestPattern(t *testing.T) {
	for _, c := range []struct {
		pattern store.Pattern
		key     string
		want    bool
	}{
		{"", "", true},
		{"", "x", false},
		{"lease", "lease", true},
		{"lease", "leases", false},
		{"run/{bucket:5}", "run/00012", true},
		{"run/{bucket:5}", "run/0001", false},
		{"run/{bucket:5}", "run/000123", false},
		{"work/{job}", "work/", true},
		{"work/{job}", "work/a{b}c", true},
		{"work/{job}", "wor", false},
		{"{name}\x01{value}", "mail\x01a\x01b", true},
		{"{name}\x01{value}", "mail", false},
		{"{id:2}{rest}", "\xff\x00", true},
		{"{id:2}{rest}", "\xff", false},
		{"{a}/{b:1}", "x/y/z", true},
		{"{a}/{b:1}", "x/yz", false},
	} {
		if got := c.pattern.Match([]byte(c.key)); got != c.want {
			t.Errorf("%q matches %q: %t, want %t", c.pattern, c.key, got, c.want)
		}
	}
}
