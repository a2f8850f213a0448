package stage

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"kith/api"
	"kith/blob"
	"kith/blob/disk"
	"kith/domain"
	"kith/internal/extsort"
	"kith/profile"
	"kith/profile/fold"
	"kith/profile/index"
	"kith/schema"
	"kith/store"
	"kith/store/pebble"
)

// bench is an import on a store of its own, whose every way is to leave the same rows.
type bench struct {
	t     testing.TB
	arena *extsort.Arena
	blobs blob.Store
	disk  *vfs.MemFS // of the store
	store store.Store
	facts Facts
}

// benchTime is the time of the jobs of tests.
const benchTime = int64(1_790_000_000_123_456)

// newBench returns a bench; fields are column=Target, or column for one without an attribute.
func newBench(t testing.TB, unique string, own []domain.Key, fields ...string) *bench {
	t.Helper()
	mapped := map[string]api.ObjectTypeField{}
	for _, f := range fields {
		column, target, ok := strings.Cut(f, "=")
		field := api.ObjectTypeField{Source: api.Ptr("_source." + column)}
		if ok {
			field.Target = api.Ptr("_profile." + target)
		}
		mapped[column] = field
	}
	m, err := Compile(mapped, unique)
	if err != nil {
		t.Fatal(err)
	}
	if m.own != nil && !slices.ContainsFunc(own, func(k domain.Key) bool { return k.Name == m.own.Name }) {
		own = append(slices.Clone(own), *m.own)
	}
	b := &bench{t: t, disk: vfs.NewMem(), arena: &extsort.Arena{Budget: 1 << 20, Poison: true}}
	if b.blobs, err = disk.Open(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	if b.store, err = pebble.Open("db", pebble.Options{FS: b.disk}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.close)
	b.facts = Facts{Store: b.store, Blobs: b.blobs, Profiles: &profile.Service{Store: b.store}, Incarnation: 7, JobID: [16]byte{1}, Job: "0a", Dir: "7/0a/",
		Time: benchTime, Expires: 2 * benchTime, Arena: b.arena, ScratchDir: t.TempDir(), Mapping: m, Keys: own}
	return b
}

func (b *bench) close() {
	if b.store != nil {
		if err := b.store.Close(); err != nil {
			b.t.Error(err)
		}
		b.store = nil
	}
}

// way is how an import is done.
type way struct {
	staged  bool
	buckets int64 // bytes of the file
	memory  int64
	workers int
	large   int // bytes of a part of a shelf that are sorted in memory
	again   int // buckets that were published when everything begins anew
	only    int // buckets that are resolved at all; 0: all
}

func (b *bench) plan(attempt string) *Plan {
	f := b.facts
	f.Attempt = attempt
	return NewPlan(f)
}

func (b *bench) read(p *Plan, file string, w way, prior *ReadResult) (*ReadResult, *Buckets) {
	b.t.Helper()
	res, found, err := p.NewReader(Reading{File: plainBlob{bytes.NewReader([]byte(file))}, BucketBytes: w.buckets, MemoryBytes: w.memory, Workers: w.workers, BatchBytes: 8 << 10,
		Secret: 5, Rows: new(atomic.Int64), Bytes: new(atomic.Int64), Room: func(ctx context.Context) error { return ctx.Err() }}).Read(b.t.Context(), prior)
	if err != nil {
		b.t.Fatal(err)
	}
	return res, found
}

func (b *bench) output(p *Plan, from *Buckets, read *ReadResult, w way) *Output {
	b.t.Helper()
	if !w.staged {
		return nil
	}
	from.Once = true
	indexed, err := p.AnyIndexed(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	out, err := p.NewOutput(b.t.Context(), store.StagerOf(b.store), from, read, indexed)
	if err != nil {
		b.t.Fatal(err)
	}
	if w.large > 0 {
		out.large = w.large
	}
	return out
}

// resolve resolves some buckets, side by side, into runs.
func (b *bench) resolve(p *Plan, from *Buckets, out *Output, buckets []int, runs map[int]RunResult) {
	b.t.Helper()
	indexed, err := p.AnyIndexed(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	todo := make(chan int, len(buckets))
	for _, bucket := range buckets {
		todo <- bucket
	}
	close(todo)
	var mu sync.Mutex
	var wg sync.WaitGroup
	var failed error
	for range 2 {
		wg.Go(func() {
			r := p.NewResolver(from, indexed, nil)
			if out != nil {
				r.To(out)
			}
			for bucket := range todo {
				o, err := r.Resolve(b.t.Context(), bucket)
				if err == nil {
					err = o.Commit()
				}
				mu.Lock()
				if failed = errors.Join(failed, err); err == nil {
					runs[bucket] = o.Result
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if failed != nil {
		b.t.Fatal(failed)
	}
}

// run imports a file.
func (b *bench) run(file string, w way) (*ReadResult, map[int]RunResult) {
	b.t.Helper()
	ctx := b.t.Context()
	p := b.plan("first")
	read, from := b.read(p, file, w, nil)
	out := b.output(p, from, read, w)
	runs := map[int]RunResult{}
	todo := rand.Perm(read.Buckets)
	if w.only > 0 {
		todo = todo[:min(w.only, len(todo))]
	}
	if n := min(w.again, len(todo)); n > 0 {
		b.resolve(p, from, out, todo[:n], runs)
		out.Close()
		from.Close()
		b.clean()
		w.workers = 1 + w.workers%3
		p = b.plan("second")
		_, from = b.read(p, file, w, read)
		out = b.output(p, from, read, w)
		if w.staged {
			for bucket, run := range runs {
				if err := p.NewResolver(from, false, nil).To(out).Again(ctx, bucket, &run); err != nil {
					b.t.Fatal(err)
				}
			}
		}
		todo = todo[n:]
	}
	b.resolve(p, from, out, todo, runs)
	if out != nil {
		if err := out.Land(ctx, runs); err != nil {
			b.t.Fatal(err)
		}
		out.Close()
	} else {
		r := p.NewResolver(from, false, nil)
		for bucket := range runs {
			run := runs[bucket]
			if err := r.Write(ctx, bucket, &run); err != nil {
				b.t.Fatal(err)
			}
		}
	}
	from.Close()
	b.clean()
	return read, runs
}

// clean fails if anything is left of what is scratch.
func (b *bench) clean() {
	b.t.Helper()
	if !b.arena.Empty() {
		b.t.Fatal("memory is left in the arena")
	}
	left, err := b.disk.List("db/ingest")
	if err != nil || len(left) > 0 {
		b.t.Fatalf("%d tables are left aside, %v", len(left), err)
	}
	if left, _ := os.ReadDir(b.facts.ScratchDir); len(left) > 0 {
		b.t.Fatalf("%v is left", left[0])
	}
}

// rows are all rows of profiles and of the index.
func (b *bench) rows() (all []string) {
	b.t.Helper()
	for _, table := range []store.Table{store.Profile, store.Index} {
		for row, err := range b.store.Sweep(b.t.Context(), store.SweepRange{Table: table}) {
			if err != nil {
				b.t.Fatal(err)
			}
			all = append(all, fmt.Sprintf("%s %q %q %d %x", table, row.Partition.Key, row.Row.Key, row.Row.Time, row.Row.Value))
		}
	}
	return all
}

// there puts a profile of an earlier import into the store.
func (b *bench) there(id fold.ID, row int64, values ...fold.Value) {
	b.t.Helper()
	p := b.plan("earlier")
	at := benchTime - 10_000_000
	c := fold.Contribution{Expires: 2 * benchTime, Stamp: fold.Stamp{Time: at, Row: row}}
	slices.SortFunc(values, func(x, y fold.Value) int { return x.Attr.Compare(y.Attr) })
	for _, v := range values {
		v.Stamp = c.Stamp
		c.Values = append(c.Values, v)
	}
	err := b.store.Write(b.t.Context(), store.Partition{Table: store.Profile, Incarnation: 7, Key: string(id[:])},
		[]store.Mutation{{Key: profile.AppendContributionKey(nil, at, row), Value: c.Append(nil), Time: at}})
	index.Keys(c.Values, p.own, func(name, value string) {
		err = errors.Join(err, b.store.Write(b.t.Context(), store.Partition{Table: store.Index, Incarnation: 7, Key: index.PartitionKey(index.Key{Name: name, Value: value})},
			[]store.Mutation{{Key: index.AppendRowKey(nil, id, index.ByImport), Time: at}}))
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

// idNear returns ids of all kinds that a job may meet: of its own millisecond, before and after it, between the ids that it makes, and others.
func idNear() (id fold.ID) {
	for i := range id {
		id[i] = byte(rand.Uint32())
	}
	switch ms := uint64(benchTime / 1000); rand.IntN(6) {
	case 0: // any
	case 1:
		binary.BigEndian.PutUint64(id[:8], (ms+rand.Uint64N(3)-1)<<16|0x7000|rand.Uint64N(4096))
		id[8] = id[8]&0x3f | 0x80
	case 2, 3:
		id = fold.ImportID(benchTime, rand.IntN(4), rand.Uint32N(200), rand.Uint64())
	case 4:
		binary.BigEndian.PutUint64(id[:8], (ms<<16|0x7fff)+rand.Uint64N(2))
	case 5:
		clear(id[:7])
	}
	return id
}

// Whatever is there, whichever way an import goes and however often it begins anew, it leaves the same rows, each once, and nothing else.
func TestEveryWayLeavesTheSameRows(t *testing.T) {
	account, mail := schema.Attr{ID: attrOf(t, "AccountNumber")}, schema.Attr{ID: attrOf(t, "EmailAddress")}
	rounds := 8
	if testing.Short() {
		rounds = 4
	}
	for round := range rounds {
		rng := rand.New(rand.NewPCG(uint64(round), 1))
		n := 200 + rng.IntN(2500)
		met := map[int]fold.ID{}
		for range rng.IntN(300) {
			met[rng.IntN(2*n)] = idNear()
		}
		var file strings.Builder
		file.WriteString("id,mail,first,middle,last,phone,tier,note\n")
		for range n {
			id := rng.IntN(n)
			person := rng.IntN(50)
			fmt.Fprintf(&file, "c%06d,%s,First%d,%s,Last%d,+1206555%04d,t%d,%s\n", id, []string{"all@example.com", fmt.Sprintf("p%d@example.com", id), ""}[rng.IntN(3)], person,
				[]string{"", "M"}[rng.IntN(2)], person, rng.IntN(20), rng.IntN(3), strings.Repeat("x", rng.IntN(200)))
		}
		buckets := int64(1 << (14 + rng.IntN(6)))
		var want []string
		for i, w := range []way{
			{workers: 1},
			{staged: true, workers: 3},
			{staged: true, workers: 2, memory: 1, large: 1 + rng.IntN(5000)},
			{staged: true, workers: 2, again: 1 + rng.IntN(4), large: 1 + rng.IntN(100_000)},
		} {
			w.buckets = buckets
			b := newBench(t, "id", []domain.Key{{Name: "two", Parts: []domain.KeyPart{{Attribute: "LastName", ContentType: "NAME"}, {Attribute: "PhoneNumber", ContentType: "PHONE_NUMBER"}}}},
				"id=AccountNumber", "mail=EmailAddress", "first=FirstName", "middle=MiddleName", "last=LastName", "phone=PhoneNumber", "tier=Attributes.tier", "note=AdditionalInformation")
			for _, at := range slices.Sorted(maps.Keys(met)) {
				b.there(met[at], int64(at), fold.Value{Attr: account, Text: fmt.Sprintf("c%06d", at)}, fold.Value{Attr: mail, Text: fmt.Sprintf("P%d@example.com", at)},
					fold.Value{Attr: schema.Attr{ID: schema.FirstName}, Text: "Was"})
			}
			before := len(b.rows())
			_, runs := b.run(file.String(), w)
			if c := Sum(nil, runs); len(met) > 50 && (c.Created == 0 || c.Updated-c.Repeated == 0) {
				t.Fatalf("%+v: not everything is met", c)
			}
			if i == 0 {
				if want = b.rows(); len(want) <= before {
					t.Fatal("nothing was imported")
				}
			} else if got := b.rows(); !slices.Equal(got, want) {
				t.Fatalf("round %d, %+v: %d rows, and %d bucket by bucket, or others: %s", round, w, len(got), len(want), firstDifference(got, want))
			}
			b.close()
		}
	}
}

func attrOf(t testing.TB, name string) uint16 {
	t.Helper()
	a, ok := schema.ParsePath(name)
	if !ok {
		t.Fatal(name)
	}
	return a.ID
}

func firstDifference(a, b []string) string {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return a[i] + "\n instead of\n" + b[i]
		}
	}
	return "one has more"
}
