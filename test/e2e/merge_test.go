package e2e

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kith/api"
	"kith/fault"
	"kith/profile"
	"kith/store"
	"kith/store/faulty"
	"kith/upload"
)

// find returns the one profile that has a key.
func (r *rig) find(domain, key, value string) *api.Profile {
	r.t.Helper()
	out, err := r.Profiles.SearchProfiles(ctx, &api.SearchProfilesRequest{DomainName: &domain, KeyName: &key, Values: []string{value}})
	if err != nil {
		r.t.Fatal(err)
	}
	if len(out.Items) != 1 {
		r.t.Fatalf("%s=%s finds %d profiles", key, value, len(out.Items))
	}
	return &out.Items[0]
}

// id returns the id of the profile that has an account number.
func (r *rig) id(domain, account string) string {
	r.t.Helper()
	return *r.find(domain, "_account", account).ProfileId
}

func (r *rig) tryMerge(domain string, fields *api.FieldSourceProfileIds, main string, others ...string) error {
	_, err := r.Profiles.MergeProfiles(ctx, &api.MergeProfilesRequest{DomainName: &domain, MainProfileId: &main, ProfileIdsToBeMerged: others, FieldSourceProfileIds: fields})
	return err
}

// merge merges the profiles of account numbers.
func (r *rig) merge(domain, main string, others ...string) {
	r.t.Helper()
	var ids []string
	for _, o := range others {
		ids = append(ids, r.id(domain, o))
	}
	if err := r.tryMerge(domain, nil, r.id(domain, main), ids...); err != nil {
		r.t.Fatal(err)
	}
}

var mergeSpec = spec{key: "id", expiry: 1000, fields: []string{"id:id:AccountNumber", "f:first:FirstName", "l:last:LastName", "m:mail:EmailAddress:EMAIL_ADDRESS",
	"p:phone:PhoneNumber:PHONE_NUMBER", "c:city:Address.City", "s:street:Address.Address1", "t:tier:Attributes.tier", "pt:party:PartyTypeString"}}

// text is a profile's fields in one line.
func text(p *api.Profile) string {
	s := fmt.Sprintf("%s %s %s %s %s", api.Val(p.AccountNumber), api.Val(p.FirstName), api.Val(p.LastName), api.Val(p.EmailAddress), api.Val(p.PhoneNumber))
	if p.Address != nil {
		s += fmt.Sprintf(" %s/%s", api.Val(p.Address.Address1), api.Val(p.Address.City))
	}
	for _, name := range slices.Sorted(maps.Keys(p.Attributes)) {
		s += " " + name + "=" + p.Attributes[name]
	}
	return strings.Join(strings.Fields(s), " ")
}

