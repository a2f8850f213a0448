package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"kith/api"
	"kith/profile"
	"kith/profile/change"
	"kith/profile/fold"
	"kith/profile/index"
	"kith/profile/write"
	"kith/schema"
	"kith/store"
	"kith/store/faulty"
	"kith/store/mem"
	"kith/upload"
)

const mergeHead = "id,first,last,mail,phone,city,street,tier,party\n"

// order is an object with keys, which says an e-mail address and a name.
func order(unique, mail, first string) *write.Object {
	k := index.Key{Name: "order_id", Value: unique}
	return &write.Object{Type: "order", Incarnation: 1, UniqueKey: unique, JSON: []byte(`{"secret":"secret"}`), Life: 1000 * 24 * time.Hour, Create: true,
		Keys: []index.Key{k, {Name: "_email", Value: mail}}, Match: []index.Key{{Name: "_email", Value: mail}}, Fallback: []index.Key{k},
		Values: []fold.Value{{Attr: schema.Attr{ID: schema.EmailAddress}, Text: mail}, {Attr: schema.Attr{ID: schema.FirstName}, Text: first}}}
}

func (r *rig) putObject(domain string, o *write.Object) string {
	r.t.Helper()
	done, err := r.Writer.Put(ctx, domain, "somebody", o)
	if err != nil {
		r.t.Fatal(err)
	}
	return done.ID.String()
}

// edit sets values of a profile by hand.
func (r *rig) edit(domain, id string, values ...fold.Value) error {
	of, _ := fold.ParseID(id)
	_, err := r.Writer.Change(ctx, domain, "somebody", of, func(_ context.Context, d *write.Draft) error {
		d.Note(write.Updated, "", "", "")
		return errors.Join(d.Set(values, 1000*24*time.Hour), d.FindProfile(of))
	})
	return err
}

func (r *rig) remove(domain, id string) error {
	_, err := r.Profiles.DeleteProfile(ctx, &api.DeleteProfileRequest{DomainName: &domain, ProfileId: &id})
	return err
}

// onlyIDsLeft checks that nothing is left of deleted profiles but their states, and the ids, times and actions of their history.
func (r *rig) onlyIDsLeft() {
	r.t.Helper()
	for _, table := range []store.Table{store.Profile, store.Index, store.Body, store.History} {
		for row, err := range r.store.Sweep(ctx, store.SweepRange{Table: table}) {
			switch {
			case err != nil:
				r.t.Fatal(err)
			case table == store.Profile && string(row.Row.Key) == "a":
			case table == store.History:
				rec, err := write.DecodeRecord(row.Row.Value)
				if err != nil {
					r.t.Fatal(err)
				}
				if rec.ObjectType+rec.ObjectKey+rec.Detail != "" || len(rec.Shown) > 0 || rec.Action == 0 || rec.At == 0 {
					r.t.Errorf("a history record says %+v", rec)
				}
			default:
				r.t.Errorf("a row of table %v is left: %q %q", table, row.Partition.Key, row.Row.Key)
			}
		}
	}
}

// Of a deleted profile, and of the members of its person, only ids, times and actions stay, whatever wrote to them.
func TestDeletionLeavesIDsAlone(t *testing.T) {
	t.Parallel()
	onAllEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{})
		r.domain("d")
		r.run("d", mergeSpec, mergeHead+"1,Ann,Lee,ann@x.com,,,,,\n2,Bob,Ray,bob@x.com,,,,,\n3,Cy,,,,,,,\n")
		r.putObject("d", order("o1", "ann@x.com", "Anna"))
		r.putObject("d", order("o2", "bob@x.com", "Bobby"))
		if err := r.edit("d", r.id("d", "1"), fold.Value{Attr: schema.Attr{ID: schema.LastName}, Text: "Low"}); err != nil {
			t.Fatal(err)
		}
		r.merge("d", "2", "3")
		r.merge("d", "1", "2")
		id := r.id("d", "1")
		r.putObject("d", order("o2", "bob@x.com", "Rob"))
		if err := r.remove("d", id); err != nil {
			t.Fatal(err)
		}
		r.onlyIDsLeft()
		r.putObject("d", order("o2", "bob@x.com", "New"))
		if got := r.find("d", "_email", "bob@x.com"); api.Val(got.FirstName) != "New" {
			t.Fatal(text(got))
		}
	})
}

