package resource_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kith/api"
	"kith/fault"
	"kith/resource"
	"kith/store"
	"kith/store/faulty"
	"kith/store/mem"
	"kith/store/pebble"
	"kith/test/cluster"
)

var ctx = context.Background()

// thing is a record of the tests. Its text, if it has one, is textOf(N).
type thing struct {
	N int
	S string `json:",omitzero"`
}

var things = resource.Kind[thing]{Name: "things", Title: "Thing"}

// rig is a domain in a store that can be made to fail.
type rig struct {
	resource.Scope
	store *faulty.Store
	later atomic.Int64 // what the clock is ahead of the real one
	gone  atomic.Bool  // the domain has been deleted
}

func newRig(st store.Store) *rig {
	r := &rig{store: &faulty.Store{Store: st}}
	r.Scope = resource.Scope{
		Store: r.store, Domain: "d", Incarnation: 7,
		Now: func() time.Time { return time.Now().Add(time.Duration(r.later.Load())) },
		Alive: func(context.Context) error {
			if r.gone.Load() {
				return fault.NotFoundf("domain d is gone")
			}
			return nil
		},
	}
	return r
}

// onAllEngines runs a test on the embedded engines, and on a cluster if there is one.
func onAllEngines(t *testing.T, test func(t *testing.T, r *rig)) {
	engines := map[string]func(t *testing.T) store.Store{
		"mem": func(*testing.T) store.Store { return mem.New() },
		"pebble": func(t *testing.T) store.Store {
			st, err := pebble.Open(t.TempDir()+"/db", pebble.Options{})
			if err != nil {
				t.Fatal(err)
			}
			return st
		},
		"cql": func(t *testing.T) store.Store {
			st, _ := cluster.Engines(t)
			return st
		},
	}
	for name, open := range engines {
		t.Run(name, func(t *testing.T) {
			st := open(t)
			defer st.Close()
			test(t, newRig(st))
		})
	}
}

// whateverIsLost is onAllEngines, and once more where every third answer to a Swap is lost, be it of one that has happened or of one that has not.
func whateverIsLost(t *testing.T, test func(t *testing.T, r *rig)) {
	onAllEngines(t, test)
	t.Run("losing", func(t *testing.T) {
		r := newRig(mem.New())
		lose := func(op faulty.Op, _ store.Partition) error {
			if op == faulty.Swap && rand.IntN(6) == 0 {
				return store.ErrUnknown
			}
			return nil
		}
		r.store.Before(lose)
		r.store.After(lose)
		test(t, r)
	})
}

// textOf returns a text of several parts that tells its number wherever one looks.
func textOf(n int) string {
	word := fmt.Sprintf("%07d,", n)
	return strings.Repeat(word, (1<<20+1000+n)/len(word))
}

func fill(n int, text bool) func(*resource.Record[thing]) error {
	return func(r *resource.Record[thing]) error {
		r.Data.N = n
		if text {
			r.SetText(textOf(n))
		}
		return nil
	}
}

func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// names returns the names of all records, page by page.
func (r *rig) names(t *testing.T, k resource.Kind[thing], size int32) (all []string) {
	t.Helper()
	var cursor *string
	for {
		page, next, err := k.List(ctx, r.Scope, cursor, &size)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) > int(size) || len(page) == 0 && next != nil {
			t.Fatalf("a page of %d records, asked for %d", len(page), size)
		}
		for _, rec := range page {
			all = append(all, rec.Name)
		}
		if next == nil {
			return all
		}
		cursor = next
	}
}

// orphans returns the texts that have parts in the store although no record and no pending row names them, and how many texts wait
// to be removed.
func (r *rig) orphans(t *testing.T) (lost []string, pending int) {
	t.Helper()
	named, parts := map[string]bool{}, map[string]bool{}
	for row, err := range r.store.Store.Sweep(ctx, store.SweepRange{Table: store.Resource, Incarnation: r.Incarnation}) {
		if err != nil {
			t.Fatal(err)
		}
		id, isText := strings.CutPrefix(row.Partition.Key, "t/")
		name, isPending := strings.CutPrefix(string(row.Row.Key), "x/")
		switch {
		case isText:
			parts[id] = true
		case isPending:
			pending++
			named[name] = true
		default:
			if _, rest, ok := strings.Cut(string(row.Row.Value), `"ID":"`); ok {
				named[rest[:32]] = true
			}
		}
	}
	for id := range parts {
		if !named[id] {
			lost = append(lost, id)
		}
	}
	return lost, pending
}

