package e2e

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"kith/api"
	"kith/fault"
	"kith/profile"
	"kith/profile/fold"
	"kith/store"
)

// unmerge takes a merge of a profile back: its members are profiles by themselves again, with all that they have. An object that was written
// to the person while the merge held goes to the first side whose keys it carries, if it carries none of the side where it is, by what the
// sides have without such objects.
func (c *core) unmerge(at int, main *coreProfile, m coreMerge) {
	for _, of := range m.from {
		of.into = nil
	}
	main.merges = slices.DeleteFunc(main.merges, func(o coreMerge) bool { return o.at == m.at })
	var sides []*coreSide
	for _, of := range append([]*coreProfile{main}, m.from...) {
		if of.main().visible() {
			sides = append(sides, &coreSide{of, of.main().without(m.at, of).keys()})
		}
	}
	type move struct {
		object   string
		from, to *coreProfile
	}
	var moves []move
	for _, here := range sides {
		here.of.main().walk(func(holder *coreProfile) {
			since := max(m.at, together(holder, here.of))
			for object, carried := range holder.objects {
				if holder.written[object] > since {
					if to := belongs(sides, here, carried); to != nil {
						moves = append(moves, move{object, holder, to.of})
					}
				}
			}
		})
	}
	for _, o := range moves {
		for _, v := range o.from.said {
			if v.src == o.object {
				o.to.said = append(o.to.said, v)
			}
		}
		o.to.made, o.to.objects[o.object], o.to.written[o.object] = true, o.from.objects[o.object], at
		o.from.forget(o.object)
	}
}

// coreSide is a profile of a merge that is taken back, and the keys of its person without what was written while the merge held.
type coreSide struct {
	of  *coreProfile
	own map[string]bool
}

// belongs returns the side to which an object belongs; nil: where it is.
func belongs(sides []*coreSide, here *coreSide, carried []string) (to *coreSide) {
	for _, k := range carried {
		var holders []*coreSide
		for _, of := range sides {
			if of.own[k] {
				holders = append(holders, of)
			}
		}
		switch {
		case len(holders) != 1:
		case holders[0] == here:
			return nil
		case to == nil || slices.Index(sides, holders[0]) < slices.Index(sides, to):
			to = holders[0]
		}
	}
	return to
}

// together is when two profiles of a person came together; 0: they always were.
func together(a, b *coreProfile) (at int) {
	since := map[*coreProfile]int{}
	for latest := 0; ; a = a.into {
		since[a] = latest
		if a.into == nil {
			break
		}
		latest = max(latest, a.joined)
	}
	for {
		if n, ok := since[b]; ok {
			return max(at, n)
		}
		at, b = max(at, b.joined), b.into
	}
}

// without returns a person without the objects that came to it after a time, and while they belonged to one of its profiles.
func (p *coreProfile) without(after int, id *coreProfile) *coreProfile {
	since := max(after, together(p, id))
	c := &coreProfile{n: p.n, made: p.made, added: p.added, objects: maps.Clone(p.objects)}
	maps.DeleteFunc(c.objects, func(o string, _ []string) bool { return p.written[o] > since })
	for _, v := range p.said {
		if v.kind != 'o' || v.at <= since {
			c.said = append(c.said, v)
		}
	}
	for _, m := range p.merges {
		cm := coreMerge{at: m.at}
		for _, of := range m.from {
			cm.from = append(cm.from, of.without(after, id))
		}
		c.merges = append(c.merges, cm)
	}
	return c
}

// knownMerge is a merge that a world has made: by the number of its call, and the numbers of its profiles.
type knownMerge struct {
	at   int
	main int
	from []int
	id   string
}

// in returns a merge as the model knows it; ok: it still holds.
func (k knownMerge) in(c *core) (m coreMerge, ok bool) {
	merges := c.profiles[k.main].merges
	if i := slices.IndexFunc(merges, func(o coreMerge) bool { return o.at == k.at }); i >= 0 {
		return merges[i], true
	}
	return m, false
}

// known are the profiles of which the world knows the ids.
func (w *coreWorld) known() []int { return slices.Sorted(maps.Keys(w.ids)) }

// byID is what the server tells of a profile, and the objects that it lists.
func (w *coreWorld) byID(id string) string {
	w.t.Helper()
	d := api.Ptr(coreDomain)
	out, err := w.Profiles.BatchGetProfile(ctx, &api.BatchGetProfileRequest{DomainName: d, ProfileIds: []string{id}})
	if err != nil {
		w.t.Fatal(err)
	}
	if len(out.Profiles) == 0 {
		return ""
	}
	objects := []string{}
	for _, kind := range []string{"maker", "joiner"} {
		list, err := w.Profiles.ListProfileObjects(ctx, &api.ListProfileObjectsRequest{DomainName: d, ProfileId: &id, ObjectTypeName: &kind})
		if err != nil {
			w.t.Fatal(err)
		}
		for _, item := range list.Items {
			_, rest, _ := strings.Cut(*item.Object, `"id":"`)
			n, _, _ := strings.Cut(rest, `"`)
			objects = append(objects, kind+"/"+n)
		}
	}
	slices.Sort(objects)
	return fmt.Sprint(asLine(out.Profiles[0]), " ", objects)
}

func asLine(p api.Profile) string {
	return strings.Join([]string{api.Val(p.AccountNumber), api.Val(p.EmailAddress), api.Val(p.PhoneNumber), api.Val(p.FirstName)}, "|")
}

