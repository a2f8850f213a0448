package query

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"kith/api"
	"kith/domain"
	"kith/job"
	"kith/profile"
	"kith/profile/change"
	"kith/profile/fold"
	"kith/schema"
	"kith/store"
	"kith/store/pebble"
)

// town makes customers whose names are as unevenly spread as people's.
type town struct {
	rnd            *rand.Rand
	firsts, lasts  []string
	ofFirst, ofLst *rand.Zipf
	cities         *rand.Zipf
}

func newTown() *town {
	w := &town{rnd: rand.New(rand.NewPCG(1, 2))}
	parts := strings.Fields("ma ri an jo sa le ka ro ni el mar bert son smi thom will wang li chen gar cia fer nan dez mül ler sch mit ko val ski ov ic pet er sen ol af")
	name := func() string {
		var b strings.Builder
		for range 2 + w.rnd.IntN(3) {
			b.WriteString(parts[w.rnd.IntN(len(parts))])
		}
		return b.String()
	}
	list := func(n int) (all []string) {
		seen := map[string]bool{}
		for len(all) < n {
			if s := name(); !seen[s] {
				seen[s] = true
				all = append(all, s)
			}
		}
		return all
	}
	w.firsts, w.lasts = list(5_000), list(100_000)
	w.ofFirst, w.ofLst = rand.NewZipf(w.rnd, 1.2, 30, uint64(len(w.firsts)-1)), rand.NewZipf(w.rnd, 1.05, 20, uint64(len(w.lasts)-1))
	w.cities = rand.NewZipf(w.rnd, 1.1, 5, 3000)
	return w
}

func (w *town) contribution(n int) *fold.Contribution {
	stamp := fold.Stamp{Time: 1_700_000_000_000_000, Row: int64(n)}
	f, l := w.firsts[w.ofFirst.Uint64()], w.lasts[w.ofLst.Uint64()]
	city := w.cities.Uint64()
	c := &fold.Contribution{Stamp: stamp, Expires: 1<<62 - 1}
	for attr, text := range map[uint16]string{schema.AccountNumber: fmt.Sprintf("AC-%08d", n), schema.FirstName: f, schema.LastName: l,
		schema.PhoneNumber: fmt.Sprintf("+1%010d", w.rnd.Int64N(1e10)), schema.EmailAddress: fmt.Sprintf("%s.%s%d@example.com", f, l, w.rnd.IntN(1000)),
		schema.Address: fmt.Sprintf("%d Main Street", w.rnd.IntN(3000)), schema.Address + cityPart: fmt.Sprintf("Town%s", w.lasts[city]),
		schema.Address + postalPart: fmt.Sprintf("%05d", city*7)} {
		c.Values = append(c.Values, fold.Value{Attr: schema.Attr{ID: attr}, Text: text, Kind: fold.Import, Stamp: stamp})
	}
	slices.SortFunc(c.Values, func(a, b fold.Value) int { return a.Attr.Compare(b.Attr) })
	return c
}

// BenchmarkQuery measures, at KITH_QUERY_PROFILES customers (100,000 if it is not set) on Pebble, what the index costs a profile, and
// how long first pages take.
func BenchmarkQuery(b *testing.B) {
	profiles := 100_000
	if s := os.Getenv("KITH_QUERY_PROFILES"); s != "" {
		var err error
		if profiles, err = strconv.Atoi(s); err != nil {
			b.Fatal(err)
		}
	}
	w := newTown()
	s, rec, size, some := w.settle(b, profiles)
	build(b, s, rec, size, profiles)
	queries(b, s, w, some)
}

