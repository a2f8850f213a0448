package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"kith/store"
)

func swapConflictWritesNothing(t *testing.T, e Engine) {
	s := e.New(t)
	v := swap(t, s, part, store.Swap{Key: []byte("a"), Value: []byte("1")})
	for name, ops := range map[string][]store.Swap{
		"insert over a row":  {{Key: []byte("b")}, {Key: []byte("a"), Value: []byte("2")}},
		"stale version":      {{Key: []byte("b")}, {Key: []byte("a"), Value: []byte("2"), Expect: v + 1}},
		"update of absent":   {{Key: []byte("b")}, {Key: []byte("c"), Value: []byte("2"), Expect: v}},
		"failed check":       {{Key: []byte("b")}, {Key: []byte("c"), Op: store.Check, Expect: v}},
		"failed absence":     {{Key: []byte("b")}, {Key: []byte("a"), Op: store.Check}},
		"delete of absent":   {{Key: []byte("b")}, {Key: []byte("c"), Op: store.Delete, Expect: v}},
		"delete of stale":    {{Key: []byte("b")}, {Key: []byte("a"), Op: store.Delete, Expect: v + 1}},
		"winner then loser":  {{Key: []byte("a"), Value: []byte("2"), Expect: v}, {Key: []byte("c"), Op: store.Check, Expect: 1}},
		"delete then failed": {{Key: []byte("a"), Op: store.Delete, Expect: v}, {Key: []byte("c"), Op: store.Check, Expect: 1}},
	} {
		if _, err := s.Swap(ctx, part, ops); !errors.Is(err, store.ErrConflict) {
			t.Errorf("%s: %v, want ErrConflict", name, err)
		}
		wantNone(t, s, part, "b")
		if row := want(t, s, part, "a", "1"); row.Version != v {
			t.Errorf("%s: version moved from %d to %d", name, v, row.Version)
		}
	}
}

func swapOneWinnerOfMany(t *testing.T, e Engine) {
	s := e.New(t)
	v := swap(t, s, part, store.Swap{Key: []byte("n"), Value: []byte("start")})
	var wg sync.WaitGroup
	wins := make([]bool, 32)
	for i := range wins {
		wg.Go(func() {
			_, err := s.Swap(ctx, part, []store.Swap{
				{Key: []byte("n"), Value: fmt.Append(nil, i), Expect: v},
				{Key: fmt.Appendf(nil, "mark%d", i)},
			})
			if err != nil && !errors.Is(err, store.ErrConflict) {
				t.Errorf("Swap: %v", err)
			}
			wins[i] = err == nil
		})
	}
	wg.Wait()
	winner := slices.Index(wins, true)
	if winner < 0 || slices.Index(wins[winner+1:], true) >= 0 {
		t.Fatalf("winners: %v, want exactly one", wins)
	}
	want(t, s, part, "n", fmt.Sprint(winner))
	marks, err := store.Collect(s.Scan(ctx, part, store.Prefix("mark")))
	if err != nil || len(marks) != 1 {
		t.Fatalf("%d marks, %v, want the winner's alone", len(marks), err)
	}
}

func swapChecksAndDeletes(t *testing.T, e Engine) {
	s := e.New(t)
	v := swap(t, s, part, store.Swap{Key: []byte("lease"), Value: []byte("me")}, store.Swap{Key: []byte("state"), Value: []byte("1")})
	v2 := swap(t, s, part,
		store.Swap{Key: []byte("lease"), Op: store.Check, Expect: v},
		store.Swap{Key: []byte("absent"), Op: store.Check},
		store.Swap{Key: []byte("state"), Value: []byte("2"), Expect: v},
	)
	if got := want(t, s, part, "lease", "me").Version; got != v {
		t.Fatalf("a check moved the version from %d to %d", v, got)
	}
	if got := want(t, s, part, "state", "2").Version; got != v2 {
		t.Fatalf("version %d, want the returned %d", got, v2)
	}
	swap(t, s, part, store.Swap{Key: []byte("state"), Op: store.Delete, Expect: v2})
	wantNone(t, s, part, "state")
}

func swapVersionsNeverComeBack(t *testing.T, e Engine) {
	s := e.New(t)
	seen := map[uint64]bool{}
	for range 50 {
		v := swap(t, s, part, store.Swap{Key: []byte("a")})
		if seen[v] || v == 0 {
			t.Fatalf("version %d came back after the row was deleted", v)
		}
		seen[v] = true
		swap(t, s, part, store.Swap{Key: []byte("a"), Op: store.Delete, Expect: v})
	}
}

func swapRefusesWriteRows(t *testing.T, e Engine) {
	s := e.New(t)
	write(t, s, part, put("a", "1", 1))
	if _, err := s.Swap(ctx, part, []store.Swap{{Key: []byte("a"), Value: []byte("2")}}); err == nil {
		t.Fatal("a Swap over a Write row succeeded")
	}
	want(t, s, part, "a", "1")
}

// ErrUnknown means that it may have happened: the same call again either succeeds or meets its own outcome, never a third.
func swapTellsDoubt(t *testing.T, e Engine) {
	if e.Doubt == nil {
		t.Skip("excepted: this engine is in the same process, no answer of its can get lost")
	}
	s := e.New(t)
	v := swap(t, s, part, store.Swap{Key: []byte("a"), Value: []byte("1")})
	ops := []store.Swap{{Key: []byte("a"), Value: []byte("2"), Expect: v}, {Key: []byte("b"), Value: []byte("2")}}
	e.Doubt(t, s)
	_, first := s.Swap(ctx, part, ops) // an engine may find out by itself that it happened
	if first != nil && !errors.Is(first, store.ErrUnknown) {
		t.Fatalf("%v, want ErrUnknown or success", first)
	}
	_, err := s.Swap(ctx, part, ops)
	if err != nil && !errors.Is(err, store.ErrConflict) || first == nil && err == nil {
		t.Fatalf("%v, then %v", first, err)
	}
	a, b := want(t, s, part, "a", "2"), want(t, s, part, "b", "2")
	if a.Version != b.Version || a.Version <= v {
		t.Fatalf("versions %d and %d after %d", a.Version, b.Version, v)
	}
}
