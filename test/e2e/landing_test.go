package e2e

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"kith/api"
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

// caller is a process of its own that makes API calls, and may stand still, or die, at any call of the store.
type caller struct {
	domain   string
	ids      map[string]string // of the first profile of each customer
	faults   *faulty.Store
	profiles *profile.Service
}

func newCaller(r *rig, base store.Store, domain string, ids map[string]string) *caller {
	c := &caller{domain: domain, ids: ids, faults: &faulty.Store{Store: base}}
	feed := r.feed(c.faults)
	c.profiles = &profile.Service{Store: c.faults, Domains: r.Domains, Now: r.clock.now, Feed: feed, Runs: r.Uploads}
	c.profiles.Writer = &write.Writer{Store: c.faults, Feed: feed, Lookup: r.Domains.Lookup, Now: r.clock.now, Settle: c.profiles.SettleLinks, Patience: time.Millisecond}
	return c
}

func (c *caller) merge(main, other string) error {
	_, err := c.profiles.MergeProfiles(ctx, &api.MergeProfilesRequest{DomainName: &c.domain, MainProfileId: api.Ptr(c.ids[main]), ProfileIdsToBeMerged: []string{c.ids[other]}})
	return err
}

func (c *caller) unmerge(member string) error {
	_, err := c.profiles.UnmergeProfiles(ctx, &api.UnmergeProfilesRequest{DomainName: &c.domain, ProfileIds: []string{c.ids[member]}})
	return err
}

func (c *caller) remove(a string) error {
	_, err := c.profiles.DeleteProfile(ctx, &api.DeleteProfileRequest{DomainName: &c.domain, ProfileId: api.Ptr(c.ids[a])})
	return err
}

func (c *caller) update(of string, in api.UpdateProfileRequest) error {
	in.DomainName, in.ProfileId = &c.domain, api.Ptr(c.ids[of])
	_, err := c.profiles.UpdateProfile(ctx, &in)
	return err
}

func (c *caller) create(a string) error {
	_, err := c.profiles.CreateProfile(ctx, &api.CreateProfileRequest{DomainName: &c.domain, AccountNumber: &a, PhoneNumber: api.Ptr("+12065550199")})
	return err
}

// act is what happens to customer a, and perhaps b, while an import brings both: a call, or one and then another.
type act struct {
	name    string
	earlier func(c *caller, a, b string) error // before prints are put
	do      func(c *caller, a, b string) error
	then    func(c *caller, a, b string) error
}

var acts = []act{
	{name: "nothing", do: func(*caller, string, string) error { return nil }},
	{name: "edit", do: func(c *caller, a, _ string) error {
		return c.update(a, api.UpdateProfileRequest{LastName: api.Ptr("Low"), EmailAddress: api.Ptr("hand" + a + "@x.com")})
	}},
	{name: "move", do: func(c *caller, a, _ string) error {
		return c.update(a, api.UpdateProfileRequest{AccountNumber: api.Ptr("moved" + a)})
	}},
	{name: "take", do: func(c *caller, a, b string) error {
		return c.update(b, api.UpdateProfileRequest{AccountNumber: &a})
	}},
	{name: "key", do: func(c *caller, a, _ string) error {
		_, err := c.profiles.AddProfileKey(ctx, &api.AddProfileKeyRequest{DomainName: &c.domain, ProfileId: api.Ptr(c.ids[a]), KeyName: api.Ptr("card"), Values: []string{a}})
		return err
	}},
	{name: "put", do: func(c *caller, a, _ string) error {
		k := index.Key{Name: "order_id", Value: a}
		account := []index.Key{{Name: schema.KeyAccount, Value: a}}
		_, err := c.profiles.Writer.Put(ctx, c.domain, "", &write.Object{Type: "order", Incarnation: 1, UniqueKey: a, JSON: []byte(`{}`), Life: 1000 * day, Create: true,
			Keys: append(account, k), Match: account, Fallback: []index.Key{k}, Values: []fold.Value{{Attr: schema.Attr{ID: schema.PhoneNumber}, Text: "+12065550100"}}})
		return err
	}},
	{name: "create", do: func(c *caller, a, _ string) error { return c.create(a) }},
	{name: "delete", do: func(c *caller, a, _ string) error { return c.remove(a) }},
	{name: "new", do: func(c *caller, a, _ string) error { return c.remove(a) }, then: func(c *caller, a, _ string) error { return c.create(a) }},
	{name: "into", do: func(c *caller, a, b string) error { return c.merge(b, a) }},
	{name: "over", do: func(c *caller, a, b string) error { return c.merge(a, b) }},
	{name: "apart", do: func(c *caller, a, b string) error { return c.merge(b, a) }, then: func(c *caller, a, _ string) error { return c.unmerge(a) }},
	{name: "out", earlier: func(c *caller, a, b string) error { return c.merge(b, a) }, do: func(c *caller, a, _ string) error { return c.unmerge(a) }},
	{name: "off", earlier: func(c *caller, a, b string) error { return c.merge(a, b) }, do: func(c *caller, _, b string) error { return c.unmerge(b) }},
	{name: "deleteboth", earlier: func(c *caller, a, b string) error { return c.merge(a, b) }, do: func(c *caller, a, _ string) error { return c.remove(a) }},
}

