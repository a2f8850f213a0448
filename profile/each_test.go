package profile

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/go-json-experiment/json"

	"kith/profile/fold"
	"kith/schema"
	"kith/store"
	"kith/store/mem"
	"kith/store/pebble"
)

// town is a domain full of random profiles, as rows.
type town struct {
	t     testing.TB
	rng   *rand.Rand
	s     *Service
	ids   []ID
	links map[ID]*fold.State
	now   int64
}

const townInc = 7

var townAttrs = []schema.Attr{
	{ID: schema.FirstName}, {ID: schema.LastName}, {ID: schema.EmailAddress},
	{ID: schema.BillingAddress + 1}, {ID: schema.BillingAddress + 4}, {Custom: "tier"}, {Custom: "visits"},
}

func newTown(t testing.TB, st store.Store, seed uint64, profiles int) *town {
	w := &town{t: t, rng: rand.New(rand.NewPCG(seed, 1)), now: 1000, links: map[ID]*fold.State{}}
	w.s = &Service{Store: st, Now: func() time.Time { return time.UnixMicro(w.now) }}
	for n := range profiles {
		id := fold.ImportID(int64(1+n%3)*1_000_000, n%7, uint32(n), w.rng.Uint64())
		w.ids = append(w.ids, id)
		w.fill(id)
	}
	return w
}

func (w *town) values(kind fold.Kind, stamp fold.Stamp, expires int64) (values []fold.Value) {
	for _, a := range townAttrs {
		if w.rng.IntN(3) > 0 {
			v := fold.Value{Attr: a, Text: fmt.Sprint(w.rng.IntN(1000)), Kind: kind, Stamp: stamp, Expires: expires}
			if kind == fold.Manual && w.rng.IntN(4) == 0 {
				v.Text, v.Blank = "", true
			}
			values = append(values, v)
		}
	}
	return values
}

// expiry is sometimes past.
func (w *town) expiry() int64 { return w.now - 30 + w.rng.Int64N(200) }

// fill writes the contributions and the head of a profile; most have one contribution.
func (w *town) fill(id ID) {
	imports := []int{1, 1, 1, 1, 0, 2, 5}[w.rng.IntN(7)]
	var ms []store.Mutation
	for n := range imports {
		stamp := fold.Stamp{Time: int64(100 + 10*n), Row: int64(n)}
		c := &fold.Contribution{Stamp: stamp, Expires: w.expiry(), Values: w.values(fold.Import, stamp, 0)}
		if w.rng.IntN(5) == 0 {
			c.Private = []fold.Key{{Name: "upload:x", Value: fmt.Sprint(n)}}
		}
		if n == 0 && w.rng.IntN(4) == 0 { // compacted
			for i := range c.Values {
				c.Values[i].Expires = w.expiry()
			}
		}
		ms = append(ms, store.Mutation{Key: AppendContributionKey(nil, stamp.Time, stamp.Row), Value: c.Append(nil), Time: 5})
	}
	if ms != nil {
		w.must(w.s.Store.Write(context.Background(), Partition(townInc, id), ms))
	}
	if w.rng.IntN(3) > 0 && imports > 0 {
		return
	}
	h := &fold.Head{Time: 150, Expires: w.expiry() * w.rng.Int64N(2)}
	if h.Expires != 0 {
		h.Write(append(w.values(fold.Manual, fold.Stamp{Time: 130}, w.expiry()), w.values(fold.Object, fold.Stamp{Time: 140, Priority: w.rng.Int64N(3)}, w.expiry())...),
			fold.Barriers{Now: w.now - 50, Merges: []int64{135}})
	}
	w.swap(Partition(townInc, id), headKey, h.Append(nil))
}

func (w *town) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *town) swap(p store.Partition, key, value []byte) {
	w.t.Helper()
	row, err := w.s.Store.Get(context.Background(), p, key)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		w.t.Fatal(err)
	}
	_, err = w.s.Store.Swap(context.Background(), p, []store.Swap{{Key: key, Value: value, Expect: row.Version}})
	w.must(err)
}

