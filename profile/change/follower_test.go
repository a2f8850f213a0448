package change

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"testing"
	"time"

	"kith/profile/fold"
	"kith/store"
	"kith/store/faulty"
	"kith/test/engines"
)

// world is a feed with a follower on it, and what is known of whom it looked at.
type world struct {
	t     *testing.T
	st    *faulty.Store
	clock *clock
	feed  *Feed
	seal  *Sealer

	published Published
	marks     Marks
	follower  *Follower
	touched   map[string][]fold.ID // by import
	whole     map[string]bool

	looks   map[fold.ID]int   // how often
	settled map[fold.ID]int64 // what was settled when it was looked at last
	fails   func() error      // of looks
}

func newWorld(t *testing.T, engine store.Store) *world {
	w := &world{t: t, st: &faulty.Store{Store: engine}, clock: newClock(), touched: map[string][]fold.ID{}, whole: map[string]bool{},
		looks: map[fold.ID]int{}, settled: map[fold.ID]int64{}, fails: func() error { return nil }}
	w.feed = &Feed{Store: w.st, Now: w.clock.now, Alone: true}
	w.seal = &Sealer{Feed: w.feed, Settler: &recorder{}}
	run(t, w.seal, w.st)
	w.restart()
	if err := w.follower.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

// Touched implements Runs.
func (w *world) Touched(_ context.Context, _ store.Incarnation, job string) iter.Seq2[fold.ID, error] {
	return func(yield func(fold.ID, error) bool) {
		for _, id := range w.touched[job] {
			if !yield(id, nil) {
				return
			}
		}
	}
}

// Wrote implements Runs.
func (w *world) Wrote(context.Context, store.Incarnation, string, fold.ID) ([]int64, error) {
	return nil, nil
}

// restart makes a new follower that knows only what was published.
func (w *world) restart() {
	w.t.Helper()
	at := place(w.st, "x")
	w.marks = Marks{}
	if err := w.published.Read(w.t.Context(), w.st, at.Partition, []byte("state"), &w.marks); err != nil {
		w.t.Fatal(err)
	}
	w.follower = &Follower{Feed: w.feed, Incarnation: inc, Place: at, Runs: w, Young: time.Second, Grown: 3 * time.Second, Settling: 10 * time.Second,
		Most: 5, MostImported: 7, Marks: &w.marks,
		MergedBy: func(_ context.Context, _ store.Incarnation, id fold.MergeID) ([]fold.ID, error) {
			return []fold.ID{{0: 'm', 15: id[0]}}, nil
		},
		Save: func(ctx context.Context) error { return w.published.Save(ctx, at, []byte("state"), &w.marks) },
		Look: func(_ context.Context, ids []fold.ID, _ bool) error {
			if err := w.fails(); err != nil {
				return err
			}
			s, err := (&Feed{Store: w.st.Store, Now: w.clock.now}).Seal(w.t.Context(), inc)
			if err != nil {
				return err
			}
			for _, id := range ids {
				w.looks[id]++
				w.settled[id] = max(w.settled[id], s.Settled)
			}
			return nil
		},
		Whole: func(_ context.Context, job string) (bool, error) { return w.whole[job], nil },
	}
}

// imported announces the n-th import, which touched so many profiles.
func (w *world) imported(n, profiles int) string {
	w.t.Helper()
	job := fmt.Sprint("job", n)
	for i := range profiles {
		w.touched[job] = append(w.touched[job], fold.ID{0: 'i', 1: byte(n), 15: byte(i)})
	}
	at := w.clock.now().UnixMicro()
	if err := w.feed.NoteImport(w.t.Context(), inc, Import{Time: at, Job: job, AppliedAt: at}); err != nil {
		w.t.Fatal(err)
	}
	return job
}

func (w *world) follow() (time.Duration, error) {
	return w.follower.Follow(w.t.Context())
}

// Who is named is looked at as soon as the row is old enough, and again when it is settled, though the follower is cut off anywhere and begins anew.
// Of an import everybody is looked at.
func TestFollowerMissesNobody(t *testing.T) {
	for seed := range uint64(30) {
		engines.Embedded(t, "", func(t *testing.T, engine store.Store) {
			rng := rand.New(rand.NewPCG(seed, 5))
			w := newWorld(t, engine)
			cutOff := errors.New("cut off")
			named := map[fold.ID]int64{} // when they were announced
			for i := range 40 {
				switch rng.IntN(3) {
				case 0:
					for _, id := range w.touched[w.imported(i, rng.IntN(30))] {
						named[id] = 0
					}
				case 1:
					r := write(i)
					r.Kind = Merged
					announce(t, w.feed, r)
					named[fold.ID{0: 'm', 15: r.Call[0]}], named[r.ID] = r.At, r.At
				default:
					r := write(i)
					announce(t, w.feed, r)
					named[r.ID] = r.At
				}
				w.clock.sleep(time.Duration(rng.IntN(int(20 * time.Second))))
				run(t, w.seal, w.st)
				calls, looks := rng.IntN(20), rng.IntN(6)
				w.st.Before(func(faulty.Op, store.Partition) error {
					if calls--; calls == 0 {
						return cutOff
					}
					return nil
				})
				w.fails = func() error {
					if looks--; looks == 0 {
						return cutOff
					}
					return nil
				}
				_, err := w.follow()
				w.st.Before(nil)
				w.fails = func() error { return nil }
				if errors.Is(err, cutOff) {
					w.restart()
				} else if err != nil {
					t.Fatal(err)
				}
			}
			w.clock.sleep(time.Second)
			if _, err := w.follow(); err != nil {
				t.Fatal(err)
			}
			for id := range named {
				if w.looks[id] == 0 {
					t.Errorf("seed %d: %x was not looked at early", seed, id)
				}
			}
			w.clock.sleep(2 * time.Minute)
			run(t, w.seal, w.st)
			if _, err := w.follow(); err != nil {
				t.Fatal(err)
			}
			for id, at := range named {
				if w.settled[id] < at {
					t.Errorf("seed %d: %x was not looked at when it was settled", seed, id)
				}
			}
			if len(w.marks.Done) > 0 || w.marks.Mark != nil {
				t.Errorf("seed %d: bookmarks are left: %+v", seed, w.marks)
			}
		})
	}
}

// A follower looks again as soon as there is reason to, at an import once, and not at all if the reactor would rather look at everybody.
func TestFollowerPace(t *testing.T) {
	engines.Embedded(t, "", func(t *testing.T, engine store.Store) {
		w := newWorld(t, engine)
		expect := func(what string, again time.Duration, looks map[fold.ID]int) {
			t.Helper()
			got, err := w.follow()
			if err != nil || got != again {
				t.Errorf("%s: again in %v, %v; want %v", what, got, err, again)
			}
			for id, n := range looks {
				if w.looks[id] != n {
					t.Errorf("%s: looked %d times at %x, want %d", what, w.looks[id], id, n)
				}
			}
		}
		r := write(1)
		announce(t, w.feed, r)
		few := w.touched[w.imported(2, 10)]
		expect("too young", time.Second, map[fold.ID]int{r.ID: 0, few[0]: 0})
		w.clock.sleep(time.Second)
		expect("young", 3*time.Second, map[fold.ID]int{r.ID: 1, few[0]: 1, few[9]: 1})
		w.clock.sleep(3 * time.Second)
		expect("grown", 10*time.Second, map[fold.ID]int{r.ID: 2, few[0]: 1, few[9]: 1})
		expect("seen", 10*time.Second, map[fold.ID]int{r.ID: 2, few[0]: 1})
		w.clock.sleep(2 * time.Minute)
		run(t, w.seal, w.st)
		expect("settled", 0, map[fold.ID]int{r.ID: 3, few[0]: 1, few[9]: 1})
		w.restart()
		expect("nothing new", 0, map[fold.ID]int{r.ID: 3, few[0]: 1})

		large := w.touched[w.imported(4, 20)]
		w.clock.sleep(time.Second)
		cutOff, looks := errors.New("cut off"), 0
		w.fails = func() error {
			if looks++; looks == 2 {
				return cutOff
			}
			return nil
		}
		if _, err := w.follow(); !errors.Is(err, cutOff) {
			t.Fatalf("%v, want that it is cut off", err)
		}
		w.restart()
		expect("from the bookmark on", 3*time.Second, map[fold.ID]int{large[0]: 1, large[6]: 1, large[7]: 1, large[19]: 1})

		w.whole["job3"] = true
		many := w.touched[w.imported(3, 10)]
		w.clock.sleep(time.Second)
		if _, err := w.follow(); !errors.Is(err, ErrWhole) {
			t.Fatalf("%v, want ErrWhole", err)
		}
		if err := w.follower.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		expect("who was scanned", 3*time.Second, map[fold.ID]int{many[0]: 0})
	})
}

// What is kept of a domain is for who has the lease that it was kept under.
func TestPassesAreKeptUnderTheirFence(t *testing.T) {
	var p Passes[string]
	if _, ok := p.Take(1, 7); ok {
		t.Error("there is one before any was kept")
	}
	p.Keep(1, 7, "a")
	p.Keep(2, 7, "b")
	if got, ok := p.Take(1, 7); !ok || got != "a" {
		t.Errorf("%q %t", got, ok)
	}
	if _, ok := p.Take(1, 7); ok {
		t.Error("it was taken twice")
	}
	if got, ok := p.Take(2, 8); ok || got != "" {
		t.Errorf("under another fence: %q", got)
	}
	if _, ok := p.Take(2, 7); ok {
		t.Error("it was kept although somebody else had the lease")
	}
}