// What the third import says of customers: what the others have said, something else in the same outline, another name.
const kinds = 3

// ground is a domain into which a file of customers was imported twice, so that they have prints.
type ground struct {
	*mess
	base store.Store
	ids  map[string]string
}

func actor(n, kind int, who string) string { return fmt.Sprint(acts[n].name, kind, who) }

func newGround(r *rig, base store.Store, name string) *ground {
	r.t.Helper()
	g := &ground{mess: newMess(r, name, 1), base: base, ids: map[string]string{}}
	g.imports(false, "ab")
	g.each(func(n, kind int) {
		for _, who := range []string{"a", "b"} {
			c := actor(n, kind, who)
			g.ids[c] = r.id(name, c)
		}
	})
	g.each(func(n, kind int) {
		if earlier := acts[n].earlier; earlier != nil {
			if err := earlier(newCaller(r, base, name, g.ids), actor(n, kind, "a"), actor(n, kind, "b")); err != nil {
				r.t.Fatal(err)
			}
		}
	})
	g.imports(false, "ab")
	return g
}

func (g *ground) each(do func(n, kind int)) {
	for n := range acts {
		for kind := range kinds {
			do(n, kind)
		}
	}
}

// file is the one that was imported, or the third one, with the rows of some of each two customers.
func (g *ground) file(third bool, of string) string {
	var b strings.Builder
	b.WriteString(mergeHead)
	g.each(func(n, kind int) {
		for _, who := range strings.Split(of, "") {
			c := actor(n, kind, who)
			first, mail, tier := "F", c, "1"
			switch {
			case third && kind == 1:
				mail, tier = "new"+c, "2"
			case third && kind == 2:
				first = "G"
			}
			fmt.Fprintf(&b, "%s,%s%d,L,%s@x.com,,,,%s,\n", c, first, kind, mail, tier)
		}
	})
	return b.String()
}

// begun starts an import.
func (g *ground) begun(third bool, of string) string {
	g.t.Helper()
	id := g.uploaded(g.rec.Name, mergeSpec, strings.NewReader(g.file(third, of)))
	if err := g.startJob(g.rec.Name, id); err != nil {
		g.t.Fatal(err)
	}
	return id
}

// imports imports a file, and returns how many profiles it has made.
func (g *ground) imports(third bool, of string) int64 {
	g.t.Helper()
	return api.Val(api.Val(g.wait(g.rec.Name, g.begun(third, of)).ResultsSummary).CreatedRecords)
}