func (w *town) state(id ID) *fold.State {
	if w.links[id] == nil {
		w.links[id] = &fold.State{}
	}
	return w.links[id]
}

// merge makes some profiles members of another; links may be open, and say that the record knows.
func (w *town) merge(n int) {
	main := w.ids[w.rng.IntN(len(w.ids))]
	if w.state(main).Into != nil {
		return
	}
	at := int64(160 + n)
	g := fold.Merge{ID: fold.NewMergeID(at, uint32(n)), At: at, Fields: map[string]ID{}}
	open, ended := w.rng.IntN(5) == 0, w.rng.IntN(2) == 0
	if open {
		g.Open, g.At = fold.Making, 0
	}
	for range 1 + w.rng.IntN(3) {
		id := w.ids[w.rng.IntN(len(w.ids))]
		if st := w.state(id); id != main && st.Into == nil && !w.below(id, main) {
			st.Into = &fold.Link{Merge: g.ID, Main: main, Open: g.Open, At: g.At}
			g.From = append(g.From, id)
		}
	}
	if g.From == nil {
		return
	}
	if w.rng.IntN(2) == 0 {
		g.Fields["BillingAddress"] = g.From[0]
	}
	w.state(main).Merges = append(w.state(main).Merges, g)
	if open {
		rec := mergeRecord{State: mergeDone, Main: main, From: g.From, At: at}
		if ended {
			rec.State = mergeAborted
		}
		value, err := json.Marshal(rec)
		w.must(err)
		w.swap(mergesPartition(townInc, at), g.ID[:], value)
	}
}

// below says whether a profile is the other one, or was merged into it.
func (w *town) below(main, id ID) bool {
	for {
		if id == main {
			return true
		}
		st := w.links[id]
		if st == nil || st.Into == nil {
			return false
		}
		id = st.Into.Main
	}
}

// finish deletes some profiles, and writes the states.
func (w *town) finish() {
	for range len(w.ids) / 20 {
		w.state(w.ids[w.rng.IntN(len(w.ids))]).Deleted = &fold.Deletion{At: 200}
	}
	for _, id := range w.ids { // in an order that does not change
		if st := w.links[id]; st != nil && !st.Empty() {
			w.swap(Partition(townInc, id), stateKey, st.Append(nil))
		}
	}
}

// seen is what a pass shows of a profile.
type seen struct {
	Values  []fold.Value
	Private []fold.Key
	Expires int64
}

func show(p *fold.Profile, want *fold.AttrSet) seen {
	v := seen{Private: slices.Clone(p.Private), Expires: p.Expires}
	for _, value := range p.Values {
		if want.Has(value.Attr.ID, value.Attr.Custom) {
			value.Text, value.Attr.Custom = strings.Clone(value.Text), strings.Clone(value.Attr.Custom)
			v.Values = append(v.Values, value)
		}
	}
	for i := range v.Private {
		v.Private[i].Name, v.Private[i].Value = strings.Clone(v.Private[i].Name), strings.Clone(v.Private[i].Value)
	}
	slices.SortFunc(v.Private, func(a, b fold.Key) int { return strings.Compare(a.Value, b.Value) })
	return v
}

