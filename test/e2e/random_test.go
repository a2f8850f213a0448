package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"kith/api"
	"kith/domain"
	"kith/profile"
	"kith/profile/change"
	"kith/profile/fold"
	"kith/profile/index"
	"kith/profile/write"
	"kith/schema"
	"kith/store"
	"kith/store/faulty"
	"kith/upload"
)

// mess makes random calls on a domain, as processes that may die at any call of the store.
type mess struct {
	*rig
	rnd      *rand.Rand
	rec      *domain.Record
	faults   *faulty.Store // of API calls alone
	profiles *profile.Service
	writer   *write.Writer
	jobs     []string
}

const crowd = 6 // customers

func newMess(r *rig, name string, seed uint64) *mess {
	r.domain(name)
	m := &mess{rig: r, rnd: rand.New(rand.NewPCG(seed, 17)), faults: &faulty.Store{Store: r.store}}
	m.rec, _ = r.Domains.Lookup(ctx, name)
	feed := r.feed(m.faults)
	m.profiles = &profile.Service{Store: m.faults, Domains: r.Domains, Now: r.clock.now, Feed: feed, Runs: r.Uploads}
	m.writer = &write.Writer{Store: m.faults, Feed: feed, Lookup: r.Domains.Lookup, Now: r.clock.now, Settle: m.profiles.SettleLinks, Patience: time.Millisecond}
	m.profiles.Writer = m.writer
	return m
}

// cutOff makes a call that may die.
func (m *mess) cutOff(call func()) {
	if m.rnd.IntN(2) == 0 {
		var calls atomic.Int64
		n := int64(1 + m.rnd.IntN(25))
		hook := func(faulty.Op, store.Partition) error {
			if calls.Add(1) >= n {
				return errors.New("the process died")
			}
			return nil
		}
		if m.rnd.IntN(2) == 0 {
			m.faults.Before(hook)
		} else {
			m.faults.After(hook)
		}
	}
	call()
	m.faults.Before(nil)
	m.faults.After(nil)
}

func (m *mess) pick(of ...string) string { return of[m.rnd.IntN(len(of))] }

func (m *mess) file() string {
	var b strings.Builder
	b.WriteString(mergeHead)
	for c := range crowd {
		if m.rnd.IntN(4) > 0 {
			fmt.Fprintf(&b, "%d,%s,%s,%s,,,,%s,\n", c, m.pick("", "Ann", "Bob"), m.pick("", "Lee", "Ray"), m.pick("", fmt.Sprintf("a%d@x.com", c), fmt.Sprintf("b%d@x.com", c)), m.pick("", "gold", "tin"))
		}
	}
	return b.String()
}

// anyone returns the id of a profile that a number finds, or "".
func (m *mess) anyone() string {
	out, err := m.Profiles.SearchProfiles(ctx, &api.SearchProfilesRequest{DomainName: &m.rec.Name, KeyName: api.Ptr("_account"), Values: []string{fmt.Sprint(m.rnd.IntN(crowd))}})
	if err != nil {
		m.t.Fatal(err)
	}
	if len(out.Items) == 0 {
		return ""
	}
	return *out.Items[0].ProfileId
}

// records lists the merges that have begun.
func (m *mess) records() (ids []fold.MergeID) {
	for row, err := range m.store.Sweep(ctx, store.SweepRange{Table: store.Jobs, Incarnation: m.rec.Incarnation}) {
		if err != nil {
			m.t.Fatal(err)
		}
		if strings.HasPrefix(row.Partition.Key, "merges/") {
			ids = append(ids, fold.MergeID(row.Row.Key))
		}
	}
	return ids
}

// settle has everything in the feed settled, as the completer does.
func (m *mess) settle() {
	var rows []change.Row
	for row, err := range m.Feed().Unsettled(ctx, m.rec.Incarnation, 0) {
		if err != nil {
			m.t.Fatal(err)
		}
		rows = append(rows, row)
	}
	c := &profile.Completer{Service: m.Profiles, Writes: &write.Settler{Writer: m.Writer, Domain: m.Domains.OfIncarnation}}
	if err := c.Settle(ctx, m.rec.Incarnation, rows); err != nil {
		m.t.Fatal(err)
	}
}

func (m *mess) Feed() *change.Feed { return m.Profiles.Feed }

