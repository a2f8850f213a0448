package e2e

import (
	"errors"
	"fmt"
	"maps"
	"math/bits"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"kith/api"
	"kith/blob/disk"
	"kith/deadletter"
	"kith/fault"
	"kith/node"
	"kith/profile/fold"
	"kith/profile/write"
	"kith/store"
	"kith/store/faulty"
	"kith/store/storetest"
	"kith/upload"
)

// meeting place of two things that happen at once: a domain in which much has happened, on two nodes.
type place struct {
	*mess
	x    *indexer
	ids  []string // of the first profiles of the customers
	jobs []string // imports
}

const (
	guests = 5 // customers
	undoes = 2 // the import that may be undone
)

// deed is something that can happen at once with something else.
type deed struct {
	name string
	// queued: it waits for its turn, so nobody waits for it.
	queued bool
	// decides: it decides first and writes then, so what it says and what others say meanwhile have no order of their own.
	decides bool
	do      func(p *place, n *node.Node) error
	// steps are the calls that come to the same, if it is several, between which others may come.
	steps func(p *place, n *node.Node) []func() error
}

// all returns what a deed does, step by step.
func (d *deed) all(p *place, n *node.Node) []func() error {
	if d.steps != nil {
		return d.steps(p, n)
	}
	return []func() error{func() error { return d.do(p, n) }}
}

// newPlaces returns as many domains with the same history.
func newPlaces(r *rig, seed uint64, names ...string) (all []*place) {
	for _, name := range names {
		p := &place{mess: newMess(r, fmt.Sprint(name, seed), seed)}
		p.coreTypes(p.rec.Name)
		p.x = newIndexer(r, p.rec.Name)
		p.x.turn(true)
		p.history(rand.New(rand.NewPCG(seed, 3)))
		all = append(all, p)
	}
	r.clock.add(3 * day)
	for _, p := range all {
		p.rec, _ = r.Domains.Lookup(ctx, p.rec.Name)
		p.x.settle()
	}
	return all
}

var guestSpec = spec{fields: []string{"a:a:AccountNumber", "e:e:EmailAddress:EMAIL_ADDRESS", "p:p:PhoneNumber:PHONE_NUMBER", "f:f:FirstName:NAME", "l:l:LastName:NAME"}, key: "a", expiry: 1000}

// guestFile has rows of some customers, with a few of the values that there are.
func guestFile(rnd *rand.Rand, of int, all bool) string {
	var b strings.Builder
	b.WriteString("a,e,p,f,l\n")
	for c := range of {
		if all || rnd.IntN(3) > 0 {
			v := guestValues(rnd)
			fmt.Fprintf(&b, "%d,%s,%s,%s,%s\n", c, v["EmailAddress"], v["PhoneNumber"], v["FirstName"], []string{"", "Lee", "Ray"}[rnd.IntN(3)])
		}
	}
	return b.String()
}

func guestValues(rnd *rand.Rand) map[string]string {
	values := map[string]string{}
	for attr, v := range map[string]string{"EmailAddress": fmt.Sprintf("e%d@x.com", rnd.IntN(guests)), "PhoneNumber": fmt.Sprintf("555000100%d", rnd.IntN(guests)), "FirstName": []string{"Ann", "Bob", "Zoe"}[rnd.IntN(3)]} {
		values[attr] = v
	}
	for _, attr := range slices.Sorted(maps.Keys(values)) {
		if rnd.IntN(3) == 0 {
			delete(values, attr)
		}
	}
	return values
}

// history is what has happened: imports, one of which has expired by now, objects, merges, an edit, and dead letters.
func (p *place) history(rnd *rand.Rand) {
	p.t.Helper()
	short := guestSpec
	short.expiry = 2
	for i, s := range []spec{guestSpec, short, guestSpec} {
		p.jobs = append(p.jobs, *p.run(p.rec.Name, s, guestFile(rnd, []int{guests - 1, guests - 1, guests}[i], i == 0)).JobId)
		for range 3 {
			_ = drawPut(rnd).do(p, p.Node)
		}
	}
	for c := range guests {
		if id, err := p.one(p.Node, c); err == nil {
			p.ids = append(p.ids, id)
		} else {
			p.ids = append(p.ids, strings.Repeat("0", 32))
		}
	}
	for range 3 {
		_ = drawMerge(rnd).do(p, p.Node)
	}
	_ = drawEdit(rnd).do(p, p.Node)
	for i := range 3 {
		kind := []string{"maker", "joiner"}[rnd.IntN(2)]
		o := object(fmt.Sprint(kind[:1], i), guestValues(rnd))
		if err := p.Letters.Keep(ctx, p.rec, deadletter.Letter{ObjectType: kind, Reason: "There was no room.", Object: o}); err != nil {
			p.t.Fatal(err)
		}
	}
}