func TestMergeProfiles(t *testing.T) {
	t.Parallel()
	onAllEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{})
		r.domain("d")
		r.expect(r.run("d", mergeSpec, "id,first,last,mail,phone,city,street,tier,party\n"+
			"1,Ann,,ann@x.com,,Oslo,,,\n"+
			"2,Anna,Lee,lee@x.com,+12065550100,,Main St,gold,firm\n"+
			"3,Annie,Leigh,,+12065550199,Rome,Side St,tin,\n"+
			"4,Bo,,,,,,,\n5,Cy,Doe,cy@x.com,,,,,\n"), "SUCCEEDED 5/0/0")
		one, two, three := r.id("d", "1"), r.id("d", "2"), r.id("d", "3")

		for name, c := range map[string]struct {
			fields *api.FieldSourceProfileIds
			main   string
			others []string
			want   string
		}{
			"main among the others": {nil, one, []string{two, one}, "names the main profile"},
			"twice":                 {nil, one, []string{two, two}, "twice"},
			"unknown":               {nil, one, []string{two, strings.Repeat("ab", 16)}, "Unknown profile IDs: " + strings.Repeat("ab", 16)},
			"unknown main":          {nil, strings.Repeat("ab", 16), []string{two}, "Unknown profile IDs: " + strings.Repeat("ab", 16)},
			"foreign source":        {&api.FieldSourceProfileIds{FirstName: &three}, one, []string{two}, "for FirstName, which is not one of the profiles of this merge"},
			"foreign attribute":     {&api.FieldSourceProfileIds{Attributes: map[string]string{"tier": three}}, one, []string{two}, "for tier, which"},
		} {
			err := r.tryMerge("d", c.fields, c.main, c.others...)
			if !errors.Is(err, fault.BadRequest) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if len(r.dump("d")) != 5 {
			t.Fatal("a refused merge has changed something")
		}

		// The main one's values stay, what it lacks comes from the first that has it, an address comes as a whole, and the caller's
		// choice counts even when it is empty.
		if err := r.tryMerge("d", &api.FieldSourceProfileIds{EmailAddress: &two, PartyType: &three, Address: &three, Attributes: map[string]string{"tier": one}}, one, two, three); err != nil {
			t.Fatal(err)
		}
		p := r.find("d", "_profileId", one)
		if got := text(p); got != "1 Ann Lee lee@x.com +12065550100 Side St/Rome" || p.PartyTypeString != nil {
			t.Fatal(got, api.Val(p.PartyTypeString))
		}
		if got := len(r.dump("d")); got != 3 {
			t.Fatalf("%d profiles are left", got)
		}
		// Every key of any of them finds the one, and so does the name they have together.
		for _, k := range [][2]string{{"_account", "1"}, {"_account", "2"}, {"_account", "3"}, {"_email", "ann@x.com"}, {"_email", "lee@x.com"},
			{"_phone", "(206) 555-0199"}, {"_fullName", "Anna Lee"}, {"_fullName", "Annie Leigh"}, {"_fullName", "Ann Lee"}} {
			if got := r.find("d", k[0], k[1]); *got.ProfileId != one {
				t.Errorf("%s=%s finds %s", k[0], k[1], text(got))
			}
		}
		out, err := r.Profiles.BatchGetProfile(ctx, &api.BatchGetProfileRequest{DomainName: api.Ptr("d"), ProfileIds: []string{two, one}})
		if err != nil || len(out.Profiles) != 1 || len(out.Errors) != 1 || *out.Errors[0].ProfileId != two {
			t.Fatalf("%+v, %v", out, err)
		}
		if err := r.tryMerge("d", nil, one, two); err == nil || !strings.Contains(err.Error(), "Unknown profile IDs: "+two) {
			t.Fatal(err)
		}
		if n, err := r.Profiles.Stats(ctx, r.live()[0].Incarnation); err != nil || *n.ProfileCount != 3 {
			t.Fatalf("%+v, %v", n, err)
		}

		// Imports find it by any of the keys, and write over what the merge decided.
		r.expect(r.run("d", mergeSpec, "id,first,last,mail,phone,city,street,tier,party\n3,Zoe,,,,,,new,\n2,,Kay,,,,,,\n9,New,,,,,,,\n"), "SUCCEEDED 1/2/0")
		if got := text(r.find("d", "_profileId", one)); !strings.Contains(got, "Zoe Kay lee@x.com") || !strings.HasSuffix(got, "tier=new") {
			t.Fatal(got)
		}

		// A merged one may itself go into another.
		r.merge("d", "5", "1", "4")
		if got := r.find("d", "_account", "3"); text(got) != "5 Cy Doe cy@x.com +12065550100 Side St/Rome tier=new" {
			t.Fatal(text(got))
		}
		if got := r.find("d", "_fullName", "Zoe Kay"); api.Val(got.AccountNumber) != "5" {
			t.Fatal(text(got))
		}
		r.restart()
		if got := len(r.dump("d")); got != 2 {
			t.Fatalf("%d profiles are left", got)
		}

		// Deleting it takes everything along; what is left is that the ids are dead.
		for _, account := range []string{"2", "9"} {
			if _, err := r.Profiles.DeleteProfile(ctx, &api.DeleteProfileRequest{DomainName: api.Ptr("d"), ProfileId: api.Ptr(r.id("d", account))}); err != nil {
				t.Fatal(err)
			}
		}
		if got := r.dump("d"); len(got) != 0 {
			t.Fatalf("%v", got)
		}
		r.onlyMarksLeft("d")
		r.expect(r.run("d", mergeSpec, "id,first,last,mail,phone,city,street,tier,party\n3,Zoe,,,,,,new,\n"), "SUCCEEDED 1/0/0")
	})
}

