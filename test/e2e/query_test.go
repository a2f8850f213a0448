package e2e

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"kith/api"
	"kith/domain"
	"kith/job"
	"kith/profile"
	"kith/profile/change"
	"kith/profile/write"
	"kith/query"
	"kith/store"
	"kith/upload"
)

// indexer is the indexer of a domain, as a process that may die at any call of the store.
type indexer struct {
	*rig
	rec    *domain.Record
	store  *mortal
	query  *query.Service
	fence  uint64
	seeded *rand.Rand
}

// mortal is a store whose calls fail from the left-th on; the one at which it dies may have happened, or a part of it.
type mortal struct {
	store.Store
	mu     sync.Mutex
	left   int // below 0: it lives
	done   int // 0 nothing of the last call happens, 1 all, 2 the first half of the rows of each run, 3 the first half of the rows of all runs
	called int
}

var errDied = errors.New("the process died")

func (s *mortal) dies() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.called++
	s.left = max(s.left-1, -1)
	return s.left == 0
}

func (s *mortal) call(do func() error) error {
	s.mu.Lock()
	dead := s.left == 0
	s.mu.Unlock()
	if dead {
		return errDied
	}
	if !s.dies() {
		return do()
	}
	if s.done > 0 {
		_ = do()
	}
	return errDied
}

func (s *mortal) Get(ctx context.Context, p store.Partition, key []byte) (row store.Row, err error) {
	err = s.call(func() error { row, err = s.Store.Get(ctx, p, key); return err })
	return row, err
}

func (s *mortal) Swap(ctx context.Context, p store.Partition, ops []store.Swap) (v uint64, err error) {
	err = s.call(func() error { v, err = s.Store.Swap(ctx, p, ops); return err })
	return v, err
}

func (s *mortal) DropPartitions(ctx context.Context, t store.Table, inc store.Incarnation, from, to string, keys iter.Seq[string]) error {
	return s.call(func() error { return s.Store.DropPartitions(ctx, t, inc, from, to, keys) })
}

func (s *mortal) WriteRun(ctx context.Context, runs ...store.Run) error {
	half := s.left == 1 && s.done >= 2
	return s.call(func() error {
		if !half {
			return s.Store.WriteRun(ctx, runs...)
		}
		if s.done == 3 {
			return s.firstHalf(ctx, runs)
		}
		for _, run := range runs { // as on a cluster: the first rows of all runs, in order
			var rows []store.RunRow
			for row, err := range run.Rows {
				if err != nil {
					return err
				}
				rows = append(rows, row)
			}
			if err := s.Store.WriteRun(ctx, store.Run{Table: run.Table, Rows: store.SortRows(rows[:len(rows)/2])}); err != nil {
				return err
			}
		}
		return nil
	})
}

// firstHalf writes the first half of the rows of some runs: one run after the other, as the contract has it.
func (s *mortal) firstHalf(ctx context.Context, runs []store.Run) error {
	all := make([][]store.RunRow, len(runs))
	total := 0
	for i, run := range runs {
		for row, err := range run.Rows {
			if err != nil {
				return err
			}
			row.Partition, row.Mutation.Key, row.Mutation.Value = slices.Clone(row.Partition), slices.Clone(row.Mutation.Key), slices.Clone(row.Mutation.Value)
			all[i] = append(all[i], row)
		}
		total += len(all[i])
	}
	for i, left := 0, total/2; i < len(all) && left > 0; i++ {
		n := min(left, len(all[i]))
		if err := s.Store.WriteRun(ctx, store.Run{Table: runs[i].Table, Rows: store.SortRows(all[i][:n])}); err != nil {
			return err
		}
		left -= n
	}
	return nil
}

func newIndexer(r *rig, name string) *indexer {
	x := &indexer{rig: r, store: &mortal{Store: r.store, left: -1}, seeded: rand.New(rand.NewPCG(1, 1))}
	x.rec, _ = r.Domains.Lookup(ctx, name)
	x.reborn()
	return x
}

