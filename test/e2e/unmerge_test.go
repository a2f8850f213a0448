package e2e

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"kith/api"
	"kith/fault"
	"kith/profile"
	"kith/profile/fold"
	"kith/profile/index"
	"kith/profile/write"
	"kith/schema"
	"kith/store"
	"kith/store/faulty"
	"kith/store/mem"
	"kith/upload"
)

// customers are a mess whose customers are known by their ids.
type customers struct {
	*mess
	ids []fold.ID
}

func newCustomers(r *rig, name string, seed uint64) *customers {
	c := &customers{mess: newMess(r, name, seed)}
	var b strings.Builder
	b.WriteString(mergeHead)
	for n := range crowd {
		fmt.Fprintf(&b, "%d,,,,,,,,\n", n)
	}
	r.run(name, mergeSpec, b.String())
	for n := range crowd {
		id, _ := fold.ParseID(r.id(name, fmt.Sprint(n)))
		c.ids = append(c.ids, id)
	}
	return c
}

// update changes a customer by hand; it says whether that is a profile of its own.
func (c *customers) update(n int, in api.UpdateProfileRequest) bool {
	c.t.Helper()
	in.DomainName, in.ProfileId = &c.rec.Name, api.Ptr(c.ids[n].String())
	_, err := c.Profiles.UpdateProfile(ctx, &in)
	if err != nil && !errors.Is(err, fault.NotFound) {
		c.t.Fatal(err)
	}
	return err == nil
}

// object puts an object that carries the number of a customer.
func (c *customers) object(n int, unique, text string) {
	c.t.Helper()
	k := index.Key{Name: schema.KeyAccount, Value: fmt.Sprint(n)}
	o := &write.Object{Type: "order", Incarnation: 1, UniqueKey: unique, JSON: []byte(text), Life: 1000 * day, Keys: []index.Key{k, {Name: "order_id", Value: unique}}, Match: []index.Key{k},
		Values: []fold.Value{{Attr: schema.Attr{Custom: unique}, Text: text}, {Attr: schema.Attr{ID: schema.BirthDate}, Text: text}}}
	if _, err := c.Writer.Put(ctx, c.rec.Name, "", o); err != nil {
		c.t.Fatal(err)
	}
}

// state is what each customer shows, and which objects it has.
func (c *customers) state() (lines []string) {
	c.t.Helper()
	for n, id := range c.ids {
		out, err := c.Profiles.BatchGetProfile(ctx, &api.BatchGetProfileRequest{DomainName: &c.rec.Name, ProfileIds: []string{id.String()}})
		if err != nil {
			c.t.Fatal(err)
		}
		line := fmt.Sprint(n)
		for _, p := range out.Profiles {
			p.ProfileId = nil
			line += " " + string(p.AppendJSON(nil))
		}
		row, err := c.store.Get(ctx, profile.Partition(c.rec.Incarnation, id), []byte("h"))
		if err == nil {
			h, err := fold.DecodeHead(row.Value)
			if err != nil {
				c.t.Fatal(err)
			}
			for _, o := range h.Objects {
				line += fmt.Sprintf(" %x", o.Hash[:2])
			}
		} else if !errors.Is(err, store.ErrNotFound) {
			c.t.Fatal(err)
		}
		lines = append(lines, line)
	}
	return lines
}