// onlyMarksLeft checks that no contribution and no index row is left, only marks of ids that are dead. Full names that nobody shows any
// more are left to the sweep of the index.
func (r *rig) onlyMarksLeft(domain string) {
	r.t.Helper()
	r.sweepIndex()
	if n := r.rows(store.Index); n != 0 {
		r.t.Fatalf("%d index rows are left", n)
	}
	for row, err := range r.store.Sweep(ctx, store.SweepRange{Table: store.Profile}) {
		if err != nil {
			r.t.Fatal(err)
		}
		if profile.IsContribution(row.Row.Key) {
			r.t.Fatalf("a contribution is left: %x", row.Row.Key)
		}
	}
}

// An undo follows merges: what is left is what would be if the import had never run.
func TestUndoFollowsMerges(t *testing.T) {
	t.Parallel()
	onAllEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{BucketBytes: 512, MemoryBytes: 1})
		r.domain("d")
		head := "id,first,last,mail,phone,city,street,tier,party\n"
		r.run("d", mergeSpec, head+"1,Ann,,ann@x.com,,,,,\n2,Bob,Ray,,,,,,\n")
		second := *r.run("d", mergeSpec, head+"1,,Lee,new@x.com,,,,,\n2,Robert,,bob@x.com,,Oslo,,gold,\n3,Cy,,cy@x.com,,,,,\n").JobId
		r.merge("d", "1", "2", "3")
		if got := text(r.find("d", "_account", "3")); got != "1 Ann Lee new@x.com /Oslo tier=gold" {
			t.Fatal(got)
		}
		third := *r.run("d", mergeSpec, head+"2,,,,+12065550100,,,silver,\n").JobId
		r.undone("d", second)
		r.undone("d", second)
		if got := text(r.find("d", "_account", "1")); got != "2 Ann Ray ann@x.com +12065550100 tier=silver" {
			t.Fatal(got)
		}
		for _, gone := range [][2]string{{"_email", "bob@x.com"}, {"_email", "cy@x.com"}, {"_email", "new@x.com"}, {"_account", "3"}, {"_fullName", "Ann Lee"}} {
			if got := r.search("d", gone[0], gone[1]); len(got) > 0 {
				t.Errorf("%s=%s finds %v", gone[0], gone[1], got)
			}
		}
		if got := r.search("d", "_account", "2"); !slices.Equal(got, []string{"2"}) {
			t.Fatalf("%v", got)
		}
		r.undone("d", third)
		if got := r.dump("d"); len(got) != 1 {
			t.Fatalf("%v", got)
		}
		// When the last import goes, nothing speaks of them any more.
		r.undone("d", r.jobs("d")[2])
		if got := r.dump("d"); len(got) != 0 {
			t.Fatalf("%v", got)
		}
		r.onlyMarksLeft("d")
	})
}

// jobs lists the ids of the jobs of a domain, newest first.
func (r *rig) jobs(domain string) (ids []string) {
	r.t.Helper()
	out, err := r.Uploads.ListUploadJobs(ctx, &api.ListUploadJobsRequest{DomainName: &domain})
	if err != nil {
		r.t.Fatal(err)
	}
	for _, j := range out.Items {
		ids = append(ids, *j.JobId)
	}
	return ids
}