// TestEachIsLoadingOneByOne compares a pass with loading every profile, whatever is merged, deleted and expired, in ranges, parts, with
// little memory, and with passes that are cut off and go on from their last checkpoint.
func TestEachIsLoadingOneByOne(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) store.Store{
		"mem": func(*testing.T) store.Store { return mem.New() },
		"pebble": func(t *testing.T) store.Store {
			st, err := pebble.Open("db", pebble.Options{FS: vfs.NewMem()})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = st.Close() })
			return st
		},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(4) {
				w := newTown(t, open(t), seed, 250)
				for n := range []int{0, 60, 200, 120}[seed] {
					w.merge(n)
				}
				w.finish()
				all := map[ID]*fold.Profile{}
				for _, id := range w.ids {
					p, err := w.s.Load(context.Background(), townInc, id)
					w.must(err)
					if p != nil {
						all[id] = p
					}
				}
				for n := range 8 {
					w.compare(seed, n, all)
				}
				if stats, err := w.s.Stats(context.Background(), townInc); err != nil || *stats.ProfileCount != int64(len(all)) {
					t.Fatalf("%d profiles are counted, %d are there: %v", *stats.ProfileCount, len(all), err)
				}
			}
		})
	}
}

func (w *town) compare(seed uint64, round int, loaded map[ID]*fold.Profile) {
	w.t.Helper()
	attrs := slices.Clone(townAttrs)
	var want *fold.AttrSet
	if round%2 == 0 {
		attrs = attrs[:1+w.rng.IntN(len(attrs))]
		w.rng.Shuffle(len(attrs), func(i, j int) { attrs[i], attrs[j] = attrs[j], attrs[i] })
		attrs = attrs[:1+w.rng.IntN(len(attrs))]
		want = fold.NewAttrSet(attrs...)
	}
	all := map[ID]seen{}
	for id, p := range loaded {
		all[id] = show(p, want)
	}
	got, err := w.pass(Pass{
		Incarnation: townInc, Now: w.now, Attrs: want, Workers: 1 + w.rng.IntN(3), Memory: []int{0, 5000, 500}[w.rng.IntN(8)/3], Dir: w.t.TempDir(),
	}, w.ranges(), w.rng.IntN(2) == 0)
	w.must(err)
	if !reflect.DeepEqual(got, all) {
		for _, id := range slices.SortedFunc(maps.Keys(all), ID.Compare) {
			if !reflect.DeepEqual(got[id], all[id]) {
				w.t.Errorf("seed %d, round %d: profile %s\nby a pass %+v\nloaded    %+v\nlinks %+v", seed, round, id, got[id], all[id], w.links[id])
			}
		}
		for id := range got {
			if _, ok := all[id]; !ok {
				w.t.Errorf("seed %d, round %d: profile %s must not be seen", seed, round, id)
			}
		}
		w.t.FailNow()
	}
}

// ranges returns a cursor of random ranges that cover the domain.
func (w *town) ranges() *Cursor {
	var bounds []string
	for row, err := range w.s.Store.Sweep(context.Background(), store.SweepRange{Table: store.Profile, Incarnation: townInc}) {
		w.must(err)
		if w.rng.IntN(200) == 0 {
			bounds = append(bounds, string(store.AppendPartition(nil, row.Partition)))
		}
	}
	c := &Cursor{Ranges: []CursorRange{{}}}
	for _, b := range slices.Compact(bounds) {
		last := &c.Ranges[len(c.Ranges)-1]
		if string(last.From) != b {
			last.To = Position(b)
			c.Ranges = append(c.Ranges, CursorRange{From: Position(b)})
		}
	}
	return c
}

var errCutOff = errors.New("cut off")

