package domain

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"kith/api"
	"kith/fault"
	"kith/job"
	"kith/resource"
	"kith/store"
	"kith/store/mem"
)

func TestLayoutsAreJSON(t *testing.T) {
	for text, want := range map[string]string{
		`{}`: "", ` [1, "x"] `: "", `"x"`: "", `0`: "", `null`: "", `{"a":1,"a":2}`: "", `"` + strings.Repeat("x", 1999998) + `"`: "",
		strings.Repeat("[", 9000) + strings.Repeat("]", 9000): "",
		``: "byte 0", ` `: "byte 0", `{`: "byte 1", `{} {}`: "byte 4", `{"secret":x}`: "byte 9", `x`: "byte 0", `"\ud800"`: "byte",
		strings.Repeat("[", 100000): "byte",
	} {
		err := checkLayout(text)
		if want == "" {
			if err != nil {
				t.Errorf("%.40s: %v", text, err)
			}
			continue
		}
		if !errors.Is(err, fault.BadRequest) || !strings.Contains(fault.Message(err), want) || strings.Contains(fault.Message(err), "secret") {
			t.Errorf("%.40s: %v, want %q", text, err, want)
		}
	}
}

func TestFieldsOfDomainObjectTypes(t *testing.T) {
	field := func(source, target string) map[string]api.DomainObjectTypeField {
		return map[string]api.DomainObjectTypeField{
			"x": {Source: &source, Target: &target},
			"y": {Source: api.Ptr("_source.y"), Target: api.Ptr("_catalogItem.Y")},
		}
	}
	for _, c := range []struct{ source, target, want string }{
		{"_source.a", "_catalogItem.Id", ""},
		{"_source.a.b", "_catalogItem.Attributes.x", ""},
		{"{{_source.a}} {{_source.b}}", "_catalogItem.Id", ""},
		{"a", "_catalogItem.Id", "Source of field x"},
		{"_source.", "_catalogItem.Id", "Source of field x"},
		{"_source.a", "_profile.FirstName", "Target of field x"},
		{"_source.a", "_catalogItem.", "Target of field x"},
		{"_source.a", "_catalogItem.Y", "Fields x and y"},
	} {
		if err := checkFields(field(c.source, c.target)); c.want == "" && err != nil || c.want != "" && !strings.Contains(fault.Message(err), c.want) {
			t.Errorf("%s → %s: %v, want %q", c.source, c.target, err, c.want)
		}
	}
}

// What removes a domain leaves no table out, also none that is added later.
func TestTheUndertakerDropsEveryTable(t *testing.T) {
	ctx, st := context.Background(), mem.New()
	const dead, other = 7, 8
	for _, table := range store.Tables {
		if table == store.Catalog {
			continue
		}
		for _, inc := range []store.Incarnation{dead, other} {
			p := store.Partition{Table: table, Incarnation: inc, Key: "p"}
			if err := st.Write(ctx, p, []store.Mutation{{Key: []byte("k"), Time: 1}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	u := &Undertaker{Store: st, Drop: func(context.Context, store.Incarnation) error { return nil }}
	if err := u.Run(ctx, &job.Task{Work: job.Work{Incarnation: dead}}); err != nil {
		t.Fatal(err)
	}
	for _, table := range store.Tables {
		left := map[store.Incarnation]int{}
		for row, err := range st.Sweep(ctx, store.SweepRange{Table: table}) {
			if err != nil {
				t.Fatal(err)
			}
			left[row.Partition.Incarnation]++
		}
		if left[dead] > 0 || table != store.Catalog && left[other] != 1 {
			t.Errorf("table %s: %v rows are left", table, left)
		}
	}
}

// A layout that is written while its domain is deleted is gone too, and the call says so.
func TestWritesThatADeletionOvertakes(t *testing.T) {
	ctx, st := context.Background(), mem.New()
	s := &Service{Store: st, Now: time.Now}
	if _, err := s.CreateDomain(ctx, &api.CreateDomainRequest{DomainName: api.Ptr("d"), DefaultExpirationDays: api.Ptr(int32(1))}); err != nil {
		t.Fatal(err)
	}
	scope, err := s.Resources(ctx, "d")
	if err != nil {
		t.Fatal(err)
	}
	for _, again := range []bool{false, true} {
		if _, err := s.DeleteDomain(ctx, &api.DeleteDomainRequest{DomainName: api.Ptr("d")}); err != nil && !again {
			t.Fatal(err)
		}
		if again { // another domain has the name by now
			if _, err := s.CreateDomain(ctx, &api.CreateDomainRequest{DomainName: api.Ptr("d"), DefaultExpirationDays: api.Ptr(int32(1))}); err != nil {
				t.Fatal(err)
			}
		}
		_, err := layouts.Create(ctx, scope, "late", func(r *resource.Record[layout]) error {
			r.SetText("{}")
			return nil
		})
		if !errors.Is(err, fault.NotFound) {
			t.Fatal(err)
		}
		for row, err := range st.Sweep(ctx, store.SweepRange{Table: store.Resource}) {
			t.Fatalf("left behind: %s %q, %v", row.Partition.Key, row.Row.Key, err)
		}
	}
}