// shape is whom the keys of the customers of an act find, and what these show.
func (g *ground) shape(n, kind int) string {
	g.t.Helper()
	by, shows := map[string][]string{}, map[string]string{}
	for _, who := range []string{"a", "b"} {
		c := actor(n, kind, who)
		for _, key := range [][2]string{{schema.KeyAccount, c}, {schema.KeyAccount, "moved" + c}, {schema.KeyEmail, c + "@x.com"}, {schema.KeyEmail, "new" + c + "@x.com"}, {schema.KeyEmail, "hand" + c + "@x.com"}, {"order_id", c}, {"card", c}} {
			out, err := g.Profiles.SearchProfiles(ctx, &api.SearchProfilesRequest{DomainName: &g.rec.Name, KeyName: &key[0], Values: key[1:], MaxResults: api.Ptr(int32(100))})
			if err != nil {
				g.t.Fatal(err)
			}
			for _, p := range out.Items {
				by[*p.ProfileId] = append(by[*p.ProfileId], key[1])
				shows[*p.ProfileId] = text(&p)
			}
		}
	}
	var lines []string
	for id, keys := range by {
		slices.Sort(keys)
		lines = append(lines, strings.Join(keys, " ")+" find "+shows[id])
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// shapes are those behind the third import, and behind a fourth one of the same file; a fifth changes nothing.
func (g *ground) shapes() (all [2]map[string]string) {
	g.t.Helper()
	for i := range all {
		g.settle()
		g.idle()
		all[i] = map[string]string{}
		g.each(func(n, kind int) { all[i][actor(n, kind, "")] = g.shape(n, kind) })
		if i == 0 {
			g.imports(true, "ab")
		}
	}
	if n := g.imports(true, "ab"); n > 0 {
		g.t.Errorf("a fifth import makes %d profiles", n)
	}
	g.each(func(n, kind int) {
		if got, want := g.shape(n, kind), all[1][actor(n, kind, "")]; got != want {
			g.t.Errorf("behind a fifth import, %s:\n%s\nwant\n%s", actor(n, kind, ""), got, want)
		}
	})
	for range 2 {
		g.sweep()
	}
	g.everyKeyFinds(g.rec.Name)
	g.exact()
	return all
}

// orders are the shapes that there are when one thing has happened after the other: the import of the customers a (A) and b (B), for which each row is decided by itself,
// and the calls of each act (1, 2), or the first of them, or none.
type orders map[string][2]map[string]string

// newOrders plays all orders. They are no matter of the engine.
func newOrders(t *testing.T) orders {
	t.Helper()
	r := newRig(t, mem.New(), upload.Config{})
	o := orders{"AB": {}}
	for _, b := range []string{"AB", "BA"} {
		for i := range 3 {
			first := b[:i] + "1" + b[i:]
			o[first] = [2]map[string]string{}
			for j := i + 1; j < 4; j++ {
				o[first[:j]+"2"+first[j:]] = [2]map[string]string{}
			}
		}
	}
	for order := range o {
		g := newGround(r, r.store, order)
		for _, what := range order {
			if what == 'A' || what == 'B' {
				g.imports(true, strings.ToLower(string(what)))
				continue
			}
			g.each(func(n, kind int) {
				do := acts[n].do
				if what == '2' {
					do = acts[n].then
				}
				if do == nil {
					return
				}
				if err := do(newCaller(r, r.store, order, g.ids), actor(n, kind, "a"), actor(n, kind, "b")); err != nil {
					t.Fatalf("%s, %s: %v", order, acts[n].name, err)
				}
			})
		}
		o[order] = g.shapes()
	}
	return o
}

// check compares what an import and what happened meanwhile have come to with all orders. Calls in died may not have happened.
func (o orders) check(g *ground, story string, died map[string]bool) {
	g.t.Helper()
	got := g.shapes()
	g.each(func(n, kind int) {
		c := actor(n, kind, "")
		var other []string
		for order, shapes := range o {
			whole := strings.Contains(order, "1") && (acts[n].then == nil || strings.Contains(order, "2"))
			if !whole && !died[c] {
				continue
			}
			if got[0][c] == shapes[0][c] && got[1][c] == shapes[1][c] {
				return
			}
			other = append(other, fmt.Sprintf("%s\n%s\nthen\n%s", order, shapes[0][c], shapes[1][c]))
		}
		slices.Sort(other)
		g.t.Errorf("%s, %s, died: %t: finds\n%s\nand behind another import\n%s\nthe orders\n%s", c, story, died[c], got[0][c], got[1][c], strings.Join(other, "\n"))
	})
	if g.t.Failed() {
		g.t.FailNow()
	}
}

// moments are the calls of an import before and behind its look at what it knows of the customers, and before and behind its landing.
func moments(base store.Store) []faulty.Match {
	look := store.Fingerprint
	if store.StagerOf(base) == nil {
		look = store.Profile
	}
	return []faulty.Match{faulty.On(faulty.Probe, look), faulty.Behind(faulty.Probe, look), faulty.On(faulty.WriteRun, store.Profile), faulty.Behind(faulty.WriteRun, store.Profile)}
}

// under is acts that are under way.
type under struct {
	wg       sync.WaitGroup
	released chan struct{}
	died     map[string]bool
}

// begin begins all acts. rnd draws at which call of the store each stands still until it is released, or dies; nil: they go on. It returns when none goes on any more,
// or a while has passed: one may wait for another.
func (g *ground) begin(rnd *rand.Rand) *under {
	u := &under{released: make(chan struct{}), died: map[string]bool{}}
	var still sync.WaitGroup
	g.each(func(n, kind int) {
		c := newCaller(g.rig, g.base, g.rec.Name, g.ids)
		stands := make(chan struct{})
		stop := sync.OnceFunc(func() { close(stands) })
		dies := false
		if rnd != nil {
			at := 1 + rnd.IntN(12)
			dies = rnd.IntN(3) == 0
			u.died[actor(n, kind, "")] = dies
			var mu sync.Mutex
			calls := 0
			hook := func(faulty.Op, store.Partition) error {
				mu.Lock()
				calls++
				now, dead := calls == at, dies && calls >= at
				mu.Unlock()
				if dead {
					return errors.New("the process died")
				}
				if now {
					stop()
					<-u.released
				}
				return nil
			}
			if rnd.IntN(2) == 0 {
				c.faults.Before(hook)
			} else {
				c.faults.After(hook)
			}
		}
		u.wg.Go(func() {
			defer stop()
			for _, do := range []func(c *caller, a, b string) error{acts[n].do, acts[n].then} {
				if do == nil {
					continue
				}
				if err := do(c, actor(n, kind, "a"), actor(n, kind, "b")); err != nil {
					if !dies {
						g.t.Errorf("%s: %v", actor(n, kind, ""), err)
					}
					return
				}
			}
		})
		still.Go(func() {
			select {
			case <-stands:
			case <-u.released:
			}
		})
	})
	none := make(chan struct{})
	go func() {
		still.Wait()
		close(none)
	}()
	if rnd == nil {
		<-none
		return u
	}
	select {
	case <-none:
	case <-time.After(300 * time.Millisecond):
	}
	return u
}

// end lets all acts end.
func (u *under) end() {
	close(u.released)
	u.wg.Wait()
}

// API calls between an import's look at what it knows of its customers and the landing of what it has decided, before and behind these, stopped or cut off anywhere, and
// an import that is cut off there itself, come to what some order of the import and each of the calls comes to, for good: nothing of a call is lost, nobody is doubled, and
// the same file changes nothing any more.
func TestCallsBetweenLookAndLanding(t *testing.T) {
	t.Parallel()
	o := newOrders(t)
	onAllEngines(t, func(t *testing.T, base store.Store) {
		faults := &faulty.Store{Store: base}
		r := newRig(t, faults, upload.Config{})
		at := moments(base)
		for m := range at {
			for k, killed := range []bool{false, true} {
				if !often(m + k) {
					continue
				}
				g := newGround(r, base, fmt.Sprint("m", m, killed))
				stall := faults.Stall(at[m])
				t.Cleanup(stall.Release)
				id := g.begun(true, "ab")
				arrived(t, r, stall)
				g.begin(nil).end()
				if killed {
					r.restart()
				}
				stall.Release()
				r.wait(g.rec.Name, id)
				o.check(g, fmt.Sprintf("at moment %d, killed: %t", m, killed), nil)
			}
		}
		for seed := range seeds(t, 3) {
			rnd := rand.New(rand.NewPCG(seed, 29))
			from := rnd.IntN(len(at) - 1)
			to := from + 1 + rnd.IntN(len(at)-1-from)
			g := newGround(r, base, fmt.Sprint("s", seed))
			first, second := faults.Stall(at[from]), (*faulty.Stall)(nil)
			t.Cleanup(first.Release)
			id := g.begun(true, "ab")
			arrived(t, r, first)
			u := g.begin(rnd)
			second = faults.Stall(at[to])
			t.Cleanup(second.Release)
			first.Release()
			arrived(t, r, second)
			u.end()
			second.Release()
			r.wait(g.rec.Name, id)
			o.check(g, fmt.Sprintf("seed %d, from moment %d to %d", seed, from, to), u.died)
		}
	})
}

// An undo of an import whose prints another one has believed, or whose contributions it is about to repeat, waits for the end of that one, also when it is cut off before it
// lands: what is left, and what the next import counts, is as if the undo had been asked for behind it.
func TestUndoBetweenLookAndLanding(t *testing.T) {
	t.Parallel()
	onAllEngines(t, func(t *testing.T, base store.Store) {
		faults := &faulty.Store{Store: base}
		r := newRig(t, faults, upload.Config{})
		const first = "id,first,last,mail,tier\n1,Ann,Lee,ann@x.com,gold\n2,Bob,,bob@x.com,\n3,Cy,Doe,,\n"
		third := strings.NewReplacer("bob@", "rob@", "Cy", "Cyril").Replace(first)
		at := moments(base)
		for n := range 2 {
			ground := func(name string) (id string) {
				r.domain(name)
				ids := []string{*r.run(name, undoSpec, first).JobId, *r.run(name, undoSpec, first).JobId}
				return ids[n]
			}
			end := func(name, id string) (all []string) {
				r.undone(name, id)
				all = r.dump(name)
				j := r.run(name, undoSpec, third)
				r.everyKeyFinds(name)
				return append(append(all, fmt.Sprint(outcome(j), api.Val(r.details(name, *j.JobId).UnchangedRecords))), r.dump(name)...)
			}
			order := fmt.Sprint("order", n)
			id := ground(order)
			r.run(order, undoSpec, third)
			want := end(order, id)
			for m := range at {
				for _, killed := range []bool{false, true} {
					name := fmt.Sprint("met", n, m, killed)
					id := ground(name)
					stall := faults.Stall(at[m])
					t.Cleanup(stall.Release)
					job := r.uploaded(name, undoSpec, strings.NewReader(third))
					if err := r.startJob(name, job); err != nil {
						t.Fatal(err)
					}
					arrived(t, r, stall)
					if _, err := r.undo(name, id); err != nil {
						t.Fatal(err)
					}
					if killed {
						r.restart()
					}
					stall.Release()
					r.expect(r.wait(name, job), "SUCCEEDED 0/3/0")
					if got := end(name, id); !slices.Equal(got, want) {
						t.Fatalf("undo of import %d at moment %d, killed: %t\n%s\nwant\n%s", n, m, killed, strings.Join(got, "\n"), strings.Join(want, "\n"))
					}
				}
			}
		}
	})
}