// Whatever is imported, merged and undone in whatever order, the profiles are as if the imports that were undone had never run.
func TestMergesAndUndosInAnyOrder(t *testing.T) {
	t.Parallel()
	onAllEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{BucketBytes: 256, MemoryBytes: 1})
		for seed := range seeds(t, 6) {
			rnd := rand.New(rand.NewPCG(seed, 7))
			got, want := fmt.Sprint("got", seed), fmt.Sprint("want", seed)
			const customers = 12
			file := func(n int) string {
				var b strings.Builder
				b.WriteString("id,first,last,mail,phone,city,street,tier,party\n")
				for c := range customers {
					if n > 0 && rnd.IntN(3) == 0 {
						continue
					}
					cell := func(what string) string {
						if rnd.IntN(2) == 0 {
							return ""
						}
						return fmt.Sprintf("%s%d_%d", what, n, c)
					}
					fmt.Fprintf(&b, "%d,%s,%s,%s@x.com,,%s,%s,%s,%s\n", c, cell("F"), cell("L"), fmt.Sprintf("m%d_%d", n, c), cell("C"), cell("S"), cell("T"), cell("P"))
				}
				return b.String()
			}
			type step struct {
				file   string
				undone bool
				main   int
				others []int
				late   bool // undone at the end
			}
			steps := []step{{file: file(0)}}
			for n := 1; n < 7; n++ {
				if rnd.IntN(3) == 0 {
					perm := rnd.Perm(customers)
					steps = append(steps, step{main: perm[0], others: perm[1 : 2+rnd.IntN(3)]})
				} else {
					steps = append(steps, step{file: file(n), undone: rnd.IntN(2) == 0, late: rnd.IntN(2) == 0})
				}
			}
			play := func(domain string, undo bool) {
				r.domain(domain)
				var late []string
				for i, s := range steps {
					switch {
					case s.file == "":
						main := r.id(domain, fmt.Sprint(s.main))
						var ids []string
						for _, o := range s.others {
							if id := r.id(domain, fmt.Sprint(o)); id != main && !slices.Contains(ids, id) {
								ids = append(ids, id)
							}
						}
						if ids == nil {
							continue
						}
						fields := &api.FieldSourceProfileIds{}
						if i%2 == 0 {
							fields.FirstName, fields.Address, fields.Attributes = &ids[0], &main, map[string]string{"tier": ids[len(ids)-1]}
						}
						if err := r.tryMerge(domain, fields, main, ids...); err != nil {
							t.Fatal(err)
						}
					case s.undone && !undo:
					default:
						id := *r.run(domain, mergeSpec, s.file).JobId
						if s.undone && s.late {
							late = append(late, id)
						} else if s.undone {
							r.undone(domain, id)
						}
					}
				}
				rnd.Shuffle(len(late), func(i, j int) { late[i], late[j] = late[j], late[i] })
				for _, id := range late {
					r.undone(domain, id)
				}
			}
			play(got, true)
			play(want, false)
			// all is what can be seen of a domain: the profiles, and what they are found by.
			all := func(domain string) string {
				lines := r.dump(domain)
				for c := range customers {
					lines = append(lines, fmt.Sprint(c, r.search(domain, "_account", fmt.Sprint(c))))
					for n := range 7 {
						for m := range 7 { // whatever is left of a name
							lines = append(lines, fmt.Sprint(c, n, m, r.search(domain, "_fullName", fmt.Sprintf("F%d_%d L%d_%d", n, c, m, c))))
						}
						key := fmt.Sprintf("m%d_%d@x.com", n, c)
						lines = append(lines, fmt.Sprint(key, r.search(domain, "_email", key)))
					}
				}
				return strings.Join(lines, "\n")
			}
			seen := all(want)
			if g := all(got); g != seen {
				t.Fatalf("seed %d: %+v\ngot\n%s\nwant\n%s", seed, steps, g, seen)
			}
			// Nothing changes when what is old is compacted and swept.
			before := r.rows(store.Profile)
			r.clock.add(31 * 24 * time.Hour)
			for range 2 {
				r.sweep()
				for _, domain := range []string{got, want} {
					if g := all(domain); g != seen {
						t.Fatalf("seed %d, compacted: %s\n%s\nwant\n%s", seed, domain, g, seen)
					}
				}
			}
			if after := r.rows(store.Profile); after >= before {
				t.Fatalf("seed %d: %d rows of profiles were %d before they were compacted", seed, after, before)
			}
			// All of it goes with the profiles.
			for c := range customers {
				for _, domain := range []string{got, want} {
					key := fmt.Sprint(c)
					out, err := r.Profiles.SearchProfiles(ctx, &api.SearchProfilesRequest{DomainName: &domain, KeyName: api.Ptr("_account"), Values: []string{key}})
					if err != nil {
						t.Fatal(err)
					}
					for _, p := range out.Items {
						if _, err := r.Profiles.DeleteProfile(ctx, &api.DeleteProfileRequest{DomainName: &domain, ProfileId: p.ProfileId}); err != nil {
							t.Fatal(err)
						}
					}
				}
			}
			r.onlyMarksLeft(got)
		}
	})
}

