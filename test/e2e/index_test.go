package e2e

import (
	"encoding/hex"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"kith/api"
	"kith/store"
	"kith/store/faulty"
	"kith/upload"
)

// everyKeyFinds checks that each profile is found by every key that it shows.
func (r *rig) everyKeyFinds(domain string) (profiles int) {
	r.t.Helper()
	rec, err := r.Domains.Lookup(ctx, domain)
	if err != nil {
		r.t.Fatal(err)
	}
	last := ""
	for row, err := range r.store.Sweep(ctx, store.SweepRange{Table: store.Profile, Incarnation: rec.Incarnation}) {
		if err != nil {
			r.t.Fatal(err)
		}
		if row.Partition.Key == last {
			continue
		}
		last = row.Partition.Key
		id := hex.EncodeToString([]byte(last))
		out, err := r.Profiles.BatchGetProfile(ctx, &api.BatchGetProfileRequest{DomainName: &domain, ProfileIds: []string{id}})
		if err != nil {
			r.t.Fatal(err)
		}
		for _, p := range out.Profiles {
			profiles++
			name := strings.Join(strings.Fields(api.Val(p.FirstName)+" "+api.Val(p.LastName)), " ")
			for key, value := range map[string]string{"_account": api.Val(p.AccountNumber), "_email": api.Val(p.EmailAddress), "_phone": api.Val(p.PhoneNumber), "_fullName": name} {
				if value == "" {
					continue
				}
				found, err := r.Profiles.SearchProfiles(ctx, &api.SearchProfilesRequest{DomainName: &domain, KeyName: &key, Values: []string{value}, MaxResults: api.Ptr(int32(100))})
				if err != nil {
					r.t.Fatal(err)
				}
				if !slices.ContainsFunc(found.Items, func(f api.Profile) bool { return *f.ProfileId == id }) {
					r.t.Fatalf("profile %s is not found by %s=%s", text(&p), key, value)
				}
			}
		}
	}
	return profiles
}

// indexTimes returns when each index row was written, by its partition; each has one row.
func (r *rig) indexTimes() map[string]int64 {
	r.t.Helper()
	times := map[string]int64{}
	for row, err := range r.store.Sweep(ctx, store.SweepRange{Table: store.Index}) {
		if err != nil {
			r.t.Fatal(err)
		}
		if _, ok := times[row.Partition.Key]; ok {
			r.t.Fatalf("%q has several rows", row.Partition.Key)
		}
		times[row.Partition.Key] = row.Row.Time
	}
	return times
}

// Rows of one file may have different unique keys, lead to the same customer, and say the same of it: each index row is written once, and each row counts.
func TestSeveralRowsOfOneCustomer(t *testing.T) {
	t.Parallel()
	onAllEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{})
		r.domain("d")
		r.expect(r.run("d", spec{key: "id", fields: []string{"id:id:AccountNumber", "p:p:PhoneNumber:PHONE_NUMBER", "m:m:MobilePhoneNumber:PHONE_NUMBER"}},
			"id,p,m\n1,+12065550100,+12065550101\n"), "SUCCEEDED 1/0/0")
		byPhone := spec{key: "p", fields: []string{"p:p:HomePhoneNumber:PHONE_NUMBER", "mail:mail:EmailAddress:EMAIL_ADDRESS", "first:first:FirstName"}}
		r.expect(r.run("d", byPhone, "p,mail,first\n+12065550100,ann@x.com,Ann\n+12065550101,ann@x.com,Ann\n"), "SUCCEEDED 0/2/0")
		if got := r.search("d", "_email", "ann@x.com"); !slices.Equal(got, []string{"1"}) {
			t.Fatalf("%v", got)
		}
		r.everyKeyFinds("d")
	})
}