// step makes one call.
func (m *mess) step() {
	d := m.rec.Name
	switch n := m.rnd.IntN(20); {
	case n < 4:
		m.jobs = append(m.jobs, *m.run(d, mergeSpec, m.file()).JobId)
	case n < 6 && len(m.jobs) > 0:
		i := m.rnd.IntN(len(m.jobs))
		if det := m.details(d, m.jobs[i]); det.CompactedAt == nil {
			m.undone(d, m.jobs[i])
		}
		m.jobs = slices.Delete(m.jobs, i, i+1)
	case n < 10:
		if a, b := m.anyone(), m.anyone(); a != "" && b != "" && a != b {
			m.cutOff(func() {
				in := &api.MergeProfilesRequest{DomainName: &d, MainProfileId: &a, ProfileIdsToBeMerged: []string{b}}
				if m.rnd.IntN(2) == 0 {
					in.FieldSourceProfileIds = &api.FieldSourceProfileIds{LastName: &b}
				}
				_, _ = m.profiles.MergeProfiles(ctx, in)
			})
		}
	case n < 12:
		if all := m.records(); len(all) > 0 {
			m.cutOff(func() { _ = m.profiles.Unmerge(ctx, m.rec, all[m.rnd.IntN(len(all))]) })
		}
	case n < 13:
		if a := m.anyone(); a != "" {
			m.cutOff(func() { _, _ = m.profiles.DeleteProfile(ctx, &api.DeleteProfileRequest{DomainName: &d, ProfileId: &a}) })
		}
	case n < 16:
		c := m.rnd.IntN(crowd)
		o := order(fmt.Sprint("o", m.rnd.IntN(4)), fmt.Sprintf("a%d@x.com", c), m.pick("Zoe", "Ann"))
		m.cutOff(func() { _, _ = m.writer.Put(ctx, d, "", o) })
	case n < 18:
		if a := m.anyone(); a != "" {
			id, _ := fold.ParseID(a)
			m.cutOff(func() {
				_, _ = m.writer.Change(ctx, d, "", id, func(_ context.Context, dr *write.Draft) error {
					dr.Note(write.Updated, "", "", "")
					return errors.Join(dr.Set([]fold.Value{{Attr: schema.Attr{ID: schema.LastName}, Text: m.pick("Low", "Lee")}}, 1000*24*time.Hour), dr.FindProfile(id))
				})
			})
		}
	case n < 19:
		m.settle()
	default:
		m.sweep()
	}
}

// exact checks that index rows are those that profiles require.
func (m *mess) exact() {
	m.t.Helper()
	var ids []fold.ID
	heads := map[fold.ID]*fold.Head{}
	for row, err := range m.store.Sweep(ctx, store.SweepRange{Table: store.Profile, Incarnation: m.rec.Incarnation}) {
		if err != nil {
			m.t.Fatal(err)
		}
		id := fold.ID([]byte(row.Partition.Key))
		ids = append(ids, id)
		if string(row.Row.Key) == "h" {
			if heads[id], err = fold.DecodeHead(row.Row.Value); err != nil {
				m.t.Fatal(err)
			}
		}
	}
	people, err := m.Profiles.People(ctx, m.rec.Incarnation, ids)
	if err != nil {
		m.t.Fatal(err)
	}
	rec, _ := m.Domains.Lookup(ctx, m.rec.Name)
	required := map[string]bool{}
	names := map[string]bool{}
	for _, person := range people {
		person.Walk(func(of *fold.Member) {
			alone := of.Alone()
			var keys, full index.Set
			keys.RequiredByImports(alone, alone.Profile(), rec.Keys)
			for _, k := range keys.Keys() {
				if k.Name == schema.KeyFullName { // a name is of the fold, and its row of either class: everyKeyFinds looks
					names[index.PartitionKey(k)+string(of.ID[:])] = true
					continue
				}
				required[index.PartitionKey(k)+string(index.AppendRowKey(nil, of.ID, index.ByImport))] = true
			}
			full.AddFullName(alone.Profile())
			full.AddFullName(person.Profile())
			for _, k := range full.Keys() {
				names[index.PartitionKey(k)+string(of.ID[:])] = true
			}
			for _, part := range index.RequiredByAPI(heads[of.ID], nil, rec.Keys).Partitions() {
				required[part+string(index.AppendRowKey(nil, of.ID, index.ByAPI))] = true
			}
		})
	}
	allowed := func(part string, id fold.ID) bool {
		return names[part+string(id[:])] || people[id] != nil && index.RequiredByAPI(heads[id], nil, rec.Keys).Has(part)
	}
	for row, err := range m.store.Sweep(ctx, store.SweepRange{Table: store.Index, Incarnation: m.rec.Incarnation}) {
		if err != nil {
			m.t.Fatal(err)
		}
		key := row.Partition.Key + string(row.Row.Key)
		id, class, _ := index.ParseRowKey(row.Row.Key)
		if !required[key] && !allowed(row.Partition.Key, id) {
			m.t.Errorf("index row %q of %s, class %c, is in excess", row.Partition.Key, id, class)
		}
		delete(required, key)
	}
	for _, key := range slices.Sorted(maps.Keys(required)) {
		m.t.Errorf("index row %q is missing", key)
	}
}