// What an import writes to profiles that are merged while it runs is theirs, and undone with it.
func TestMergesDuringAnImport(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, st store.Store) {
		const pairs = 150
		r := newRig(t, st, upload.Config{BucketBytes: 1 << 10, MemoryBytes: 1})
		r.domain("d")
		var b, again strings.Builder
		b.WriteString("id,first,last,mail,phone,city,street,tier,party\n")
		again.WriteString("id,tier,new\n")
		for i := range pairs {
			fmt.Fprintf(&b, "a%d,A,,,,,,,\nb%d,B,,b%d@x.com,,,,,\n", i, i, i)
			fmt.Fprintf(&again, "b%d,t%d,n%d\n", i, i, i)
		}
		for i := range 5000 {
			fmt.Fprintf(&again, "other%d,x,x\n", i)
		}
		r.run("d", mergeSpec, b.String())
		mains, others := make([]string, pairs), make([]string, pairs)
		for i := range pairs {
			mains[i], others[i] = r.id("d", fmt.Sprint("a", i)), r.id("d", fmt.Sprint("b", i))
		}
		s := spec{key: "id", fields: []string{"id:id:AccountNumber", "t:tier:Attributes.tier", "n:new:Attributes.new"}}
		id := r.uploaded("d", s, strings.NewReader(again.String()))
		if err := r.startJob("d", id); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for w := range 4 {
			wg.Go(func() {
				for i := w; i < pairs; i += 4 {
					if err := r.tryMerge("d", nil, mains[i], others[i]); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		r.expect(r.wait("d", id), "SUCCEEDED 5000/150/0")
		for i := range pairs {
			if got, want := text(r.find("d", "_account", fmt.Sprint("b", i))), fmt.Sprintf("A b%d@x.com new=n%d tier=t%d", i, i, i); got[strings.Index(got, " ")+1:] != want {
				t.Fatalf("%s, want %s", got, want)
			}
		}
		r.undone("d", id)
		for i := range pairs {
			if got, want := text(r.find("d", "_account", fmt.Sprint("b", i))), fmt.Sprintf("a%d A b%d@x.com", i, i); got != want {
				t.Fatalf("%s, want %s", got, want)
			}
		}
		if got := r.search("d", "_account", "other1"); len(got) > 0 {
			t.Fatalf("%v", got)
		}
	})
}

// Merges of the same profiles, in all directions at once, and deletions: each happens whole or not at all.
func TestMergesAgainstEachOther(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{})
		r.domain("d")
		const n = 12
		var b strings.Builder
		b.WriteString("id,first,last,mail,phone,city,street,tier,party\n")
		for i := range n {
			fmt.Fprintf(&b, "%d,F%d,,m%d@x.com,,,,,\n", i, i, i)
		}
		r.run("d", mergeSpec, b.String())
		ids := make([]string, n)
		for i := range n {
			ids[i] = r.id("d", fmt.Sprint(i))
		}
		deleted := ids[n-1]
		var merges, gone int
		var mu sync.Mutex
		var wg sync.WaitGroup
		for w := range 8 {
			wg.Go(func() {
				rnd := rand.New(rand.NewPCG(uint64(w), 3))
				for range 15 {
					perm := rnd.Perm(n)
					err := r.tryMerge("d", nil, ids[perm[0]], ids[perm[1]], ids[perm[2]])
					if err != nil && !strings.Contains(err.Error(), "Unknown profile IDs") {
						t.Error(err)
					}
					mu.Lock()
					if err == nil {
						merges++
					}
					mu.Unlock()
				}
			})
		}
		wg.Go(func() {
			_, err := r.Profiles.DeleteProfile(ctx, &api.DeleteProfileRequest{DomainName: api.Ptr("d"), ProfileId: &deleted})
			if err == nil {
				gone = 1
			} else if !errors.Is(err, fault.NotFound) {
				t.Error(err)
			}
		})
		wg.Wait()
		// Each merge takes two profiles away, the deletion one with all that had come into it.
		left := len(r.dump("d"))
		found := map[string]bool{}
		lost := 0
		for i := range n {
			got := r.search("d", "_email", fmt.Sprintf("m%d@x.com", i))
			switch len(got) {
			case 0:
				lost++
			case 1:
				found[got[0]] = true
			default:
				t.Errorf("customer %d is in %v", i, got)
			}
		}
		if left != n-2*merges-gone || len(found) != left || lost > 0 && gone == 0 || lost == 0 && gone == 1 || merges == 0 {
			t.Fatalf("%d merges, %d deletions: %d profiles are left, %d are found, %d customers are lost", merges, gone, left, len(found), lost)
		}
	})
}

