package programs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"

	cp "github.com/aws/aws-sdk-go-v2/service/customerprofiles"
	"github.com/aws/aws-sdk-go-v2/service/customerprofiles/types"
)

// keys are the keys of a type: name, field, identifiers.
func typeKey(field string, ids ...types.StandardIdentifier) []types.ObjectTypeKey {
	return []types.ObjectTypeKey{{FieldNames: []string{field}, StandardIdentifiers: ids}}
}

// booking is what a travel system says about one traveller of one booking.
type booking struct {
	Record    string `json:"record"`
	Traveller string `json:"traveller"`
	Email     string `json:"email"`
	From      string `json:"from"`
	To        string `json:"to"`
	Member    string `json:"member,omitempty"`
}

// travel writes bookings, and reads back what it has written until nothing is left to be done.
type travel struct {
	*account
	domain string
}

func (w *travel) setUp(t *testing.T) {
	t.Helper()
	must(w.PutProfileObjectType(t.Context(), &cp.PutProfileObjectTypeInput{DomainName: &w.domain, ObjectTypeName: new("AirBooking"), Description: new("travellers of bookings"),
		AllowProfileCreation: true,
		Fields: map[string]types.ObjectTypeField{
			"record": {Source: new("_source.record")}, "traveller": {Source: new("_source.traveller")},
			"email":   {Source: new("_source.email"), Target: new("_profile.EmailAddress"), ContentType: types.FieldContentTypeEmailAddress},
			"member":  {Source: new("_source.member"), Target: new("_profile.Attributes.member")},
			"airline": {Source: new("{{_source.record}}-{{_source.traveller}}"), Target: new("_order.Name")},
			"route":   {Source: new("{{_source.from}} → {{_source.to}}"), Target: new("_order.Attributes.route")},
		},
		Keys: map[string][]types.ObjectTypeKey{
			"bookingTraveller": typeKey("traveller", types.StandardIdentifierUnique),
			"bookingRecord":    typeKey("record"),
			"bookingOrder":     typeKey("airline", types.StandardIdentifierOrder),
			"travellerEmail":   typeKey("email", types.StandardIdentifierProfile),
		}}))(t)
}

func (w *travel) put(ctx context.Context, b booking) error {
	text, err := json.Marshal(b)
	if err != nil {
		return err
	}
	_, err = w.PutProfileObject(ctx, &cp.PutProfileObjectInput{DomainName: &w.domain, ObjectTypeName: new("AirBooking"), Object: new(string(text))})
	return err
}

// stored returns what is known of a record, by traveller.
func (w *travel) stored(ctx context.Context, record string) (map[string]booking, error) {
	found, err := w.SearchProfiles(ctx, &cp.SearchProfilesInput{DomainName: &w.domain, KeyName: new("bookingRecord"), Values: []string{record}, MaxResults: new(int32(20))})
	if err != nil {
		return nil, err
	}
	all := map[string]booking{}
	for _, p := range found.Items {
		objects, err := w.ListProfileObjects(ctx, &cp.ListProfileObjectsInput{DomainName: &w.domain, ProfileId: p.ProfileId, ObjectTypeName: new("AirBooking"),
			ObjectFilter: &types.ObjectFilter{KeyName: new("bookingRecord"), Values: []string{record}}, MaxResults: new(int32(100))})
		if err != nil {
			return nil, err
		}
		for _, o := range objects.Items {
			var b booking
			if err := json.Unmarshal([]byte(*o.Object), &b); err != nil {
				return nil, err
			}
			all[b.Traveller] = b
		}
	}
	return all, nil
}

// reconcile puts again what is not stored as it should be, and returns how much that was.
func (w *travel) reconcile(ctx context.Context, want []booking) (put int, err error) {
	for _, b := range want {
		have, err := w.stored(ctx, b.Record)
		if err != nil {
			return put, err
		}
		if have[b.Traveller] != b {
			put++
			if err := w.put(ctx, b); err != nil {
				return put, err
			}
		}
	}
	return put, nil
}

