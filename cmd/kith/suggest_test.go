package main

import (
	"testing"

	"kith/upload/suggest"
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
	if err := override(two.Columns, "customer_id=_profile.AccountNumber"); err != nil || two.Columns[0].Target != "Attributes.id" || two.Columns[1].Target != "AccountNumber" {
		t.Errorf("%v, %+v", err, two.Columns)
	}
	if err := override(two.Columns, "größe=Attributes.size"); err != nil || two.Columns[3].Target != "Attributes.size" {
		t.Errorf("%v, %+v", err, two.Columns)
	}
}
