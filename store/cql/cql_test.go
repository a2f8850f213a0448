package cql_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"kith/store"
	"kith/store/cql"
	"kith/store/storetest"
)

// hosts returns the cluster to test on. `make test-cluster` starts one.
func hosts(t *testing.T) string {
	h := os.Getenv("KITH_TEST_CQL")
	if h == "" {
		t.Skip("no cluster: KITH_TEST_CQL names the hosts of one; make test-cluster starts it")
	}
	return h
}

// shared is the keyspace of all tests that only need it to be empty: making one takes seconds.
var shared = sync.OnceValues(func() (cql.Options, error) { return keyspace("kith_test") })

func keyspace(name string) (cql.Options, error) {
	h := os.Getenv("KITH_TEST_CQL")
	o, err := cql.ParseAddress("cql://" + h + "/" + name)
	if err == nil {
		_, _, err = cql.Migrate(context.Background(), o, 1+strings.Count(h, ","))
	}
	return o, err
}

// fresh returns a keyspace that is empty.
func fresh(t *testing.T) cql.Options {
	hosts(t)
	o, err := shared()
	if err == nil {
		err = cql.Clear(t.Context(), o)
	}
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func open(t *testing.T, o cql.Options) *cql.Store {
	s, err := cql.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestStore runs the suite. Excepted are checkpoints, which are the operator's snapshots. A crash is that of this process:
// what the cluster acknowledged stays.
func TestStore(t *testing.T) {
	var mu sync.Mutex
	options := map[store.Store]cql.Options{}
	lost := map[store.Store]*atomic.Int64{}
	start := func(t *testing.T, o cql.Options) store.Store {
		n := &atomic.Int64{}
		o.Fault = func() error {
			if n.Add(-1) == 0 {
				return fmt.Errorf("the answer got lost: %w", context.DeadlineExceeded)
			}
			return nil
		}
		s := open(t, o)
		mu.Lock()
		defer mu.Unlock()
		options[s], lost[s] = o, n
		return s
	}
	storetest.Run(t, storetest.Engine{
		NoBulk: true,
		New:    func(t *testing.T) store.Store { return start(t, fresh(t)) },
		Crash:  func(t *testing.T, s store.Store) store.Store { return start(t, options[s]) },
		Doubt:  func(_ *testing.T, s store.Store) { lost[s].Store(1) },
	})
}
