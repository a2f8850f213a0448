package storetest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"kith/store"
)

// commitBelievesNoOldMark: what has changed since a mark was made is found out, however it has changed.
func commitBelievesNoOldMark(t *testing.T, e Engine) {
	changes := map[string]func(s store.Store, v uint64) error{
		"swapped": func(s store.Store, v uint64) error {
			_, err := s.Swap(ctx, part, []store.Swap{{Key: []byte("head"), Value: []byte("other"), Expect: v}})
			return err
		},
		"deleted": func(s store.Store, v uint64) error {
			_, err := s.Commit(ctx, store.Group{Since: s.Mark(), Partition: part, Swap: []store.Swap{{Key: []byte("head"), Op: store.Delete, Expect: v}}})
			return err
		},
		"checked row made": func(s store.Store, _ uint64) error {
			_, err := s.Swap(ctx, part, []store.Swap{{Key: []byte("state"), Value: []byte("s")}})
			return err
		},
		"incarnation dropped": func(s store.Store, _ uint64) error {
			return s.DropRange(ctx, part.Table, part.Incarnation)
		},
		"partitions dropped": func(s store.Store, _ uint64) error {
			return s.DropPartitions(ctx, part.Table, part.Incarnation, part.Key, part.Key+"\xff", func(yield func(string) bool) { yield(part.Key) })
		},
	}
	for name, change := range changes {
		s := e.New(t)
		mark := s.Mark()
		g := profileWrite(0, 0, "1", 5)
		g.Since = mark
		v := commit(t, s, g)
		again := profileWrite(0, 0, "2", 6)
		again.Since = mark
		if _, err := s.Commit(ctx, again); !errors.Is(err, store.ErrConflict) {
			t.Fatalf("%s: Commit by the mark from before: %v, want ErrConflict", name, err)
		}
		mark = s.Mark()
		if err := change(s, v); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		g = profileWrite(v, 0, "3", 7)
		g.Since = mark
		if _, err := s.Commit(ctx, g); !errors.Is(err, store.ErrConflict) {
			t.Errorf("%s: %v, want ErrConflict", name, err)
		}
	}
}

// commitByMarkLosesNothing has callers count in a few rows side by side, each by what it has read since its mark: no count is lost. One whose outcome is
// unknown, as a cluster says that can't agree in time, may count or not.
func commitByMarkLosesNothing(t *testing.T, e Engine) {
	s := e.New(t)
	const rows, callers = 4, 8
	rounds := max(e.bulk(4000)/callers, 10)
	partition := func(i int) store.Partition { return at(store.Profile, fmt.Sprint("count", i%rows)) }
	key := []byte("n")
	count := func(p store.Partition) error {
		for {
			mark := s.Mark()
			row, err := s.Get(ctx, p, key)
			n := uint64(0)
			if err == nil {
				n = binary.BigEndian.Uint64(row.Value)
			} else if !errors.Is(err, store.ErrNotFound) {
				return err
			}
			_, err = s.Commit(ctx, store.Group{Since: mark, Lazy: true, Partition: p, Swap: []store.Swap{{Key: key, Value: binary.BigEndian.AppendUint64(nil, n+1), Expect: row.Version}}})
			if !errors.Is(err, store.ErrConflict) {
				return err
			}
		}
	}
	var wg sync.WaitGroup
	var unknown atomic.Uint64
	for c := range callers {
		wg.Go(func() {
			for i := range rounds {
				if err := count(partition(c + i)); errors.Is(err, store.ErrUnknown) {
					unknown.Add(1)
				} else if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	sum := uint64(0)
	for i := range rows {
		row, err := s.Get(ctx, partition(i), key)
		if err != nil {
			t.Fatal(err)
		}
		sum += binary.BigEndian.Uint64(row.Value)
	}
	if most := uint64(callers * rounds); sum > most || sum < most-unknown.Load() {
		t.Fatalf("%d counts are left of %d, of which %d are unknown", sum, most, unknown.Load())
	}
}
