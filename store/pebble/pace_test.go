package pebble

import (
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"kith/store"
)

// pacedStore is a store in memory with a function that adds tables to level 0 that lie above each other.
func pacedStore(t *testing.T) (s *Store, add func(tables int)) {
	t.Helper()
	s, err := Open("db", Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	n := int64(0)
	return s, func(tables int) {
		t.Helper()
		for range tables {
			for _, key := range []string{"a", "z"} {
				n++
				if err := s.Write(t.Context(), store.Partition{Table: store.Profile, Incarnation: 1, Key: key}, []store.Mutation{{Key: fmt.Append(nil, n), Time: n}}); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// compacted waits until level 0 has been compacted.
func compacted(t *testing.T, s *Store) {
	t.Helper()
	for end := time.Now().Add(time.Minute); s.db.Metrics().Compact.Count == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no compaction has come\n%s", s.db.Metrics())
		}
	}
}

func TestCompactionsWaitWhileOthersAreBusy(t *testing.T) {
	s, add := pacedStore(t)
	s.Busy(true)
	s.Busy(true)
	add(12)
	if c := s.db.Metrics().Compact; c.Count > 0 || c.NumInProgress > 0 {
		t.Fatalf("%d compactions beside other work, and %d under way", c.Count, c.NumInProgress)
	}
	s.Busy(false)
	compacted(t, s)
	s.Busy(true)
	add(12)
	if err := s.Close(); err != nil { // while some wait
		t.Fatal(err)
	}
}

// Where tables become too many, compactions do not wait: writers would, soon.
func TestCompactionsGoOnWhereTablesAreTooMany(t *testing.T) {
	s, add := pacedStore(t)
	s.Busy(true)
	add(crowdedAt)
	compacted(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestPurgeWhileOthersAreBusy(t *testing.T) {
	s, add := pacedStore(t)
	s.Busy(true)
	add(3)
	if _, err := s.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// asking is an engine that has one compaction waiting.
type asking struct {
	allowed   int
	waits     bool
	scheduled int
}

func (a *asking) GetAllowedWithoutPermission() int { return a.allowed }
func (a *asking) GetWaitingCompaction() (bool, pebble.WaitingCompaction) {
	return a.waits, pebble.WaitingCompaction{}
}
func (a *asking) Schedule(pebble.CompactionGrantHandle) bool {
	if !a.waits {
		return false
	}
	a.waits = false
	a.scheduled++
	return true
}

// As many compactions run as the engine allows, those that wait begin when others end, and those that run go on when they may.
func TestPace(t *testing.T) {
	p, db := newPace(), &asking{allowed: 1}
	p.Register(2, db)
	try := func(want bool) {
		t.Helper()
		if ok, _ := p.TrySchedule(); ok != want {
			t.Fatalf("a compaction may begin: %t", ok)
		}
	}
	try(true)
	try(false)
	db.waits = true
	p.Done()
	if db.scheduled != 1 || p.running != 1 {
		t.Fatalf("%d compactions began when one ended, %d run", db.scheduled, p.running)
	}
	p.set(func() { p.busy = true })
	ran := make(chan bool)
	go func() {
		p.CumulativeStats(pebble.CompactionGrantHandleStats{})
		ran <- true
	}()
	if p.mu.Lock(); !p.held() {
		t.Fatal("compactions that run are not held")
	}
	p.mu.Unlock()
	done := p.hurry()
	<-ran
	done()
	p.Done()
	try(false)
	if db.scheduled != 1 || p.running != 0 {
		t.Fatalf("%d compactions began beside other work, %d run", db.scheduled, p.running)
	}
	p.Unregister()
	p.CumulativeStats(pebble.CompactionGrantHandleStats{}) // the end holds nobody up
	try(false)
}