// What is set by hand and put as objects, with merges between that are all taken back, is where it would be without merges: with the
// profile that was written to, and objects where their keys are. What is imported between merges: TestUnmergeGivesBack.
func TestUnmergeGivesBackWhatWasWritten(t *testing.T) {
	t.Parallel()
	onAllEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{BucketBytes: 256, MemoryBytes: 1})
		for seed := range seeds(t, 3) {
			plain, merged := newCustomers(r, fmt.Sprint("plain", seed), seed), newCustomers(r, fmt.Sprint("merged", seed), seed)
			both := []*customers{merged, plain}
			for step := range 30 {
				n, text := merged.rnd.IntN(crowd), fmt.Sprint("t", step)
				switch kind := merged.rnd.IntN(10); {
				case kind < 3:
					in := api.UpdateProfileRequest{LastName: &text, Attributes: map[string]string{"hand": text, merged.pick("x", "y"): ""}}
					if merged.update(n, in) && !plain.update(n, in) {
						t.Fatal("a customer is gone without merges")
					}
				case kind < 6:
					unique := merged.pick("o1", "o2", "o3", "o4")
					for _, c := range both {
						c.object(n, unique, text)
					}
				case kind < 8:
					if a, b := merged.anyone(), merged.anyone(); a != "" && b != "" && a != b {
						in := &api.MergeProfilesRequest{DomainName: &merged.rec.Name, MainProfileId: &a, ProfileIdsToBeMerged: []string{b}}
						merged.cutOff(func() { _, _ = merged.profiles.MergeProfiles(ctx, in) })
					}
				case kind < 9:
					if all := merged.records(); len(all) > 0 {
						merged.cutOff(func() { _ = merged.profiles.Unmerge(ctx, merged.rec, all[merged.rnd.IntN(len(all))]) })
					}
				default:
					merged.settle()
				}
			}
			for _, id := range merged.records() {
				_ = merged.Profiles.Unmerge(ctx, merged.rec, id) // some have ended
			}
			merged.settle()
			if a, b := plain.state(), merged.state(); !slices.Equal(a, b) {
				t.Fatalf("seed %d:\n%s\nand after merges\n%s", seed, strings.Join(a, "\n"), strings.Join(b, "\n"))
			}
			r.everyKeyFinds(merged.rec.Name)
		}
	})
}

// A put that has found its person before a merge is taken back, and would write after it, starts over: also when the merge was below the
// person's main profile, whose own links stay as they are.
func TestPutMeetsAnUnmerge(t *testing.T) {
	t.Parallel()
	for name, merges := range map[string][][2]string{"of the main profile": {{"1", "3"}}, "below it": {{"2", "3"}, {"1", "2"}}} {
		t.Run(name, func(t *testing.T) {
			st := &faulty.Store{Store: mem.New()}
			r := newRig(t, st, upload.Config{})
			r.domain("d")
			r.run("d", spec{key: "id", expiry: 1000, fields: []string{"id:id:AccountNumber"}}, "id\n1\n2\n3\n")
			rec, err := r.Domains.Lookup(ctx, "d")
			if err != nil {
				t.Fatal(err)
			}
			main, left := r.id("d", "1"), r.id("d", "3")
			for _, m := range merges {
				r.merge("d", m[0], m[1])
			}
			id, _ := fold.ParseID(main)
			var begun atomic.Bool
			st.Before(func(op faulty.Op, p store.Partition) error {
				if op == faulty.Commit && p == profile.Partition(rec.Incarnation, id) && begun.CompareAndSwap(false, true) {
					_, err := r.Profiles.UnmergeProfiles(ctx, &api.UnmergeProfilesRequest{DomainName: api.Ptr("d"), ProfileIds: []string{left}})
					return err
				}
				return nil
			})
			k := index.Key{Name: schema.KeyAccount, Value: "3"}
			o := &write.Object{Type: "order", Incarnation: 1, UniqueKey: "o", JSON: []byte("{}"), Life: 1000 * day, Keys: []index.Key{k, {Name: "order_id", Value: "o"}}, Match: []index.Key{k}}
			put, err := r.Writer.Put(ctx, "d", "", o)
			if err != nil || !begun.Load() {
				t.Fatalf("%v, unmerged: %v", err, begun.Load())
			}
			if put.ID.String() != left {
				t.Errorf("the object is at %s, want %s", put.ID, left)
			}
		})
	}
}

