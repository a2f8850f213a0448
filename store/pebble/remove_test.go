package pebble

import "testing"

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
