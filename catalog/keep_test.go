package catalog

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"kith/api"
	"kith/domain"
	"kith/fault"
	"kith/job"
	"kith/objecttype"
	"kith/profile"
	"kith/profile/change"
	"kith/profile/fold"
	"kith/profile/index"
	"kith/profile/write"
	"kith/schema"
	"kith/store"
	"kith/store/faulty"
	"kith/store/mem"
)

// world is a domain whose objects are put by hand.
type world struct {
	*Service
	t     *testing.T
	store *faulty.Store
	w     *write.Writer
	clock time.Time
	woken int
}

const domainName = "d"

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, store: &faulty.Store{Store: mem.New()}, clock: time.Now()}
	now := func() time.Time { return w.clock }
	domains := &domain.Service{Store: w.store, Now: now}
	types := &objecttype.Service{Domains: domains}
	feed := &change.Feed{Store: w.store, Now: now, Alone: true, OnChange: func(store.Incarnation) {}}
	profiles := &profile.Service{Store: w.store, Domains: domains, Now: now, Feed: feed, Types: types}
	w.w = &write.Writer{Store: w.store, Feed: feed, Lookup: domains.Lookup, Now: now, Settle: profiles.SettleLinks}
	w.Service = &Service{Store: w.store, Domains: domains, Types: types, Profiles: profiles, Now: now, Wake: func(store.Incarnation) { w.woken++ }}
	_, err := domains.CreateDomain(t.Context(), &api.CreateDomainRequest{
		DomainName: api.Ptr(domainName), DefaultExpirationDays: api.Ptr(int32(30)), DataStore: &api.DataStoreRequest{Enabled: api.Ptr(true)}})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) putType(name string) {
	w.t.Helper()
	_, err := w.Types.PutProfileObjectType(w.t.Context(), &api.PutProfileObjectTypeRequest{
		DomainName: api.Ptr(domainName), ObjectTypeName: &name, Description: api.Ptr("x"), AllowProfileCreation: api.Ptr(true),
		Fields: map[string]api.ObjectTypeField{"id": {Source: api.Ptr("_source.id")}},
		Keys:   map[string][]api.ObjectTypeKey{"id": {{FieldNames: []string{"id"}, StandardIdentifiers: []api.StandardIdentifier{"UNIQUE", "PROFILE"}}}},
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// put puts an object, a second after the one before.
func (w *world) put(objectType, id, object string, asset ...string) {
	w.t.Helper()
	rec := w.rec()
	typ, err := w.Types.Find(w.t.Context(), rec, objectType)
	if err != nil {
		w.t.Fatal(err)
	}
	w.clock = w.clock.Add(time.Second)
	k := index.Key{Name: "id", Value: id}
	o := &write.Object{
		Type: objectType, Incarnation: typ.Incarnation, UniqueKey: objectType + id, JSON: []byte(object), Life: time.Hour, Create: true,
		Keys: []index.Key{k}, Match: []index.Key{k}, Values: []fold.Value{{Attr: schema.Attr{ID: schema.LastName}, Text: "Name " + id}},
	}
	if len(asset) > 0 {
		o.Standard = []write.StandardObject{{Type: "_asset", IDKey: "_assetId", Keys: []index.Key{{Name: "_serialNumber", Value: id}}}}
		for i := 0; i < len(asset); i += 2 {
			o.Standard[0].Values = append(o.Standard[0].Values, fold.Value{Attr: schema.Attr{Custom: asset[i]}, Text: asset[i+1]})
		}
	}
	if _, err := w.w.Put(w.t.Context(), domainName, "test", o); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) rec() *domain.Record {
	w.t.Helper()
	rec, err := w.Domains.Read(w.t.Context(), domainName)
	if err != nil {
		w.t.Fatal(err)
	}
	return rec
}

func (w *world) keep(ctx context.Context) error {
	_, err := w.Keep(ctx, &job.Task{Work: job.Work{Incarnation: w.rec().Incarnation}})
	return err
}

// answer is what the three operations say of a type.
type answer struct {
	Names  map[string]time.Time
	Values map[string][]string
	Stats  map[string]stats
}

func (w *world) ask(objectType string) answer {
	w.t.Helper()
	ctx := w.t.Context()
	out := answer{map[string]time.Time{}, map[string][]string{}, map[string]stats{}}
	names, err := w.ListObjectTypeAttributes(ctx, &api.ListObjectTypeAttributesRequest{DomainName: api.Ptr(domainName), ObjectTypeName: &objectType})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, n := range names.Items {
		out.Names[*n.AttributeName] = n.LastUpdatedAt.Time
		values, err := w.ListObjectTypeAttributeValues(ctx, &api.ListObjectTypeAttributeValuesRequest{DomainName: api.Ptr(domainName), ObjectTypeName: &objectType, AttributeName: n.AttributeName})
		if err != nil {
			w.t.Fatal(err)
		}
		for _, v := range values.Items {
			out.Values[*n.AttributeName] = append(out.Values[*n.AttributeName], *v.Value)
		}
		s, err := w.GetObjectTypeAttributeStatistics(ctx, &api.GetObjectTypeAttributeStatisticsRequest{DomainName: api.Ptr(domainName), ObjectTypeName: &objectType, AttributeName: n.AttributeName})
		if err != nil {
			w.t.Fatal(err)
		}
		if s.Statistics.Average != nil {
			out.Stats[*n.AttributeName] = stats{Least: *s.Statistics.Minimum, Most: *s.Statistics.Maximum, Mean: *s.Statistics.Average, Deviation: *s.Statistics.StandardDeviation}
		}
	}
	return out
}

var typeNames = []string{"Orders", "Visits", "_asset", profileType}

func (w *world) askAll() map[string]answer {
	w.t.Helper()
	all := map[string]answer{}
	for _, name := range typeNames {
		all[name] = w.ask(name)
	}
	return all
}

func fill(w *world) {
	w.putType("Orders")
	w.putType("Visits")
	for i := range 30 {
		w.put("Orders", fmt.Sprint(i%20), fmt.Sprintf(`{"id":"%d","total":%d,"state":"s%d","lines":[{"sku":"k%d"}]}`, i%20, i, i%3, i), "SerialNumber", fmt.Sprint(i%20), "Price", fmt.Sprint(i))
		w.put("Visits", fmt.Sprint(i), fmt.Sprintf(`{"id":"%d","page":"p%d","ms":"%d.5"}`, i, i%4, i*10))
	}
}

// A small domain is told as it is: objects that are replaced, deleted with their type, or expired are not there any more.
func TestSmallDomainIsToldAsItIs(t *testing.T) {
	w := newWorld(t)
	fill(w)
	orders := w.ask("Orders")
	if len(orders.Names) != 3 || len(orders.Values["total"]) != 20 || orders.Values["total"][0] != "29" || len(orders.Values["state"]) != 3 {
		t.Errorf("%+v", orders)
	}
	if s := orders.Stats["total"]; s.Least != 10 || s.Most != 29 || s.Mean != 19.5 { // ten were replaced
		t.Errorf("%+v", s)
	}
	if _, ok := orders.Stats["state"]; ok {
		t.Error("texts have statistics")
	}
	nested, err := w.ListObjectTypeAttributeValues(t.Context(), &api.ListObjectTypeAttributeValuesRequest{DomainName: api.Ptr(domainName), ObjectTypeName: api.Ptr("Orders"), AttributeName: api.Ptr("lines.sku")})
	if err != nil || len(nested.Items) != 20 {
		t.Errorf("%+v, %v", nested, err)
	}
	asset, persons := w.ask("_asset"), w.ask(profileType)
	if asset.Stats["Price"].Least != 10 || asset.Stats["Price"].Most != 29 || len(asset.Values["SerialNumber"]) != 20 || len(persons.Values["LastName"]) != 30 {
		t.Errorf("%+v\n%+v", asset, persons)
	}
	if _, err := w.Types.DeleteProfileObjectType(t.Context(), &api.DeleteProfileObjectTypeRequest{DomainName: api.Ptr(domainName), ObjectTypeName: api.Ptr("Orders")}); err != nil {
		t.Fatal(err)
	}
	w.putType("Orders")
	if got := w.ask("Orders"); len(got.Names) != 0 {
		t.Errorf("of a type that was deleted: %+v", got)
	}
	w.clock = w.clock.Add(2 * time.Hour)
	if got := w.ask("Visits"); len(got.Names) != 0 {
		t.Errorf("of objects that have expired: %+v", got)
	}
	if w.woken != 0 {
		t.Error("a small domain wants a kept catalogue")
	}
}

// What is kept of a large domain is what is told of a small one; it is made anew in time, and goes with its type and with the size.
func TestLargeDomainIsKept(t *testing.T) {
	w := newWorld(t)
	fill(w)
	want := w.askAll()
	w.FreshRows = 5
	if got := w.ask("Orders"); len(got.Names) == 0 || len(got.Stats) != 0 || w.woken == 0 {
		t.Errorf("before the first pass: %+v", got)
	}
	if err := w.keep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := w.askAll(); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}

	w.put("Orders", "99", `{"id":"99","total":1000,"fresh":"yes"}`)
	if got := w.ask("Orders"); got.Stats["total"].Most != 29 {
		t.Errorf("a kept catalogue was read anew: %+v", got)
	}
	w.woken = 0
	w.ask("Orders")
	if w.woken != 0 {
		t.Error("a new catalogue is made anew")
	}
	w.clock = w.clock.Add(30 * time.Minute)
	if _, err := w.Types.DeleteProfileObjectType(t.Context(), &api.DeleteProfileObjectTypeRequest{DomainName: api.Ptr(domainName), ObjectTypeName: api.Ptr("Visits")}); err != nil {
		t.Fatal(err)
	}
	if err := w.keep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := w.ask("Orders"); got.Stats["total"].Most != 1000 || len(got.Values["fresh"]) != 1 {
		t.Errorf("after the next pass: %+v", got)
	}
	for range w.store.Scan(t.Context(), typePartition(w.rec().Incarnation, "Visits"), store.Range{}) {
		t.Fatal("there are rows of a type that is gone")
	}

	w.FreshRows = 0
	w.clock = w.clock.Add(25 * time.Hour)
	if err := w.keep(t.Context()); err != nil {
		t.Fatal(err)
	}
	for row, err := range w.store.Sweep(t.Context(), store.SweepRange{Table: store.Resource, Incarnation: w.rec().Incarnation}) {
		if key := row.Partition.Key; err != nil || len(key) > len("catalogue/") && key[:10] == "catalogue/" {
			t.Fatalf("%s is left of a domain that is small again, %v", key, err)
		}
	}
}

// A pass that is cut off anywhere leaves what the next one puts right.
func TestPassThatIsCutOff(t *testing.T) {
	cut := errors.New("cut off")
	var want map[string]answer
	for n := 1; ; n++ {
		w := newWorld(t)
		fill(w)
		w.FreshRows = 5
		calls := 0
		w.store.Before(func(op faulty.Op, _ store.Partition) error {
			if calls++; op == faulty.Write && calls >= n {
				return cut
			}
			return nil
		})
		err := w.keep(t.Context())
		w.store.Before(nil)
		if err == nil {
			break
		}
		if !errors.Is(err, cut) {
			t.Fatal(err)
		}
		if err := w.keep(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := w.askAll()
		for _, a := range got { // the worlds have clocks of their own
			for name := range a.Names {
				a.Names[name] = time.Time{}
			}
		}
		if want == nil {
			want = got
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("cut at %d\ngot  %+v\nwant %+v", n, got, want)
		}
	}
	if want == nil {
		t.Fatal("nothing was cut off")
	}
}

func TestWhatIsAskedOfNothing(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	for name, want := range map[string]error{"none": fault.NotFound, "Salesforce-Account": nil, "_order": nil, profileType: nil} {
		_, err := w.ListObjectTypeAttributes(ctx, &api.ListObjectTypeAttributesRequest{DomainName: api.Ptr(domainName), ObjectTypeName: &name})
		if !errors.Is(err, want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := w.ListObjectTypeAttributeValues(ctx, &api.ListObjectTypeAttributeValuesRequest{DomainName: api.Ptr(domainName), ObjectTypeName: api.Ptr(profileType), AttributeName: api.Ptr("x"), NextToken: api.Ptr("x")})
	if !errors.Is(err, fault.BadRequest) {
		t.Error(err)
	}
}