// one returns the id of the one person that has an account number.
func (p *place) one(n *node.Node, c int) (string, error) {
	out, err := n.Profiles.SearchProfiles(ctx, &api.SearchProfilesRequest{DomainName: &p.rec.Name, KeyName: api.Ptr("_account"), Values: []string{fmt.Sprint(c)}})
	if err == nil && len(out.Items) != 1 {
		err = fault.NotFoundf("%d persons", len(out.Items))
	}
	if err != nil {
		return "", err
	}
	return *out.Items[0].ProfileId, nil
}

func drawPut(rnd *rand.Rand) deed {
	kind := []string{"maker", "maker", "joiner"}[rnd.IntN(3)]
	o := object(kind[:1]+fmt.Sprint(rnd.IntN(3)), guestValues(rnd))
	return deed{name: "put " + kind + o, do: func(p *place, n *node.Node) error {
		_, err := n.Profiles.PutProfileObject(ctx, &api.PutProfileObjectRequest{DomainName: &p.rec.Name, ObjectTypeName: &kind, Object: &o})
		return err
	}}
}

func drawMerge(rnd *rand.Rand) deed {
	a, b := rnd.IntN(guests), rnd.IntN(guests)
	return deed{name: fmt.Sprint("merge ", b, " into ", a), do: func(p *place, n *node.Node) error {
		main, err1 := p.one(n, a)
		other, err2 := p.one(n, b)
		if err1 != nil || err2 != nil {
			return errors.Join(err1, err2)
		}
		_, err := n.Profiles.MergeProfiles(ctx, &api.MergeProfilesRequest{DomainName: &p.rec.Name, MainProfileId: &main, ProfileIdsToBeMerged: []string{other}})
		return err
	}}
}

func drawEdit(rnd *rand.Rand) deed {
	c, last, mail := rnd.IntN(guests), []string{"", "Low"}[rnd.IntN(2)], fmt.Sprintf("e%d@x.com", rnd.IntN(guests))
	return deed{name: fmt.Sprint("edit ", c, last, mail), do: func(p *place, n *node.Node) error {
		id, err := p.one(n, c)
		if err != nil {
			return err
		}
		_, err = n.Profiles.UpdateProfile(ctx, &api.UpdateProfileRequest{DomainName: &p.rec.Name, ProfileId: &id, LastName: &last, EmailAddress: &mail})
		return err
	}}
}

// drawOther is a call that is drawn more seldom.
func drawOther(rnd *rand.Rand, which int) deed {
	c := rnd.IntN(guests)
	switch which {
	case 0:
		return deed{name: fmt.Sprint("unmerge ", c), do: func(p *place, n *node.Node) error {
			_, err := n.Profiles.UnmergeProfiles(ctx, &api.UnmergeProfilesRequest{DomainName: &p.rec.Name, ProfileIds: []string{p.ids[c]}})
			return err
		}}
	case 1:
		return deed{name: fmt.Sprint("delete ", c), do: func(p *place, n *node.Node) error {
			id, err := p.one(n, c)
			if err == nil {
				_, err = n.Profiles.DeleteProfile(ctx, &api.DeleteProfileRequest{DomainName: &p.rec.Name, ProfileId: &id})
			}
			return err
		}}
	case 2:
		return deed{name: fmt.Sprint("forget ", c), do: func(p *place, n *node.Node) error { return p.forgets(n, c) }}
	case 3:
		kind := []string{"maker", "joiner"}[rnd.IntN(2)]
		return deed{name: "end type " + kind, do: func(p *place, n *node.Node) error {
			_, err := n.Types.DeleteProfileObjectType(ctx, &api.DeleteProfileObjectTypeRequest{DomainName: &p.rec.Name, ObjectTypeName: &kind})
			return err
		}}
	case 4:
		return deed{name: "replay", do: func(p *place, n *node.Node) error {
			_, err := n.Letters.ReplayDeadLetters(ctx, &api.ReplayDeadLettersRequest{DomainName: &p.rec.Name})
			return err
		}, steps: func(p *place, n *node.Node) (all []func() error) {
			for _, l := range p.letters() {
				all = append(all, func() error {
					_, err := n.Letters.ReplayDeadLetters(ctx, &api.ReplayDeadLettersRequest{DomainName: &p.rec.Name, DeadLetterIds: []string{*l.DeadLetterId}})
					return err
				})
			}
			return all
		}}
	case 5:
		return deed{name: "index", do: func(p *place, _ *node.Node) error {
			_, err := p.x.index()
			return err
		}}
	}
	in := &api.BatchPutProfileObjectRequest{ObjectTypeName: api.Ptr("maker")}
	for i := range 3 {
		in.Items = append(in.Items, api.BatchPutProfileObjectRequestItem{Id: api.Ptr(fmt.Sprint(i)), Object: api.Ptr(object(fmt.Sprint("m", rnd.IntN(3)), guestValues(rnd)))})
	}
	put := func(p *place, n *node.Node, items []api.BatchPutProfileObjectRequestItem) error {
		_, err := n.Profiles.BatchPutProfileObject(ctx, &api.BatchPutProfileObjectRequest{DomainName: &p.rec.Name, ObjectTypeName: in.ObjectTypeName, Items: items})
		return err
	}
	return deed{name: "put a batch", do: func(p *place, n *node.Node) error { return put(p, n, in.Items) },
		steps: func(p *place, n *node.Node) (all []func() error) {
			for i := range in.Items {
				all = append(all, func() error { return put(p, n, in.Items[i:i+1]) })
			}
			return all
		}}
}

