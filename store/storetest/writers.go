package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"kith/store"
)

// manyWriterTables lists the tables whose Write rows have many writers.
func manyWriterTables() (all []store.Table) {
	for _, tb := range store.Tables {
		if tb.ManyWriters() {
			all = append(all, tb)
		}
	}
	return all
}

// manyWritersInAnyOrder writes small sets of mutations of one row in every order, also across a crash, and holds the outcome to what
// the times say.
func manyWritersInAnyOrder(t *testing.T, e Engine) {
	s := e.New(t)
	sets := map[string][]store.Mutation{
		"later put":                    {put("k", "old", 5), put("k", "new", 9)},
		"equal puts":                   {put("k", "a", 5), put("k", "b", 5)},
		"older delete":                 {put("k", "v", 9), del("k", 5)},
		"older delete, two puts":       {put("k", "old", 5), put("k", "new", 9), del("k", 7)},
		"equal delete":                 {put("k", "v", 5), del("k", 5)},
		"newer delete":                 {put("k", "v", 5), del("k", 9)},
		"newer delete, two puts":       {put("k", "old", 5), put("k", "new", 7), del("k", 9)},
		"delete between, two deletes":  {put("k", "new", 9), del("k", 5), del("k", 7)},
		"newest delete of two deletes": {put("k", "v", 6), del("k", 5), del("k", 7)},
	}
	n := 0
	for _, tb := range manyWriterTables() {
		for name, set := range sets {
			for order := range permutations(len(set)) {
				n++
				p := store.Partition{Table: tb, Incarnation: 7, Key: fmt.Sprint(n)}
				var said []string
				for step, i := range order {
					if e.Crash != nil && !e.NoBulk && step == 1 && n%7 == 0 {
						s = e.Crash(t, s)
					}
					write(t, s, p, set[i])
					said = append(said, fmt.Sprintf("put %t at %d", !set[i].Delete, set[i].Time))
				}
				if got, problem := outcome(t, s, p, set); problem != "" {
					t.Errorf("%s in table %s, %v: %s, got %v", name, tb, said, problem, got)
				}
			}
		}
	}
}

// outcome compares a row with the mutations it had, in whatever order they came: if a put is newer than all deletes, the latest of
// them is there; else nothing, or a put that no delete before it knew of.
func outcome(t *testing.T, s store.Store, p store.Partition, ms []store.Mutation) (got *store.Row, problem string) {
	t.Helper()
	row, err := s.Get(ctx, p, ms[0].Key)
	switch {
	case err == nil:
		got = &row
	case !errors.Is(err, store.ErrNotFound):
		t.Fatal(err)
	}
	var latest store.Mutation
	deleted, known := int64(0), false
	for _, m := range ms {
		if m.Delete {
			deleted = max(deleted, m.Time)
			continue
		}
		if m.Time > latest.Time || m.Time == latest.Time && bytes.Compare(m.Value, latest.Value) > 0 {
			latest = m
		}
		known = known || got != nil && got.Time == m.Time && bytes.Equal(got.Value, m.Value)
	}
	switch {
	case latest.Time > deleted && (got == nil || got.Time != latest.Time || !bytes.Equal(got.Value, latest.Value)):
		return got, fmt.Sprintf("want the put of %d", latest.Time)
	case got != nil && !known:
		return got, "nobody put that"
	}
	return got, ""
}

// permutations yields the orders of n things.
func permutations(n int) func(func([]int) bool) {
	return func(yield func([]int) bool) {
		order := make([]int, 0, n)
		var rest func() bool
		rest = func() bool {
			if len(order) == n {
				return yield(slices.Clone(order))
			}
			for i := range n {
				if slices.Contains(order, i) {
					continue
				}
				order = append(order, i)
				more := rest()
				order = order[:len(order)-1]
				if !more {
					return false
				}
			}
			return true
		}
		rest()
	}
}

// manyWritersAtOnce has writers put and delete the same rows side by side with clocks that differ, by Write and by Commit. A row ends
// as the times say, and a put that has returned is there as long as nothing newer came.
func manyWritersAtOnce(t *testing.T, e Engine) {
	s := e.New(t)
	const writers, rows = 8, 5
	rounds := e.bulk(6000) / 20
	p := func(row int) store.Partition {
		return store.Partition{Table: store.Index, Incarnation: 7, Key: fmt.Sprint("p", row%2)}
	}
	key := func(row int) string { return fmt.Sprint("k", row) }
	var mu sync.Mutex
	sent := make([][]store.Mutation, rows)
	var wg sync.WaitGroup
	for w := range writers {
		rng := rand.New(rand.NewPCG(uint64(w), 3))
		wg.Go(func() {
			for i := range rounds {
				row := rng.IntN(rows)
				m := put(key(row), fmt.Sprint(w, "/", i), int64(1+i*10+rng.IntN(60)))
				if rng.IntN(3) == 0 {
					m = del(key(row), m.Time)
				}
				mu.Lock()
				sent[row] = append(sent[row], m)
				mu.Unlock()
				var err error
				if rng.IntN(2) == 0 {
					err = s.Write(ctx, p(row), []store.Mutation{m})
				} else {
					_, err = s.Commit(ctx, store.Group{After: []store.PartitionWrite{{Partition: p(row), Mutations: []store.Mutation{m}}}})
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	check := func(when string) {
		for row, ms := range sent {
			if got, problem := outcome(t, s, p(row), ms); len(ms) > 0 && problem != "" {
				t.Errorf("%s: row %d: %s, got %v", when, row, problem, got)
			}
		}
	}
	check("in the end")
	if e.Crash != nil {
		s = e.Crash(t, s)
		check("after a crash")
	}
}