// settle puts customers into a store on Pebble, and returns how large it is and some of whom queries are made.
func (w *town) settle(b testing.TB, profiles int) (s *Service, rec *domain.Record, size func() int64, some []*fold.Contribution) {
	dir := filepath.Join(b.TempDir(), "db")
	st, err := pebble.Open(dir, pebble.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = st.Close() })
	ctx, name := context.Background(), "d"
	domains := &domain.Service{Store: st, Now: time.Now}
	if _, err := domains.CreateDomain(ctx, &api.CreateDomainRequest{DomainName: &name, DefaultExpirationDays: api.Ptr(int32(366))}); err != nil {
		b.Fatal(err)
	}
	if rec, err = domains.Lookup(ctx, name); err != nil {
		b.Fatal(err)
	}
	feed := &change.Feed{Store: st, Now: time.Now, Alone: true}
	s = &Service{Store: st, Domains: domains, Now: time.Now, Feed: feed, Profiles: &profile.Service{Store: st, Domains: domains, Now: time.Now, Feed: feed}}
	rows := func(yield func(store.RunRow, error) bool) {
		for n := range profiles {
			id := fold.ImportID(1_700_000_000_000_000, n*16/profiles, uint32(n), 42)
			c := w.contribution(n)
			if n%(profiles/500) == 0 {
				some = append(some, c)
			}
			if !yield(store.RunRow{Incarnation: rec.Incarnation, Partition: id[:], Mutation: store.Mutation{Key: profile.AppendContributionKey(nil, c.Stamp.Time, int64(n)), Value: c.Append(nil), Time: c.Stamp.Time}}, nil) {
				return
			}
		}
	}
	if err := st.WriteRun(ctx, store.Run{Table: store.Profile, Rows: rows}); err != nil {
		b.Fatal(err)
	}
	return s, rec, func() (bytes int64) {
		_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				if info, err := d.Info(); err == nil {
					bytes += info.Size()
				}
			}
			return nil
		})
		return bytes
	}, some
}

// finish runs the indexer until nothing is left to do.
func finish(b testing.TB, s *Service, rec *domain.Record) {
	ctx := context.Background()
	if _, err := s.PutQuerySettings(ctx, &api.PutQuerySettingsRequest{DomainName: &rec.Name, Enabled: api.Ptr(true)}); err != nil {
		b.Fatal(err)
	}
	p := job.StandingPartition(rec.Incarnation, Name)
	place := change.Place{Partition: p, Swap: func(ctx context.Context, ops ...store.Swap) (uint64, error) { return s.Store.Swap(ctx, p, ops) }}
	for {
		again, err := s.Index(ctx, rec.Incarnation, place, 1)
		if err != nil {
			b.Fatal(err)
		}
		if again == 0 {
			return
		}
	}
}

// TestBuildOfMany: so many profiles that their rows are written as tables.
func TestBuildOfMany(t *testing.T) {
	w := newTown()
	s, rec, _, some := w.settle(t, 4000)
	finish(t, s, rec)
	for _, c := range some[:50] {
		text := c.Values[0].Text
		out, err := s.QueryProfiles(t.Context(), &api.QueryProfilesRequest{DomainName: &rec.Name, Text: &text})
		if err != nil || len(out.Items) != 1 || *out.Items[0].Profile.AccountNumber != text {
			t.Fatalf("%s finds %d profiles: %v", text, len(out.Items), err)
		}
	}
}

// build measures the building of the index.
func build(b *testing.B, s *Service, rec *domain.Record, size func() int64, profiles int) {
	ctx := context.Background()
	before, cpu, began, written := size(), cpuTime(b), time.Now(), bytesWritten()
	finish(b, s, rec)
	took := time.Since(began)
	cpu = cpuTime(b) - cpu
	st := s.Store.(*pebble.Store)
	for quiet := 0; quiet < 20; { // compactions go on; some debt may stay
		time.Sleep(100 * time.Millisecond)
		if running, _ := st.Pending(); running == 0 {
			quiet++
		} else {
			quiet = 0
		}
	}
	time.Sleep(2 * time.Second) // obsolete files go
	written = bytesWritten() - written
	_, state, err := s.read(ctx, rec.Incarnation)
	if err != nil || state.Serving == 0 || state.Profiles != int64(profiles) {
		b.Fatalf("%+v: %v", state, err)
	}
	n := float64(profiles)
	fmt.Fprintf(os.Stderr, "%d profiles of %.0f bytes each were indexed at %.0f/s, %.1f µs of processor time each; %.0f bytes on disk, %.0f written, %.1f terms each\n", profiles,
		float64(before)/n, n/took.Seconds(), float64(cpu)/n/1000, float64(size()-before)/n, float64(written)/n, float64(state.Terms)/n)
}