// letters are the dead letters of the domain, oldest first.
func (p *place) letters() []api.DeadLetter {
	p.t.Helper()
	out, err := p.Letters.ListDeadLetters(ctx, &api.ListDeadLettersRequest{DomainName: &p.rec.Name, MaxResults: api.Ptr(int32(100))})
	if err != nil {
		p.t.Fatal(err)
	}
	return out.Items
}

// forgets forgets a person, as its callers are asked to: again as long as something is written to it.
func (p *place) forgets(n *node.Node, c int) error {
	id, err := p.one(n, c)
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		_, err := n.Privacy.ForgetPerson(ctx, &api.ForgetPersonRequest{DomainName: &p.rec.Name, ProfileId: &id})
		if err == nil || errors.Is(err, fault.NotFound) || time.Now().After(deadline) {
			return err
		}
	}
}

// drawDeed is anything that can happen.
func drawDeed(rnd *rand.Rand, queued bool) deed {
	n := rnd.IntN(13)
	if queued {
		n = rnd.IntN(17)
	}
	switch {
	case n < 3:
		return drawPut(rnd)
	case n < 4:
		return drawEdit(rnd)
	case n < 6:
		return drawMerge(rnd)
	case n < 13:
		return drawOther(rnd, n-6)
	case n < 15:
		file := guestFile(rnd, guests, false)
		return deed{name: "import", queued: true, decides: true, do: func(p *place, _ *node.Node) error { p.run(p.rec.Name, guestSpec, file); return nil }}
	case n < 16:
		return deed{name: "undo", queued: true, do: func(p *place, _ *node.Node) error { p.undone(p.rec.Name, p.jobs[undoes]); return nil }}
	}
	return deed{name: "sweep", queued: true, do: func(p *place, _ *node.Node) error { p.sweep(); return nil }}
}

// during does something, and others at the n-th calls of the store of the first.
type during struct {
	mu    sync.Mutex
	calls int
	inc   store.Incarnation
	at    []int
	then  func(i int)
	wg    sync.WaitGroup
	began chan struct{}
}

// hook is a hook of the store. Who waits for what waits for it does not do so for long.
func (d *during) hook(op faulty.Op, at store.Partition) error {
	polls := at.Table == store.Jobs && (op == faulty.Get || op == faulty.Scan)
	if at.Table == store.Catalog || polls || at.Incarnation != d.inc && at.Incarnation != 0 {
		return nil
	}
	d.mu.Lock()
	d.calls++
	i := slices.Index(d.at, d.calls)
	if i >= 0 {
		d.at[i] = -d.calls
	}
	d.mu.Unlock()
	if i < 0 {
		return nil
	}
	done := make(chan struct{})
	d.wg.Go(func() {
		defer close(done)
		d.then(i)
	})
	select {
	case <-done:
	case <-time.After(30 * time.Millisecond):
	}
	return nil
}