// What comes in between the steps of a merge or of a deletion waits, or is told that it is too late; nothing happens by half.
func TestMergeMeetsOthers(t *testing.T) {
	t.Parallel()
	const file = "id,first,last,mail,phone,city,street,tier,party\n1,Ann,,,,,,,\n2,,Lee,lee@x.com,,,,gold,\n3,Cy,,,,,,,\n"
	profileSwap := func(op faulty.Op, p store.Partition) bool {
		return (op == faulty.Swap || op == faulty.Commit) && p.Table == store.Profile
	}
	setup := func(t *testing.T, when func(faulty.Op, store.Partition) bool, meanwhile func(r *rig)) (*rig, []string) {
		st := &faulty.Store{Store: newPebble(t)}
		r := newRig(t, st, upload.Config{})
		r.domain("d")
		r.run("d", mergeSpec, file)
		var met atomic.Bool // what comes in between asks, too
		ids := []string{r.id("d", "1"), r.id("d", "2"), r.id("d", "3")}
		st.Before(func(op faulty.Op, p store.Partition) error {
			if when(op, p) && met.CompareAndSwap(false, true) {
				meanwhile(r)
			}
			return nil
		})
		return r, ids
	}
	remove := func(r *rig, id string) error {
		_, err := r.Profiles.DeleteProfile(ctx, &api.DeleteProfileRequest{DomainName: api.Ptr("d"), ProfileId: &id})
		return err
	}
	t.Run("a deletion before the merge link", func(t *testing.T) {
		var ids []string
		var r *rig
		r, ids = setup(t, profileSwap, func(r *rig) {
			if err := remove(r, ids[1]); err != nil {
				t.Error(err)
			}
		})
		if err := r.tryMerge("d", nil, ids[0], ids[1]); err == nil || !strings.Contains(err.Error(), "Unknown profile IDs: "+ids[1]) {
			t.Fatal(err)
		}
		if got := r.search("d", "_email", "lee@x.com"); len(got) > 0 || text(r.find("d", "_account", "1")) != "1 Ann" {
			t.Fatalf("%v", got)
		}
	})
	t.Run("a merge before the tombstone", func(t *testing.T) {
		var ids []string
		var r *rig
		r, ids = setup(t, profileSwap, func(r *rig) {
			if err := r.tryMerge("d", nil, ids[0], ids[1]); err != nil {
				t.Error(err)
			}
		})
		if err := remove(r, ids[1]); !errors.Is(err, fault.NotFound) {
			t.Fatal(err)
		}
		if got := text(r.find("d", "_email", "lee@x.com")); got != "1 Ann Lee lee@x.com tier=gold" {
			t.Fatal(got)
		}
	})
	for name, other := range map[string]func(r *rig, ids []string) error{
		"another merge when it is decided": func(r *rig, ids []string) error { return r.tryMerge("d", nil, ids[2], ids[1]) },
		"a deletion when it is decided":    func(r *rig, ids []string) error { return remove(r, ids[1]) },
	} {
		t.Run(name, func(t *testing.T) {
			var ids []string
			var r *rig
			outcome := make(chan error, 1)
			swaps := 0
			deciding := func(op faulty.Op, p store.Partition) bool {
				if op == faulty.Swap && strings.HasPrefix(p.Key, "merges/") {
					swaps++
				}
				return swaps == 2 // the first one makes the record
			}
			r, ids = setup(t, deciding, func(r *rig) { outcome <- other(r, ids) }) // which finishes the merge itself
			if err := r.tryMerge("d", nil, ids[0], ids[1]); err != nil {
				t.Fatal(err)
			}
			if err := <-outcome; err == nil || !errors.Is(err, fault.NotFound) && !strings.Contains(err.Error(), "Unknown profile IDs") {
				t.Fatal(err)
			}
			if got := text(r.find("d", "_email", "lee@x.com")); got != "1 Ann Lee lee@x.com tier=gold" || len(r.dump("d")) != 2 {
				t.Fatal(got)
			}
		})
	}
}