// Families travel on one record; a membership that is learnt later is put again, and a second look finds nothing to do. Each traveller is
// one profile with one order a booking, however often it is put.
func TestTravelWriter(t *testing.T) {
	a := start(t)
	w := &travel{a, newDomain(t, a, "travel")}
	w.setUp(t)
	var all []booking
	for r := range 3 {
		for p := range 4 {
			all = append(all, booking{Record: fmt.Sprintf("PNR%d", r), Traveller: fmt.Sprintf("PNR%d-PT-%d", r, p), Email: fmt.Sprintf("p%d@example.com", p), From: "YUL", To: "YVR"})
		}
	}
	for round, want := range []int{len(all), 0} {
		if put, err := w.reconcile(t.Context(), all); err != nil || put != want {
			t.Fatalf("round %d put %d, want %d: %v", round, put, want, err)
		}
	}
	all[5].Member, all[5].Email = "M-77", "P1@Example.com"
	if put, err := w.reconcile(t.Context(), all); err != nil || put != 1 {
		t.Fatalf("%d, %v", put, err)
	}
	if put, err := w.reconcile(t.Context(), all); err != nil || put != 0 {
		t.Fatalf("%d, %v", put, err)
	}
	found := must(a.SearchProfiles(t.Context(), &cp.SearchProfilesInput{DomainName: &w.domain, KeyName: new("_email"), Values: []string{"p1@example.com"}}))(t).Items
	if len(found) != 1 || found[0].Attributes["member"] != "M-77" {
		t.Fatalf("%+v", found)
	}
	orders := must(a.ListProfileObjects(t.Context(), &cp.ListProfileObjectsInput{DomainName: &w.domain, ProfileId: found[0].ProfileId, ObjectTypeName: new("_order")}))(t).Items
	if len(orders) != 3 {
		t.Fatalf("%d orders, want one of each record", len(orders))
	}
	var order struct {
		OrderId    string
		Attributes map[string]string
	}
	if err := json.Unmarshal([]byte(*orders[0].Object), &order); err != nil || order.OrderId == "" || order.Attributes["route"] != "YUL → YVR" {
		t.Errorf("%s %v", *orders[0].Object, err)
	}
}

// loader sends rows in batches of ten, and what failed for the moment again.
type loader struct {
	*account
	domain, object string
}

func (l *loader) load(ctx context.Context, rows []map[string]string) (bad []string, err error) {
	for attempt := 0; len(rows) > 0; attempt++ {
		if attempt > 20 {
			return bad, errors.New("it does not come to an end")
		}
		var again []map[string]string
		for start := 0; start < len(rows); start += 10 {
			part := rows[start:min(start+10, len(rows))]
			in := &cp.BatchPutProfileObjectInput{DomainName: &l.domain, ObjectTypeName: &l.object}
			byID := map[string]map[string]string{}
			for i, row := range part {
				text, err := json.Marshal(row)
				if err != nil {
					return bad, err
				}
				id := fmt.Sprint("r", i)
				byID[id] = row
				in.Items = append(in.Items, types.BatchPutProfileObjectRequestItem{Id: &id, Object: new(string(text))})
			}
			out, err := l.BatchPutProfileObject(ctx, in)
			if err != nil {
				return bad, err
			}
			if len(out.Successful)+len(out.Failed) != len(part) {
				return bad, fmt.Errorf("of %d items %d are answered", len(part), len(out.Successful)+len(out.Failed))
			}
			for _, f := range out.Failed {
				if *f.Code == 429 || *f.Code >= 500 || has(errors.New(*f.Message), "concurrent update in-progress") {
					again = append(again, byID[*f.Id])
				} else {
					bad = append(bad, *f.Message)
				}
			}
		}
		rows = again
	}
	return bad, nil
}

