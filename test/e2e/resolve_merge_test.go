package e2e

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"kith/api"
	"kith/profile/fold"
	"kith/profile/index"
	"kith/profile/write"
	"kith/schema"
	"kith/store"
	"kith/upload"
)

// looks calls do before the nth look of whoever reads profiles; 0: never.
type looks struct {
	store.Store
	n  atomic.Int64
	do func()
}

func (s *looks) Probe(ctx context.Context, t store.Table, inc store.Incarnation, probes iter.Seq[store.Probe]) iter.Seq2[store.Hit, error] {
	if t == store.Profile && s.n.Add(-1) == 0 {
		s.do()
	}
	return s.Store.Probe(ctx, t, inc, probes)
}

// AsStager implements what store.StagerOf asks for.
func (s *looks) AsStager() store.Stager { return store.StagerOf(s.Store) }

// An import reads the profiles that its keys lead to one after another. Persons of several profiles that have one key are merged into others meanwhile,
// at any moment: they stay one person, and no row is rejected.
func TestPersonsAreMergedWhileKeysAreResolved(t *testing.T) {
	t.Parallel()
	const customers, others = 80, 1000
	onAllEngines(t, func(t *testing.T, engine store.Store) {
		st := &looks{Store: engine}
		r := newRig(t, st, upload.Config{})
		for n := int64(1); n <= 8; n++ {
			d := fmt.Sprint("d", n)
			r.domain(d)
			row := func(id int) string { return fmt.Sprintf("%d,F%d,L,m%d@x.com,1\n", id, id, id) }
			var first, again strings.Builder
			for _, f := range []*strings.Builder{&first, &again} {
				f.WriteString("id,first,last,mail,tier\n")
			}
			for c := range customers {
				first.WriteString(row(c))
				first.WriteString(row(others + c))
				again.WriteString(row(others + c))
			}
			first.WriteString(row(2 * others))
			r.expect(r.run(d, undoSpec, first.String()), fmt.Sprintf("SUCCEEDED %d/0/0", 2*customers+1))
			var mains []string
			for c := range customers { // each two are one person, and both have the key of one of them
				main, other := r.id(d, fmt.Sprint(c)), r.id(d, fmt.Sprint(others+c))
				_, err := r.Profiles.AddProfileKey(ctx, &api.AddProfileKeyRequest{DomainName: &d, ProfileId: &main, KeyName: api.Ptr(schema.KeyAccount), Values: []string{fmt.Sprint(others + c)}})
				if err == nil {
					err = r.tryMerge(d, nil, main, other)
				}
				if err != nil {
					t.Fatal(err)
				}
				mains = append(mains, main)
			}
			into := r.id(d, fmt.Sprint(2*others))
			st.do = func() {
				for some := range slices.Chunk(mains, 20) {
					if err := r.tryMerge(d, nil, into, some...); err != nil {
						t.Error(err)
					}
				}
			}
			st.n.Store(n)
			r.expect(r.run(d, undoSpec, again.String()), fmt.Sprintf("SUCCEEDED 0/%d/0", customers))
			if st.n.Load() > 0 && n == 1 {
				t.Fatal("no profile was looked at")
			}
		}
	})
}

// An object of a customer who was merged into another, or a hand, hides the other's account number, and then that one is merged into a third, before an import or at any
// moment of it. Rows of each go to the customer whose they are: everybody is found by his account number as long as the merges hold, and when they are taken back.
func TestHiddenAccountsOfMergedCustomers(t *testing.T) {
	t.Parallel()
	for _, by := range []string{"object", "hand"} {
		t.Run(by, func(t *testing.T) {
			onAllEngines(t, func(t *testing.T, st store.Store) { hiddenAccounts(t, st, by) })
		})
	}
}

