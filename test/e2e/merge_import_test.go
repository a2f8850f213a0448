package e2e

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kith/api"
	"kith/domain"
	"kith/profile"
	"kith/profile/fold"
	"kith/store"
	"kith/store/faulty"
	"kith/upload"
)

// family is a model of who belongs to whom: customers by number, whose profiles are merged, taken apart and deleted.
type family struct {
	r      *rig
	domain string
	ids    []string // the first profile of each customer
	merges []union  // those that hold
	dead   map[int]bool
}

// union is a merge: customer main with all that belong to it took the others, with theirs.
type union struct {
	id     fold.MergeID
	main   int
	others []int
}

// main returns the customer whose profile a customer has become part of.
func (f *family) main(c int) int {
	for {
		i := slices.IndexFunc(f.merges, func(u union) bool { return slices.Contains(u.others, c) })
		if i < 0 {
			return c
		}
		c = f.merges[i].main
	}
}

// act makes one call at random, which must succeed.
func (f *family) act(rnd *rand.Rand) {
	t, n := f.r.t, len(f.ids)
	switch a, b := f.main(rnd.IntN(n)), f.main(rnd.IntN(n)); {
	case f.dead[a] || f.dead[b]:
	case rnd.IntN(12) == 0:
		if _, err := f.r.Profiles.DeleteProfile(ctx, &api.DeleteProfileRequest{DomainName: &f.domain, ProfileId: &f.ids[a]}); err != nil {
			t.Errorf("delete %d: %v", a, err)
		}
		for c := range n {
			if f.main(c) == a {
				f.dead[c] = true
			}
		}
	case rnd.IntN(3) == 0 && len(f.merges) > 0:
		i := rnd.IntN(len(f.merges))
		u := f.merges[i]
		if f.dead[u.main] {
			return
		}
		if err := f.r.Profiles.Unmerge(ctx, f.record(), u.id); err != nil {
			t.Errorf("take %v apart: %v", u, err)
		}
		f.merges = slices.Delete(f.merges, i, i+1)
	case a != b:
		if err := f.r.tryMerge(f.domain, nil, f.ids[a], f.ids[b]); err != nil {
			t.Errorf("merge %d into %d: %v", b, a, err)
			return
		}
		f.merges = append(f.merges, union{f.lastMerge(a), a, []int{b}})
	}
}

func (f *family) record() *domain.Record {
	rec, err := f.r.Domains.Lookup(ctx, f.domain)
	if err != nil {
		f.r.t.Fatal(err)
	}
	return rec
}

// lastMerge returns the newest merge of a main profile.
func (f *family) lastMerge(c int) fold.MergeID {
	id, _ := fold.ParseID(f.ids[c])
	row, err := f.r.store.Get(ctx, profile.Partition(f.record().Incarnation, id), []byte("a"))
	if err != nil {
		f.r.t.Error(err)
		return fold.MergeID{}
	}
	s, err := fold.DecodeState(row.Value)
	if err != nil || len(s.Merges) == 0 {
		f.r.t.Errorf("%+v, %v", s, err)
		return fold.MergeID{}
	}
	return s.Merges[len(s.Merges)-1].ID
}

// check compares what each customer's number finds with the model. One who was deleted while an import ran has a new profile, or none.
func (f *family) check() {
	t := f.r.t
	t.Helper()
	for c := range f.ids {
		out, err := f.r.Profiles.SearchProfiles(ctx, &api.SearchProfilesRequest{DomainName: &f.domain, KeyName: api.Ptr("_account"), Values: []string{fmt.Sprint(c)}})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range out.Items {
			got = append(got, *p.ProfileId)
		}
		switch main := f.main(c); {
		case f.dead[c]:
			if len(got) > 1 || len(got) == 1 && slices.Contains(f.ids, got[0]) {
				t.Errorf("customer %d was deleted, and finds %v", c, got)
			}
		case !slices.Equal(got, []string{f.ids[main]}):
			t.Errorf("customer %d finds %v, want %s, the profile of %d", c, got, f.ids[main], main)
		}
	}
}