// Four workers load the same customers out of two systems, in another order each: every customer is one profile, and bad rows are told.
func TestBulkLoader(t *testing.T) {
	a := start(t)
	l := &loader{a, newDomain(t, a, "load"), "crm"}
	must(a.PutProfileObjectType(t.Context(), &cp.PutProfileObjectTypeInput{DomainName: &l.domain, ObjectTypeName: &l.object, Description: new("customers"), AllowProfileCreation: true,
		Fields: map[string]types.ObjectTypeField{
			"id": {Source: new("_source.id")}, "name": {Source: new("_source.name"), Target: new("_profile.FirstName")},
			"email": {Source: new("_source.email"), Target: new("_profile.EmailAddress"), ContentType: types.FieldContentTypeEmailAddress},
		},
		Keys: map[string][]types.ObjectTypeKey{
			"crmId":    typeKey("id", types.StandardIdentifierUnique),
			"crmEmail": typeKey("email", types.StandardIdentifierProfile),
		}}))(t)
	const customers, workers = 30, 4
	var wg sync.WaitGroup
	results := make([][]string, workers)
	for w := range workers {
		wg.Go(func() {
			var rows []map[string]string
			for i := range customers {
				n := (i*7 + w*11) % customers
				rows = append(rows, map[string]string{"id": fmt.Sprintf("s%d-%d", w%2, n), "name": "Name", "email": fmt.Sprintf("c%d@example.com", n)})
			}
			rows = append(rows, map[string]string{"name": "nobody"})
			var err error
			if results[w], err = l.load(t.Context(), rows); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for w, bad := range results {
		same(t, fmt.Sprint("bad rows of worker ", w), len(bad), 1)
	}
	stats := must(a.GetDomain(t.Context(), &cp.GetDomainInput{DomainName: &l.domain}))(t).Stats
	same(t, "profiles", stats.ProfileCount, int64(customers))
	same(t, "objects", stats.ObjectCount, int64(2*customers))
}

// A tool that mends set-ups reads a type, changes one setting, and puts everything else back as it was read.
func TestTypeFixer(t *testing.T) {
	a := start(t)
	domain := newDomain(t, a, "fix")
	in := &cp.PutProfileObjectTypeInput{DomainName: &domain, ObjectTypeName: new("leads"), Description: new("leads"), ExpirationDays: new(int32(30)), Tags: map[string]string{"team": "a"},
		Fields: map[string]types.ObjectTypeField{"id": {Source: new("_source.id")}, "at": {Source: new("_source.at"), Target: new("_profile.SourceLastUpdatedTimestamp")}},
		Keys:   map[string][]types.ObjectTypeKey{"leadId": typeKey("id", types.StandardIdentifierUnique, types.StandardIdentifierProfile)}, SourceLastUpdatedTimestampFormat: new("EpochMilli"), MaxProfileObjectCount: new(int32(5))}
	must(a.PutProfileObjectType(t.Context(), in))(t)
	// With creation off an object of nobody is answered well, and nobody is made.
	must(a.PutProfileObject(t.Context(), &cp.PutProfileObjectInput{DomainName: &domain, ObjectTypeName: new("leads"), Object: new(`{"id": "1"}`)}))(t)
	find := &cp.SearchProfilesInput{DomainName: &domain, KeyName: new("leadId"), Values: []string{"1"}}
	same(t, "found before", len(must(a.SearchProfiles(t.Context(), find))(t).Items), 0)

	got := must(a.GetProfileObjectType(t.Context(), &cp.GetProfileObjectTypeInput{DomainName: &domain, ObjectTypeName: new("leads")}))(t)
	must(a.PutProfileObjectType(t.Context(), &cp.PutProfileObjectTypeInput{DomainName: &domain, ObjectTypeName: got.ObjectTypeName, Description: got.Description, AllowProfileCreation: true,
		EncryptionKey: got.EncryptionKey, ExpirationDays: got.ExpirationDays, Fields: got.Fields, Keys: got.Keys, MaxProfileObjectCount: got.MaxProfileObjectCount,
		SourceLastUpdatedTimestampFormat: got.SourceLastUpdatedTimestampFormat}))(t)
	after := must(a.GetProfileObjectType(t.Context(), &cp.GetProfileObjectTypeInput{DomainName: &domain, ObjectTypeName: new("leads")}))(t)
	same(t, "fields", after.Fields, got.Fields)
	same(t, "keys", after.Keys, got.Keys)
	same(t, "the rest", []any{*after.ExpirationDays, *after.MaxProfileObjectCount, *after.SourceLastUpdatedTimestampFormat, after.Tags, after.AllowProfileCreation},
		[]any{int32(30), int32(5), "EpochMilli", map[string]string{"team": "a"}, true})
	must(a.PutProfileObject(t.Context(), &cp.PutProfileObjectInput{DomainName: &domain, ObjectTypeName: new("leads"), Object: new(`{"id": "1", "at": 1767225600000}`)}))(t)
	same(t, "found after", len(must(a.SearchProfiles(t.Context(), find))(t).Items), 1)
}
