// Package engines gives tests of packages above the store every engine there is.
package engines

import (
	"context"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"kith/store"
	"kith/store/cql"
	"kith/store/mem"
	"kith/store/pebble"
)

// Each runs a test on an empty store of each engine: mem, pebble in memory, and the cluster whose hosts KITH_TEST_CQL names, if it is set. Tests of
// different packages run side by side, so each package names a keyspace of its own.
func Each(t *testing.T, keyspace string, test func(t *testing.T, st store.Store)) {
	Embedded(t, keyspace, test)
	if os.Getenv("KITH_TEST_CQL") != "" {
		t.Run("cql", func(t *testing.T) { test(t, cluster(t, keyspace)) })
	}
}

// Some is Each for the i-th of many alike: the cluster gets every fourth of them, or all if KITH_TEST_ALL is set.
func Some(t *testing.T, i int, keyspace string, test func(t *testing.T, st store.Store)) {
	if i%4 == 1 || os.Getenv("KITH_TEST_ALL") != "" {
		Each(t, keyspace, test)
	} else {
		Embedded(t, keyspace, test)
	}
}

// Embedded is Each without the cluster: for the later ones of many random runs, each of which takes long there.
func Embedded(t *testing.T, _ string, test func(t *testing.T, st store.Store)) {
	t.Run("mem", func(t *testing.T) { test(t, mem.New()) })
	t.Run("pebble", func(t *testing.T) {
		st, err := pebble.Open("db", pebble.Options{FS: vfs.NewMem()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := st.Close(); err != nil {
				t.Error(err)
			}
		})
		test(t, st)
	})
}

// keyspaces are made once: that takes seconds.
var keyspaces sync.Map // of func() (cql.Options, error), by name

func cluster(t *testing.T, keyspace string) store.Store {
	hosts := os.Getenv("KITH_TEST_CQL")
	made, _ := keyspaces.LoadOrStore(keyspace, sync.OnceValues(func() (cql.Options, error) {
		o, err := cql.ParseAddress("cql://" + hosts + "/" + keyspace)
		if err == nil {
			_, _, err = cql.Migrate(context.Background(), o, 1+strings.Count(hosts, ","))
		}
		return o, err
	}))
	o, err := made.(func() (cql.Options, error))()
	if err == nil {
		err = cql.Clear(t.Context(), o)
	}
	if err != nil {
		t.Fatal(err)
	}
	st, err := cql.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	return st
}