// A put to an object that is at another profile of the person than the main one starts over, too, when a merge within the person is made or taken
// back while it is on its way: the object is where its keys are, and the person is found by the name that both give it.
func TestPutToAMemberMeetsAMerge(t *testing.T) {
	t.Parallel()
	account := func(n string) index.Key { return index.Key{Name: schema.KeyAccount, Value: n} }
	for name, c := range map[string]struct {
		merges      [][2]string
		key         string // of the object's new version, which is at customer 2
		made        [2]string
		takenBack   string
		want, named string
	}{
		"taken back beside it": {merges: [][2]string{{"1", "2"}, {"1", "3"}}, key: "3", takenBack: "3", want: "3"},
		"taken back above it":  {merges: [][2]string{{"3", "2"}, {"1", "3"}}, key: "1", takenBack: "3", want: "1"},
		"made above it":        {merges: [][2]string{{"1", "2"}}, key: "1", made: [2]string{"3", "1"}, want: "2", named: "3"},
		"made beside it":       {merges: [][2]string{{"1", "2"}}, key: "1", made: [2]string{"1", "3"}, want: "2", named: "1"},
	} {
		t.Run(name, func(t *testing.T) {
			st := &faulty.Store{Store: mem.New()}
			r := newRig(t, st, upload.Config{})
			r.domain("d")
			r.run("d", spec{key: "id", expiry: 1000, fields: []string{"id:id:AccountNumber", "f:f:FirstName"}}, "id,f\n1,\n2,\n3,Ann\n")
			rec, err := r.Domains.Lookup(ctx, "d")
			if err != nil {
				t.Fatal(err)
			}
			ids := map[string]string{}
			for _, n := range []string{"1", "2", "3"} {
				ids[n] = r.id("d", n)
			}
			put := func(key string, values ...fold.Value) {
				o := &write.Object{Type: "order", Incarnation: 1, UniqueKey: "o", JSON: []byte("{}"), Life: 1000 * day, Keys: []index.Key{account(key), {Name: "order_id", Value: "o"}},
					Match: []index.Key{account(key)}, Values: values}
				if _, err := r.Writer.Put(ctx, "d", "", o); err != nil {
					t.Fatal(err)
				}
			}
			put("2")
			for _, m := range c.merges {
				r.merge("d", m[0], m[1])
			}
			at, _ := fold.ParseID(ids["2"])
			var begun atomic.Bool
			st.Before(func(op faulty.Op, p store.Partition) error {
				if op != faulty.Commit || p != profile.Partition(rec.Incarnation, at) || !begun.CompareAndSwap(false, true) {
					return nil
				}
				if c.takenBack == "" {
					return r.tryMerge("d", nil, ids[c.made[0]], ids[c.made[1]])
				}
				_, err := r.Profiles.UnmergeProfiles(ctx, &api.UnmergeProfilesRequest{DomainName: api.Ptr("d"), ProfileIds: []string{ids[c.takenBack]}})
				return err
			})
			put(c.key, fold.Value{Attr: schema.Attr{ID: schema.LastName}, Text: "Low"})
			if !begun.Load() {
				t.Fatal("the put never came to its commit")
			}
			for n, text := range ids {
				id, _ := fold.ParseID(text)
				row, err := st.Get(ctx, profile.Partition(rec.Incarnation, id), []byte("h"))
				if err != nil && !errors.Is(err, store.ErrNotFound) {
					t.Fatal(err)
				}
				h := &fold.Head{}
				if err == nil {
					if h, err = fold.DecodeHead(row.Value); err != nil {
						t.Fatal(err)
					}
				}
				if has := len(h.Objects) > 0; has != (n == c.want) {
					t.Errorf("customer %s has the object: %t; it belongs to %s", n, has, c.want)
				}
			}
			if c.named != "" {
				if p := r.find("d", "_fullName", "Ann Low"); p == nil || *p.ProfileId != ids[c.named] {
					t.Error("the person is not found by its name")
				}
			}
		})
	}
}