// reborn is a new process.
func (x *indexer) reborn() {
	feed := x.feed(x.store)
	x.query = &query.Service{Store: x.store, Domains: x.Domains, Now: x.clock.now, Feed: feed,
		Profiles: &profile.Service{Store: x.store, Domains: x.Domains, Now: x.clock.now, Feed: feed, Runs: x.Uploads}}
	x.fence++
}

// index runs the indexer once.
func (x *indexer) index() (time.Duration, error) {
	p := job.StandingPartition(x.rec.Incarnation, query.Name)
	place := change.Place{Partition: p, Swap: func(ctx context.Context, ops ...store.Swap) (uint64, error) { return x.store.Swap(ctx, p, ops) }}
	return x.query.Index(ctx, x.rec.Incarnation, place, x.fence)
}

// cutOff runs the indexer until it dies at its n-th call of the store, or ends.
func (x *indexer) cutOff(n, done int) (died bool) {
	x.store.left, x.store.done = n, done
	_, err := x.index()
	x.store.left = -1
	if err != nil && !errors.Is(err, errDied) {
		x.t.Fatal(err)
	}
	if err != nil {
		x.reborn()
	}
	return err != nil
}

// settle lets time pass, has the feed settled, and indexes all of it.
func (x *indexer) settle() {
	x.t.Helper()
	x.clock.add(2 * time.Minute)
	sealer := &change.Sealer{Feed: x.Profiles.Feed, Settler: &profile.Completer{Service: x.Profiles, Writes: &write.Settler{Writer: x.Writer, Domain: x.Domains.OfIncarnation}}}
	p := change.StandingPartition(x.rec.Incarnation, change.Completer)
	for {
		_, err := sealer.Run(ctx, x.rec.Incarnation, change.Place{Partition: p, Swap: func(ctx context.Context, ops ...store.Swap) (uint64, error) {
			return x.rig.store.Swap(ctx, p, ops)
		}})
		if err == nil {
			break
		}
		if !errors.Is(err, store.ErrConflict) { // the node's own completer was at work
			x.t.Fatal(err)
		}
	}
	for range 100 {
		if again, err := x.index(); err != nil {
			x.t.Fatal(err)
		} else if again == 0 || again > time.Second {
			return
		}
		x.clock.add(time.Second) // background work has written meanwhile
	}
	x.t.Fatal("the indexer does not come to an end")
}

func (x *indexer) turn(on bool) {
	x.t.Helper()
	if _, err := x.query.PutQuerySettings(ctx, &api.PutQuerySettingsRequest{DomainName: &x.rec.Name, Enabled: &on}); err != nil {
		x.t.Fatal(err)
	}
}

func (x *indexer) settings() *api.GetQuerySettingsResponse {
	x.t.Helper()
	out, err := x.query.GetQuerySettings(ctx, &api.GetQuerySettingsRequest{DomainName: &x.rec.Name})
	if err != nil {
		x.t.Fatal(err)
	}
	return out
}

// find returns the ids that a text finds, by pages.
func (x *indexer) find(text string, page int32) (ids []string, items []api.QueryItem) {
	x.t.Helper()
	in := &api.QueryProfilesRequest{DomainName: &x.rec.Name, Text: &text, MaxResults: &page}
	for range 1000 {
		out, err := x.query.QueryProfiles(ctx, in)
		if err != nil {
			x.t.Fatalf("%q: %v", text, err)
		}
		for _, it := range out.Items {
			ids = append(ids, *it.Profile.ProfileId)
		}
		items = append(items, out.Items...)
		if in.NextToken = out.NextToken; in.NextToken == nil {
			return ids, items
		}
	}
	x.t.Fatalf("%q: the pages do not end", text)
	return nil, nil
}

// all lists the profiles of the domain, by pages.
func (r *rig) all(name string, page int32) (all []api.Profile) {
	r.t.Helper()
	in := &api.ListProfilesRequest{DomainName: &name, MaxResults: &page}
	for {
		out, err := r.Profiles.ListProfiles(ctx, in)
		if err != nil {
			r.t.Fatal(err)
		}
		all = append(all, out.Items...)
		if in.NextToken = out.NextToken; in.NextToken == nil {
			return all
		}
	}
}