// An undo that is cut off anywhere after a merge leaves no profile that is not found by what it shows, and goes on.
func TestUndoOfMergedIsCutOffAnywhere(t *testing.T) {
	t.Parallel()
	for n := 1; ; n++ {
		st := &faulty.Store{Store: newPebble(t)}
		r := newRig(t, st, upload.Config{})
		r.domain("d")
		const head = "id,first,last,mail,phone,city,street,tier,party\n"
		r.run("d", mergeSpec, head+"1,Ann,,ann@x.com,,,,,\n2,Bob,,,,,,,\n")
		id := *r.run("d", mergeSpec, head+"2,,Lee,bob@x.com,,,,gold,\n").JobId
		r.merge("d", "1", "2")
		r.merge("d", "1", *r.lonely("d", "3"))
		var mu sync.Mutex
		calls, cut := 0, false
		st.Before(func(op faulty.Op, p store.Partition) error {
			if op == faulty.WriteRun || op == faulty.Write && p.Table != store.Jobs {
				mu.Lock()
				defer mu.Unlock()
				if calls++; calls >= n {
					cut = true
					return errors.New("cut off")
				}
			}
			return nil
		})
		if _, err := r.undo("d", id); err != nil {
			t.Fatal(err)
		}
		done := false
		for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline) && !done; time.Sleep(time.Millisecond) {
			mu.Lock()
			done = cut
			mu.Unlock()
			done = done || r.details("d", id).UndoneAt != nil
		}
		if shows := len(r.search("d", "_account", "1")) > 0 && r.find("d", "_account", "1").Attributes["tier"] == "gold"; shows && len(r.search("d", "_fullName", "Ann Lee")) != 1 {
			t.Fatalf("call %d: the profile is not found by its name", n)
		}
		st.Before(nil)
		r.undone("d", id)
		if got := text(r.find("d", "_account", "1")); got != "1 Ann ann@x.com" {
			t.Fatal(got)
		}
		if got := r.search("d", "_fullName", "Ann Lee"); len(got) > 0 {
			t.Fatalf("%v", got)
		}
		mu.Lock()
		end := !cut
		mu.Unlock()
		if end {
			if n < 4 {
				t.Fatalf("only %d calls could be cut off", n-1)
			}
			return
		}
	}
}