// pass makes a pass, or several of parts of the domain, which are cut off and go on if so wished. No profile may be met twice.
func (w *town) pass(p Pass, from *Cursor, cutOff bool) (map[ID]seen, error) {
	var mu sync.Mutex
	kept, fresh := map[ID]seen{}, map[ID]seen{} // as of the last checkpoint, and since
	todo := []*Cursor{from}
	if w.rng.IntN(3) == 0 {
		todo = from.Cut(1 + w.rng.IntN(3))
	}
	for len(todo) > 0 {
		p.From = todo[0]
		var last *Cursor
		left := -1
		if cutOff {
			left = w.rng.IntN(150)
			p.Every = 1 + w.rng.Int64N(60)
			p.Checkpoint = func(c *Cursor) error {
				last = c
				maps.Copy(kept, fresh)
				clear(fresh)
				return nil
			}
		}
		err := w.s.Each(context.Background(), p, func(worker int, p *fold.Profile) error {
			mu.Lock()
			defer mu.Unlock()
			if left == 0 {
				return errCutOff
			}
			left--
			_, twice := kept[p.ID]
			if _, again := fresh[p.ID]; twice || again {
				return fmt.Errorf("profile %s is met twice", p.ID)
			}
			fresh[p.ID] = show(p, nil)
			return nil
		})
		switch {
		case err == nil:
			todo = todo[1:]
			maps.Copy(kept, fresh)
		case !errors.Is(err, errCutOff):
			return nil, err
		case last != nil:
			var err error
			if todo[0], err = ParseCursor(last.String()); err != nil {
				return nil, err
			}
		}
		clear(fresh)
	}
	return kept, nil
}

// What comes to a profile that a pass has visited makes no profile of its own when the pass goes on from there.
func TestEachGoesOnBehindWhatItVisited(t *testing.T) {
	w := newTown(t, mem.New(), 1, 0)
	said := benchContribution(1, fold.Stamp{Time: 10, Row: 1})
	said.Expires = w.now + 1000
	write := func(id ID, at int64, value []byte) {
		t.Helper()
		w.must(w.s.Store.Write(context.Background(), Partition(townInc, id), []store.Mutation{{Key: AppendContributionKey(nil, at, 1), Value: value, Time: at}}))
	}
	for n := range byte(5) {
		write(ID{n + 1}, 10, said.Append(nil))
	}
	var from *Cursor
	var met []string
	var last ID
	for range 5 {
		p := Pass{Incarnation: townInc, Now: w.now, Workers: 1, Every: 1, From: from, Checkpoint: func(c *Cursor) (err error) {
			from, err = ParseCursor(c.String())
			return errors.Join(err, errCutOff)
		}}
		err := w.s.Each(context.Background(), p, func(_ int, p *fold.Profile) error {
			met, last = append(met, fmt.Sprint(p.ID[0], " with ", len(p.Values))), p.ID
			return nil
		})
		if err != nil && !errors.Is(err, errCutOff) {
			t.Fatal(err)
		}
		later := &fold.Contribution{Expires: said.Expires, Stamp: fold.Stamp{Time: 20, Row: 1}}
		write(last, 20, later.AppendRepeat(nil, AppendImportSource(nil, 10, 1)))
	}
	of := len(said.Values)
	if want := []string{fmt.Sprint("1 with ", of), fmt.Sprint("2 with ", of), fmt.Sprint("3 with ", of), fmt.Sprint("4 with ", of), fmt.Sprint("5 with ", of)}; !slices.Equal(met, want) {
		t.Fatalf("met %q, want %q", met, want)
	}
}

