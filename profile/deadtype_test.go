package profile

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"kith/api"
	"kith/domain"
	"kith/fault"
	"kith/objecttype"
	"kith/profile/change"
	"kith/profile/fold"
	"kith/profile/write"
	"kith/store"
	"kith/store/faulty"
	"kith/store/mem"
)

// shop is a store with a domain that has the object types Shop and Other, and a clock.
type shop struct {
	t   testing.TB
	raw store.Store
	at  atomic.Int64
	*Service
	rec *domain.Record
}

func newShop(t testing.TB, raw store.Store) *shop {
	t.Helper()
	w := &shop{t: t, raw: raw}
	w.at.Store(time.Now().UnixMicro())
	w.Service = w.node(raw)
	if _, err := w.Domains.CreateDomain(t.Context(), &api.CreateDomainRequest{DomainName: api.Ptr("d"), DefaultExpirationDays: api.Ptr(int32(100))}); err != nil {
		t.Fatal(err)
	}
	var err error
	if w.rec, err = w.Domains.Read(t.Context(), "d"); err != nil {
		t.Fatal(err)
	}
	w.putType("Shop")
	w.putType("Other")
	return w
}

func (w *shop) now() time.Time { return time.UnixMicro(w.at.Add(1)) }

// node is a node of the cluster, on a store.
func (w *shop) node(st store.Store) *Service {
	domains := &domain.Service{Store: st, Now: w.now}
	feed := &change.Feed{Store: st, Now: w.now, Alone: true}
	s := &Service{Store: st, Domains: domains, Now: w.now, Feed: feed, Types: &objecttype.Service{Domains: domains}}
	s.Types.OnDelete = s.EndType
	// What a node remembers is forgotten by the time of day, which is not that of this clock: it remembers nothing.
	s.Writer = &write.Writer{Store: st, Feed: feed, Lookup: domains.Read, Now: w.now, Settle: s.SettleLinks, Patience: time.Millisecond}
	return s
}

func (w *shop) putType(name string) {
	w.t.Helper()
	field := func(source, target, ct string) api.ObjectTypeField {
		f := api.ObjectTypeField{Source: &source, ContentType: api.Ptr(api.FieldContentType(ct))}
		if target != "" {
			f.Target = &target
		}
		return f
	}
	key := func(f string, id api.StandardIdentifier) []api.ObjectTypeKey {
		return []api.ObjectTypeKey{{FieldNames: []string{f}, StandardIdentifiers: []api.StandardIdentifier{id}}}
	}
	_, err := w.Types.PutProfileObjectType(w.t.Context(), &api.PutProfileObjectTypeRequest{DomainName: api.Ptr("d"), ObjectTypeName: &name, Description: api.Ptr("x"),
		AllowProfileCreation: api.Ptr(true),
		Fields: map[string]api.ObjectTypeField{"id": field("_source.id", "", "STRING"), "email": field("_source.email", "_profile.EmailAddress", "EMAIL_ADDRESS"),
			"first": field("_source.first", "_profile.FirstName", "NAME"), "tier": field("_source.tier", "_profile.Attributes.tier", "STRING")},
		Keys: map[string][]api.ObjectTypeKey{strings.ToLower(name) + "Id": key("id", "UNIQUE"), "_email": key("email", "PROFILE")}})
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *shop) put(s *Service, typeName, object string) error {
	_, err := s.PutProfileObject(context.Background(), &api.PutProfileObjectRequest{DomainName: api.Ptr("d"), ObjectTypeName: &typeName, Object: &object})
	return err
}

// settle lets time pass until everything announced so far is settled.
func (w *shop) settle() {
	w.t.Helper()
	w.at.Add((change.Window + 2*clockSlack).Microseconds())
	sealer := &change.Sealer{Feed: w.Feed, Settler: &Completer{Service: w.Service, Writes: &write.Settler{Writer: w.Writer, Domain: w.Domains.OfIncarnation}}}
	p := change.StandingPartition(w.rec.Incarnation, change.Completer)
	_, err := sealer.Run(w.t.Context(), w.rec.Incarnation, change.Place{Partition: p, Swap: func(ctx context.Context, ops ...store.Swap) (uint64, error) {
		return w.raw.Swap(ctx, p, ops)
	}})
	if err != nil {
		w.t.Fatal(err)
	}
}

// left counts what is stored of objects of a type: entries of heads, bodies, and index rows of its own key.
func (w *shop) left(typeName string) (n int) {
	w.t.Helper()
	for _, tb := range []store.Table{store.Profile, store.Body, store.Index} {
		for row, err := range w.raw.Sweep(w.t.Context(), store.SweepRange{Table: tb, Incarnation: w.rec.Incarnation}) {
			if err != nil {
				w.t.Fatal(err)
			}
			switch {
			case tb == store.Body && strings.HasPrefix(string(row.Row.Key), typeName+"\x00"):
				n++
			case tb == store.Index && strings.HasPrefix(row.Partition.Key, strings.ToLower(typeName)+"Id\x01"):
				n++
			case tb == store.Profile && string(row.Row.Key) == string(headKey):
				h, err := fold.DecodeHead(row.Row.Value)
				if err != nil {
					w.t.Fatal(err)
				}
				for _, o := range h.Objects {
					if o.Type == typeName {
						n++
					}
				}
			}
		}
	}
	return n
}

func (w *shop) endType(name string) {
	w.t.Helper()
	if _, err := w.Types.DeleteProfileObjectType(w.t.Context(), &api.DeleteProfileObjectTypeRequest{DomainName: api.Ptr("d"), ObjectTypeName: &name}); err != nil {
		w.t.Fatal(err)
	}
}