// mergeSome merges one or two persons into another.
func (w *coreWorld) mergeSome() {
	c := w.model()
	var keys, ids []string
	var numbers []int
	for range 2 + w.rnd.IntN(2) {
		if key, id := w.anyone(); id != "" && !slices.Contains(ids, id) {
			keys, ids, numbers = append(keys, key), append(ids, id), append(numbers, c.find(key)[0].n)
		}
	}
	if len(ids) < 2 {
		return
	}
	for i, n := range numbers {
		if has, ok := w.ids[n]; ok && has != ids[i] {
			w.fail(fmt.Sprintf("%s leads to another id than before: %s, not %s", keys[i], ids[i], has))
		}
		w.ids[n] = ids[i]
	}
	before := len(w.calls)
	w.call(fmt.Sprint("merge ", numbers[1:], " into ", numbers[0], " ", keys), func() error {
		_, err := w.profiles.MergeProfiles(ctx, &api.MergeProfilesRequest{DomainName: api.Ptr(coreDomain), MainProfileId: &ids[0], ProfileIdsToBeMerged: ids[1:]})
		return err
	}, func(c *core, at int) {
		var from []*coreProfile
		for _, n := range numbers[1:] {
			from = append(from, c.profiles[n])
		}
		c.merge(at, c.profiles[numbers[0]], from)
	})
	if len(w.calls) > before {
		w.merges = append(w.merges, knownMerge{len(w.calls), numbers[0], numbers[1:], w.lastMergeOf(ids[0])})
	}
}

// lastMergeOf returns the id of the newest merge of a main profile.
func (w *coreWorld) lastMergeOf(main string) string {
	w.t.Helper()
	id, _ := fold.ParseID(main)
	rec, err := w.Domains.Lookup(ctx, coreDomain)
	if err != nil {
		w.t.Fatal(err)
	}
	row, err := w.store.Get(ctx, profile.Partition(rec.Incarnation, id), []byte("a"))
	if err != nil {
		w.fail("a merge that has happened has no link: " + err.Error())
	}
	st, err := fold.DecodeState(row.Value)
	if err != nil || len(st.Merges) == 0 {
		w.fail(fmt.Sprintf("%+v, %v", st, err))
	}
	text, _ := st.Merges[len(st.Merges)-1].ID.MarshalText()
	return string(text)
}

// unmergeOne takes one of the merges back that hold, by its id or by a profile of it. Those of a deleted person can't be taken back.
func (w *coreWorld) unmergeOne() {
	c := w.model()
	var hold []knownMerge
	for _, k := range w.merges {
		if _, ok := k.in(c); ok {
			hold = append(hold, k)
		}
	}
	if len(hold) == 0 {
		return
	}
	k := hold[w.rnd.IntN(len(hold))]
	in := &api.UnmergeProfilesRequest{DomainName: api.Ptr(coreDomain), MergeId: &k.id}
	if w.rnd.IntN(2) == 0 {
		in.MergeId, in.ProfileIds = nil, []string{w.ids[k.from[w.rnd.IntN(len(k.from))]]}
	}
	if c.profiles[k.main].main().dead {
		if _, err := w.profiles.UnmergeProfiles(ctx, in); !errors.Is(err, fault.BadRequest) && !errors.Is(err, fault.NotFound) {
			w.fail(fmt.Sprintf("the merge of %v, of a person that was deleted, is taken back: %v", k, err))
		}
		return
	}
	w.call(fmt.Sprint("unmerge ", k.from, " from ", k.main), func() error {
		out, err := w.profiles.UnmergeProfiles(ctx, in)
		if err == nil && len(out.Items) != len(k.from) {
			w.fail(fmt.Sprintf("%d profiles are said to be back, want %v", len(out.Items), k.from))
		}
		return err
	}, func(c *core, at int) {
		m, _ := k.in(c)
		c.unmerge(at, c.profiles[k.main], m)
	})
}

// An object that was put on a profile before that came to a merge was not written while it held: it stays when an older merge is taken back,
// though it carries a key of another profile of that.
func TestUnmergeLeavesWhatOthersBrought(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, st store.Store) {
		w := newCoreWorld(t, st, 1)
		d, kind := api.Ptr(coreDomain), "maker"
		create := func(mail, phone string) string {
			out, err := w.profiles.CreateProfile(ctx, &api.CreateProfileRequest{DomainName: d, EmailAddress: &mail, PhoneNumber: &phone})
			if err != nil {
				t.Fatal(err)
			}
			return *out.ProfileId
		}
		put := func(values map[string]string) {
			if _, err := w.profiles.PutProfileObject(ctx, &api.PutProfileObjectRequest{DomainName: d, ObjectTypeName: &kind, Object: api.Ptr(object("m1", values))}); err != nil {
				t.Fatal(err)
			}
		}
		merge := func(main, other string) {
			if _, err := w.profiles.MergeProfiles(ctx, &api.MergeProfilesRequest{DomainName: d, MainProfileId: &main, ProfileIdsToBeMerged: []string{other}}); err != nil {
				t.Fatal(err)
			}
		}
		a, b := create("e0@x.com", "5550001000"), create("e1@x.com", "5550001001")
		merge(a, b)
		put(map[string]string{"EmailAddress": "e2@x.com"})
		put(map[string]string{"EmailAddress": "e2@x.com", "PhoneNumber": "5550001001"}) // the phone of b
		third := *w.found("_email=e2@x.com")[0].ProfileId
		merge(third, a)
		if _, err := w.profiles.UnmergeProfiles(ctx, &api.UnmergeProfilesRequest{DomainName: d, ProfileIds: []string{b}}); err != nil {
			t.Fatal(err)
		}
		if got, want := w.byID(third), "|e2@x.com|5550001001| [maker/m1]"; got != want {
			t.Errorf("the third profile has %q, want %q", got, want)
		}
		if got, want := w.byID(b), "|e1@x.com|5550001001| []"; got != want {
			t.Errorf("the profile that is back has %q, want %q", got, want)
		}
	})
}