// queries measures first pages of the kinds of texts that people type.
func queries(b *testing.B, s *Service, w *town, some []*fold.Contribution) {
	get := func(c *fold.Contribution, id uint16) string {
		for _, v := range c.Values {
			if v.Attr.ID == id {
				return v.Text
			}
		}
		return ""
	}
	typo := func(name string) string {
		r := []rune(name)
		for range 2 {
			i := w.rnd.IntN(len(r))
			r[i] = rune('a' + w.rnd.IntN(26))
		}
		return string(r)
	}
	digits := func(c *fold.Contribution) string { return get(c, schema.PhoneNumber)[2:] }
	for _, q := range []struct {
		name string
		text func(c *fold.Contribution) string
	}{
		{"frequent name", func(*fold.Contribution) string { return w.lasts[w.rnd.IntN(20)] }},
		{"name", func(c *fold.Contribution) string { return get(c, schema.LastName) }},
		{"first and last", func(c *fold.Contribution) string { return get(c, schema.FirstName) + " " + get(c, schema.LastName) }},
		{"frequent first and last", func(*fold.Contribution) string { return w.firsts[w.rnd.IntN(10)] + " " + w.lasts[w.rnd.IntN(20)] }},
		{"beginnings", func(c *fold.Contribution) string {
			return cut(get(c, schema.FirstName), 3) + " " + cut(get(c, schema.LastName), 3)
		}},
		{"two typos", func(c *fold.Contribution) string { return typo(get(c, schema.LastName)) }},
		{"two typos, first name", func(c *fold.Contribution) string {
			return typo(get(c, schema.LastName)) + " " + get(c, schema.FirstName)
		}},
		{"e-mail", func(c *fold.Contribution) string { return cut(get(c, schema.EmailAddress), 12) }},
		{"phone", digits},
		{"last four", func(c *fold.Contribution) string { return digits(c)[6:] }},
		{"middle five, name", func(c *fold.Contribution) string { return digits(c)[3:8] + " " + get(c, schema.LastName) }},
		{"first name, city", func(c *fold.Contribution) string {
			return get(c, schema.FirstName) + " " + get(c, schema.Address+cityPart)
		}},
		{"frequent first, rare city", func(c *fold.Contribution) string {
			return w.firsts[w.rnd.IntN(5)] + " town" + w.lasts[2000+w.rnd.IntN(1000)]
		}},
		{"nothing in common", func(c *fold.Contribution) string { return w.lasts[w.rnd.IntN(5)] + " " + w.lasts[5+w.rnd.IntN(5)] }},
	} {
		b.Run(strings.ReplaceAll(q.name, " ", "_"), func(b *testing.B) {
			domain := "d"
			var times []time.Duration
			items, pages, cpu := 0, 0, cpuTime(b)
			for i := 0; b.Loop(); i++ {
				text := q.text(some[i%len(some)])
				began := time.Now()
				out, err := s.QueryProfiles(context.Background(), &api.QueryProfilesRequest{DomainName: &domain, Text: &text})
				times = append(times, time.Since(began))
				if err != nil {
					b.Fatal(err)
				}
				items += len(out.Items)
				if out.NextToken != nil && len(out.Items) < 20 {
					pages++
				}
			}
			b.ReportMetric(float64(cpuTime(b)-cpu)/float64(len(times))/1e6, "cpu-ms")
			slices.Sort(times)
			b.ReportMetric(float64(times[len(times)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(times[len(times)*99/100].Microseconds())/1000, "p99-ms")
			b.ReportMetric(float64(items)/float64(len(times)), "items")
			b.ReportMetric(float64(pages)/float64(len(times)), "short-pages")
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

// bytesWritten is what the process has written to disk, 0 where the system does not tell.
func bytesWritten() int64 {
	text, _ := os.ReadFile("/proc/self/io")
	for line := range strings.Lines(string(text)) {
		if n, ok := strings.CutPrefix(line, "write_bytes: "); ok {
			bytes, _ := strconv.ParseInt(strings.TrimSpace(n), 10, 64)
			return bytes
		}
	}
	return 0
}
