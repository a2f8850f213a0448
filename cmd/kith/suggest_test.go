package main

import (
	"strings"
	"testing"

	"kith/upload/suggest"
	"kith/upload/table"
)

func TestOverridesAndKeys(t *testing.T) {
	two := suggest.For([]string{"id", "customer_id", "名前", "Größe"}, nil, false)
	if k, err := chooseKey(two, ""); err != nil || k.Name != "id" {
		t.Errorf("%+v, %v", k, err)
	}
	if k, err := chooseKey(two, "CUSTOMER_ID"); err != nil || k.Name != "customer_id" {
		t.Errorf("%+v, %v", k, err)
	}
	if _, err := chooseKey(two, "custmer_id"); err == nil || err.Error() != `--key custmer_id: the file has no such column; did you mean "customer_id"?` {
		t.Errorf("%v", err)
	}
	if err := override(two, "customer_id=_profile.AccountNumber"); err != nil || two.Columns[0].Target != "Attributes.id" || two.Columns[1].Target != "AccountNumber" {
		t.Errorf("%v, %+v", err, two.Columns)
	}
	if err := override(two, "größe=Attributes.size"); err != nil || two.Columns[3].Target != "Attributes.size" {
		t.Errorf("%v, %+v", err, two.Columns)
	}
}

// Whole names that were split are taken whole where a flag says what becomes of them.
func TestSplitNamesAreTakenWhole(t *testing.T) {
	rows := [][]string{{"Ann Lee", "a@x.de", "Ann"}, {"Bea Roth", "b@x.de", "Bea"}}
	said := func(p *suggest.Proposal) (all string) {
		for i, c := range p.Columns {
			if all += c.Source + "=" + c.Target; i == p.Key {
				all += "*"
			}
			all += " "
		}
		return all
	}
	const first, last = "{{#givenName}}{{_source.Name}}{{/givenName}}=", "{{#familyName}}{{_source.Name}}{{/familyName}}="
	for name, c := range map[string]struct{ maps, key, want string }{
		"as proposed":  {want: first + "FirstName " + last + "LastName _source.Mail=EmailAddress* _source.call=Attributes.call "},
		"mapped":       {maps: "name=LastName", want: "_source.Name=LastName _source.Mail=EmailAddress* _source.call=Attributes.call "},
		"left out":     {maps: "Name=-", want: "_source.Name= _source.Mail=EmailAddress* _source.call=Attributes.call "},
		"the key":      {key: "Name", want: "_source.Name=Attributes.Name* _source.Mail=EmailAddress _source.call=Attributes.call "},
		"another name": {maps: "call=FirstName", want: first + " " + last + "LastName _source.Mail=EmailAddress* _source.call=FirstName "},
	} {
		p := suggest.For([]string{"Name", "Mail", "call"}, rows, true)
		if c.maps != "" {
			if err := override(p, c.maps); err != nil {
				t.Error(err)
			}
		}
		if _, err := chooseKey(p, c.key); err != nil {
			t.Error(err)
		}
		if got := said(p); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", name, got, c.want)
		}
	}
}

// However long rows are, few bytes of them are looked at.
func TestFirstRowsAreFewBytes(t *testing.T) {
	sc := table.NewScanner(strings.NewReader(strings.Repeat(strings.Repeat("x", 1<<20-1)+"\n", 20)))
	rows, whole, err := firstRows(sc)
	if err != nil || whole || len(rows) != 5 {
		t.Errorf("%d rows of 1 MiB, whole %v, %v", len(rows), whole, err)
	}
}