func hiddenAccounts(t *testing.T, engine store.Store, by string) {
	st := &looks{Store: engine}
	r := newRig(t, st, upload.Config{})
	s := spec{key: "id", expiry: 1000, fields: []string{"id:id:AccountNumber", "t:t:Attributes.tier"}}
	const all = "id,t\n3,c\n2,b\n1,a\n"
	for n := range int64(6) { // 0: before the import
		d := fmt.Sprint("d", n)
		r.domain(d)
		r.run(d, s, "id,t\n1,tin\n2,tin\n3,tin\n")
		var ids [4]string
		for c := 1; c < 4; c++ {
			ids[c] = r.id(d, fmt.Sprint(c))
		}
		r.merge(d, "1", "2")
		k := index.Key{Name: schema.KeyAccount, Value: "2"}
		o := &write.Object{Type: "order", Incarnation: 1, UniqueKey: "o", JSON: []byte("{}"), Life: 1000 * day, Keys: []index.Key{k}, Match: []index.Key{k}, Create: true,
			Values: []fold.Value{{Attr: schema.Attr{ID: schema.AccountNumber}, Text: "2"}}}
		if by == "object" {
			if _, err := r.Writer.Put(ctx, d, "", o); err != nil {
				t.Fatal(err)
			}
		} else if _, err := r.Profiles.UpdateProfile(ctx, &api.UpdateProfileRequest{DomainName: &d, ProfileId: &ids[1], AccountNumber: api.Ptr("9")}); err != nil {
			t.Fatal(err)
		}
		st.do = func() {
			if err := r.tryMerge(d, nil, ids[3], ids[1]); err != nil {
				t.Error(err)
			}
		}
		if n == 0 {
			st.do()
		}
		st.n.Store(n)
		r.expect(r.run(d, s, all), "SUCCEEDED 0/3/0")
		if st.n.Swap(0) > 0 { // it looked less often
			st.do()
		}
		r.expect(r.run(d, s, all), "SUCCEEDED 0/3/0")
		for c := 1; c < 4; c++ {
			if got := r.id(d, fmt.Sprint(c)); got != ids[3] {
				t.Errorf("%d: customer %d is %s, not %s", n, c, got, ids[3])
			}
		}
		for _, id := range ids[1:3] {
			if _, err := r.Profiles.UnmergeProfiles(ctx, &api.UnmergeProfilesRequest{DomainName: &d, ProfileIds: []string{id}}); err != nil {
				t.Fatal(err)
			}
		}
		for c, tier := range map[int]string{1: "a", 2: "b", 3: "c"} {
			if p := r.find(d, "_account", fmt.Sprint(c)); *p.ProfileId != ids[c] || p.Attributes["tier"] != tier {
				t.Errorf("%d: customer %d is %s with the tier %q, not %s with %q", n, c, *p.ProfileId, p.Attributes["tier"], ids[c], tier)
			}
		}
		r.expect(r.run(d, s, all), "SUCCEEDED 0/3/0")
	}
}

// A value of an object hides no key that an import says: the customer is found by it, and the import finds him again. A hand's does.
func TestObjectsHideNoKeysOfImports(t *testing.T) {
	t.Parallel()
	onAllEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{})
		r.domain("d")
		s := spec{key: "id", expiry: 1000, fields: []string{"id:id:AccountNumber", "m:m:EmailAddress"}}
		const file = "id,m\n1,a@x.com\n"
		r.expect(r.run("d", s, file), "SUCCEEDED 1/0/0")
		id := r.id("d", "1")
		k := index.Key{Name: schema.KeyEmail, Value: "a@x.com"}
		o := &write.Object{Type: "order", Incarnation: 1, UniqueKey: "o", JSON: []byte("{}"), Life: 1000 * day, Keys: []index.Key{k}, Match: []index.Key{k},
			Values: []fold.Value{{Attr: schema.Attr{ID: schema.AccountNumber}, Text: "77"}, {Attr: schema.Attr{ID: schema.EmailAddress}, Text: "b@x.com"}}}
		if _, err := r.Writer.Put(ctx, "d", "", o); err != nil {
			t.Fatal(err)
		}
		for _, key := range [][2]string{{"_account", "1"}, {"_account", "77"}, {"_email", "a@x.com"}, {"_email", "b@x.com"}, {"AccountNumber", "1"}} {
			if p := r.find("d", key[0], key[1]); *p.ProfileId != id || *p.AccountNumber != "77" {
				t.Errorf("%s=%s finds %s with %s", key[0], key[1], *p.ProfileId, *p.AccountNumber)
			}
		}
		r.expect(r.run("d", s, file), "SUCCEEDED 0/1/0")
		if _, err := r.Profiles.UpdateProfile(ctx, &api.UpdateProfileRequest{DomainName: api.Ptr("d"), ProfileId: &id, AccountNumber: api.Ptr("5")}); err != nil {
			t.Fatal(err)
		}
		for _, gone := range []string{"1", "77"} {
			out, err := r.Profiles.SearchProfiles(ctx, &api.SearchProfilesRequest{DomainName: api.Ptr("d"), KeyName: api.Ptr("_account"), Values: []string{gone}})
			if err != nil || len(out.Items) > 0 {
				t.Errorf("account %s, which a hand has replaced, finds %d profiles, %v", gone, len(out.Items), err)
			}
		}
		r.expect(r.run("d", s, file), "SUCCEEDED 1/0/0")
	})
}