// When an import's profile can't be merged yet with the one that an object made, because other work on it can't go on now, the import is told:
// it tries again, and leaves no second profile.
func TestMergeOfAnImportIsNotForgotten(t *testing.T) {
	t.Parallel()
	st := &faulty.Store{Store: mem.New()}
	r := newRig(t, st, upload.Config{})
	r.domain("d")
	r.run("d", spec{key: "id", expiry: 1000, fields: []string{"id:id:AccountNumber"}}, "id\n1\n2\n3\n")
	rec, err := r.Domains.Lookup(ctx, "d")
	if err != nil {
		t.Fatal(err)
	}
	var ids [4]fold.ID
	for n := 1; n < 4; n++ {
		ids[n], _ = fold.ParseID(r.id("d", fmt.Sprint(n)))
	}
	r.merge("d", "1", "2")
	k := index.Key{Name: schema.KeyAccount, Value: "2"}
	o := &write.Object{Type: "order", Incarnation: 1, UniqueKey: "o", JSON: []byte("{}"), Life: 1000 * day, Keys: []index.Key{k, {Name: "order_id", Value: "o"}}, Match: []index.Key{k}}
	if _, err := r.Writer.Put(ctx, "d", "", o); err != nil {
		t.Fatal(err)
	}
	// The merge is taken back, and the object can't go where its key is: others write to that profile all the time.
	r.Writer.GiveUp = 20 * time.Millisecond
	var busy atomic.Bool
	busy.Store(true)
	st.Before(func(op faulty.Op, p store.Partition) error {
		if busy.Load() && op == faulty.Commit && p == profile.Partition(rec.Incarnation, ids[2]) {
			return store.ErrConflict
		}
		return nil
	})
	var undone atomic.Int32
	st.After(func(op faulty.Op, p store.Partition) error {
		if op == faulty.Swap && strings.HasPrefix(p.Key, "merges/") && undone.Add(1) == 3 { // asked for, ending, undone
			return errors.New("cut off")
		}
		return nil
	})
	if _, err := r.Profiles.UnmergeProfiles(ctx, &api.UnmergeProfilesRequest{DomainName: api.Ptr("d"), ProfileIds: []string{ids[2].String()}}); err == nil {
		t.Fatal("it was not cut off")
	}
	if err := r.Profiles.MergeImported(ctx, rec, ids[1], ids[3], "upload-job"); err == nil && r.id("d", "3") != ids[1].String() {
		t.Error("the import is told that its profile is merged, and it is not")
	}
	busy.Store(false)
	if err := r.Profiles.MergeImported(ctx, rec, ids[1], ids[3], "upload-job"); err != nil || r.id("d", "3") != ids[1].String() {
		t.Errorf("the profiles are not merged: %v", err)
	}
	// What is gone needs no merge.
	if err := r.Profiles.MergeImported(ctx, rec, ids[1], ids[3], "upload-job"); err != nil {
		t.Error(err)
	}
}

// A value of an object that was written while a merge held, and went where its keys are when it was taken back, is still known to be that object's.
func TestProvenanceAfterAnUnmerge(t *testing.T) {
	t.Parallel()
	r := newRig(t, mem.New(), upload.Config{})
	r.domain("d")
	r.run("d", spec{key: "id", expiry: 1000, fields: []string{"id:id:AccountNumber"}}, "id\n1\n2\n")
	left := r.id("d", "2")
	r.merge("d", "1", "2")
	k := index.Key{Name: schema.KeyAccount, Value: "2"}
	o := &write.Object{Type: "order", Incarnation: 1, UniqueKey: "o7", JSON: []byte("{}"), Life: 1000 * day, Keys: []index.Key{k}, Match: []index.Key{k},
		Values: []fold.Value{{Attr: schema.Attr{ID: schema.LastName}, Text: "Low"}}}
	if _, err := r.Writer.Put(ctx, "d", "", o); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Profiles.UnmergeProfiles(ctx, &api.UnmergeProfilesRequest{DomainName: api.Ptr("d"), ProfileIds: []string{left}}); err != nil {
		t.Fatal(err)
	}
	out, err := r.Profiles.GetProfileProvenance(ctx, &api.GetProfileProvenanceRequest{DomainName: api.Ptr("d"), ProfileId: &left})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range out.Fields {
		if *f.Field == "LastName" && (f.Current == nil || api.Val(f.Current.ObjectTypeName) != "order" || api.Val(f.Current.ProfileObjectUniqueKey) != "o7") {
			t.Errorf("the name comes from %+v", *f.Current)
		}
	}
	if len(out.Fields) != 2 {
		t.Errorf("%d fields are told of", len(out.Fields))
	}
}

