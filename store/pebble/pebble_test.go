package pebble_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"kith/store"
	"kith/store/pebble"
	"kith/store/storetest"
)

// TestStore runs the suite on a file system in memory that forgets what was not synced when it crashes.
func TestStore(t *testing.T) { testStore(t, pebble.Options{}) }

// TestStoreOfStockTables is the same with tables by the engine's own writer. -short is for the race detector, and goroutines meet in TestStore already.
func TestStoreOfStockTables(t *testing.T) {
	if testing.Short() {
		t.Skip("TestStore has the same goroutines")
	}
	testStore(t, pebble.Options{}.Stock())
}

func testStore(t *testing.T, o pebble.Options) {
	disks := map[store.Store]*vfs.MemFS{}
	open := func(t *testing.T, fs *vfs.MemFS, dir string) store.Store {
		o.FS = fs
		s, err := pebble.Open(dir, o)
		if err != nil {
			t.Fatal(err)
		}
		disks[s] = fs
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
		return s
	}
	e := storetest.Engine{
		New: func(t *testing.T) store.Store { return open(t, vfs.NewCrashableMem(), "db") },
		Crash: func(t *testing.T, s store.Store) store.Store {
			return open(t, disks[s].CrashClone(vfs.CrashCloneCfg{}), "db")
		},
		OpenCopy: func(t *testing.T, s store.Store, dir string) store.Store { return open(t, disks[s], dir) },
	}
	storetest.Run(t, e)
	storetest.RunStager(t, e)
}

func TestRefusals(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "db")
	s, err := pebble.Open(dir, pebble.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pebble.Open(dir, pebble.Options{}); !errors.Is(err, store.ErrLocked) {
		t.Errorf("second Open: %v, want ErrLocked", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "KITH_FORMAT"), []byte("1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := pebble.Open(dir, pebble.Options{}); !errors.Is(err, store.ErrOldFormat) {
		t.Errorf("Open of older data: %v, want ErrOldFormat", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "KITH_FORMAT"), []byte("99\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := pebble.Open(dir, pebble.Options{}); !errors.Is(err, store.ErrFormat) {
		t.Errorf("Open of newer data: %v, want ErrFormat", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "KITH_FORMAT"), []byte("what\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := pebble.Open(dir, pebble.Options{}); err == nil {
		t.Error("Open with a damaged format marker succeeded")
	}
}
