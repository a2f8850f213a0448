package main

import "testing"

func TestSuggest(t *testing.T) {
	for column, want := range map[string]string{
		"customerID": "AccountNumber", "Customer ID": "AccountNumber", "e-mail": "EmailAddress", "E_Mail": "EmailAddress",
		"given_name": "FirstName", " surname": "LastName", "zip": "Address.PostalCode", "Postal Code": "Address.PostalCode",
		"address_1": "Address.Address1", "Mobile": "MobilePhoneNumber", "DOB": "BirthDate", "sex": "GenderString",
		"InternetService": "Attributes.InternetService", "Lieblings-Farbe": "Attributes.Lieblings-Farbe", "": "",
	} {
		if got := suggest([]string{column})[0].Target; got != want {
			t.Errorf("%q goes to %q, want %q", column, got, want)
		}
	}
	two := suggest([]string{"id", "customer_id", "名前", "名前2"})
	if two[0].Target != "AccountNumber" || two[1].Target != "Attributes.customer_id" {
		t.Errorf("two ids: %+v", two)
	}
	labels := map[string]bool{}
	for _, s := range two {
		if labels[s.Label] || s.Label == "" {
			t.Errorf("label %q", s.Label)
		}
		labels[s.Label] = true
	}
	if k, err := chooseKey(two, ""); err != nil || k.Column != "id" {
		t.Errorf("%+v, %v", k, err)
	}
	if err := override(two, "customer_id=_profile.AccountNumber"); err != nil || two[0].Target != "Attributes.id" {
		t.Errorf("%v, %+v", err, two)
	}
}
