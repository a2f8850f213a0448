package faulty_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"kith/store"
	"kith/store/faulty"
	"kith/store/mem"
	"kith/store/storetest"
)

// Crash and checkpoint are excepted as for the engine below.
func TestStore(t *testing.T) {
	t.Run("whole", func(t *testing.T) { runSuite(t, false) })
	t.Run("apart", func(t *testing.T) { runSuite(t, true) })
}

func runSuite(t *testing.T, apart bool) {
	storetest.Run(t, storetest.Engine{
		NoBulk: true, // as the engine below
		Apart:  apart,
		New:    func(*testing.T) store.Store { return &faulty.Store{Store: mem.New(), Apart: apart} },
		Doubt: func(_ *testing.T, s store.Store) {
			var once sync.Once
			s.(*faulty.Store).After(func(op faulty.Op, _ store.Partition) (err error) {
				if op == faulty.Swap {
					once.Do(func() { err = store.ErrUnknown })
				}
				return err
			})
		},
	})
}

func TestLostAnswer(t *testing.T) {
	ctx := context.Background()
	s := &faulty.Store{Store: mem.New()}
	s.After(func(op faulty.Op, _ store.Partition) error {
		if op == faulty.Swap {
			return store.ErrUnknown
		}
		return nil
	})
	p := store.Partition{Table: store.Jobs, Key: "p"}
	if _, err := s.Swap(ctx, p, []store.Swap{{Key: []byte("k"), Value: []byte("v")}}); !errors.Is(err, store.ErrUnknown) {
		t.Fatalf("Swap: %v, want ErrUnknown", err)
	}
	if row, err := s.Get(ctx, p, []byte("k")); err != nil || string(row.Value) != "v" {
		t.Fatalf("the swap whose answer was lost did not happen: %v", err)
	}
	down := errors.New("disk gone")
	s.Before(func(faulty.Op, store.Partition) error { return down })
	if _, err := s.Get(ctx, p, []byte("k")); !errors.Is(err, down) {
		t.Fatalf("Get: %v", err)
	}
}

// A stalled call stops where it was told to, once, and lets all others pass.
func TestStall(t *testing.T) {
	ctx := t.Context()
	p := store.Partition{Table: store.Index, Key: "p"}
	put := func(s store.Store, key string) error {
		return s.Write(ctx, p, []store.Mutation{{Key: []byte(key), Value: []byte("v"), Time: 1}})
	}
	second := func(m faulty.Match) faulty.Match {
		return m.Key(func(k []byte) bool { return k[0] == 'k' }).Nth(2)
	}
	for name, c := range map[string]struct {
		match   faulty.Match
		visible bool
	}{
		"before": {second(faulty.On(faulty.Write, store.Index)), false},
		"behind": {second(faulty.Behind(faulty.Write, store.Index)), true},
	} {
		t.Run(name, func(t *testing.T) {
			s := &faulty.Store{Store: mem.New()}
			stall := s.Stall(c.match)
			done := make(chan error, 1)
			for _, key := range []string{"k1", "other"} {
				if err := put(s, key); err != nil {
					t.Fatal(err)
				}
			}
			go func() { done <- put(s, "k2") }()
			<-stall.Arrived()
			if _, err := s.Get(ctx, p, []byte("k2")); (err == nil) != c.visible {
				t.Errorf("while it stands still: %v, want the row there: %t", err, c.visible)
			}
			if err := put(s, "k3"); err != nil {
				t.Fatal(err)
			}
			stall.Release()
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		})
	}
	s := &faulty.Store{Store: mem.New()}
	stall := s.Stall(faulty.On(faulty.Get, store.Index))
	gone, cancel := context.WithCancel(ctx)
	go func() { <-stall.Arrived(); cancel() }()
	if _, err := s.Get(gone, p, []byte("k")); !errors.Is(err, context.Canceled) {
		t.Fatalf("a stalled call whose context ends: %v", err)
	}
}