// whole fails if a text is lost track of, and, after Tidy, if anything waits to be removed.
func (r *rig) whole(t *testing.T) {
	t.Helper()
	if lost, _ := r.orphans(t); lost != nil {
		t.Fatalf("parts of texts that nothing names: %v", lost)
	}
	r.later.Add(int64(2 * time.Hour))
	if err := things.Tidy(ctx, r.Scope); err != nil {
		t.Fatal(err)
	}
	if lost, pending := r.orphans(t); lost != nil || pending > 0 {
		t.Fatalf("after Tidy: parts that nothing names %v, %d texts to be removed", lost, pending)
	}
}

func TestResourceLife(t *testing.T) {
	onAllEngines(t, func(t *testing.T, r *rig) {
		made := must[*resource.Record[thing]](t)(things.Create(ctx, r.Scope, "a", func(rec *resource.Record[thing]) error {
			rec.Data, rec.Tags = thing{N: 1}, map[string]string{"k": "v"}
			return nil
		}))
		if made.Revision != 1 || made.CreatedAt != made.UpdatedAt || made.CreatedAt == 0 {
			t.Fatalf("%+v", made)
		}
		if _, err := things.Create(ctx, r.Scope, "a", fill(2, false)); !errors.Is(err, fault.BadRequest) {
			t.Fatalf("a name that is taken: %v", err)
		}
		refused := errors.New("refused")
		if _, err := things.Update(ctx, r.Scope, "a", func(*resource.Record[thing]) error { return refused }); err != refused {
			t.Fatal(err)
		}
		changed := must[*resource.Record[thing]](t)(things.Update(ctx, r.Scope, "a", fill(2, false)))
		got := must[*resource.Record[thing]](t)(things.Get(ctx, r.Scope, "a"))
		if got.Revision != 2 || got.CreatedAt != made.CreatedAt || got.UpdatedAt <= made.UpdatedAt || got.UpdatedAt != changed.UpdatedAt || got.Data.N != 2 || got.Tags["k"] != "v" {
			t.Fatalf("%+v", got)
		}
		must[*resource.Record[thing]](t)(things.Put(ctx, r.Scope, "a", fill(3, false)))
		must[*resource.Record[thing]](t)(things.Put(ctx, r.Scope, "b", fill(4, false)))
		if names := r.names(t, things, 1); fmt.Sprint(names) != "[a b]" {
			t.Fatal(names)
		}
		if path := things.Path(r.Scope, "a"); path != "domains/d/things/a" {
			t.Fatal(path)
		}
		other := resource.Kind[thing]{Name: "others", Title: "Other"}
		if names := r.names(t, other, 1); names != nil {
			t.Fatalf("a kind shows another's: %v", names)
		}
		if err := things.Delete(ctx, r.Scope, "a", func(rec *resource.Record[thing]) error { return refused }); err != refused {
			t.Fatal(err)
		}
		if err := things.Delete(ctx, r.Scope, "a", nil); err != nil {
			t.Fatal(err)
		}
		_, get := things.Get(ctx, r.Scope, "a")
		_, read, _ := things.Read(ctx, r.Scope, "a")
		_, update := things.Update(ctx, r.Scope, "a", fill(5, false))
		if del := things.Delete(ctx, r.Scope, "a", nil); !errors.Is(get, fault.NotFound) || read != "" || !errors.Is(update, fault.NotFound) || !errors.Is(del, fault.NotFound) {
			t.Fatalf("after deletion: %v, %v, %v", get, update, del)
		}
		again := must[*resource.Record[thing]](t)(things.Create(ctx, r.Scope, "a", fill(6, false)))
		if again.Revision != 1 || again.Tags != nil || again.CreatedAt <= made.CreatedAt {
			t.Fatalf("created again: %+v", again)
		}
		if _, err := things.Create(ctx, r.Scope, "big", func(rec *resource.Record[thing]) error {
			rec.Data.S = strings.Repeat("x", resource.MaxRecord)
			return nil
		}); !errors.Is(err, fault.BadRequest) {
			t.Fatalf("a record over the limit: %v", err)
		}
	})
}

