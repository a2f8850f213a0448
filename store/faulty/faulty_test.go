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
	storetest.Run(t, storetest.Engine{
		New: func(*testing.T) store.Store { return &faulty.Store{Store: mem.New()} },
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
