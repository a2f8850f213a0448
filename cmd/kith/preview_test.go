package main

import (
	"testing"

	"kith/api"
)

// The sheets of a workbook that are not read are named, the first few.
func TestOtherSheets(t *testing.T) {
	for _, c := range []struct {
		sheets []string
		want   string
	}{
		{[]string{"Info", "Customers"}, `"Customers"`},
		{[]string{"a", "b", "Info", "c"}, `"a", "b", "c"`},
		{[]string{"a", "b", "c", "d", "e", "Info", "f"}, `"a", "b", "c", "d", "e", …`},
	} {
		if got := otherSheets(&api.SuggestUploadMappingResponse{Sheet: api.Ptr("Info"), Sheets: c.sheets}); got != c.want {
			t.Errorf("%q: %s", c.sheets, got)
		}
	}
}