// shape is what every key finds: the persons, told by all keys that find them, and, if values says so, by what they show.
func (p *place) shape(values bool) string {
	p.t.Helper()
	by, shows := map[string][]string{}, map[string]string{}
	for i := range guests {
		for name, value := range map[string]string{"_account": fmt.Sprint(i), "_email": fmt.Sprintf("e%d@x.com", i), "_phone": fmt.Sprintf("555000100%d", i), "maker_id": fmt.Sprint("m", i), "joiner_id": fmt.Sprint("j", i)} {
			out, err := p.Profiles.SearchProfiles(ctx, &api.SearchProfilesRequest{DomainName: &p.rec.Name, KeyName: &name, Values: []string{value}, MaxResults: api.Ptr(int32(100))})
			if err != nil {
				p.t.Fatal(err)
			}
			for _, it := range out.Items {
				id := *it.ProfileId
				by[id] = append(by[id], name+"="+value)
				if values {
					shows[id] = " shows " + text(&it)
				}
			}
		}
	}
	var lines []string
	for id, keys := range by {
		slices.Sort(keys)
		lines = append(lines, strings.Join(keys, " ")+shows[id])
	}
	slices.Sort(lines)
	var objects []string
	for _, l := range p.letters() {
		objects = append(objects, "letter "+*l.Object)
	}
	slices.Sort(objects)
	return strings.Join(append(lines, objects...), "\n")
}

// outcome is the shape when all that is under way has come to rest.
func (p *place) outcome(values bool) string {
	p.t.Helper()
	p.settle()
	p.x.settle()
	p.idle()
	return p.shape(values)
}

// inSteps says whether two deeds of several steps have an outcome in some order of the steps of both.
func inSteps(r *rig, seed uint64, first, second deed, values bool, want string) bool {
	if first.steps == nil && second.steps == nil {
		return false
	}
	var p *place
	for order := 0; ; order++ { // a bit for each step: whose it is
		if p == nil {
			p = newPlaces(r, seed, fmt.Sprint("steps", order))[0]
			defer p.remove()
		}
		steps := [2][]func() error{first.all(p, r.Node), second.all(p, r.Node)}
		n := len(steps[0]) + len(steps[1])
		if order >= 1<<n {
			return false
		}
		if bits.OnesCount(uint(order)) != len(steps[1]) {
			continue
		}
		for i := range n {
			of := &steps[order>>i&1]
			_ = (*of)[0]()
			*of = (*of)[1:]
		}
		if p.outcome(values) == want {
			return true
		}
		p = nil
	}
}

func (p *place) remove() {
	_, _ = p.Domains.DeleteDomain(ctx, &api.DeleteDomainRequest{DomainName: &p.rec.Name})
}

// whole checks what holds when all is over, whatever has happened.
func (p *place) whole() {
	p.t.Helper()
	p.settle()
	p.x.settle()
	p.idle()
	for range 2 {
		p.sweep()
	}
	p.x.settle()
	p.everyKeyFinds(p.rec.Name)
	p.exact()
	p.x.exact()
	dead, listed, bodies, at := map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]string{}
	rec, err := p.Domains.Read(ctx, p.rec.Name)
	if err != nil {
		p.t.Fatal(err)
	}
	if len(rec.DeadTypes) > 0 {
		p.t.Errorf("types are left to be removed: %v", rec.DeadTypes)
	}
	types := map[uint64]bool{}
	for _, name := range []string{"maker", "joiner"} {
		if t, err := p.Types.Find(ctx, rec, name); err == nil {
			types[t.Incarnation] = true
		}
	}
	for _, table := range []store.Table{store.Profile, store.Body} {
		for row, err := range p.store.Sweep(ctx, store.SweepRange{Table: table, Incarnation: p.rec.Incarnation}) {
			if err != nil {
				p.t.Fatal(err)
			}
			id := row.Partition.Key
			switch key := string(row.Row.Key); {
			case table == store.Body:
				bodies[id+key] = true
			case key == "a":
				s, err := fold.DecodeState(row.Row.Value)
				if err != nil {
					p.t.Fatal(err)
				}
				dead[id] = s.Deleted != nil
				continue
			case key == "h":
				h, err := fold.DecodeHead(row.Row.Value)
				if err != nil {
					p.t.Fatal(err)
				}
				for _, o := range h.Objects {
					listed[id+string(write.BodyKey(o))] = true
					name := fmt.Sprintf("%s %x", o.Type, o.Hash)
					if at[name] != "" || !types[o.Incarnation] {
						p.t.Errorf("object %s is at %x and %x, its type lives: %v", name, at[name], id, types[o.Incarnation])
					}
					at[name] = id
				}
			}
			if dead[id] {
				p.t.Errorf("a row of table %s of a deleted profile is left: %q", table, row.Row.Key)
			}
		}
	}
	if !maps.Equal(listed, bodies) {
		p.t.Errorf("%d objects are listed, and %d are there", len(listed), len(bodies))
	}
}

