package pebble

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"kith/store"
)

// A few commits are synced as soon as the disk is free; only many wait for each other.
func TestOnlyManyCommitsWaitForEachOther(t *testing.T) {
	w := &waits{}
	for n := range fewCommits + 1 {
		w.commits.Store(int64(n))
		if got := w.interval(); got != 0 {
			t.Errorf("%d commits wait %s", n, got)
		}
	}
	if w.commits.Add(1); w.interval() != syncEvery {
		t.Errorf("%d commits are synced one by one", w.commits.Load())
	}
}

// Who has been answered does not count as waiting any more.
func TestCommitsEndTheirWait(t *testing.T) {
	s, err := Open("db", Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if err := s.Write(t.Context(), store.Partition{Table: store.Change, Incarnation: 1, Key: "p"}, []store.Mutation{{Key: []byte("k"), Time: 1}}); err != nil {
		t.Fatal(err)
	}
	if n := s.waits.commits.Load(); n != 0 {
		t.Errorf("%d commits wait, with none under way", n)
	}
}