// rowsByGeneration returns the rows of the index, without what names their generation.
func (x *indexer) rowsByGeneration() map[string]map[string]string {
	all := map[string]map[string]string{}
	for row, err := range x.rig.store.Sweep(ctx, store.SweepRange{Table: store.Query, Incarnation: x.rec.Incarnation}) {
		if err != nil {
			x.t.Fatal(err)
		}
		gen := row.Partition.Key[:4]
		if all[gen] == nil {
			all[gen] = map[string]string{}
		}
		all[gen][row.Partition.Key[4:]+"/"+string(row.Row.Key)] = string(row.Row.Value)
	}
	return all
}

// exact checks that the index is what a new one would be.
func (x *indexer) exact() {
	x.t.Helper()
	before := x.rowsByGeneration()
	if len(before) > 1 {
		x.t.Fatalf("%d generations are there", len(before))
	}
	x.turn(false)
	x.settle()
	if left := x.rowsByGeneration(); len(left) > 0 {
		x.t.Fatalf("rows are left of an index that is off: %v", left)
	}
	x.turn(true)
	x.settle()
	after := x.rowsByGeneration()
	for _, was := range before {
		for _, is := range after {
			for key, value := range is {
				if v, ok := was[key]; !ok || v != value {
					x.t.Errorf("%q is missing, or other: %q for %q", key, v, value)
				}
			}
			for key := range was {
				if _, ok := is[key]; !ok {
					x.t.Errorf("%q is in excess", key)
				}
			}
			return
		}
	}
	if len(before) != len(after) {
		x.t.Errorf("%d generations before, %d after", len(before), len(after))
	}
}

// agrees compares answers with a matcher that looks at every profile, for several texts.
func (x *indexer) agrees(texts ...string) (found int) {
	x.t.Helper()
	all := x.all(x.rec.Name, 1+x.seeded.Int32N(50))
	for _, text := range texts {
		var want []string
		for i := range all {
			if matches(&all[i], text) {
				want = append(want, *all[i].ProfileId)
			}
		}
		page := 20 + x.seeded.Int32N(81)
		if len(want) < 20 {
			page = 1 + x.seeded.Int32N(20)
		}
		got, items := x.find(text, page)
		found += len(got)
		sorted := slices.Sorted(slices.Values(got))
		slices.Sort(want)
		if !slices.Equal(sorted, want) {
			x.t.Errorf("%q finds %v, should find %v", text, sorted, want)
		}
		for _, it := range items {
			if len(it.Matches) == 0 || *it.Score <= 0 {
				x.t.Errorf("%q: an item without matches or score", text)
			}
		}
	}
	return found
}

// Whatever is called, in whatever order, and wherever the indexer dies: once it has settled, a query finds exactly the profiles in which
// every word matches, and the index has exactly the rows that a new one would have.
func TestQueryAtRandom(t *testing.T) {
	t.Parallel()
	onAllEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{BucketBytes: 256, MemoryBytes: 1})
		for _, seed := range randomSeeds(t) {
			m := newMess(r, fmt.Sprint("q", seed), seed)
			x := newIndexer(r, m.rec.Name)
			on := m.rnd.IntN(20)
			for n := range 40 {
				if n == on {
					x.turn(true)
				}
				m.step()
				if m.rnd.IntN(3) == 0 {
					x.cutOff(1+m.rnd.IntN(40), m.rnd.IntN(3))
				}
				if m.rnd.IntN(8) == 0 && n > on {
					x.settle()
				}
			}
			m.settle()
			x.settle()
			if s := x.settings(); *s.Status != api.QueryStatusReady || !*s.UpToDate || *s.LagSeconds != 0 {
				t.Fatalf("seed %d: %s, up to date %v, %d s", seed, *s.Status, *s.UpToDate, *s.LagSeconds)
			}
			texts := []string{"ann", "an", "bob", "boo", "lee", "le ann", "leee ann", "ray", "rya", "a1@x.com", "b", "a2@", "low", "zoe lee", "0", "5 ann", "zo", "anne"}
			x.agrees(texts...)
			x.exact()
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		}
	})
}