// lonely makes a customer with nothing but a number.
func (r *rig) lonely(domain, account string) *string {
	r.t.Helper()
	r.run(domain, spec{key: "id", expiry: 1000, fields: []string{"id:id:AccountNumber"}}, "id\n"+account+"\n")
	return &account
}

// A merge that is cut off anywhere has happened or has not; who comes by next takes it to its end, and the sweep leaves nothing of one
// that was given up.
func TestMergeIsCutOffAnywhere(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]bool{"before": false, "after": true} {
		t.Run(name, func(t *testing.T) {
			const file = "id,first,last,mail,phone,city,street,tier,party\n1,Ann,,ann@x.com,,,,,\n2,,Lee,lee@x.com,,,,gold,\n"
			cut := errors.New("cut off")
			happened, not := 0, 0
			for n := int64(1); ; n++ {
				st := &faulty.Store{Store: newPebble(t)}
				r := newRig(t, st, upload.Config{})
				r.domain("d")
				r.run("d", mergeSpec, file)
				before := r.dump("d")
				one, two := r.id("d", "1"), r.id("d", "2")
				var calls atomic.Int64
				hook := func(op faulty.Op, p store.Partition) error {
					if op == faulty.Get || op == faulty.Scan || p.Table == store.Jobs && !strings.HasPrefix(p.Key, "merges/") || p.Table == store.Catalog {
						return nil
					}
					if op == faulty.Probe && p.Table == store.Change { // who follows the feed
						return nil
					}
					if calls.Add(1) >= n { // and dead from then on
						return cut
					}
					return nil
				}
				if answer {
					st.After(hook)
				} else {
					st.Before(hook)
				}
				err := r.tryMerge("d", nil, one, two)
				st.Before(nil)
				st.After(nil)
				if calls.Load() < n {
					if err != nil {
						t.Fatal(err)
					}
					break
				}
				after := r.dump("d")
				switch len(after) {
				case 2:
					not++
					if !slices.Equal(before, after) {
						t.Fatalf("call %d: %v", n, after)
					}
					if n%2 == 0 { // who comes by may be another merge, or the sweep
						r.sweep()
					}
					// Either may roll it forward.
					if err := r.tryMerge("d", nil, one, two); err != nil && !strings.Contains(err.Error(), "Unknown profile IDs: "+two) {
						t.Fatalf("call %d: %v", n, err)
					}
				case 1:
					happened++
				}
				if got := text(r.find("d", "_fullName", "Ann Lee")); got != "1 Ann Lee ann@x.com tier=gold" {
					t.Fatalf("call %d: %s", n, got)
				}
				if _, err := r.Profiles.DeleteProfile(ctx, &api.DeleteProfileRequest{DomainName: api.Ptr("d"), ProfileId: &one}); err != nil {
					t.Fatal(err)
				}
				r.sweep()
				r.onlyMarksLeft("d")
				r.clock.add(40 * 24 * time.Hour)
				r.sweep()
				records := 0
				for row, err := range st.Sweep(ctx, store.SweepRange{Table: store.Jobs}) {
					if err != nil {
						t.Fatal(err)
					}
					if strings.HasPrefix(row.Partition.Key, "merges/") {
						records++
					}
				}
				if records != 1 { // of the merge that holds
					t.Fatalf("call %d: %d records of merges are left", n, records)
				}
			}
			if happened == 0 || not == 0 {
				t.Fatalf("%d merges happened, %d did not", happened, not)
			}
		})
	}
}
