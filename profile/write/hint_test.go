package write

import (
	"testing"

	"kith/profile/fold"
	"kith/profile/index"
	"kith/store"
	"kith/store/faulty"
)

// A profile is found behind any number of hints that nobody confirms, more than are read together, and just as many.
func TestManyHints(t *testing.T) {
	for _, strays := range []int{0, 1, maxHints - 2, maxHints - 1, maxHints, maxHints + 1, 3 * maxHints} {
		w := newWorld(t, memStore(), false)
		node := w.writer(0)
		first, err := node.Put(t.Context(), name, "", object("1", orderKey("1"), emailKey("a@x.de")))
		must(t, first, err)
		part := index.PartitionKey(emailKey("a@x.de"))
		for i := range strays {
			id := fold.ID{14: byte(i >> 8), 15: byte(i + 1)} // before the profile's
			row := indexRow(inc, part, id, w.at.Load(), false)
			if err := w.raw.Write(t.Context(), row.Partition, row.Mutations); err != nil {
				t.Fatal(err)
			}
		}
		second, err := node.Put(t.Context(), name, "", object("2", orderKey("2"), emailKey("a@x.de")))
		if must(t, second, err); second.ID != first.ID || second.Created {
			t.Errorf("%d strays: the object went to %s, created %t, want %s", strays, second.ID, second.Created, first.ID)
		}
	}
}

// What a put costs the store. On a cluster: one look at the index for all keys before the claims and one behind them, one for where else the
// object is, the person once, and of claims each a Swap to take and to release it. In one process: one look, the person, and one Commit.
func TestCallsOfAPut(t *testing.T) {
	t.Run("cluster", func(t *testing.T) {
		callsOfAPut(t, true, []calls{
			{faulty.Probe, store.Index, 2}, {faulty.Scan, store.Index, 1},
			{faulty.Probe, store.Profile, 1}, {faulty.Get, store.History, 1},
			{faulty.Get, store.Jobs, 1}, // the seal
			{faulty.Commit, store.Change, 1}, {faulty.Commit, store.Profile, 1},
			{faulty.Commit, store.Jobs, 2}, // the claim of the key that is new
		})
	})
	t.Run("one process", func(t *testing.T) {
		callsOfAPut(t, false, []calls{{faulty.Probe, store.Index, 1}, {faulty.Probe, store.Profile, 1}, {faulty.Commit, store.Profile, 1},
			{faulty.Commit, store.Change, 1}})
	})
}

// calls are how often an operation is done on a table.
type calls struct {
	op    faulty.Op
	table store.Table
	n     int
}

func callsOfAPut(t *testing.T, shared bool, wanted []calls) {
	w := newWorld(t, memStore(), false)
	if shared {
		w.local = nil
	}
	node := w.writer(0)
	keys := []index.Key{orderKey("1"), emailKey("a@x.de"), {Name: "own", Value: "k"}}
	r, err := node.Put(t.Context(), name, "", object("1", keys...))
	must(t, r, err)
	got := map[faulty.Op]map[store.Table]int{}
	w.st.Before(func(op faulty.Op, p store.Partition) error {
		if got[op] == nil {
			got[op] = map[store.Table]int{}
		}
		got[op][p.Table]++
		return nil
	})
	r, err = node.Put(t.Context(), name, "", object("2", orderKey("2"), keys[1], keys[2]))
	must(t, r, err)
	w.st.Before(nil)
	for _, want := range wanted {
		if n := got[want.op][want.table]; n != want.n {
			t.Errorf("%s of table %s: %d calls, want %d", want.op, want.table, n, want.n)
		}
	}
	if all := got[faulty.Get]; !shared && len(all) > 0 {
		t.Errorf("rows are read one by one: %v", all)
	}
}