// TestIndexerDies has the indexer die at each of its calls in turn, with and without that call, and with half of it, while it builds, and
// while it follows an import, edits, a merge and a deletion.
func TestIndexerDies(t *testing.T) {
	t.Parallel()
	onAllEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{})
		for done := range 3 {
			steps := 0
			for n := 1; ; n++ {
				name := fmt.Sprintf("dies-%d-%d", done, n)
				r.domain(name)
				x := newIndexer(r, name)
				x.run(name, mergeSpec, mergeHead+"1,Ann,Lee,ann@x.com,+12065550100,Oslo,,,\n2,Anna,Leigh,,+12065550199,Rome,,,\n3,Bo,Smith,bo@x.com,,,,,\n")
				x.turn(true)
				died := x.cutOff(n, done)
				x.settle()
				x.run(name, mergeSpec, mergeHead+"3,Bob,Smythe,bo@x.com,,,,,\n4,Zoe,Day,zoe@x.com,+4930123456,Bonn,,,\n")
				x.merge(name, "1", "2")
				if err := x.remove(name, x.id(name, "4")); err != nil {
					t.Fatal(err)
				}
				died = x.cutOff(n, done) || died
				x.settle()
				x.agrees("ann", "anna", "smyth", "bo", "zoe", "5501", "0199", "rome lee")
				x.exact()
				if t.Failed() {
					t.Fatalf("done %d, call %d", done, n)
				}
				if !died {
					break
				}
				steps++
			}
			if steps < 10 {
				t.Fatalf("only %d deaths", steps)
			}
		}
	})
}

