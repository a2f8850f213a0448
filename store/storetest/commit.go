package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"kith/store"
)

func at(tb store.Table, key string) store.Partition {
	return store.Partition{Table: tb, Incarnation: 7, Key: key}
}

func writes(p store.Partition, ms ...store.Mutation) store.PartitionWrite {
	return store.PartitionWrite{Partition: p, Mutations: ms}
}

// profileWrite is a group as the write of a profile makes it.
func profileWrite(head, state uint64, value string, now int64) store.Group {
	return store.Group{
		Before: []store.PartitionWrite{
			writes(at(store.Change, "minute"), put("change "+value, "", now)),
			writes(at(store.Index, "mail"), put("row", value, now)),
			writes(at(store.Index, "phone"), put("row", value, now)),
			writes(at(store.Body, "p"), put("body "+value, "body", now)),
		},
		Partition: part,
		Swap: []store.Swap{
			{Key: []byte("head"), Value: []byte(value), Expect: head},
			{Key: []byte("state"), Op: store.Check, Expect: state},
		},
		After: []store.PartitionWrite{writes(at(store.Index, "old mail"), del("row", now))},
	}
}

func commit(t *testing.T, s store.Store, g store.Group) uint64 {
	t.Helper()
	v, err := s.Commit(ctx, g)
	if err != nil {
		t.Fatalf("Commit: %v", err)
	}
	return v
}

func commitWritesAll(t *testing.T, e Engine) {
	s := e.New(t)
	write(t, s, at(store.Index, "old mail"), put("row", "0", 4))
	v := commit(t, s, profileWrite(0, 0, "1", 5))
	check := func(s store.Store, value string, v uint64) {
		t.Helper()
		if row := want(t, s, part, "head", value); row.Version != v {
			t.Fatalf("the head has version %d, want %d", row.Version, v)
		}
		want(t, s, at(store.Change, "minute"), "change "+value, "")
		want(t, s, at(store.Index, "mail"), "row", value)
		want(t, s, at(store.Index, "phone"), "row", value)
		want(t, s, at(store.Body, "p"), "body "+value, "body")
		wantNone(t, s, at(store.Index, "old mail"), "row")
	}
	check(s, "1", v)
	v2 := commit(t, s, profileWrite(v, 0, "2", 6))
	if v2 <= v {
		t.Fatalf("version %d after %d", v2, v)
	}
	check(s, "2", v2)

	if got := commit(t, s, store.Group{}); got != 0 {
		t.Fatalf("an empty group returned version %d", got)
	}
	if got := commit(t, s, store.Group{Before: []store.PartitionWrite{writes(at(store.Index, "x"), put("r", "1", 1)), writes(at(store.Profile, "y"), put("r", "2", 1))}}); got != 0 {
		t.Fatalf("a group without a Swap returned version %d", got)
	}
	want(t, s, at(store.Index, "x"), "r", "1")
	want(t, s, at(store.Profile, "y"), "r", "2")
	commit(t, s, store.Group{Lazy: true, Before: []store.PartitionWrite{writes(at(store.Index, "x"), put("r", "3", 2))}})
	want(t, s, at(store.Index, "x"), "r", "3")
}

func commitConflictKeepsTheRestOut(t *testing.T, e Engine) {
	s := e.New(t)
	if s.Whole() == e.Apart {
		t.Fatalf("Commit is whole: %t, apart: %t", s.Whole(), e.Apart)
	}
	write(t, s, at(store.Index, "old mail"), put("row", "0", 4))
	v := swap(t, s, part, store.Swap{Key: []byte("head"), Value: []byte("0")})
	for name, g := range map[string]store.Group{
		"stale head":   profileWrite(v+1, 0, "1", 5),
		"absent head":  profileWrite(0, 0, "1", 5),
		"absent state": profileWrite(v, v, "1", 5),
	} {
		g.Visible = func() { t.Fatalf("%s: told that it is visible", name) }
		got, err := s.Commit(ctx, g)
		if !errors.Is(err, store.ErrConflict) || got != 0 {
			t.Fatalf("%s: version %d, %v, want ErrConflict", name, got, err)
		}
		if row := want(t, s, part, "head", "0"); row.Version != v {
			t.Fatalf("%s: the head moved", name)
		}
		want(t, s, at(store.Index, "old mail"), "row", "0")
		switch row, err := s.Get(ctx, at(store.Index, "mail"), []byte("row")); {
		case errors.Is(err, store.ErrNotFound):
		case err != nil:
			t.Fatal(err)
		case !e.Apart:
			t.Fatalf("%s: a row of a group that conflicted is there: %q", name, row.Value)
		}
	}
}

// commitTellsWhenItIsVisible: what is read from then on, everything of the group is there; and what has been told is not told again.
func commitTellsWhenItIsVisible(t *testing.T, e Engine) {
	s := e.New(t)
	for i, lazy := range []bool{false, true} {
		g := profileWrite(0, 0, "1", 5)
		g.Partition.Key += fmt.Sprint(i)
		told, seen := make(chan struct{}), make(chan error)
		g.Lazy, g.Visible = lazy, func() { close(told) }
		go func() {
			<-told
			_, err1 := s.Get(ctx, g.Partition, []byte("head"))
			_, err2 := s.Get(ctx, at(store.Index, "mail"), []byte("row"))
			_, err3 := s.Get(ctx, at(store.Change, "minute"), []byte("change 1"))
			seen <- errors.Join(err1, err2, err3)
		}()
		commit(t, s, g)
		if err := <-seen; err != nil {
			t.Fatalf("lazy %t: %v", lazy, err)
		}
	}
}

