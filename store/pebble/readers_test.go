package pebble

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kith/store"
)

// However reads and changes of every kind interleave, a reader sees all changes that had ended before it began, and nobody sees an older state
// than he saw before.
func TestReadersSeeWhatWasWrittenBefore(t *testing.T) {
	ctx := context.Background()
	s, err := Open(t.TempDir()+"/db", Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	p := store.Partition{Table: store.Profile, Incarnation: 1, Key: "p"}
	key := []byte("k")
	const rounds = 400
	var written atomic.Int64
	run := func(n int64) store.Run {
		return store.Run{Table: p.Table, Rows: store.SortRows([]store.RunRow{{Incarnation: 1, Partition: []byte(p.Key), Mutation: store.Mutation{Key: key, Value: fmt.Append(nil, n), Time: n}}})}
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := int64(1); n <= rounds; n++ {
			var err error
			switch n % 4 {
			case 0:
				err = s.WriteRun(ctx, run(n))
			case 1:
				_, err = s.Commit(ctx, store.Group{Lazy: true, Before: []store.PartitionWrite{{Partition: p, Mutations: []store.Mutation{{Key: key, Value: fmt.Append(nil, n), Time: n}}}}})
			case 2: // gone and back: nobody may see it gone
				err = s.DropRange(ctx, store.Profile, 2)
				fallthrough
			case 3:
				if err == nil {
					err = s.Write(ctx, p, []store.Mutation{{Key: key, Value: fmt.Append(nil, n), Time: n}})
				}
			}
			if err != nil {
				t.Error(err)
				written.Store(rounds)
				return
			}
			written.Store(n)
		}
	})
	read := map[string]func() string{
		"scan": func() (v string) {
			for row, err := range s.Scan(ctx, p, store.Range{}) {
				if err != nil {
					t.Error(err)
				}
				v = string(row.Value)
			}
			return v
		},
		"probe": func() (v string) {
			for hit, err := range s.Probe(ctx, p.Table, 1, func(yield func(store.Probe) bool) { yield(store.Probe{Partition: p.Key}) }) {
				if err != nil {
					t.Error(err)
				}
				v = string(hit.Row.Value)
			}
			return v
		},
	}
	for name, get := range read {
		for range 2 {
			wg.Go(func() {
				seen := int64(0)
				for written.Load() < rounds {
					least, v := max(written.Load(), seen), int64(0)
					_, _ = fmt.Sscan(get(), &v)
					if v < least {
						t.Errorf("a %s saw %d after %d", name, v, least)
						return
					}
					seen = v
				}
			})
		}
	}
	wg.Wait()
}

// Iterators are used again while nothing changes, and closed when nobody has read for a while.
func TestReadersAreKeptForAWhile(t *testing.T) {
	ctx := context.Background()
	s, err := Open(t.TempDir()+"/db", Options{})
	if err != nil {
		t.Fatal(err)
	}
	idle := func() int {
		s.readers.mu.Lock()
		defer s.readers.mu.Unlock()
		n := 0
		for _, idle := range s.readers.idle {
			n += len(idle)
		}
		return n
	}
	for i := range 3 * maxIdleReaders {
		p := store.Partition{Table: store.Profile, Incarnation: 1, Key: fmt.Sprint(i)}
		if err := s.Write(ctx, p, []store.Mutation{{Key: []byte("k"), Value: []byte(p.Key), Time: 1}}); err != nil {
			t.Fatal(err)
		}
	}
	var nested func(i int)
	nested = func(i int) { // as many iterators at a time as there are partitions
		found := 0
		for row, err := range s.Scan(ctx, store.Partition{Table: store.Profile, Incarnation: 1, Key: fmt.Sprint(i)}, store.Range{}) {
			if err != nil || string(row.Value) != fmt.Sprint(i) {
				t.Errorf("%d: %q, %v", i, row.Value, err)
			}
			if found++; i+1 < 3*maxIdleReaders {
				nested(i + 1)
			}
		}
		if found != 1 {
			t.Errorf("%d: %d rows", i, found)
		}
	}
	nested(0)
	if n := idle(); n == 0 || n > maxIdleReaders {
		t.Errorf("%d iterators are kept", n)
	}
	nested(0)
	for start := time.Now(); idle() > 0; time.Sleep(idleReaderTime / 50) {
		if time.Since(start) > time.Minute {
			t.Fatal("iterators are kept for ever")
		}
	}
	nested(0)
	if err := s.Close(); err != nil { // with iterators that wait
		t.Fatal(err)
	}
}
