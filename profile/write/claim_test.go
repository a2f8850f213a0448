package write

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"kith/profile/fold"
	"kith/profile/index"
	"kith/store"
	"kith/store/faulty"
)

// together runs calls side by side, each on a node of its own.
func together(t *testing.T, n int, call func(i int) (Result, error)) (ids map[fold.ID]int, created int) {
	t.Helper()
	ids = map[fold.ID]int{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			r, err := call(i)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			ids[r.ID]++
			if r.Created {
				created++
			}
		})
	}
	wg.Wait()
	return ids, created
}

// Ground 5: 100 parallel puts of one new key make one profile.
func TestParallelPutsOfANewKey(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ids, created := together(t, 100, func(i int) (Result, error) {
			node := w.writer(time.Duration(i%7-3) * time.Second)
			node.Patience, node.GiveUp = time.Minute, patience
			o := object(fmt.Sprint("o", i), orderKey(fmt.Sprint("o", i)), emailKey("new@x.de"))
			return node.Put(t.Context(), name, "", o)
		})
		if len(ids) != 1 || created != 1 {
			t.Errorf("%d profiles, %d of them created", len(ids), created)
		}
		if s := w.covered("afterwards"); len(s.persons) != 1 {
			t.Errorf("%d profiles are stored", len(s.persons))
		}
		w.complete()
		w.exact("settled")
	})
}

// Ground 5: objects of which any two have a key in common, in whatever order, make one profile.
func TestCrosswiseKeys(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ids, created := together(t, 60, func(i int) (Result, error) {
			node := w.writer(0)
			node.Patience, node.GiveUp = time.Minute, patience
			var keys []index.Key
			for _, n := range rand.New(rand.NewPCG(uint64(i), 7)).Perm(5)[:3] { // three of five
				keys = append(keys, index.Key{Name: "k", Value: fmt.Sprint(n)})
			}
			return node.Put(t.Context(), name, "", object(fmt.Sprint("o", i), keys...))
		})
		if len(ids) != 1 || created != 1 {
			t.Errorf("%d profiles, %d of them created", len(ids), created)
		}
		w.complete()
		if s := w.exact("settled"); len(s.persons) != 1 {
			t.Errorf("%d profiles are stored", len(s.persons))
		}
	})
}

// Ground 5: a call that dies, or stands still, with a claim holds nobody up for long, and makes no second profile when it comes back. In one
// process it is waited for.
func TestClaimOfADeadCall(t *testing.T) {
	for calls := 1; calls <= maxCalls; calls++ {
		frozen := 0
		some(t, calls, func(t *testing.T, w *world) {
			stall := w.st.Stall(faulty.Match(func(faulty.Call) bool { return true }).Nth(calls))
			put := func(node *Writer, unique string) func() (Result, error) {
				return func() (Result, error) {
					return node.Put(context.Background(), name, "", object(unique, orderKey(unique), emailKey("new@x.de")))
				}
			}
			a := start(put(w.writer(0), "o1"))
			select {
			case <-stall.Arrived():
				frozen++
			case <-a.done:
			}
			b := start(put(w.writerOn(w.raw, 0), "o2"))
			if w.local == nil {
				<-b.done
			}
			stall.Release()
			first, second := a.wait(t), b.wait(t)
			s := w.covered(fmt.Sprintf("stopped at call %d", calls))
			if got := s.holders(w, emailKey("new@x.de")); len(got) != 1 || first.ID != second.ID {
				t.Errorf("stopped at call %d: %d profiles, of %s and %s", calls, len(got), first.ID, second.ID)
			}
			w.complete()
			w.exact("settled")
		})
		if frozen == 0 {
			return
		}
	}
	t.Error("a call has more calls of the store")
}

// maxCalls is more than a call stops at, before and behind each of its calls of the store.
const maxCalls = 150