// An import that says nothing new about keys writes no index rows; its customers are found all the same, whatever else is taken back.
func TestImportsShareIndexRows(t *testing.T) {
	t.Parallel()
	onAllEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{})
		r.domain("d")
		const head = "id,first,last,mail,phone,city,street,tier,party\n"
		file := head + "1,Ann,Lee,ann@x.com,+12065550100,,,,\n2,Bob,,,,,,,\n"
		first := *r.run("d", mergeSpec, file).JobId
		rows := r.indexTimes()
		again := *r.run("d", mergeSpec, file).JobId
		more := *r.run("d", mergeSpec, head+"1,,,ann@x.com,,Oslo,,gold,\n2,Bob,,,,,,tin,\n").JobId
		if now := r.indexTimes(); !maps.Equal(now, rows) {
			t.Fatalf("index rows were written when the same keys came again:\n%v\n%v", now, rows)
		}
		changed := *r.run("d", mergeSpec, head+"2,Rob,,,,,,,\n").JobId
		now := r.indexTimes()
		for key, at := range rows {
			if key != "_account\x012" && now[key] != at { // this one comes with the new name
				t.Errorf("the row of %q was written again", key)
			}
		}
		if len(now) != len(rows)+1 {
			t.Fatalf("%d index rows, want %d", len(now), len(rows)+1)
		}
		for _, id := range []string{first, again, changed} { // others still need its rows
			r.undone("d", id)
			if n := r.everyKeyFinds("d"); n != 2 {
				t.Fatalf("%d profiles", n)
			}
		}
		if got := r.search("d", "_fullName", "Ann Lee"); len(got) > 0 {
			t.Fatalf("%v", got)
		}
		if got := r.search("d", "_email", "ann@x.com"); !slices.Equal(got, []string{"1"}) {
			t.Fatalf("%v", got)
		}
		r.undone("d", more)
		r.nothingLeft()
	})
}

// What old imports are compacted into may lack a key of theirs that a later import relies on.
func TestCompactionLeavesKeys(t *testing.T) {
	t.Parallel()
	onAllEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{})
		r.domain("d")
		const head = "id,first,last,mail,phone,city,street,tier,party\n"
		r.run("d", mergeSpec, head+"1,Ann,,ann@x.com,,,,,\n")
		r.clock.add(time.Hour)
		r.run("d", mergeSpec, head+"1,Ann,,new@x.com,,,,,\n")
		r.clock.add(31 * 24 * time.Hour)
		last := *r.run("d", mergeSpec, head+"1,Ann,,ann@x.com,,,,gold,\n").JobId
		for range 2 {
			r.sweep()
		}
		if r.rows(store.Profile) != 2 {
			t.Fatal("nothing was compacted")
		}
		r.everyKeyFinds("d")
		r.undone("d", last)
		r.everyKeyFinds("d")
		if got := r.search("d", "_email", "ann@x.com"); len(got) > 0 {
			t.Fatalf("%v", got)
		}
		r.clock.add(1100 * 24 * time.Hour)
		r.sweep()
		r.nothingLeft()
	})
}

// Whatever is imported, undone, compacted, merged, expired and deleted: every profile is found by every key it shows, and in the end no
// index row is left.
func TestEveryKeyFindsWhateverGoes(t *testing.T) {
	t.Parallel()
	onAllEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{BucketBytes: 256, MemoryBytes: 1})
		for seed := range seeds(t, 5) {
			rnd := rand.New(rand.NewPCG(seed, 11))
			domain := fmt.Sprint("d", seed)
			r.domain(domain)
			const customers = 8
			var jobs []string
			for range 40 {
				switch n := rnd.IntN(20); {
				case n < 11:
					s := mergeSpec
					s.expiry = []int32{1, 20, 40, 1000}[rnd.IntN(4)]
					var b strings.Builder
					b.WriteString("id,first,last,mail,phone,city,street,tier,party\n")
					for c := range customers {
						if rnd.IntN(4) == 0 {
							continue
						}
						pick := func(of ...string) string { return of[rnd.IntN(len(of))] }
						fmt.Fprintf(&b, "%d,%s,%s,%s,%s,,,%s,\n", c, pick("", "Ann", "Ann", "Bob"), pick("", "Lee", "Lee", "Ray"),
							pick("", fmt.Sprintf("a%d@x.com", c), fmt.Sprintf("b%d@x.com", c)), pick("", fmt.Sprintf("+1206555010%d", c)), pick("", "gold", "tin"))
					}
					jobs = append(jobs, *r.run(domain, s, b.String()).JobId)
				case n < 15 && len(jobs) > 0:
					i := rnd.IntN(len(jobs))
					if d := r.details(domain, jobs[i]); d.CompactedAt == nil && d.RejectsDeletedAt == nil {
						r.undone(domain, jobs[i])
					}
					jobs = slices.Delete(jobs, i, i+1)
				case n < 17:
					r.clock.add(time.Duration(rnd.IntN(20)) * 24 * time.Hour)
					r.sweep()
				case n < 19:
					a, b := r.search(domain, "_account", fmt.Sprint(rnd.IntN(customers))), r.search(domain, "_account", fmt.Sprint(rnd.IntN(customers)))
					if len(a) == 1 && len(b) == 1 && r.id(domain, a[0]) != r.id(domain, b[0]) {
						r.merge(domain, a[0], b[0])
					}
				default:
					if a := r.search(domain, "_account", fmt.Sprint(rnd.IntN(customers))); len(a) == 1 {
						if _, err := r.Profiles.DeleteProfile(ctx, &api.DeleteProfileRequest{DomainName: &domain, ProfileId: api.Ptr(r.id(domain, a[0]))}); err != nil {
							t.Fatal(err)
						}
					}
				}
				r.everyKeyFinds(domain)
			}
			r.clock.add(1100 * 24 * time.Hour)
			r.sweep()
			r.onlyMarksLeft(domain)
		}
	})
}

