package objecttype

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"kith/api"
	"kith/domain"
	"kith/fault"
	"kith/store"
	"kith/store/faulty"
	"kith/store/mem"
)

// world is a domain on a store, with a node's service.
type world struct {
	*Service
	t     *testing.T
	store *faulty.Store
}

func newWorld(t *testing.T) *world {
	st := &faulty.Store{Store: mem.New()}
	w := &world{Service: &Service{Domains: &domain.Service{Store: st, Now: time.Now}}, t: t, store: st}
	if _, err := w.Domains.CreateDomain(t.Context(), &api.CreateDomainRequest{DomainName: api.Ptr("d"), DefaultExpirationDays: api.Ptr(int32(30))}); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) rec() *domain.Record {
	rec, err := w.Domains.Lookup(w.t.Context(), "d")
	if err != nil {
		w.t.Fatal(err)
	}
	return rec
}

// put puts a type of the plain mapping with some more keys.
func (w *world) put(name, keys string) error {
	in := &api.PutProfileObjectTypeRequest{}
	if err := json.Unmarshal([]byte(`{"Fields":{`+plainFields+`},"Keys":{`+plainKeys+keys+`}}`), in); err != nil {
		w.t.Fatal(err)
	}
	in.DomainName, in.ObjectTypeName, in.Description = api.Ptr("d"), &name, api.Ptr("d")
	_, err := w.PutProfileObjectType(context.Background(), in)
	return err
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) lookup(name string) *Type {
	w.t.Helper()
	typ, err := w.Lookup(w.t.Context(), w.rec(), name)
	w.must(err)
	return typ
}

func (w *world) delete(name string) error {
	_, err := w.DeleteProfileObjectType(context.Background(), &api.DeleteProfileObjectTypeRequest{DomainName: api.Ptr("d"), ObjectTypeName: &name})
	return err
}

// What a call changes, the next one sees.
func TestReadAfterWrite(t *testing.T) {
	w := newWorld(t)
	if _, err := w.Lookup(t.Context(), w.rec(), "visit"); !errors.Is(err, fault.NotFound) {
		t.Fatal(err)
	}
	if keys, err := w.Keys(t.Context(), w.rec()); err != nil || len(keys) != 0 {
		t.Fatal(keys, err)
	}
	w.must(w.put("visit", ""))
	first := w.lookup("visit")
	w.must(w.put("visit", `,"more":[{"FieldNames":["name","email"]}]`))
	second := w.lookup("visit")
	if first.Incarnation == 0 || second.Incarnation != first.Incarnation || len(second.KeyNames) != len(first.KeyNames)+1 {
		t.Fatalf("%+v, %+v", first, second)
	}
	keys, err := w.Keys(t.Context(), w.rec())
	if err != nil || fmt.Sprint(keys) != "map[_email:[EMAIL_ADDRESS] more:[STRING EMAIL_ADDRESS] visitId:[STRING]]" {
		t.Fatal(keys, err)
	}
	if names, err := w.Names(t.Context(), w.rec()); err != nil || !slices.Equal(names, []string{"visit"}) {
		t.Fatal(names, err)
	}
	told := ""
	w.OnDelete = func(_ context.Context, rec *domain.Record, name string, inc uint64) error {
		told = fmt.Sprint(name, inc == first.Incarnation, rec.IsDead(inc))
		return nil
	}
	w.must(w.delete("visit"))
	if told != "visittrue true" {
		t.Fatal(told)
	}
	if _, err := w.Lookup(t.Context(), w.rec(), "visit"); !errors.Is(err, fault.NotFound) {
		t.Fatal(err)
	}
	if keys, err := w.Keys(t.Context(), w.rec()); err != nil || len(keys) != 0 {
		t.Fatal(keys, err)
	}
	w.must(w.put("visit", ""))
	if again := w.lookup("visit"); again.Incarnation == first.Incarnation || w.rec().IsDead(again.Incarnation) {
		t.Fatal("a type that was made again has its old life")
	}
}

