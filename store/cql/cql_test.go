package cql_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

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

// What is wrong at the start is told in a sentence that says what to do.
func TestMigrateAndOpenExplain(t *testing.T) {
	hosts(t)
	name := fmt.Sprintf("kith_test_%d", time.Now().UnixMilli())
	o, err := cql.ParseAddress("cql://" + hosts(t) + "/" + name)
	if err != nil {
		t.Fatal(err)
	}
	refused := func(o cql.Options, want string) {
		t.Helper()
		s, err := cql.Open(t.Context(), o)
		if err == nil {
			_ = s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	refused(o, `no keyspace "`+name+`": make it with kith migrate`)
	if _, _, err := cql.Migrate(t.Context(), o, 0); err == nil || !strings.Contains(err.Error(), "no keyspace") {
		t.Errorf("%v, want no keyspace", err)
	}
	// Two at once: one migrates, the other one waits for nothing and says so, or comes when it is done.
	var wg sync.WaitGroup
	errs := make([]error, 2)
	for i := range errs {
		wg.Go(func() { _, _, errs[i] = cql.Migrate(t.Context(), o, 1) })
	}
	wg.Wait()
	t.Cleanup(func() {
		if err := cql.DropKeyspace(context.Background(), o); err != nil {
			t.Error(err)
		}
	})
	for _, err := range errs {
		if err != nil && !strings.Contains(err.Error(), "another kith migrate is at work") {
			t.Errorf("two migrations at once: %v", err)
		}
	}
	if from, to, err := cql.Migrate(t.Context(), o, 0); err != nil || from != to || to != cql.SchemaVersion {
		t.Fatalf("migrated from %d to %d, %v", from, to, err)
	}
	_ = open(t, o)

	late := o
	late.Now = func() time.Time { return time.Now().Add(-time.Hour) }
	refused(late, "clock and the cluster's are 1h0m0s apart")
	away := o
	away.Port = 1
	refused(away, "no node of the cluster answers")

	if err := cql.Exec(t.Context(), o, fmt.Sprintf("INSERT INTO schema_version (id, version) VALUES (0, %d)", cql.SchemaVersion+1)); err != nil {
		t.Fatal(err)
	}
	refused(o, "update this node")
	if _, _, err := cql.Migrate(t.Context(), o, 0); !errors.Is(err, store.ErrFormat) {
		t.Errorf("%v, want ErrFormat", err)
	}
	for v := range cql.SchemaVersion + 1 {
		if err := cql.Exec(t.Context(), o, fmt.Sprintf("DELETE FROM schema_version WHERE id = 0 AND version = %d", v+1)); err != nil {
			t.Fatal(err)
		}
	}
	refused(o, "run kith migrate")
}
