package cql_test

import (
	"strings"
	"testing"

	"kith/store/cql"
)

func TestParseAddress(t *testing.T) {
	o, err := cql.ParseAddress("cql://us%40er:p%3Ass@h1:9142,h2:9142,10.0.0.3/kith?dc=eu&in_flight=99")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Join(o.Hosts, " ") != "h1 h2 10.0.0.3" || o.Port != 9142 || o.Keyspace != "kith" || o.User != "us@er" || o.Password != "p:ss" ||
		o.Datacenter != "eu" || o.InFlight != 99 || o.TLS != nil {
		t.Fatalf("%+v", o)
	}
	if o, err := cql.ParseAddress("cql://h/k?tls=on"); err != nil || o.TLS == nil {
		t.Fatalf("%+v, %v", o, err)
	}
	for address, want := range map[string]string{
		"http://h/k":               "must begin with cql://",
		"cql:///k":                 "needs hosts",
		"cql://h1,,h2/k":           "needs hosts",
		"cql://h":                  "needs a keyspace",
		"cql://h/Kith":             "needs a keyspace",
		"cql://h/k;drop":           "needs a keyspace",
		"cql://h:0/k":              `"0" is no port`,
		"cql://h:1,g:2/k":          "the same port",
		"cql://h/k?tls=yes":        "must be on or off",
		"cql://h/k?ca=/x":          "belong to tls=on",
		"cql://h/k?tls=on&ca=/nix": "certificate authority",
		"cql://h/k?in_flight=0":    "positive number",
		"cql://h/k?speed=11":       "nobody knows: speed",
		"cql://a%zz:b@h/k":         "percent-encoded",
	} {
		if _, err := cql.ParseAddress(address); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", address, err, want)
		}
	}
}