// What is imported for a customer who was merged into another goes to that customer's profile, also when the other one has an object that carries
// its key, and when that profile has it by an object, too: taken back, each has what is its own, and the next import finds one.
func TestImportOfAMergedCustomerAfterAnObject(t *testing.T) {
	t.Parallel()
	k := index.Key{Name: schema.KeyAccount, Value: "2"}
	for name, c := range map[string]struct {
		said   []fold.Value
		second string // what the second customer comes from
	}{
		"key":                         {nil, "import"},
		"key and value":               {[]fold.Value{{Attr: schema.Attr{ID: schema.AccountNumber}, Text: "2"}}, "import"},
		"key of an object":            {nil, "object"},
		"key and value of an object":  {[]fold.Value{{Attr: schema.Attr{ID: schema.AccountNumber}, Text: "2"}}, "object"},
		"key of an object, two above": {nil, "object below another"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, mem.New(), upload.Config{})
			r.domain("d")
			s := spec{key: "id", expiry: 1000, fields: []string{"id:id:AccountNumber", "t:t:Attributes.tier", "m:m:EmailAddress"}}
			put := func(id string) {
				o := &write.Object{Type: "order", Incarnation: 1, UniqueKey: id, JSON: []byte("{}"), Life: 1000 * day, Keys: []index.Key{k}, Match: []index.Key{k}, Values: c.said, Create: true}
				if _, err := r.Writer.Put(ctx, "d", "", o); err != nil {
					t.Fatal(err)
				}
			}
			file, customers := "id,t,m\n1,tin,1@x.com\n3,tin,3@x.com\n", "id,t,m\n3,c,3@x.com\n1,a,1@x.com\n2,b,2@x.com\n"
			if c.second == "import" {
				file += "2,tin,2@x.com\n"
			}
			r.run("d", s, file)
			if c.second != "import" {
				put("before")
			}
			top, left := "1", r.id("d", "2")
			r.merge("d", "1", "2")
			if c.second == "object below another" {
				put("between")
				r.merge("d", "3", "1")
				top = "3"
			}
			main := r.id("d", top)
			put("while")
			r.expect(r.run("d", s, "id,t,m\n2,gold,2@x.com\n"), "SUCCEEDED 0/1/0")
			r.expect(r.run("d", s, customers), "SUCCEEDED 0/3/0")
			for _, key := range []string{"1", "2"} {
				if got := r.find("d", "_email", key+"@x.com"); *got.ProfileId != main {
					t.Errorf("the e-mail address of customer %s finds %s while merged, not %s", key, *got.ProfileId, main)
				}
			}
			r.expect(r.run("d", s, "id,t,m\n2,gold,2@x.com\n"), "SUCCEEDED 0/1/0")
			if got := r.find("d", "_account", "2"); *got.ProfileId != main {
				t.Errorf("the customer is %s while merged, not %s", *got.ProfileId, main)
			}
			if _, err := r.Profiles.UnmergeProfiles(ctx, &api.UnmergeProfilesRequest{DomainName: api.Ptr("d"), ProfileIds: []string{left}}); err != nil {
				t.Fatal(err)
			}
			for n, want := range map[string]string{"1": "a", "2": "gold"} {
				if p := r.find("d", "_account", n); p.Attributes["tier"] != want {
					t.Errorf("customer %s has the tier %q, want %q", n, p.Attributes["tier"], want)
				}
			}
			r.expect(r.run("d", s, customers), "SUCCEEDED 0/3/0")
		})
	}
}

// A link that a helper has left of a merge that does not hold says nothing of the profiles that it leads to.
func TestUnmergeBelowALinkThatNobodyBelieves(t *testing.T) {
	t.Parallel()
	r := newRig(t, mem.New(), upload.Config{})
	r.domain("d")
	r.run("d", spec{key: "id", expiry: 1000, fields: []string{"id:id:AccountNumber"}}, "id\n1\n2\n3\n")
	rec, err := r.Domains.Lookup(ctx, "d")
	if err != nil {
		t.Fatal(err)
	}
	main, left, gone := r.id("d", "1"), r.id("d", "2"), r.id("d", "3")
	r.merge("d", "1", "2")
	if _, err := r.Profiles.DeleteProfile(ctx, &api.DeleteProfileRequest{DomainName: api.Ptr("d"), ProfileId: &gone}); err != nil {
		t.Fatal(err)
	}
	id, _ := fold.ParseID(main)
	p := profile.Partition(rec.Incarnation, id)
	row, err := r.store.Get(ctx, p, []byte("a"))
	if err != nil {
		t.Fatal(err)
	}
	state, err := fold.DecodeState(row.Value)
	if err != nil {
		t.Fatal(err)
	}
	state.Into = &fold.Link{Merge: fold.NewMergeID(1, 1), Open: fold.Making}
	state.Into.Main, _ = fold.ParseID(gone)
	value := state.Append(nil)
	if _, err := r.store.Swap(ctx, p, []store.Swap{{Key: []byte("a"), Value: value, Expect: row.Version}}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Profiles.UnmergeProfiles(ctx, &api.UnmergeProfilesRequest{DomainName: api.Ptr("d"), ProfileIds: []string{left}}); err != nil {
		t.Fatal(err)
	}
	if r.id("d", "2") != left || r.id("d", "1") != main {
		t.Error("the profiles are not by themselves")
	}
}