// Whatever is called, in whatever order, and cut off wherever: when it has been settled and swept, each profile is found by every key it
// shows, and index rows are exactly those that are required; also when all merges have been taken back.
func TestCallsAtRandom(t *testing.T) {
	t.Parallel()
	onAllEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{BucketBytes: 256, MemoryBytes: 1})
		for _, seed := range randomSeeds(t) {
			m := newMess(r, fmt.Sprint("d", seed), seed)
			for range 40 {
				m.step()
			}
			for _, when := range []string{"merged", "apart"} {
				m.settle()
				for range 2 {
					m.sweep()
				}
				m.everyKeyFinds(m.rec.Name)
				m.exact()
				if t.Failed() {
					t.Fatalf("seed %d, %s", seed, when)
				}
				for _, id := range m.records() {
					_ = m.Profiles.Unmerge(ctx, m.rec, id) // some have ended, or are of deleted profiles
				}
			}
		}
	})
}

// Imports and their undoing, with merges between them that are all taken back, leave what they leave without merges.
func TestUnmergeGivesBack(t *testing.T) {
	t.Parallel()
	onAllEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{BucketBytes: 256, MemoryBytes: 1})
		for _, seed := range randomSeeds(t) {
			plain, merged := newMess(r, fmt.Sprint("plain", seed), seed), newMess(r, fmt.Sprint("merged", seed), seed)
			for range 25 {
				switch n := merged.rnd.IntN(8); {
				case n < 2:
					file := merged.file()
					for _, m := range []*mess{plain, merged} {
						m.jobs = append(m.jobs, *m.run(m.rec.Name, mergeSpec, file).JobId)
					}
				case n < 3 && len(plain.jobs) > 0:
					i := merged.rnd.IntN(len(plain.jobs))
					for _, m := range []*mess{plain, merged} {
						m.undone(m.rec.Name, m.jobs[i])
						m.jobs = slices.Delete(m.jobs, i, i+1)
					}
				case n < 6:
					if a, b := merged.anyone(), merged.anyone(); a != "" && b != "" && a != b {
						merged.cutOff(func() {
							_, _ = merged.profiles.MergeProfiles(ctx, &api.MergeProfilesRequest{DomainName: &merged.rec.Name, MainProfileId: &a, ProfileIdsToBeMerged: []string{b}})
						})
					}
				case n < 7:
					if all := merged.records(); len(all) > 0 {
						merged.cutOff(func() { _ = merged.profiles.Unmerge(ctx, merged.rec, all[merged.rnd.IntN(len(all))]) })
					}
				default:
					merged.settle()
				}
			}
			for _, id := range merged.records() {
				_ = merged.Profiles.Unmerge(ctx, merged.rec, id)
			}
			if a, b := r.dump(plain.rec.Name), r.dump(merged.rec.Name); !slices.Equal(a, b) {
				t.Fatalf("seed %d:\n%s\nand after merges\n%s", seed, strings.Join(a, "\n"), strings.Join(b, "\n"))
			}
			r.everyKeyFinds(merged.rec.Name)
		}
	})
}

// randomSeeds are a few, and one that found something that few do.
func randomSeeds(t *testing.T) (all []uint64) {
	for seed := range seeds(t, 4) {
		all = append(all, seed)
	}
	return append(all, 38)
}
