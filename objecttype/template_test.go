package objecttype

import (
	"strings"
	"testing"

	"kith/schema"
)

// Every template that a type can be made of obeys the rules of types, and maps what the documents say it maps.
func TestTemplatesAreTypes(t *testing.T) {
	for id, tpl := range templates {
		if tpl.standard {
			if schema.StandardByName(id) == nil || len(tpl.keys) == 0 {
				t.Errorf("%s: %+v", id, tpl)
			}
			continue
		}
		def := tpl.definition("d")
		if err := check(id, def, Quotas{}); err != nil {
			t.Errorf("%s: %v", id, err)
		}
		if err := checkOthers(id, def, &set{}, true); err != nil {
			t.Errorf("%s: %v", id, err)
		}
		for name, f := range tpl.fields {
			if f.Target == nil && !strings.HasPrefix(id, "CTR") {
				t.Errorf("%s: %s fills nothing", id, name)
			}
		}
	}
	for _, id := range []string{"CTR", "CTR-NoInferred", "CTR-AutoAssociateOnly", "Salesforce-Account", "Salesforce-Contact", "Salesforce-Asset",
		"Salesforce-Multi-Contact-Account-Link", "Salesforce-Multi-Asset-Account-Link", "Marketo-Multi-Lead-Account-Link", "Marketo-leads",
		"Zendesk-users", "Zendesk-tickets", "Servicenow-sys_user", "Servicenow-task", "Servicenow-incident", "Segment-Identify", "Segment-Customer",
		"Shopify-Customer", "Shopify-Order", "Shopify-DraftOrder", "_asset", "_case", "_order", "_communicationRecord", "_loyalty"} {
		if templates[id] == nil {
			t.Errorf("there is no template %s", id)
		}
	}
}

// The keys of one name have the same content types in all templates: a domain can use them together.
func TestTemplatesGoTogether(t *testing.T) {
	all := &set{keys: Keys{}, owners: map[string]string{}, alive: map[string]uint64{}}
	for _, id := range templateIDs {
		if tpl := templates[id]; !tpl.standard {
			if err := checkOthers(id, tpl.definition("d"), all, true); err != nil {
				t.Errorf("%s: %v", id, err)
			}
			for k, defs := range tpl.keys {
				all.keys[k] = contentTypes(k, defs[0].FieldNames, tpl.fields)
			}
			all.alive[id] = 1
		}
	}
}

func TestTemplatesExtract(t *testing.T) {
	for _, c := range []struct{ id, object, want string }{
		{"CTR", `{"ContactId":"c1","CustomerEndpoint":{"Type":"TELEPHONE_NUMBER","Address":"+1 206 555 0100"}}`,
			`Values:[c1] Inferred:[+1 206 555 0100] Keys:[{_ctrContactId c1}] NewKeys:[] Match:[{_ctrContactId c1}] Fallback:[] Standard:[]`},
		{"CTR-NoInferred", `{"ContactId":"c1","CustomerEndpoint":{"Type":"TELEPHONE_NUMBER","Address":"+1 206 555 0100"}}`,
			`Values:[c1] Inferred:[+1 206 555 0100] Keys:[{_ctrContactId c1} {_phone 2065550100}] NewKeys:[] Match:[{_ctrContactId c1}] Fallback:[{_phone 2065550100}] Standard:[]`},
		{"Salesforce-Account", `{"Id":"a1","Name":"Acme","IsPersonAccount":false,"PersonMailingAddress":{"city":"Rome"}}`,
			`Values:[BUSINESS Acme Rome a1] Inferred:[] Keys:[{_salesforceAccountId a1}] NewKeys:[] Match:[{_salesforceAccountId a1}] Fallback:[] Standard:[]`},
		{"Salesforce-Account", `{"Id":"a1","IsPersonAccount":true,"PersonEmail":"x@y"}`,
			`Values:[INDIVIDUAL x@y a1] Inferred:[x@y] Keys:[{_salesforceAccountId a1}] NewKeys:[] Match:[{_salesforceAccountId a1}] Fallback:[] Standard:[]`},
		{"Salesforce-Multi-Contact-Account-Link", `{"Id":"c1","AccountId":"a1"}`,
			`Values:[a1 c1] Inferred:[] Keys:[{_salesforceAccountId a1} {_salesforceContactId c1}] NewKeys:[] Match:[{_salesforceContactId c1}] Fallback:[] Standard:[]`},
		{"Salesforce-Asset", `{"Id":"t1","ContactId":"c1","Name":"Pump","Price":12}`,
			`Values:[] Inferred:[] Keys:[{_assetName Pump} {_salesforceAssetId t1} {_salesforceContactId c1}] NewKeys:[] Match:[{_salesforceContactId c1}] Fallback:[] Standard:[{Type:_asset Keys:[{_salesforceAssetId t1}] Fields:[{Path:Attributes.sfdcContactId Values:[c1]} {Path:Attributes.sfdcAssetId Values:[t1]} {Path:AssetName Values:[Pump]} {Path:Price Values:[12]}] 0 0}]`},
		{"Zendesk-tickets", `{"id":5,"requester_id":9,"subject":"Help"}`,
			`Values:[] Inferred:[] Keys:[{_zendeskTicketId 5} {_zendeskUserId 9}] NewKeys:[] Match:[{_zendeskUserId 9}] Fallback:[] Standard:[{Type:_case Keys:[{_zendeskTicketId 5}] Fields:[{Path:CreatedBy Values:[9]} {Path:Attributes.ZendeskTicketId Values:[5]} {Path:Attributes.ZendeskUserId Values:[9]} {Path:Title Values:[Help]}] 0 0}]`},
		{"Shopify-Order", `{"id":5,"customer":{"id":8},"line_items":[{"title":"Cup","price":"1"},{"title":"Pot","quantity":2}]}`,
			`Values:[] Inferred:[] Keys:[{_shopifyCustomerId 8} {_shopifyOrderId 5}] NewKeys:[] Match:[{_shopifyCustomerId 8}] Fallback:[] Standard:[{Type:_order Keys:[{_shopifyOrderId 5}] Fields:[{Path:Attributes.ShopifyCustomerId Values:[8]} {Path:Attributes.ShopifyOrderId Values:[5]} {Path:OrderItems[].Price Values:[1 ]} {Path:OrderItems[].Quantity Values:[ 2]} {Path:OrderItems[].Title Values:[Cup Pot]}] 0 0}]`},
	} {
		typ, err := compile(c.id, templates[c.id].definition("d"))
		if err != nil {
			t.Fatal(err)
		}
		got, err := typ.Extract([]byte(c.object), 0)
		if err != nil {
			t.Errorf("%s: %v", c.id, err)
			continue
		}
		if _, text, _ := strings.Cut(strings.TrimSuffix(show(got), "}"), " "); text != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.id, text, c.want)
		}
	}
}