// commitOneWinnerOfMany has writers take turns in rewriting one head: every one that returned has replaced the version it named, and
// what the last one put beside it is there.
func commitOneWinnerOfMany(t *testing.T, e Engine) {
	s := e.New(t)
	v := commit(t, s, profileWrite(0, 0, "start", 1))
	var wg sync.WaitGroup
	wins := make([]bool, 16)
	for i := range wins {
		wg.Go(func() {
			_, err := s.Commit(ctx, profileWrite(v, 0, fmt.Sprint(i), int64(10+i)))
			if err != nil && !errors.Is(err, store.ErrConflict) {
				t.Errorf("Commit: %v", err)
			}
			wins[i] = err == nil
		})
	}
	wg.Wait()
	winner := slices.Index(wins, true)
	if winner < 0 || slices.Index(wins[winner+1:], true) >= 0 {
		t.Fatalf("winners: %v, want exactly one", wins)
	}
	want(t, s, part, "head", fmt.Sprint(winner))
	want(t, s, at(store.Body, "p"), fmt.Sprint("body ", winner), "body")
	if row, err := s.Get(ctx, at(store.Index, "mail"), []byte("row")); err != nil || row.Time < int64(10+winner) {
		t.Fatalf("the winner's index row of time %d: %d, %v", 10+winner, row.Time, err)
	}
}

// commitTellsThatItHappened: the version tells a Swap that has happened from one that has not, whatever came after it.
func commitTellsThatItHappened(t *testing.T, e Engine) {
	s := e.New(t)
	big := make([]byte, store.MaxValue)
	g := profileWrite(0, 0, "1", 5)
	g.Before = append(g.Before, writes(at(store.Body, "big"), store.Mutation{Key: []byte("k"), Value: big, Time: 5}))
	g.After = append(g.After, writes(at(store.Body, "big2"), store.Mutation{Key: []byte("k"), Value: big, Time: 5}), writes(at(store.Body, "big3"), store.Mutation{Key: []byte("k"), Value: big, Time: 5}))
	v := commit(t, s, g) // each part has its own limit
	if row := want(t, s, part, "head", "1"); row.Version != v || v == 0 {
		t.Fatalf("version %d, the head has %d", v, row.Version)
	}
	if e.Doubt == nil {
		t.Skip("excepted: this engine is in the same process, no answer of its can get lost")
	}
	e.Doubt(t, s)
	again := profileWrite(v, 0, "2", 6)
	got, err := s.Commit(ctx, again)
	switch {
	case err == nil && got <= v, err != nil && !errors.Is(err, store.ErrUnknown), err != nil && got != 0:
		t.Fatalf("version %d, %v; want a version, or ErrUnknown", got, err)
	}
	if _, second := s.Commit(ctx, again); second != nil && !errors.Is(second, store.ErrConflict) || err == nil && second == nil {
		t.Fatalf("%v, then %v", err, second)
	}
	want(t, s, part, "head", "2")
}

func commitRefusesWhatIsTooLarge(t *testing.T, e Engine) {
	s := e.New(t)
	value := make([]byte, store.MaxValue+1)
	for name, g := range map[string]store.Group{
		"before": {Before: []store.PartitionWrite{writes(at(store.Index, "a"), put("r", "", 1)), writes(part, store.Mutation{Key: []byte("k"), Value: value, Time: 1})}},
		"swap":   {Before: []store.PartitionWrite{writes(at(store.Index, "a"), put("r", "", 1))}, Partition: part, Swap: []store.Swap{{Key: []byte("k"), Value: value}}},
		"after":  {Before: []store.PartitionWrite{writes(at(store.Index, "a"), put("r", "", 1))}, After: []store.PartitionWrite{writes(part, store.Mutation{Key: []byte("k"), Value: value, Time: 1})}},
	} {
		if _, err := s.Commit(ctx, g); !errors.Is(err, store.ErrTooLarge) {
			t.Errorf("%s: %v, want ErrTooLarge", name, err)
		}
		wantNone(t, s, at(store.Index, "a"), "r")
	}
}

// commitIsSeenInOrder has readers look while groups are written: who sees what comes after a Swap sees the Swap, and who sees that sees
// what comes before it.
func commitIsSeenInOrder(t *testing.T, e Engine) {
	s := e.New(t)
	rounds := e.bulk(6000) / 20
	before, after := at(store.Body, "before"), at(store.Index, "after")
	var v uint64
	write := func(n int) {
		g := store.Group{
			Before:    []store.PartitionWrite{writes(before, put("k", fmt.Sprintf("%05d", n), int64(n)))},
			Partition: part, Swap: []store.Swap{{Key: []byte("k"), Value: fmt.Appendf(nil, "%05d", n), Expect: v}},
			After: []store.PartitionWrite{writes(after, put("k", fmt.Sprintf("%05d", n), int64(n)))},
		}
		var err error
		if v, err = s.Commit(ctx, g); err != nil {
			t.Fatal(err)
		}
	}
	write(1)
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				var seen []string
				for _, p := range []store.Partition{after, part, before} {
					row, err := s.Get(ctx, p, []byte("k"))
					if err != nil {
						t.Error(err)
						return
					}
					seen = append(seen, string(row.Value))
				}
				if !slices.IsSorted(seen) {
					t.Errorf("seen after, at and before the Swap: %v", seen)
					return
				}
			}
		})
	}
	for n := 2; n < 2+rounds; n++ {
		write(n)
	}
	close(done)
	wg.Wait()
}