// remove does the background work; at is called when it waits for the first time.
func (w *shop) remove(at func()) {
	w.t.Helper()
	first := true
	err := w.removeTypes(w.t.Context(), w.rec, func(context.Context) error {
		if first && at != nil {
			at()
		}
		first = false
		w.settle()
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// A type that is deleted takes its objects along: what they said, their keys and bodies. What others say shows again.
func TestDeletedTypeIsRemoved(t *testing.T) {
	w := newShop(t, mem.New())
	for i := range 30 {
		for _, object := range []struct{ kind, tier string }{{"Other", "iron"}, {"Shop", "gold"}} {
			if err := w.put(w.Service, object.kind, fmt.Sprintf(`{"id":"%d","email":"p%d@x.de","tier":%q}`, i, i%10, object.tier)); err != nil {
				t.Fatal(err)
			}
		}
	}
	tiers := func() map[string]int {
		out := map[string]int{}
		err := w.Each(t.Context(), Pass{Incarnation: w.rec.Incarnation, Now: w.now().UnixMicro(), Workers: 1}, func(_ int, p *fold.Profile) error {
			for _, v := range p.Values {
				if v.Attr.Custom == "tier" {
					out[v.Text]++
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if got := tiers(); got["gold"] != 10 {
		t.Fatalf("tiers before: %v", got)
	}
	w.endType("Shop")
	w.remove(nil)
	w.settle()
	if n := w.left("Shop"); n != 0 {
		t.Errorf("%d things are left of the type", n)
	}
	if n := w.left("Other"); n != 90 {
		t.Errorf("%d things are left of the other type, want 90", n)
	}
	if got := tiers(); got["iron"] != 10 || got["gold"] != 0 {
		t.Errorf("tiers afterwards: %v", got)
	}
	rec, err := w.Domains.Read(t.Context(), "d")
	if err != nil || len(rec.DeadTypes) != 0 {
		t.Errorf("the domain still has %v, %v", rec.DeadTypes, err)
	}
}

// A put that was on its way when its type was deleted, and stands still anywhere, leaves no object of it: whether it goes on while the type
// is being removed, or when all is over.
func TestLatePutsOfADeletedType(t *testing.T) {
	for calls := 1; ; calls++ {
		frozen := 0
		for _, late := range []bool{false, true} {
			w := newShop(t, mem.New())
			if err := errors.Join(w.put(w.Service, "Shop", `{"id":"1","email":"a@x.de","tier":"gold"}`), w.put(w.Service, "Other", `{"id":"1","email":"b@x.de"}`)); err != nil {
				t.Fatal(err)
			}
			st := &faulty.Store{Store: w.raw, Apart: true}
			slow := w.node(st)
			if _, err := slow.Types.Find(t.Context(), w.rec, "Shop"); err != nil { // it remembers the type
				t.Fatal(err)
			}
			stall := st.Stall(faulty.Match(func(faulty.Call) bool { return true }).Nth(calls))
			done := make(chan error, 1)
			go func() { done <- w.put(slow, "Shop", `{"id":"2","email":"b@x.de","tier":"lead"}`) }() // to a profile that has none of the type
			var err error
			select {
			case <-stall.Arrived():
				frozen++
			case err = <-done:
			}
			w.endType("Shop")
			goOn := func() {
				slow.Types = &objecttype.Service{Domains: slow.Domains} // what it remembers is more than a second old
				stall.Release()
				if frozen > 0 && err == nil {
					err = <-done
				}
			}
			if late {
				w.remove(nil)
				goOn()
			} else {
				w.remove(goOn)
			}
			if err != nil && !errors.Is(err, fault.NotFound) {
				t.Errorf("stopped at call %d: %v", calls, err)
			}
			w.settle()
			w.at.Add(change.Later.Microseconds())
			w.settle()
			if n := w.left("Shop"); n != 0 {
				t.Errorf("stopped at call %d, late %t: %d things are left of the type", calls, late, n)
			}
		}
		if frozen == 0 {
			return
		}
		if calls > 200 {
			t.Fatal("a call has more calls of the store")
		}
	}
}

// A merge that would make a profile of more objects than it may have is refused before anything has changed.
func TestMergeWithinQuotas(t *testing.T) {
	w := newShop(t, mem.New())
	for i := range 4 {
		if err := w.put(w.Service, "Shop", fmt.Sprintf(`{"id":"%d","email":"p%d@x.de"}`, i, i%2)); err != nil {
			t.Fatal(err)
		}
	}
	var ids []string
	err := w.Each(t.Context(), Pass{Incarnation: w.rec.Incarnation, Now: w.now().UnixMicro(), Workers: 1}, func(_ int, p *fold.Profile) error {
		ids = append(ids, p.ID.String())
		return nil
	})
	if err != nil || len(ids) != 2 {
		t.Fatal(ids, err)
	}
	merge := func() error {
		_, err := w.MergeProfiles(t.Context(), &api.MergeProfilesRequest{DomainName: api.Ptr("d"), MainProfileId: &ids[0], ProfileIdsToBeMerged: ids[1:]})
		return err
	}
	w.Writer.Quotas.Objects = 3
	if err := merge(); !errors.Is(err, fault.BadRequest) || !strings.Contains(fault.Message(err), "4 objects") {
		t.Errorf("a merge to 4 of 3 objects: %v", err)
	}
	w.Writer.Quotas.Objects = 4
	if err := merge(); err != nil {
		t.Error(err)
	}
}