// An undo that reads what later imports need tells how far it is meanwhile.
func TestUndoProgress(t *testing.T) {
	t.Parallel()
	st := &faulty.Store{Store: newPebble(t)}
	r := newRig(t, st, upload.Config{})
	r.domain("d")
	var file strings.Builder
	file.WriteString("id,first,last,mail,phone,city,street,tier,party\n")
	const rows = 12_000 // they are looked at 10,000 at a time
	for i := range rows {
		fmt.Fprintf(&file, "%d,Ann,,,,,,,\n", i)
	}
	first := *r.run("d", mergeSpec, file.String()).JobId
	r.run("d", mergeSpec, file.String())
	var mu sync.Mutex
	var seen []int32
	st.Before(func(op faulty.Op, p store.Partition) error {
		if op == faulty.Probe && p.Table == store.Profile {
			if out, err := r.undo("d", first); err == nil {
				mu.Lock()
				defer mu.Unlock()
				seen = append(seen, *out.UndoPercentComplete)
			}
		}
		return nil
	})
	r.undone("d", first)
	st.Before(nil)
	if len(seen) < 2 || seen[0] != 0 || seen[len(seen)-1] != 83 {
		t.Fatalf("%v, want none and then 10,000 of 12,000", seen)
	}
}

// A write that takes a part of a name away shows one that nobody has written: of an older import and a newer one that lay below it. It is found
// by that at once; and when the part has expired, after the sweep.
func TestNamesThatWritesUncover(t *testing.T) {
	t.Parallel()
	goes := map[string]func(r *rig, id, unique string) error{
		"an object is deleted": func(r *rig, id, unique string) error {
			_, err := r.Profiles.DeleteProfileObject(ctx, &api.DeleteProfileObjectRequest{DomainName: api.Ptr("d"), ProfileId: &id, ObjectTypeName: api.Ptr("joiner"), ProfileObjectUniqueKey: &unique})
			return err
		},
		"an object moves": func(r *rig, _, _ string) error {
			_, err := r.Profiles.PutProfileObject(ctx, &api.PutProfileObjectRequest{DomainName: api.Ptr("d"), ObjectTypeName: api.Ptr("joiner"),
				Object: api.Ptr(object("m", map[string]string{"EmailAddress": "other@x.com", "FirstName": "Bob"}))})
			return err
		},
		"an object expires": func(r *rig, _, _ string) error {
			r.clock.add(370 * day) // of 366
			r.sweep()
			return nil
		},
	}
	onAllEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{})
		for what, goes := range goes {
			r.domain("d")
			r.coreTypes("d")
			r.run("d", guestSpec, "a,e,p,f,l\n1,a@x.com,,Ann,\n2,other@x.com,,,\n")
			put, err := r.Profiles.PutProfileObject(ctx, &api.PutProfileObjectRequest{DomainName: api.Ptr("d"), ObjectTypeName: api.Ptr("joiner"),
				Object: api.Ptr(object("m", map[string]string{"EmailAddress": "a@x.com", "FirstName": "Bob"}))})
			if err != nil {
				t.Fatal(err)
			}
			r.run("d", guestSpec, "a,e,p,f,l\n1,,,,Ray\n")
			if got := r.search("d", "_fullName", "Bob Ray"); len(got) != 1 {
				t.Fatalf("%s: before, the name finds %q", what, got)
			}
			out, err := r.Profiles.SearchProfiles(ctx, &api.SearchProfilesRequest{DomainName: api.Ptr("d"), KeyName: api.Ptr("_account"), Values: []string{"1"}})
			if err != nil {
				t.Fatal(err)
			}
			if err := goes(r, *out.Items[0].ProfileId, *put.ProfileObjectUniqueKey); err != nil {
				t.Fatal(err)
			}
			if got := r.search("d", "_fullName", "Ann Ray"); len(got) != 1 || got[0] != "1" {
				t.Errorf("%s: the name that shows finds %q", what, got)
			}
			r.everyKeyFinds("d")
			if _, err := r.Domains.DeleteDomain(ctx, &api.DeleteDomainRequest{DomainName: api.Ptr("d")}); err != nil {
				t.Fatal(err)
			}
		}
	})
}