// crewOf is a node, or two on one store, the second of which is returned as well.
func crewOf(t *testing.T, st store.Store, two bool) (*rig, *node.Node) {
	config := upload.Config{BucketBytes: 256, MemoryBytes: 1}
	if !two {
		r := newRig(t, st, config)
		return r, r.Node
	}
	blobs, err := disk.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, store: &storetest.Census{Store: st, Families: node.Families, Report: t.Errorf}, blobs: blobs, clock: &clock{}, config: config, log: &strings.Builder{}, shared: true, leaseFor: time.Minute}
	r.start()
	other := r.startNode("node-2", r.store)
	t.Cleanup(func() {
		other.Stop()
		r.Stop()
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return r, other
}

// meet has two things happen at once, and compares with both orders; or more than two, and sees that all is well afterwards.
func meet(t *testing.T, r *rig, other *node.Node, faults *faulty.Store, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 11))
	first := drawDeed(rnd, true)
	others := []deed{drawDeed(rnd, false)}
	if rnd.IntN(3) == 0 {
		others = append(others, drawDeed(rnd, false), drawDeed(rnd, false))
	}
	story := fmt.Sprintf("seed %d: %s", seed, first.name)
	for _, o := range others {
		story += ", meanwhile " + o.name
	}
	all := newPlaces(r, seed, "ab", "ba", "met")
	defer func() {
		for _, p := range all {
			p.remove()
		}
	}()
	met := all[2]
	// In an order, which tells how many calls the first one has, too.
	count := &during{inc: all[0].rec.Incarnation}
	faults.Before(count.hook)
	_ = first.do(all[0], r.Node)
	faults.Before(nil)
	_ = others[0].do(all[0], r.Node)
	_ = others[0].do(all[1], r.Node)
	_ = first.do(all[1], r.Node)

	var said sync.Mutex
	d := &during{inc: met.rec.Incarnation, then: func(i int) {
		if err := others[i].do(met, other); err != nil {
			said.Lock()
			defer said.Unlock()
			story += fmt.Sprintf(" (%d: %v)", i, err)
		}
	}}
	for range others {
		d.at = append(d.at, 1+rnd.IntN(max(1, count.calls)))
	}
	when := faults.Before
	if rnd.IntN(2) == 0 {
		when = faults.After
	}
	when(d.hook)
	if err := first.do(met, r.Node); err != nil {
		story += fmt.Sprintf(" (first: %v)", err)
	}
	when(nil)
	d.wg.Wait()
	for i, n := range d.at {
		if n > 0 { // the first had fewer calls than in the order
			d.then(i)
		}
	}
	story += fmt.Sprintf(" at %v of %d calls", d.at, count.calls)
	values := !first.decides && !others[0].decides
	got, ab, ba := met.outcome(values), all[0].outcome(values), all[1].outcome(values)
	if len(others) == 1 && got != ab && got != ba && !inSteps(r, seed, first, others[0], values, got) {
		t.Errorf("%s\ngot\n%s\nthe first before\n%s\nthe first after\n%s", story, got, ab, ba)
	}
	met.whole()
	if t.Failed() {
		t.Fatal(story)
	}
}

// Any two things that happen at once, on one node or two, have the outcome of one of their orders, or, if they are several calls, of their
// calls'; and of more than two, as of these, every
// key finds whom it should, objects are in one place, deleted profiles have nothing, and the indexes are exact. KITH_TEST_MEET is how many
// seeds are tried, from KITH_TEST_MEET_FROM on.
func TestAnyTwoMeet(t *testing.T) {
	t.Parallel()
	onAllEngines(t, func(t *testing.T, st store.Store) {
		faults := &faulty.Store{Store: st}
		r, other := crewOf(t, faults, os.Getenv("KITH_TEST_MEET_NODES") == "2")
		n, from := seeds(t, 4), uint64(1)
		if many, err := strconv.ParseUint(os.Getenv("KITH_TEST_MEET"), 10, 64); err == nil {
			n = many
		}
		if first, err := strconv.ParseUint(os.Getenv("KITH_TEST_MEET_FROM"), 10, 64); err == nil {
			from = first
		}
		for seed := from; seed < from+n; seed++ {
			meet(t, r, other, faults, seed)
		}
	})
}