func TestResourcePages(t *testing.T) {
	onAllEngines(t, func(t *testing.T, r *rig) {
		var want []string
		for i := range 23 {
			name := fmt.Sprintf("n%02d", i)
			want = append(want, name)
			must[*resource.Record[thing]](t)(things.Create(ctx, r.Scope, name, fill(i, false)))
		}
		for _, size := range []int32{1, 2, 7, 22, 23, 24, 100} {
			if got := r.names(t, things, size); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("pages of %d: %v", size, got)
			}
		}
		// Who goes on behind a record that has gone meanwhile misses nothing else.
		page, next, err := things.List(ctx, r.Scope, nil, api.Ptr(int32(5)))
		if err != nil || len(page) != 5 || things.Delete(ctx, r.Scope, *next, nil) != nil {
			t.Fatal(page, err)
		}
		if page, _, err = things.List(ctx, r.Scope, next, api.Ptr(int32(1))); err != nil || page[0].Name != "n06" {
			t.Fatal(page, err)
		}
		// Large records make short pages.
		large := resource.Kind[thing]{Name: "large", Title: "Large"}
		for i := range 9 {
			must[*resource.Record[thing]](t)(large.Create(ctx, r.Scope, fmt.Sprint(i), func(rec *resource.Record[thing]) error {
				rec.Data.S = strings.Repeat("x", resource.MaxRecord-200)
				return nil
			}))
		}
		if page, next, err := large.List(ctx, r.Scope, nil, nil); err != nil || len(page) != 4 || next == nil {
			t.Fatalf("%d records of a megabyte on a page, %v", len(page), err)
		}
		if got := r.names(t, large, 100); len(got) != 9 {
			t.Fatal(got)
		}
	})
}