// TestQueryFinds compares answers over customers of many fields, with typos, with a matcher that looks at all of them.
func TestQueryFinds(t *testing.T) {
	t.Parallel()
	onAllEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{})
		r.domain("d")
		x := newIndexer(r, "d")
		rnd := rand.New(rand.NewPCG(7, 7))
		firsts := []string{"Maria", "Mário", "Mark", "Anne-Marie", "Ann", "José", "Jo", "Li", "François", "Oyelaran", "Μαρία", "李"}
		lasts := []string{"Smith", "Smyth", "Smithson", "O'Brien", "van der Berg", "Fernández", "Fernandes", "Wong", "Wang", "Müller", "Mueller", "明", "Katz"}
		cities := []string{"New York", "Nürnberg", "Oslo", "São Paulo", "Seattle"}
		var file strings.Builder
		file.WriteString(mergeHead)
		for n := range 250 {
			f, l := firsts[rnd.IntN(len(firsts))], lasts[rnd.IntN(len(lasts))]
			phone := fmt.Sprintf("+1206555%04d", rnd.IntN(400))
			if n%3 == 0 {
				phone = fmt.Sprintf("+49 30 %06d", rnd.IntN(1_000_000))
			}
			fmt.Fprintf(&file, "AC-%05d,%s,%s,m%d.%d@mail%d.example,%s,%s,,,\n", n, f, l, rnd.IntN(30), n, n%5, phone, cities[rnd.IntN(len(cities))])
		}
		r.expect(r.run("d", mergeSpec, file.String()), "SUCCEEDED 250/0/0")
		if _, err := x.query.QueryProfiles(ctx, &api.QueryProfilesRequest{DomainName: &x.rec.Name, Text: api.Ptr("ann")}); err == nil || !strings.Contains(err.Error(), "is off") {
			t.Fatalf("a query without an index: %v", err)
		}
		x.turn(true)
		x.settle()
		texts := []string{"smith", "SMITH", "smi", "smtih", "smiht maria", "marai smih", "maria wong", "wong maria", "mar wo", "obrien", "o'brien", "brien", "anne-marie", "marie", "annemarie",
			"muller", "müller", "muler new", "fernandez jose", "fernandos", "oslo", "york", "new york smith", "nurn", "ac-00012", "ac00012", "00012", "m3.", "m3.3@", "wnag", "wagn seattle",
			"206 555", "(206) 555", "+1 206 555", "55501", "5550", "5501 smith", "49 30", "0100", "100", "1234", "李", "明 李", "μαρια", "jo", "j", "li wong oslo", "xyzzy", "francois katz", "oyelran", "berg der",
			"@", "mark @mail1", "12065550100", "0012065550100", "0012", "sao"}
		for range 60 {
			a := []rune(strings.ToLower(lasts[rnd.IntN(len(lasts))]))
			for range rnd.IntN(3) {
				switch i := rnd.IntN(len(a)); rnd.IntN(4) {
				case 0:
					a = slices.Delete(a, i, i+1)
				case 1:
					a = slices.Insert(a, i, rune('a'+rnd.IntN(26)))
				case 2:
					a[i] = rune('a' + rnd.IntN(26))
				default:
					if i > 0 {
						a[i], a[i-1] = a[i-1], a[i]
					}
				}
				if len(a) == 0 {
					a = []rune("x")
				}
			}
			text := string(a)
			if rnd.IntN(2) == 0 {
				f := []rune(firsts[rnd.IntN(len(firsts))])
				text += " " + string(f[:1+rnd.IntN(len(f))])
			}
			texts = append(texts, text, fmt.Sprintf("%0*d", 4+rnd.IntN(3), rnd.IntN(20000)))
		}
		texts = slices.DeleteFunc(texts, func(s string) bool { return s == "@" })
		if found := x.agrees(texts...); found < 1000 {
			t.Errorf("only %d profiles are found in all", found)
		}
		_, items := x.find("smith", 100)
		for i, it := range items[:min(len(items), 20)] {
			if *it.Profile.LastName != "Smith" || *it.Matches[0].How != api.QueryHowExact || *it.Matches[0].Field != "LastName" {
				t.Errorf("item %d of smith is %v", i, it)
			}
		}
		ids, _ := x.find("smith", 9)
		again, _ := x.find("smith", 100)
		if !slices.Equal(ids, again) {
			t.Error("pages of other sizes are in another order")
		}
		for text, want := range map[string]string{strings.Repeat("a b c ", 5): "at most", "...": "no letter"} {
			if _, err := x.query.QueryProfiles(ctx, &api.QueryProfilesRequest{DomainName: &x.rec.Name, Text: &text}); want == "at most" != (err == nil) && (err == nil || !strings.Contains(err.Error(), want)) {
				t.Errorf("%q: %v", text, err)
			}
		}
	})
}

// What has expired is not found, and after a week a new generation has nothing of it.
func TestQueryForgetsExpired(t *testing.T) {
	t.Parallel()
	r := newRig(t, newPebble(t), upload.Config{})
	r.domain("d")
	x := newIndexer(r, "d")
	x.turn(true)
	short := mergeSpec
	short.expiry = 2
	r.run("d", mergeSpec, mergeHead+"1,Ann,Lee,,,,,,\n")
	r.run("d", short, mergeHead+"2,Zoltan,Quick,zq@x.com,+12065550100,Oslo,,,\n")
	x.settle()
	if ids, _ := x.find("zoltan", 10); len(ids) != 1 {
		t.Fatalf("%v", ids)
	}
	r.clock.add(3 * 24 * time.Hour)
	if ids, _ := x.find("zoltan", 10); len(ids) != 0 {
		t.Fatalf("an expired profile is found: %v", ids)
	}
	r.clock.add(5 * 24 * time.Hour)
	x.settle()
	for _, rows := range x.rowsByGeneration() {
		for key := range maps.Keys(rows) {
			if strings.Contains(key, "zoltan") || strings.Contains(key, "quick") {
				t.Errorf("%q is left", key)
			}
		}
	}
	x.agrees("ann", "lee", "zoltan")
	x.exact()
}