// A deletion that is cut off anywhere is taken to its end by whoever comes by.
func TestDeletionIsCutOffAnywhere(t *testing.T) {
	t.Parallel()
	for n := 1; ; n++ {
		st := &faulty.Store{Store: mem.New()}
		r := newRig(t, st, upload.Config{})
		r.domain("d")
		r.run("d", mergeSpec, mergeHead+"1,Ann,Lee,ann@x.com,,,,,\n2,Bob,Ray,bob@x.com,,,,,\n")
		r.putObject("d", order("o1", "ann@x.com", "Anna"))
		r.putObject("d", order("o2", "bob@x.com", "Bobby"))
		r.merge("d", "1", "2")
		id := r.id("d", "1")
		var calls atomic.Int64
		st.Before(func(op faulty.Op, p store.Partition) error {
			if p.Table == store.Profile || p.Table == store.Body || p.Table == store.History || op == faulty.WriteRun {
				if int(calls.Add(1)) >= n {
					return errors.New("cut off")
				}
			}
			return nil
		})
		err := r.remove("d", id)
		st.Before(nil)
		if err == nil {
			if n < 10 {
				t.Fatalf("only %d calls could be cut off", n-1)
			}
			r.onlyIDsLeft()
			return
		}
		if got := r.search("d", "_account", "1"); len(got) > 0 { // it has not happened
			if text(r.find("d", "_account", "1")) == "" || len(r.search("d", "_email", "bob@x.com")) != 1 {
				t.Fatalf("call %d: half of it has happened", n)
			}
			if err := r.remove("d", id); err != nil {
				t.Fatal(err)
			}
		} else if got := r.search("d", "_account", "2"); len(got) > 0 {
			t.Fatalf("call %d: half of it has happened: %v", n, got)
		}
		r.sweep()
		r.onlyIDsLeft()
		if t.Failed() {
			t.Fatalf("call %d", n)
		}
	}
}

// A deletion of a person meets the undoing of one of its merges, at any moment of either: members come out whole, or not at all.
func TestUnmergeMeetsDeletion(t *testing.T) {
	t.Parallel()
	for _, inner := range []bool{false, true} {
		for _, deletes := range []bool{false, true} { // which of the two comes in between the steps of the other
			for n := 1; ; n++ {
				st := &faulty.Store{Store: mem.New()}
				r := newRig(t, st, upload.Config{})
				r.domain("d")
				r.run("d", mergeSpec, mergeHead+"1,Ann,,a@x.com,,,,,\n2,Bob,,b@x.com,,,,,\n3,Cy,,c@x.com,,,,,\n4,Di,,d@x.com,,,,,\n")
				main := r.id("d", "1")
				f := &family{r: r, domain: "d", ids: []string{main}}
				r.merge("d", "1", "2", "3")
				if inner { // the person is itself a member
					outer := r.id("d", "4")
					r.merge("d", "4", "1")
					f.ids = append(f.ids, outer)
				}
				merge := f.lastMerge(0)
				unmerge := func() error { return r.Profiles.Unmerge(ctx, f.record(), merge) }
				remove := func() error { return r.remove("d", f.ids[len(f.ids)-1]) }
				one, other := remove, unmerge
				if deletes {
					one, other = unmerge, remove
				}
				var calls atomic.Int64
				met := false
				var otherErr error
				st.Before(func(op faulty.Op, p store.Partition) error {
					if op == faulty.Swap && (p.Table == store.Profile || strings.HasPrefix(p.Key, "merges/")) || op == faulty.WriteRun {
						if int(calls.Add(1)) == n {
							met = true
							otherErr = other()
						}
					}
					return nil
				})
				oneErr := one()
				st.Before(nil)
				if !met {
					if n < 4 {
						t.Fatalf("only %d calls", n)
					}
					break
				}
				what := fmt.Sprintf("inner %t, deletes %t, call %d: %v, then %v", inner, deletes, n, oneErr, otherErr)
				unmerged, removed := otherErr, oneErr
				if deletes {
					unmerged, removed = oneErr, otherErr
				}
				if removed != nil {
					t.Fatal(what)
				}
				var alive []string
				for c, mail := range map[string]string{"2": "b@x.com", "3": "c@x.com"} {
					if len(r.search("d", "_account", c)) == 1 && len(r.search("d", "_email", mail)) == 1 {
						alive = append(alive, c)
					}
				}
				slices.Sort(alive)
				want := []string(nil)
				if unmerged == nil {
					want = []string{"2", "3"}
				}
				if !slices.Equal(alive, want) || len(r.search("d", "_account", "1")) > 0 {
					t.Fatalf("%s: alive are %v, want %v", what, alive, want)
				}
				for _, c := range want {
					if err := r.remove("d", r.id("d", c)); err != nil {
						t.Fatal(err)
					}
				}
				if !inner {
					if err := r.remove("d", r.id("d", "4")); err != nil {
						t.Fatal(err)
					}
				}
				r.sweepIndex()
				r.onlyIDsLeft()
				if t.Failed() {
					t.Fatal(what)
				}
			}
		}
	}
}