// A pass that fails, or whose caller goes away, says so, and leaves no file behind.
func TestEachFails(t *testing.T) {
	w := newTown(t, mem.New(), 3, 200)
	for n := range 60 {
		w.merge(n)
	}
	w.finish()
	dir := t.TempDir()
	met := 0
	p := Pass{Incarnation: townInc, Now: w.now, Workers: 1, Memory: 500, Dir: dir}
	err := w.s.Each(context.Background(), p, func(int, *fold.Profile) error {
		if met++; met == 100 {
			return errCutOff
		}
		return nil
	})
	if !errors.Is(err, errCutOff) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	err = w.s.Each(ctx, p, func(int, *fold.Profile) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
	p.Dir = dir + "/missing"
	if err := w.s.Each(context.Background(), p, func(int, *fold.Profile) error { return nil }); err == nil {
		t.Error("what can't be spilled was passed over")
	}
	if _, err := ParseCursor("x"); err == nil {
		t.Error("a bad cursor was accepted")
	}
}

// BenchmarkEach is a pass over profiles of one import each of the usual attributes, on Pebble, of which a caller wants two; merged: a fifth
// of them were merged into others.
func BenchmarkEach(b *testing.B) {
	for name, merged := range map[string]bool{"plain": false, "merged": true} {
		b.Run(name, func(b *testing.B) {
			const profiles = 500_000
			st, err := pebble.Open(b.TempDir()+"/db", pebble.Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer st.Close()
			s := fillForBench(b, st, profiles, merged)
			p := Pass{Incarnation: townInc, Now: 1000, Attrs: fold.NewAttrSet(schema.Attr{ID: schema.LastName}, schema.Attr{ID: schema.BillingAddress + 4})}
			b.ReportAllocs()
			cpu := cpuTime(b)
			for b.Loop() {
				counts := make([]struct {
					n int
					_ [120]byte
				}, 64)
				if err := s.Each(context.Background(), p, func(w int, p *fold.Profile) error { counts[w].n++; return nil }); err != nil {
					b.Fatal(err)
				}
				n := 0
				for _, c := range counts {
					n += c.n
				}
				if want := profiles; !merged && n != want || merged && n != want*4/5 {
					b.Fatalf("%d profiles", n)
				}
			}
			b.ReportMetric(float64(profiles)*float64(b.N)/b.Elapsed().Seconds(), "profiles/s")
			b.ReportMetric(float64(cpuTime(b)-cpu)/float64(profiles)/float64(b.N), "cpu-ns/profile") // whatever else the machine does
		})
	}
}

// cpuTime is the processor time that the process has used, in nanoseconds.
func cpuTime(b *testing.B) int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

// fillForBench writes profiles by a run, as an import does; a fifth of them are merged into others.
func fillForBench(b *testing.B, st store.Store, profiles int, merged bool) *Service {
	s := &Service{Store: st, Now: func() time.Time { return time.UnixMicro(1000) }}
	ids := make([]ID, profiles)
	for n := range ids {
		ids[n] = fold.ImportID(1_700_000_000_000_000, n*16/profiles, uint32(n), 42)
	}
	states := map[ID][]byte{}
	if merged {
		link := func(id ID, st *fold.State) { states[id] = st.Append(nil) }
		order := rand.New(rand.NewPCG(1, 1)).Perm(profiles)
		for n := 0; n < profiles; n += 5 {
			main, from := ids[order[n]], ids[order[n+1]]
			g := fold.Merge{ID: fold.NewMergeID(int64(n+5), 1), At: 1_750_000_000_000_000, From: []ID{from}}
			link(main, &fold.State{Merges: []fold.Merge{g}})
			link(from, &fold.State{Into: &fold.Link{Merge: g.ID, Main: main, At: g.At}})
		}
	}
	stamp := fold.Stamp{Time: 1_700_000_000_000_000, Row: 1}
	key := AppendContributionKey(nil, stamp.Time, 1)
	rows := func(yield func(store.RunRow, error) bool) {
		for n, id := range ids {
			if st := states[id]; st != nil && !yield(store.RunRow{Incarnation: townInc, Partition: id[:], Mutation: store.Mutation{Key: stateKey, Value: st, Time: 1}}, nil) {
				return
			}
			value := benchContribution(n, stamp).Append(nil)
			if !yield(store.RunRow{Incarnation: townInc, Partition: id[:], Mutation: store.Mutation{Key: key, Value: value, Time: stamp.Time}}, nil) {
				return
			}
		}
	}
	if err := st.WriteRun(context.Background(), store.Run{Table: store.Profile, Rows: rows}); err != nil {
		b.Fatal(err)
	}
	return s
}

// benchContribution is what an import says of a customer.
func benchContribution(n int, stamp fold.Stamp) *fold.Contribution {
	c := &fold.Contribution{Stamp: stamp, Expires: 1_900_000_000_000_000}
	for attr, text := range map[uint16]string{schema.AccountNumber: "AC-%07d", schema.FirstName: "Maria%d", schema.LastName: "Fernandez%d",
		schema.PhoneNumber: "+1206555%07d", schema.EmailAddress: "maria.%d@example.com", schema.BillingAddress: "%d Main Street",
		schema.BillingAddress + 4: "Seattle%d", schema.BillingAddress + 8: "US%d"} {
		c.Values = append(c.Values, fold.Value{Attr: schema.Attr{ID: attr}, Text: fmt.Sprintf(text, n), Kind: fold.Import, Stamp: stamp})
	}
	slices.SortFunc(c.Values, func(a, b fold.Value) int { return a.Attr.Compare(b.Attr) })
	return c
}

// BenchmarkLoadOfThousand loads a profile with 1,000 objects of two keys each, whose values are compacted to 20 attributes, from Pebble.
func BenchmarkLoadOfThousand(b *testing.B) {
	st, err := pebble.Open(b.TempDir()+"/db", pebble.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer st.Close()
	h, id := &fold.Head{}, fold.ID{7}
	for n := range int64(1000) {
		at := 1_700_000_000_000_000 + n*1_000_000
		var values []fold.Value
		for a := range uint16(20) {
			values = append(values, fold.Value{Attr: schema.Attr{ID: schema.Address + a}, Text: fmt.Sprint("value ", n), Kind: fold.Object,
				Stamp: fold.Stamp{Time: at}, Expires: fold.ExpiryOf(at, 365*24*time.Hour)})
		}
		h.Write(values, fold.Barriers{Now: at})
		h.PutObject(fold.ObjectRef{Type: "Order", Hash: fold.HashObject(fmt.Sprint(n)), Time: at, Expires: h.Expires,
			Keys: []uint64{fold.KeyHash(fold.Key{Name: "_orderId", Value: fmt.Sprint(n)}), fold.KeyHash(fold.Key{Name: "_email", Value: fmt.Sprint(n, "@example.com")})}})
	}
	row := h.Append(nil)
	if _, err := st.Swap(context.Background(), Partition(townInc, id), []store.Swap{{Key: headKey, Value: row}}); err != nil {
		b.Fatal(err)
	}
	if len(h.Values) != 20 {
		b.Fatalf("%d values", len(h.Values))
	}
	now := h.Time
	fresh := fold.Key{Name: "_orderId", Value: "999"}
	measure := func(name string, do func() *fold.Profile) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			cpu := cpuTime(b)
			for b.Loop() {
				if p := do(); len(p.Values) != 20 {
					b.Fatalf("%+v", p)
				}
			}
			b.ReportMetric(float64(cpuTime(b)-cpu)/float64(b.N), "cpu-ns/op")
			b.ReportMetric(float64(len(row)), "bytes/head")
		})
	}
	measure("decode", func() *fold.Profile {
		view, err := fold.DecodeHeadView(row, now)
		if err != nil || !view.Carries(fresh, now, nil) {
			b.Fatal(view, err)
		}
		return (&fold.Member{ID: id, Head: view}).Profile()
	})
	s := &Service{Store: st, Now: func() time.Time { return time.UnixMicro(now) }}
	measure("load", func() *fold.Profile {
		p, err := s.Load(context.Background(), townInc, id)
		if err != nil {
			b.Fatal(err)
		}
		return p
	})
	b.Run("write", func(b *testing.B) { // what a writer does besides: decode all, put an object, encode
		b.ReportAllocs()
		cpu := cpuTime(b)
		defer func() { b.ReportMetric(float64(cpuTime(b)-cpu)/float64(b.N), "cpu-ns/op") }()
		for b.Loop() {
			h, err := fold.DecodeHead(row)
			if err != nil {
				b.Fatal(err)
			}
			h.PutObject(h.Objects[500])
			h.Append(nil)
		}
	})
}