// Merges, their undoing and deletions at random moments of all stages of imports of the same customers: each key finds exactly the
// persons that the same calls give one after another, and the next import finds all of them.
func TestMergesAtAnyMomentOfImports(t *testing.T) {
	t.Parallel()
	onAllEngines(t, func(t *testing.T, st store.Store) {
		faults := &faulty.Store{Store: st}
		r := newRig(t, faults, upload.Config{BucketBytes: 512, MemoryBytes: 1})
		for seed := range seeds(t, 6) {
			rnd := rand.New(rand.NewPCG(seed, 5))
			name := fmt.Sprint("d", seed)
			r.domain(name)
			const customers = 30
			file := func(round int) string {
				var b strings.Builder
				b.WriteString("id,first,last,mail,phone,city,street,tier,party\n")
				for c := range customers {
					fmt.Fprintf(&b, "%d,F%d,,r%d_%d@x.com,,,,t%d,\n", c, c, round, c, round)
				}
				for c := range 50 { // so that imports have more buckets than one
					fmt.Fprintf(&b, "new%d_%d,,,,,,,,\n", round, c)
				}
				return b.String()
			}
			r.expect(r.run(name, mergeSpec, file(0)), fmt.Sprintf("SUCCEEDED %d/0/0", customers+50))
			f := &family{r: r, domain: name, dead: map[int]bool{}}
			for c := range customers {
				f.ids = append(f.ids, r.id(name, fmt.Sprint(c)))
			}
			for round := 1; round < 4; round++ {
				var busy atomic.Bool
				var mu sync.Mutex
				calls := 0
				act := func(op faulty.Op, p store.Partition) error {
					if p.Table == store.Catalog { // who asks for a domain may have others wait for the answer
						return nil
					}
					mu.Lock()
					calls++
					now := rnd.IntN(6) == 0
					mu.Unlock()
					if now && busy.CompareAndSwap(false, true) {
						f.act(rnd2(seed, calls))
						busy.Store(false)
					}
					return nil
				}
				if rnd.IntN(2) == 0 {
					faults.Before(act)
				} else {
					faults.After(act)
				}
				sum := r.run(name, mergeSpec, file(round)).ResultsSummary
				for !busy.CompareAndSwap(false, true) { // the last call may be on its way
					time.Sleep(time.Millisecond)
				}
				faults.Before(nil)
				faults.After(nil)
				if n := api.Val(sum.FailedRecords); n != 0 {
					t.Errorf("seed %d: %d rows of import %d were rejected", seed, n, round)
				}
				f.check()
				if t.Failed() {
					t.Fatalf("seed %d, import %d, %v", seed, round, f.merges)
				}
			}
			r.everyKeyFinds(name)
			again := r.run(name, mergeSpec, file(3)).ResultsSummary
			if api.Val(again.FailedRecords) != 0 || api.Val(again.CreatedRecords) > int64(len(f.dead)) {
				t.Fatalf("seed %d: the next import created %d and rejected %d", seed, api.Val(again.CreatedRecords), api.Val(again.FailedRecords))
			}
		}
	})
}

// rnd2 returns a source of its own for one call.
func rnd2(seed uint64, call int) *rand.Rand { return rand.New(rand.NewPCG(seed, uint64(call))) }

// A person is read level by level. A merge that is taken back between two reads shows its member alone, not in a person without it.
func TestPersonsAreReadWhole(t *testing.T) {
	t.Parallel()
	st := &faulty.Store{Store: newPebble(t)}
	r := newRig(t, st, upload.Config{})
	r.domain("d")
	r.run("d", mergeSpec, "id,first,last,mail,phone,city,street,tier,party\n1,Ann,,,,,,,\n2,Bob,,,,,,,\n")
	f := &family{r: r, domain: "d", ids: []string{r.id("d", "1"), r.id("d", "2")}}
	r.merge("d", "1", "2")
	merge := f.lastMerge(0)
	probes := 0
	st.Before(func(op faulty.Op, p store.Partition) error {
		if op != faulty.Probe || p.Table != store.Profile {
			return nil
		}
		if probes++; probes == 2 { // the first one read the member
			if err := r.Profiles.Unmerge(ctx, f.record(), merge); err != nil {
				t.Error(err)
			}
		}
		return nil
	})
	member, _ := fold.ParseID(f.ids[1])
	people, err := r.Profiles.People(ctx, f.record().Incarnation, []fold.ID{member})
	st.Before(nil)
	if err != nil || probes < 2 {
		t.Fatalf("%d probes, %v", probes, err)
	}
	if p := people[member]; p == nil || p.ID != member || len(p.Parts) != 1 {
		t.Fatalf("the member leads to %+v", p)
	}
}