// An import that was given up half-way counts for the undo of an earlier one: its customers are still found, whether it said something new of them or the same again.
func TestUndoBelowAnImportThatWasGivenUp(t *testing.T) {
	t.Parallel()
	for _, tier := range []string{"gold", ""} {
		st := &faulty.Store{Store: mem.New()}
		r := newRig(t, st, upload.Config{})
		r.domain("d")
		const file = mergeHead + "1,Ann,Lee,ann@x.com,,,,,\n"
		first := *r.run("d", mergeSpec, file).JobId
		st.After(func(op faulty.Op, p store.Partition) error {
			if op == faulty.WriteRun && p.Table == store.Profile {
				return errors.New("injected: disk error")
			}
			return nil
		})
		second := r.run("d", mergeSpec, mergeHead+"1,Ann,Lee,ann@x.com,,,,"+tier+",\n")
		st.After(nil)
		r.expect(second, "FAILED 0/1/0 INTERNAL_FAILURE")
		r.undone("d", first)
		if n := r.everyKeyFinds("d"); n != 1 {
			t.Fatalf("%d profiles", n)
		}
		r.undone("d", *second.JobId)
		r.nothingLeft()
	}
}

// A person is answered once, whichever of its ids a search names.
func TestSearchNamesAMemberByItsID(t *testing.T) {
	t.Parallel()
	r := newRig(t, mem.New(), upload.Config{})
	r.domain("d")
	r.run("d", mergeSpec, mergeHead+"1,Ann,,a@x.com,,,,,\n2,Bob,,b@x.com,,,,,\n")
	one, two := r.id("d", "1"), r.id("d", "2")
	for _, merge := range [][2]string{{one, two}, {two, one}} {
		if err := r.tryMerge("d", nil, merge[0], merge[1]); err != nil {
			t.Fatal(err)
		}
		for _, member := range []string{one, two} {
			for _, mail := range []string{"a@x.com", "b@x.com"} {
				out, err := r.Profiles.SearchProfiles(ctx, &api.SearchProfilesRequest{DomainName: api.Ptr("d"), KeyName: api.Ptr("_profileId"), Values: []string{member},
					LogicalOperator: api.Ptr(api.LogicalOperatorOr), AdditionalSearchKeys: []api.AdditionalSearchKey{{KeyName: api.Ptr("_email"), Values: []string{mail}}}})
				if err != nil || len(out.Items) != 1 {
					t.Errorf("%s in %s, or %s: %d items, %v", member, merge[0], mail, len(out.Items), err)
				}
			}
		}
		f := &family{r: r, domain: "d", ids: []string{merge[0]}}
		if err := r.Profiles.Unmerge(ctx, f.record(), f.lastMerge(0)); err != nil {
			t.Fatal(err)
		}
	}
}

// Names that come to be by a merge that somebody else completes, or by taking one back, find their profiles.
func TestNamesFollowMerges(t *testing.T) {
	t.Parallel()
	onAllEngines(t, func(t *testing.T, engine store.Store) {
		st := &faulty.Store{Store: engine}
		r := newRig(t, st, upload.Config{})
		r.domain("d")
		r.run("d", mergeSpec, mergeHead+"1,Ann,Lee,,,,,,\n2,Bob,Ray,,,,,,\n")
		one, two := r.id("d", "1"), r.id("d", "2")
		var calls atomic.Int64
		st.After(func(op faulty.Op, p store.Partition) error {
			if strings.HasPrefix(p.Key, "merges/") && op == faulty.Swap && calls.Add(1) == 1 {
				return errors.New("cut off")
			}
			return nil
		})
		first := fold.Value{Attr: schema.Attr{ID: schema.FirstName}, Text: "Zoe"}
		fields := &api.FieldSourceProfileIds{LastName: &two}
		if err := r.tryMerge("d", fields, one, two); err == nil {
			t.Fatal("it was not cut off")
		}
		st.After(nil)
		// What the completer does.
		for row, err := range st.Sweep(ctx, store.SweepRange{Table: store.Jobs, Incarnation: r.incarnation("d")}) {
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(row.Partition.Key, "merges/") {
				c := &profile.Completer{Service: r.Profiles, Writes: &write.Settler{Writer: r.Writer, Domain: r.Domains.OfIncarnation}}
				if err := c.Settle(ctx, r.incarnation("d"), mergedRow(row.Row.Key)); err != nil {
					t.Fatal(err)
				}
			}
		}
		r.everyKeyFinds("d")
		if got := text(r.find("d", "_fullName", "Ann Ray")); !strings.HasPrefix(got, "1 Ann Ray") {
			t.Fatal(got)
		}
		if err := r.edit("d", one, first); err != nil { // the name is Zoe Ray, and Zoe Lee when the merge has been taken back
			t.Fatal(err)
		}
		r.run("d", mergeSpec, mergeHead+"2,Bill,,,,,,,\n") // Bill Ray
		f := &family{r: r, domain: "d", ids: []string{one}}
		if err := r.Profiles.Unmerge(ctx, f.record(), f.lastMerge(0)); err != nil {
			t.Fatal(err)
		}
		if n := r.everyKeyFinds("d"); n != 2 {
			t.Fatalf("%d profiles", n)
		}
		r.find("d", "_fullName", "Zoe Lee")
		r.find("d", "_fullName", "Bill Ray")
	})
}

// mergedRow is the change row of a merge.
func mergedRow(merge []byte) []change.Row {
	row := change.Row{Kind: change.Merged}
	copy(row.Call[:], merge)
	return []change.Row{row}
}