// importer writes what an import would: index rows of class 'i' and a contribution.
func (w *world) imports(at int64, row int, address string) fold.ID {
	w.t.Helper()
	id := fold.ImportID(at, 0, uint32(row), 9)
	c := fold.Contribution{Expires: at + (100 * day).Microseconds(), Stamp: fold.Stamp{Time: at, Row: int64(row)}, Values: []fold.Value{value(email, address)}}
	if err := w.raw.Write(w.t.Context(), store.Partition{Table: store.Index, Incarnation: inc, Key: index.PartitionKey(emailKey(address))},
		[]store.Mutation{{Key: index.AppendRowKey(nil, id, index.ByImport), Time: at}}); err != nil {
		w.t.Fatal(err)
	}
	if err := w.raw.Write(w.t.Context(), profilePartition(inc, id), []store.Mutation{{Key: []byte("ci" + fmt.Sprint(row)), Value: c.Append(nil), Time: at}}); err != nil {
		w.t.Fatal(err)
	}
	return id
}

// Ground 5: an import that makes a profile for a key, and an object that brings the same key meanwhile and stands still anywhere, end with
// one profile for it.
func TestImportBesideCreation(t *testing.T) {
	for calls := 1; calls <= maxCalls; calls++ {
		frozen := 0
		some(t, calls, func(t *testing.T, w *world) {
			w.complete()
			since, err := w.sealer().Feed.Settled(t.Context(), inc)
			if err != nil {
				t.Fatal(err)
			}
			jobTime := w.at.Load()
			w.job.Store(jobTime)
			// The import has resolved its key by now: nobody has it.
			stall := w.st.Stall(faulty.Match(func(faulty.Call) bool { return true }).Nth(calls))
			a := start(func() (Result, error) {
				return w.writer(0).Put(context.Background(), name, "", object("o1", orderKey("o1"), emailKey("new@x.de")))
			})
			select {
			case <-stall.Arrived():
				frozen++
			case <-a.done:
			}
			made := w.imports(jobTime, 1, "new@x.de")
			merged := map[fold.ID]fold.ID{}
			reconcile := func() {
				_, err := w.writerOn(w.raw, 0).Reconcile(t.Context(), w.record(), Applied{Since: since, KeyName: emailKey("").Name,
					Created: func(_ context.Context, id fold.ID) (bool, error) { return id == made, nil },
					Merge: func(_ context.Context, main, imported fold.ID) error {
						merged[imported] = main
						return w.merge(main, imported)
					}})
				if err != nil {
					t.Error(err)
				}
			}
			reconciled := make(chan struct{})
			go func() {
				defer close(reconciled)
				reconcile()
				reconcile() // a job that was cut off does it again
			}()
			if w.local == nil { // else it waits for the call
				<-reconciled
			}
			stall.Release()
			r := a.wait(t)
			<-reconciled
			if got := w.covered(fmt.Sprintf("stopped at call %d", calls)).holders(w, emailKey("new@x.de")); len(got) != 1 {
				t.Errorf("stopped at call %d: %d profiles have the key; the object is at %s, the import's row at %s, merged: %v", calls, len(got), r.ID, made, merged)
			}
			w.complete()
			w.exact("settled")
		})
		if frozen == 0 {
			return
		}
	}
	t.Error("a call has more calls of the store")
}

// merge writes the links of a merge, as package profile leaves them.
func (w *world) merge(main, other fold.ID) error {
	at := w.at.Add(1)
	id := fold.NewMergeID(at, 1)
	link := func(profile fold.ID, add func(*fold.State)) error {
		s := &fold.State{}
		row, err := w.raw.Get(context.Background(), profilePartition(inc, profile), stateKey)
		if err == nil {
			s, err = fold.DecodeState(row.Value)
		} else if errors.Is(err, store.ErrNotFound) {
			err = nil
		}
		if err != nil {
			return err
		}
		add(s)
		_, err = w.raw.Swap(context.Background(), profilePartition(inc, profile), []store.Swap{{Key: stateKey, Value: s.Append(nil), Expect: row.Version}})
		return err
	}
	return errors.Join(
		link(main, func(s *fold.State) { s.Merges = append(s.Merges, fold.Merge{ID: id, At: at, From: []fold.ID{other}}) }),
		link(other, func(s *fold.State) { s.Into = &fold.Link{Merge: id, Main: main, At: at} }))
}

