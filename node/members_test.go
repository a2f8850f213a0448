package node

import (
	"context"
	"testing"
	"time"

	"kith/store"
	"kith/store/mem"
)

// Nodes count each other while they give signs of life, and forget those that are gone.
func TestMembers(t *testing.T) {
	st := mem.New()
	now := time.Unix(1_700_000_000, 0)
	sign := func(name string) int {
		t.Helper()
		n := &Node{Config: Config{Store: st, Owner: name, Now: func() time.Time { return now }}}
		live, err := n.sign(context.Background(), nil)
		if err != nil {
			t.Fatal(err)
		}
		return live
	}
	for i, name := range []string{"a", "b", "c"} {
		if live := sign(name); live != i+1 {
			t.Fatalf("%d live nodes after %s came, want %d", live, name, i+1)
		}
	}
	now = now.Add(deadAfter)
	if live := sign("a"); live != 1 {
		t.Fatalf("%d live nodes when two are silent, want 1", live)
	}
	if live := sign("b"); live != 2 {
		t.Fatalf("%d live nodes when one came back, want 2", live)
	}
	(&Node{Config: Config{Store: st, Owner: "a", Now: func() time.Time { return now }}}).leave(context.Background())
	if live := sign("b"); live != 1 {
		t.Fatalf("%d live nodes when one left, want 1", live)
	}
	now = now.Add(2 * forgotten)
	sign("b")
	rows, err := store.Collect(st.Scan(context.Background(), membersPartition, store.Range{}))
	if err != nil || len(rows) != 1 {
		t.Fatalf("%d rows are kept, %v; want the live node's", len(rows), err)
	}
}