func TestImplicitTypes(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"_asset", "_order", "_profile", "_loyalty"} {
		if _, err := w.Lookup(t.Context(), w.rec(), name); !errors.Is(err, fault.BadRequest) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := w.Find(t.Context(), w.rec(), "CTR"); !errors.Is(err, fault.NotFound) {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	incs := make([]uint64, 8)
	for i := range incs {
		wg.Go(func() {
			typ, err := w.Lookup(context.Background(), w.rec(), "CTR")
			if err != nil {
				t.Error(err)
				return
			}
			incs[i] = typ.Incarnation
		})
	}
	if wg.Wait(); incs[0] == 0 || len(slices.Compact(incs)) != 1 {
		t.Fatal("objects that are put at once make several types of a template", incs)
	}
	get := func() *api.GetProfileObjectTypeResponse {
		r, err := w.GetProfileObjectType(t.Context(), &api.GetProfileObjectTypeRequest{DomainName: api.Ptr("d"), ObjectTypeName: api.Ptr("CTR")})
		w.must(err)
		return r
	}
	before := get()
	if *before.TemplateId != "CTR" || len(before.Fields) == 0 || !*before.AllowProfileCreation {
		t.Fatalf("%+v", before)
	}
	w.must(w.put("CTR", ""))
	after := get()
	if after.TemplateId != nil || after.Fields["email"].Source == nil || !after.CreatedAt.After(before.CreatedAt.Time) {
		t.Fatalf("an explicit type replaces the implicit one: %v", after.Fields)
	}
	if typ := w.lookup("CTR"); typ.Incarnation != incs[0] {
		t.Fatal("its objects are gone")
	}
	w.must(w.delete("CTR"))
	if typ := w.lookup("CTR"); typ.Incarnation == incs[0] || !slices.Equal(typ.KeyNames, []string{"_ctrContactId"}) {
		t.Fatal("after its deletion the template is used again")
	}
	w.must(w.put("visit", ""))
	w.Quotas.Types = 2
	if _, err := w.Lookup(t.Context(), w.rec(), "Zendesk-users"); !errors.Is(err, fault.BadRequest) {
		t.Fatal("an implicit type counts as others do", err)
	}
}

// A deletion that is cut off at any of its writes has ended the type or not, and can be made again.
func TestADeletionThatIsCutOff(t *testing.T) {
	for cut := range 3 {
		w := newWorld(t)
		w.must(w.put("visit", ""))
		was := w.lookup("visit").Incarnation
		n, lost := 0, errors.New("lost")
		w.store.Before(func(op faulty.Op, _ store.Partition) error {
			if op != faulty.Swap {
				return nil
			}
			if n++; n-1 == cut {
				return lost
			}
			return nil
		})
		err := w.delete("visit")
		w.store.Before(func(faulty.Op, store.Partition) error { return nil })
		_, gone := w.Find(t.Context(), w.rec(), "visit")
		if errors.Is(gone, fault.NotFound) != w.rec().IsDead(was) {
			t.Fatalf("cut at %d: %v, its objects count: %t", cut, gone, !w.rec().IsDead(was))
		}
		if keys, _ := w.Keys(t.Context(), w.rec()); (len(keys) == 0) != w.rec().IsDead(was) {
			t.Fatalf("cut at %d: the keys are %v", cut, keys)
		}
		if errors.Is(err, lost) && gone == nil {
			w.must(w.delete("visit"))
		}
		w.must(w.put("visit", ""))
		if typ := w.lookup("visit"); w.rec().IsDead(typ.Incarnation) || typ.Incarnation == was {
			t.Fatalf("cut at %d: the type that is made again is dead", cut)
		}
	}
}

// Of types that are put at once and disagree about a key, one is put, whatever happens between their reads and writes.
func TestTypesTakeTurns(t *testing.T) {
	w := newWorld(t)
	other := &world{Service: &Service{Domains: &domain.Service{Store: w.store, Now: time.Now}}, t: t, store: w.store}
	raced := false
	w.store.Before(func(op faulty.Op, p store.Partition) error {
		if op == faulty.Swap && p.Key == "k/object-types" && !raced {
			raced = true
			w.must(other.put("second", `,"shared":[{"FieldNames":["email"]}]`))
		}
		return nil
	})
	if err := w.put("first", `,"shared":[{"FieldNames":["name"]}]`); !errors.Is(err, fault.BadRequest) || !raced {
		t.Fatal(err)
	}
	w.must(w.put("first", `,"shared":[{"FieldNames":["email"]}]`))
}