// What an object made, and what an import made for the same key, may have become members of others before the import looks, or while it merges:
// then those they belong to are merged.
func TestReconcileFollowsMerges(t *testing.T) {
	address := "new@x.de"
	for _, c := range []struct {
		name            string
		object, imports bool // are members of another by the time the import looks
		late            bool // the object's profile becomes one when the import is about to merge it
		never           bool // they can't be merged
	}{
		{name: "nothing"}, {name: "object's", object: true}, {name: "import's", imports: true}, {name: "both", object: true, imports: true},
		{name: "late", late: true}, {name: "late, import's", imports: true, late: true}, {name: "never", never: true},
	} {
		each(t, func(t *testing.T, w *world) {
			w.complete()
			since, err := w.sealer().Feed.Settled(t.Context(), inc)
			if err != nil {
				t.Fatal(err)
			}
			jobTime := w.at.Load()
			w.job.Store(jobTime)
			put := func(id, address string) fold.ID {
				r, err := w.writer(0).Put(t.Context(), name, "", object(id, orderKey(id), emailKey(address)))
				if err != nil {
					t.Fatal(err)
				}
				return r.ID
			}
			join := func(main, other fold.ID) {
				if err := w.merge(main, other); err != nil {
					t.Fatal(err)
				}
			}
			created, ann, ben := put("o1", address), put("o2", "ann@x.de"), put("o3", "ben@x.de")
			made := w.imports(jobTime, 1, address)
			want := [][2]fold.ID{{created, made}}
			if c.object {
				join(ann, created)
				want[0][0] = ann
			}
			if c.imports {
				join(ben, made)
				want[0][1] = ben
			}
			if c.late {
				want = append(want, [2]fold.ID{ann, want[0][1]})
			}
			var got [][2]fold.ID
			merged, err := w.writer(0).Reconcile(t.Context(), w.record(), Applied{Since: since, KeyName: emailKey("").Name,
				Created: func(_ context.Context, id fold.ID) (bool, error) { return id == made, nil },
				Merge: func(_ context.Context, main, imported fold.ID) error {
					got = append(got, [2]fold.ID{main, imported})
					switch {
					case c.late && len(got) == 1:
						join(ann, created)
					case !c.never:
						join(main, imported)
					}
					return nil
				}})
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: merged %v, want %v", c.name, got, want)
			}
			if want := int64(1); merged != want && !c.never || c.never && merged != 0 {
				t.Errorf("%s: %d are counted", c.name, merged)
			}
		})
	}
}

// Objects that come with the key while the profiles of the import and of an object are about to be merged find two, and make a third, wherever the
// import's look at the feed is.
func TestReconcileLooksAgain(t *testing.T) {
	address := "new@x.de"
	each(t, func(t *testing.T, w *world) {
		w.complete()
		since, err := w.sealer().Feed.Settled(t.Context(), inc)
		if err != nil {
			t.Fatal(err)
		}
		w.job.Store(w.at.Load())
		put := func(id string) fold.ID {
			r, err := w.writer(0).Put(t.Context(), name, "", object(id, orderKey(id), emailKey(address)))
			if err != nil {
				t.Fatal(err)
			}
			return r.ID
		}
		persons := map[fold.ID]bool{put("o0"): true}
		made := w.imports(w.job.Load(), 1, address)
		merged, err := w.writer(0).Reconcile(t.Context(), w.record(), Applied{Since: since, KeyName: emailKey("").Name,
			Created: func(_ context.Context, id fold.ID) (bool, error) { return id == made, nil },
			Merge: func(_ context.Context, main, imported fold.ID) error {
				if n := len(persons); n < 4 {
					persons[put(fmt.Sprint("o", n))] = true
				}
				return w.merge(main, imported)
			}})
		if err != nil {
			t.Fatal(err)
		}
		if got := w.covered("reconciled").holders(w, emailKey(address)); len(got) != 1 || len(persons) != 4 || merged != 4 {
			t.Errorf("%d profiles have the key; objects have made %d, and %d were merged", len(got), len(persons), merged)
		}
	})
}