// A limit and the one default hold whoever else writes.
func TestResourceLimitAndDefault(t *testing.T) {
	whateverIsLost(t, func(t *testing.T, r *rig) {
		few := resource.Kind[thing]{Name: "few", Title: "Thing", Max: 3}
		var wg sync.WaitGroup
		var made, refused atomic.Int64
		for i := range 8 {
			wg.Go(func() {
				_, err := few.Create(ctx, r.Scope, fmt.Sprint(i), func(rec *resource.Record[thing]) error {
					rec.Default = true
					return nil
				})
				switch {
				case err == nil:
					made.Add(1)
				case errors.Is(err, fault.BadRequest):
					refused.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if made.Load() != 3 || refused.Load() != 5 {
			t.Fatalf("%d made, %d refused", made.Load(), refused.Load())
		}
		defaults := func() (names []string) {
			page, _, err := few.List(ctx, r.Scope, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, rec := range page {
				if rec.Default {
					names = append(names, rec.Name)
				}
			}
			return names
		}
		names := r.names(t, few, 100)
		for range 3 {
			for _, name := range names {
				wg.Go(func() {
					if _, err := few.Update(ctx, r.Scope, name, func(rec *resource.Record[thing]) error {
						rec.Default = true
						return nil
					}); err != nil {
						t.Error(err)
					}
				})
			}
		}
		wg.Wait()
		all := defaults()
		if len(all) != 1 {
			t.Fatalf("the defaults are %v", all)
		}
		first := must[*resource.Record[thing]](t)(few.Get(ctx, r.Scope, names[0]))
		if all[0] == names[0] {
			first = must[*resource.Record[thing]](t)(few.Get(ctx, r.Scope, names[1]))
		}
		must[*resource.Record[thing]](t)(few.Update(ctx, r.Scope, first.Name, func(rec *resource.Record[thing]) error {
			rec.Default = true
			return nil
		}))
		ended := must[*resource.Record[thing]](t)(few.Get(ctx, r.Scope, all[0]))
		must[*resource.Record[thing]](t)(few.Update(ctx, r.Scope, all[0], fill(1, false)))
		if now := must[*resource.Record[thing]](t)(few.Get(ctx, r.Scope, all[0])); now.Revision != ended.Revision+1 {
			t.Fatal("the end of a default counted as a change of that resource")
		}
		if got := defaults(); fmt.Sprint(got) != fmt.Sprint([]string{first.Name}) {
			t.Fatalf("the defaults are %v", got)
		}
		if err := few.Delete(ctx, r.Scope, first.Name, nil); err != nil || defaults() != nil {
			t.Fatalf("after the default was deleted: %v, %v", defaults(), err)
		}
		must[*resource.Record[thing]](t)(few.Create(ctx, r.Scope, "new", fill(1, false)))
	})
}

func TestResourceTagsBesideUpdates(t *testing.T) {
	onAllEngines(t, func(t *testing.T, r *rig) {
		must[*resource.Record[thing]](t)(things.Create(ctx, r.Scope, "a", fill(0, true)))
		var wg sync.WaitGroup
		const n = 10
		for i := range n {
			wg.Go(func() {
				err := resource.ChangeTags(ctx, r.Scope, "things", "a", func(tags map[string]string) error {
					tags[fmt.Sprint(i)] = "v"
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
			wg.Go(func() {
				_, err := things.Update(ctx, r.Scope, "a", func(rec *resource.Record[thing]) error {
					rec.Data.N++
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		got := must[*resource.Record[thing]](t)(things.Get(ctx, r.Scope, "a"))
		if tags := must[map[string]string](t)(resource.Tags(ctx, r.Scope, "things", "a")); len(tags) != n || got.Data.N != n || got.Revision != n+1 {
			t.Fatalf("%d tags, %+v", len(tags), got)
		}
		if _, text, err := things.Read(ctx, r.Scope, "a"); err != nil || text != textOf(0) {
			t.Fatal("the text has suffered", err)
		}
		_, err := resource.Tags(ctx, r.Scope, "nothings", "a")
		if change := resource.ChangeTags(ctx, r.Scope, "things", "b", func(map[string]string) error { return nil }); !errors.Is(err, fault.NotFound) || !errors.Is(change, fault.NotFound) {
			t.Fatal(err, change)
		}
	})
}

func TestResourceTexts(t *testing.T) {
	onAllEngines(t, func(t *testing.T, r *rig) {
		const part = 1 << 20
		for i, size := range []int{0, 1, part - 1, part, part + 1, 3*part + 7} {
			text := strings.Repeat("ä", size/2) + strings.Repeat("x", size%2)
			must[*resource.Record[thing]](t)(things.Put(ctx, r.Scope, "a", func(rec *resource.Record[thing]) error {
				rec.Data.N = i
				rec.SetText(text)
				return nil
			}))
			if rec, got, err := things.Read(ctx, r.Scope, "a"); err != nil || got != text || rec.Data.N != i {
				t.Fatalf("%d bytes: got %d, %v", size, len(got), err)
			}
			if lost, pending := r.orphans(t); lost != nil || pending > 0 {
				t.Fatalf("%d bytes: %v lost, %d pending", size, lost, pending)
			}
		}
		largest := strings.Repeat("😀", 2_000_000)
		must[*resource.Record[thing]](t)(things.Create(ctx, r.Scope, "largest", func(rec *resource.Record[thing]) error {
			rec.SetText(largest)
			return nil
		}))
		if _, got, err := things.Read(ctx, r.Scope, "largest"); err != nil || got != largest {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
		if err := errors.Join(things.Delete(ctx, r.Scope, "a", nil), things.Delete(ctx, r.Scope, "largest", nil)); err != nil {
			t.Fatal(err)
		}
		rows := 0
		for row, err := range r.store.Sweep(ctx, store.SweepRange{Table: store.Resource, Incarnation: r.Incarnation}) {
			if rows++; err != nil || string(row.Row.Key) != "k" {
				t.Fatalf("left behind: %s %q, %v", row.Partition.Key, row.Row.Key, err)
			}
		}
		if rows != 1 {
			t.Fatalf("%d rows are left", rows)
		}
	})
}

// A reader meets record and text as one writer left them.
func TestResourceReadersSeeNoMix(t *testing.T) {
	onAllEngines(t, func(t *testing.T, r *rig) {
		must[*resource.Record[thing]](t)(things.Create(ctx, r.Scope, "a", fill(1, true)))
		var writers, readers sync.WaitGroup
		var stop atomic.Bool
		for w := range 3 {
			writers.Go(func() {
				for i := range 5 {
					do := fill((w+1)*100+i, true)
					if i%3 == 2 { // what does not touch the text
						do = func(rec *resource.Record[thing]) error {
							rec.Data.S += "x"
							return nil
						}
					}
					if _, err := things.Update(ctx, r.Scope, "a", do); err != nil {
						t.Error(err)
					}
				}
			})
		}
		reads := 0
		readers.Go(func() {
			for !stop.Load() || reads == 0 {
				rec, text, err := things.Read(ctx, r.Scope, "a")
				if err != nil {
					t.Error(err)
					return
				}
				if text != textOf(rec.Data.N) {
					t.Errorf("record %d has another text, of %d bytes", rec.Data.N, len(text))
					return
				}
				reads++
			}
		})
		writers.Wait()
		stop.Store(true)
		readers.Wait()
		if rec, text, err := things.Read(ctx, r.Scope, "a"); err != nil || text != textOf(rec.Data.N) {
			t.Fatalf("%+v, %v", rec, err)
		}
		r.whole(t)
	})
}

// dying fails every call that writes from the nth on, as a process that dies; with lost, the nth has its effect.
func dying(st *faulty.Store, n int64, lost bool) *atomic.Int64 {
	var calls atomic.Int64
	die := errors.New("the process has died")
	writes := func(op faulty.Op) bool { return op == faulty.Swap || op == faulty.Write || op == faulty.DropRange }
	st.Before(func(op faulty.Op, _ store.Partition) error {
		if !writes(op) {
			return nil
		}
		if c := calls.Add(1); c > n || c == n && !lost {
			return die
		}
		return nil
	})
	st.After(func(op faulty.Op, _ store.Partition) error {
		if writes(op) && calls.Load() >= n {
			return fmt.Errorf("%w: %w", store.ErrUnknown, die)
		}
		return nil
	})
	return &calls
}

// Wherever a writer dies, the record is as before or as after, its text is whole, and what is left over is found.
func TestResourceWritersThatDie(t *testing.T) {
	calls := map[string]func(at resource.Scope) error{
		"create": func(at resource.Scope) error {
			_, err := things.Create(ctx, at, "new", fill(2, true))
			return err
		},
		"update": func(at resource.Scope) error {
			_, err := things.Update(ctx, at, "old", fill(2, true))
			return err
		},
		"delete": func(at resource.Scope) error { return things.Delete(ctx, at, "old", nil) },
	}
	onAllEngines(t, func(t *testing.T, r *rig) {
		for what, call := range calls {
			for _, lost := range []bool{false, true} {
				for n := int64(1); ; n++ {
					must[*resource.Record[thing]](t)(things.Put(ctx, r.Scope, "old", fill(1, true)))
					_ = things.Delete(ctx, r.Scope, "new", nil)
					count := dying(r.store, n, lost)
					err := call(r.Scope)
					done := count.Load() < n
					r.store.Before(nil)
					r.store.After(nil)
					for _, name := range []string{"old", "new"} {
						rec, text, err := things.Read(ctx, r.Scope, name)
						if err != nil && !errors.Is(err, fault.NotFound) {
							t.Fatalf("%s, died at call %d: %v", what, n, err)
						}
						if err == nil && text != textOf(rec.Data.N) {
							t.Fatalf("%s, died at call %d: record %d has another text", what, n, rec.Data.N)
						}
					}
					r.whole(t)
					if done {
						if err != nil {
							t.Fatal(err)
						}
						break
					}
				}
			}
		}
	})
}

// A writer that takes hours is ended by Tidy, and begins again: nothing that was removed is ever named, wherever Tidy is when the
// writer goes on.
func TestResourceSlowWriters(t *testing.T) {
	onAllEngines(t, func(t *testing.T, r *rig) {
		must[*resource.Record[thing]](t)(things.Create(ctx, r.Scope, "a", fill(1, true)))
		for i, tidyIs := range []faulty.Match{nil, faulty.Behind(faulty.Swap, store.Resource), faulty.Behind(faulty.Write, store.Resource)} {
			n := i + 2
			publishes := faulty.On(faulty.Swap, store.Resource).Key(func(key []byte) bool { return string(key) == "r/a" })
			writer := r.store.Stall(publishes)
			written, tidied := make(chan error, 1), make(chan error, 1)
			go func() {
				_, err := things.Update(ctx, r.Scope, "a", fill(n, true))
				written <- err
			}()
			<-writer.Arrived()
			r.later.Add(int64(2 * time.Hour))
			if tidyIs == nil {
				tidied <- things.Tidy(ctx, r.Scope)
				writer.Release()
			} else {
				tidy := r.store.Stall(tidyIs)
				go func() { tidied <- things.Tidy(ctx, r.Scope) }()
				<-tidy.Arrived()
				writer.Release()
				defer tidy.Release()
				if err := <-written; err != nil {
					t.Fatal(err)
				}
				written <- nil
				tidy.Release()
			}
			if err := errors.Join(<-written, <-tidied); err != nil {
				t.Fatal(err)
			}
			if rec, text, err := things.Read(ctx, r.Scope, "a"); err != nil || rec.Data.N != n || text != textOf(n) {
				t.Fatalf("case %d: %+v, %d bytes, %v", i, rec, len(text), err)
			}
			r.whole(t)
		}
	})
}

// A write that the deletion of its domain overtook leaves nothing behind, although what removes the domain's rows has passed.
func TestResourceOfADeletedDomain(t *testing.T) {
	onAllEngines(t, func(t *testing.T, r *rig) {
		r.gone.Store(true)
		if _, err := things.Create(ctx, r.Scope, "a", fill(1, true)); !errors.Is(err, fault.NotFound) {
			t.Fatal(err)
		}
		for row, err := range r.store.Sweep(ctx, store.SweepRange{Table: store.Resource, Incarnation: r.Incarnation}) {
			t.Fatalf("left behind: %s %q, %v", row.Partition.Key, row.Row.Key, err)
		}
	})
}

// Random calls on a few names have the outcome that they have one after another in a map.
func TestResourceRandomCalls(t *testing.T) {
	whateverIsLost(t, func(t *testing.T, r *rig) {
		calls := 400
		if strings.HasSuffix(t.Name(), "/cql") {
			calls = 60
		}
		seed := rand.Uint64()
		random := rand.New(rand.NewPCG(seed, 0))
		few := resource.Kind[thing]{Name: "few", Title: "Thing", Max: 3}
		model := map[string]int{}
		def := ""
		for i := range calls {
			name := string(rune('a' + random.IntN(5)))
			_, there := model[name]
			before := def
			set := func(rec *resource.Record[thing]) error {
				def = before // it may be called again
				rec.Data.N = i
				if random.IntN(3) == 0 {
					rec.Default = !rec.Default
				}
				if rec.Default {
					def = name
				} else if def == name {
					def = ""
				}
				return nil
			}
			var err error
			want := true
			switch random.IntN(3) {
			case 0:
				want = !there && len(model) < 3
				_, err = few.Create(ctx, r.Scope, name, set)
			case 1:
				want = there
				_, err = few.Update(ctx, r.Scope, name, set)
			case 2:
				want = there
				if err = few.Delete(ctx, r.Scope, name, nil); err == nil {
					delete(model, name)
					if def == name {
						def = ""
					}
				}
				if (err == nil) != want {
					t.Fatalf("seed %d, call %d: deletion of %s: %v", seed, i, name, err)
				}
				continue
			}
			if (err == nil) != want {
				t.Fatalf("seed %d, call %d on %s: %v, want success %t", seed, i, name, err, want)
			}
			if err == nil {
				model[name] = i
			} else {
				def = before
			}
			page, _, err := few.List(ctx, r.Scope, nil, nil)
			if err != nil || len(page) != len(model) {
				t.Fatalf("seed %d, call %d: %d records, want %d, %v", seed, i, len(page), len(model), err)
			}
			for _, rec := range page {
				if rec.Data.N != model[rec.Name] || rec.Default != (rec.Name == def) {
					t.Fatalf("seed %d, call %d: %+v, want %d, default %q", seed, i, rec, model[rec.Name], def)
				}
			}
		}
	})
}
