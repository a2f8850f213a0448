package stage

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"kith/api"
	"kith/blob"
	"kith/blob/disk"
	"kith/domain"
	"kith/internal/extsort"
	"kith/profile"
	"kith/profile/fold"
	"kith/profile/index"
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
	// within is the context of imports, if it is not the test's.
	within context.Context
	fail   func() error // asked before operations of the disks; nil: none fails
}

func (b *bench) failure() error {
	if b.fail == nil {
		return nil
	}
	return b.fail()
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
	if b.blobs, err = disk.OpenWith(t.TempDir(), func(string, string) error { return b.failure() }); err != nil {
		t.Fatal(err)
	}
	aside := errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind != errorfs.OpRemove && op.Kind != errorfs.OpList && strings.Contains(op.Path, "/ingest/") {
			return b.failure()
		}
		return nil
	})
	if b.store, err = pebble.Open("db", pebble.Options{FS: errorfs.Wrap(b.disk, aside)}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.close)
	b.facts = Facts{Store: b.store, Blobs: b.blobs, Log: slog.New(slog.DiscardHandler), Profiles: &profile.Service{Store: b.store}, Incarnation: 7, JobID: [16]byte{1}, Job: "0a", Dir: "7/0a/",
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
	// ranges are bounds of the buckets; empty ones are made of the file's keys, for who uses them again. Nil: buckets are by hash.
	ranges  *[][]byte
	memory  int64
	workers int
	large   int // bytes of a part of a shelf that are sorted in memory
	again   int // buckets that were published when everything begins anew
}

func (b *bench) plan(attempt string) *Plan {
	f := b.facts
	f.Attempt = attempt
	return NewPlan(f)
}

func (b *bench) read(p *Plan, file string, w way, prior *ReadResult) (*ReadResult, *Buckets, error) {
	return p.NewReader(Reading{File: plainBlob{bytes.NewReader([]byte(file))}, BucketBytes: w.buckets, MemoryBytes: w.memory, Workers: w.workers, BatchBytes: 8 << 10,
		Secret: 5, Rows: new(atomic.Int64), Bytes: new(atomic.Int64), Room: func(ctx context.Context) error { return ctx.Err() }}).Read(b.ctx(), prior)
}

// ctx is that of imports.
func (b *bench) ctx() context.Context {
	if b.within != nil {
		return b.within
	}
	return b.t.Context()
}

func (b *bench) output(p *Plan, from *Buckets, read *ReadResult, w way) (*Output, error) {
	if !w.staged {
		return nil, nil
	}
	from.Once = true
	indexed, err := p.AnyIndexed(b.ctx())
	if err != nil {
		return nil, err
	}
	out, err := p.NewOutput(b.ctx(), store.StagerOf(b.store), from, read, indexed)
	if out != nil && w.large > 0 {
		out.large = w.large
	}
	return out, err
}

// begin reads a file and makes an output.
func (b *bench) begin(p *Plan, file string, w way, prior *ReadResult) (*ReadResult, *Buckets, *Output, error) {
	read, from, err := b.read(p, file, w, prior)
	if err != nil {
		from.Close() // the rejects may have failed behind it
		return nil, nil, nil, err
	}
	if w.ranges != nil && prior == nil { // files of tests are too small to be sampled
		found, err := p.sampleKeys(from)
		from.Close()
		if err != nil {
			return nil, nil, nil, err
		}
		if *w.ranges == nil {
			*w.ranges = extsort.Bounds(found.values[matchFamily], read.Buckets)
		}
		ranged := *read
		ranged.Bounds, ranged.Buckets = *w.ranges, len(*w.ranges)+1
		return b.begin(p, file, w, &ranged)
	}
	out, err := b.output(p, from, read, w)
	return read, from, out, err
}

// resolve resolves some buckets, side by side, into runs.
func (b *bench) resolve(p *Plan, from *Buckets, out *Output, buckets []int, runs map[int]RunResult) error {
	indexed, err := p.AnyIndexed(b.ctx())
	if err != nil {
		return err
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
				o, err := r.Resolve(b.ctx(), bucket)
				if err == nil {
					err = o.Commit()
					o.Abort()
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
	return failed
}

// run imports a file.
func (b *bench) run(file string, w way) map[int]RunResult {
	b.t.Helper()
	runs, err := b.try(file, w)
	if err != nil {
		b.t.Fatal(err)
	}
	b.clean()
	return runs
}

// try is run that may fail.
func (b *bench) try(file string, w way) (map[int]RunResult, error) {
	p := b.plan("first")
	read, from, out, err := b.begin(p, file, w, nil)
	defer func() {
		out.Close()
		from.Close()
	}()
	if err != nil {
		return nil, err
	}
	runs := map[int]RunResult{}
	todo := rand.Perm(read.Buckets)
	if n := min(w.again, len(todo)); n > 0 {
		if err := b.resolve(p, from, out, todo[:n], runs); err != nil {
			return nil, err
		}
		out.Close()
		from.Close()
		b.clean()
		w.workers = 1 + w.workers%3
		p = b.plan("second")
		if _, from, out, err = b.begin(p, file, w, read); err != nil {
			return nil, err
		}
		for bucket, run := range runs {
			if err := p.NewResolver(from, false, nil).To(out).Again(b.ctx(), bucket, &run); err != nil {
				return nil, err
			}
		}
		todo = todo[n:]
	}
	if err := b.resolve(p, from, out, todo, runs); err != nil {
		return nil, err
	}
	if out != nil {
		return runs, out.Land(b.ctx(), runs)
	}
	r := p.NewResolver(from, false, nil)
	for bucket := range runs {
		run := runs[bucket]
		if err := r.Write(b.ctx(), bucket, &run); err != nil {
			return nil, err
		}
	}
	return runs, nil
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

// indexed fails unless profiles have the index rows that their contributions yield, and no others.
func (b *bench) indexed() {
	b.t.Helper()
	p := b.plan("any")
	want, got := map[string]bool{}, map[string]bool{}
	var repeats fold.Repeats
	last := ""
	for row, err := range b.store.Sweep(b.t.Context(), store.SweepRange{Table: store.Profile}) {
		if row.Partition.Key != last {
			repeats.Reset()
		}
		last = row.Partition.Key
		var c fold.Contribution
		var whole []byte
		if err == nil {
			whole, err = repeats.Complete(bytes.Clone(row.Row.Key[len(fold.ContributionPrefix):]), bytes.Clone(row.Row.Value))
		}
		if err == nil {
			err = c.Decode(whole, 1)
		}
		if err != nil {
			b.t.Fatal(err)
		}
		index.Keys(c.Values, p.own, func(name, value string) {
			want[fmt.Sprintf("%q %x", index.PartitionKey(index.Key{Name: name, Value: value}), row.Partition.Key)] = true
		})
		for _, k := range c.Private {
			want[fmt.Sprintf("%q %x", index.PartitionKey(index.Key{Name: k.Name, Value: k.Value}), row.Partition.Key)] = true
		}
	}
	for row, err := range b.store.Sweep(b.t.Context(), store.SweepRange{Table: store.Index}) {
		if err != nil {
			b.t.Fatal(err)
		}
		id, _, _ := index.ParseRowKey(row.Row.Key)
		got[fmt.Sprintf("%q %x", row.Partition.Key, id[:])] = true
	}
	if !maps.Equal(got, want) {
		b.t.Fatalf("%d index rows, and the profiles yield %d, or others", len(got), len(want))
	}
}
