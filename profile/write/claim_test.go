package write

import (
	"context"
	"fmt"
	"math/rand/v2"
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
	for profile, s := range map[fold.ID]*fold.State{
		main:  {Merges: []fold.Merge{{ID: id, At: at, From: []fold.ID{other}}}},
		other: {Into: &fold.Link{Merge: id, Main: main, At: at}},
	} {
		if _, err := w.raw.Swap(context.Background(), profilePartition(inc, profile), []store.Swap{{Key: stateKey, Value: s.Append(nil)}}); err != nil {
			return err
		}
	}
	return nil
}
