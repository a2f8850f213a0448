package pebble

import (
	"fmt"
	"testing"
	"time"

	"kith/store"
)

// Who is alone shares the store with nobody who writes: commits hold a stripe, runs and tables hold landing.
func TestAlone(t *testing.T) {
	s, err := Open(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	err = s.alone(func() error {
		if s.watches.landing.TryRLock() {
			t.Error("runs may be written")
		}
		for i := range s.locks.locks {
			if s.locks.locks[i].TryRLock() {
				t.Fatalf("commits of stripe %d may be written", i)
			}
		}
		return nil
	})
	if err != nil || !s.watches.landing.TryRLock() || !s.locks.locks[numStripes-1].TryRLock() {
		t.Errorf("nobody may write behind it, %v", err)
	}
	s.watches.landing.RUnlock()
	s.locks.locks[numStripes-1].RUnlock()
}

// Tables all of whose rows were removed leave the disk, without a compaction of them that something else has to begin.
func TestRemovedRowsLeaveTheDisk(t *testing.T) {
	s, err := Open(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	w, err := s.Stage(store.StageOptions{Table: store.Index, Incarnation: 7, Time: 1})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20_000 {
		if err := w.Add(fmt.Appendf(nil, "p%06d", i), []byte("key"), nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Land(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	size := func() (n uint64) {
		tables, err := s.db.SSTables()
		if err != nil {
			t.Fatal(err)
		}
		for _, level := range tables {
			for _, table := range level {
				n += table.Size
			}
		}
		return n
	}
	had := size()
	if err := s.Remove(t.Context(), store.SweepRange{Table: store.Index, Incarnation: 7}, func([]byte) bool { return true }, nil); err != nil {
		t.Fatal(err)
	}
	for begun := time.Now(); size() > had/10; time.Sleep(time.Millisecond) {
		if time.Since(begun) > time.Minute {
			t.Fatalf("%d of %d bytes are left", size(), had)
		}
	}
}
