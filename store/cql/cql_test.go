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

	gocql "github.com/apache/cassandra-gocql-driver/v2"

	"kith/store"
	"kith/store/cql"
	"kith/store/storetest"
)

// hosts returns the cluster to test on. `make test-cluster` starts one.
func hosts(t testing.TB) string {
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
func fresh(t testing.TB) cql.Options {
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

func open(t testing.TB, o cql.Options) *cql.Store {
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

// TestStore runs the suite, once more with partitions of the key index that are split as soon as they have three rows. Excepted are
// checkpoints, which are the operator's snapshots. A crash is that of this process: what the cluster acknowledged stays.
func TestStore(t *testing.T) {
	for name, wideAt := range map[string]int{"usual": 0, "wide": 3} {
		t.Run(name, func(t *testing.T) { runSuite(t, wideAt) })
	}
}

func runSuite(t *testing.T, wideAt int) {
	var mu sync.Mutex
	options := map[store.Store]cql.Options{}
	lost := map[store.Store]*atomic.Int64{}
	start := func(t *testing.T, o cql.Options) store.Store {
		n := &atomic.Int64{}
		o.WideAt = wideAt
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
		Apart:  true,
		New:    func(t *testing.T) store.Store { return start(t, fresh(t)) },
		Crash:  func(t *testing.T, s store.Store) store.Store { return start(t, options[s]) },
		Doubt:  func(_ *testing.T, s store.Store) { lost[s].Store(1) },
	})
}

// A partition that has become wide goes on in shards, and nothing of it is left when its incarnation is dropped.
func TestWidePartitionIsSplit(t *testing.T) {
	o := fresh(t)
	o.WideAt = 100
	s := open(t, o)
	c := gocql.NewCluster(o.Hosts...)
	c.Keyspace = o.Keyspace
	session, err := c.CreateSession()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(session.Close)
	count := func(what, table string) (n int) {
		t.Helper()
		if err := session.Query("SELECT count(" + what + ") FROM " + table).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for i := range 4 {
		rows := func(yield func(store.RunRow, error) bool) {
			for j := range 500 {
				if !yield(store.RunRow{Incarnation: 7, Partition: []byte("v"), Mutation: store.Mutation{Key: fmt.Appendf(nil, "%03d/%d", j, i), Time: 1}}, nil) {
					return
				}
			}
		}
		if err := s.WriteRun(t.Context(), store.Run{Table: store.Index, Rows: rows}); err != nil {
			t.Fatal(err)
		}
	}
	if own, shards := count("key", "key_index"), count("key", "key_index_shard"); own != 500 || shards != 1500 {
		t.Errorf("%d rows in the partition and %d in its shards, want 500 and 1500", own, shards)
	}
	largest := 0
	for shard := range 32 {
		var n int
		if err := session.Query("SELECT count(key) FROM key_index_shard WHERE inc = 7 AND part = ? AND shard = ?", []byte("v"), shard).Scan(&n); err != nil {
			t.Fatal(err)
		}
		largest = max(largest, n)
	}
	if largest > 100 {
		t.Errorf("a shard has %d of 1500 rows", largest)
	}
	// Without a row of its own the partition is still known as wide.
	first := func(yield func(store.RunRow, error) bool) {
		for j := range 500 {
			if !yield(store.RunRow{Incarnation: 7, Partition: []byte("v"), Mutation: store.Mutation{Key: fmt.Appendf(nil, "%03d/0", j), Time: 1, Delete: true}}, nil) {
				return
			}
		}
	}
	if err := s.WriteRun(t.Context(), store.Run{Table: store.Index, Rows: first}); err != nil {
		t.Fatal(err)
	}
	if own := count("key", "key_index"); own != 0 {
		t.Fatalf("%d rows are left", own)
	}
	if rows, err := store.Collect(s.Scan(t.Context(), store.Partition{Table: store.Index, Incarnation: 7, Key: "v"}, store.Range{})); err != nil || len(rows) != 1500 {
		t.Errorf("%d rows, %v; want 1500", len(rows), err)
	}
	if err := s.DropRange(t.Context(), store.Index, 7); err != nil {
		t.Fatal(err)
	}
	for table, column := range map[string]string{"key_index": "shards", "key_index_shard": "key", "key_index_wide": "shards"} {
		if n := count(column, table); n != 0 {
			t.Errorf("%d are left in %s", n, table)
		}
	}
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
	// What is there already is no obstacle, and rows of the older schema stay.
	if err := cql.Exec(t.Context(), o, "ALTER TABLE key_index DROP shards", "DROP TABLE key_index_shard", "INSERT INTO schema_version (id, version) VALUES (0, 1)",
		"INSERT INTO key_index (inc, part, key, value) VALUES (7, 0x70, 0x6b, 0x76)"); err != nil {
		t.Fatal(err)
	}
	for from := range 2 {
		if got, to, err := cql.Migrate(t.Context(), o, 0); err != nil || got != 1 || to != cql.SchemaVersion {
			t.Fatalf("migrated from %d to %d, %v", from, to, err)
		}
		if err := cql.Exec(t.Context(), o, "DELETE FROM schema_version WHERE id = 0 AND version > 1"); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := cql.Migrate(t.Context(), o, 0); err != nil {
		t.Fatal(err)
	}
	row, err := open(t, o).Get(t.Context(), store.Partition{Table: store.Index, Incarnation: 7, Key: "p"}, []byte("k"))
	if err != nil || string(row.Value) != "v" {
		t.Fatalf("a row of the older schema: %q, %v", row.Value, err)
	}
}
