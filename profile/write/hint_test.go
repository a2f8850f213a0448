package write

import (
	"strings"
	"testing"
	"time"

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

// A version that leaves nothing of the one before replaces it without reading it. Whatever else comes, what only older versions said stays, and keys
// that are not carried any more go.
func TestVersionsAreReadIfAnythingOfThemStays(t *testing.T) {
	ranked := func(v fold.Value, priority int64) fold.Value {
		v.Stamp.Priority = priority
		return v
	}
	both := []fold.Value{custom("a", "1"), custom("b", "1")}
	type version struct {
		values []fold.Value
		key    string // besides the one by which it is found
		life   time.Duration
		reads  int // of the version before
	}
	for name, c := range map[string]struct {
		versions []version
		want     string
	}{
		"as much":          {[]version{{both, "k", 50, 0}, {[]fold.Value{custom("b", "2"), custom("a", "2")}, "k", 50, 0}}, "a=2 b=2"},
		"a longer life":    {[]version{{both, "k", 50, 0}, {[]fold.Value{custom("a", "2"), custom("b", "2")}, "k", 90, 0}}, "a=2 b=2"},
		"nothing":          {[]version{{nil, "k", 50, 0}, {nil, "k", 50, 0}}, ""},
		"less":             {[]version{{both, "k", 50, 0}, {[]fold.Value{custom("a", "2")}, "k", 50, 1}}, "a=2 b=1"},
		"less, then again": {[]version{{both, "k", 50, 0}, {both[:1], "k", 50, 1}, {both[:1], "k", 50, 1}, {both, "k", 50, 1}, {both, "k", 50, 0}}, "a=1 b=1"},
		"more":             {[]version{{both[:1], "k", 50, 0}, {both, "k", 50, 1}}, "a=1 b=1"},
		"another key":      {[]version{{both, "k", 50, 0}, {both, "l", 50, 1}}, "a=1 b=1"},
		"other priority":   {[]version{{[]fold.Value{ranked(both[0], 1)}, "k", 50, 0}, {[]fold.Value{ranked(custom("a", "2"), 2)}, "k", 50, 1}}, "a=1 a=2"},
		"a shorter life":   {[]version{{both[:1], "k", 50, 0}, {[]fold.Value{custom("a", "2")}, "k", 20, 1}}, "a=1 a=2"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, memStore(), false)
			for i, v := range c.versions {
				o := object("1", orderKey("1"), index.Key{Name: "own", Value: v.key})
				o.Values, o.Match, o.Life = v.values, o.Match[:1], v.life*day
				if reads := w.putCountingBodies(o); reads != v.reads {
					t.Errorf("version %d: bodies were read %d times, want %d", i, reads, v.reads)
				}
			}
			w.exact("after all versions")
			if got := w.said(); got != c.want {
				t.Errorf("it says %q, want %q", got, c.want)
			}
		})
	}
}

// What was said before a merge counts for the merge, so it stays beside what is said after it.
func TestVersionsOfBothSidesOfAMergeStay(t *testing.T) {
	w := newWorld(t, memStore(), false)
	o, other := object("1", orderKey("1")), object("2", orderKey("2"))
	o.Values = []fold.Value{custom("a", "1")}
	first, err := w.writer(0).Put(t.Context(), name, "", o)
	must(t, first, err)
	second, err := w.writer(0).Put(t.Context(), name, "", other)
	must(t, second, err)
	if err := w.merge(second.ID, first.ID); err != nil {
		t.Fatal(err)
	}
	o.Values = []fold.Value{custom("a", "2")}
	if reads := w.putCountingBodies(o); reads != 1 {
		t.Errorf("bodies were read %d times, want 1", reads)
	}
	if got := w.said(); got != "a=1 a=2" {
		t.Errorf("the object says %q", got)
	}
}

// putCountingBodies puts an object and tells how many bodies were read for that.
func (w *world) putCountingBodies(o *Object) (reads int) {
	w.st.Before(func(op faulty.Op, p store.Partition) error {
		if op == faulty.Get && p.Table == store.Body {
			reads++
		}
		return nil
	})
	defer w.st.Before(nil)
	r, err := w.writer(0).Put(w.t.Context(), name, "", o)
	must(w.t, r, err)
	return reads
}

// said tells what the bodies of all objects say.
func (w *world) said() string {
	var all []string
	for row, err := range w.raw.Sweep(w.t.Context(), store.SweepRange{Table: store.Body, Incarnation: inc}) {
		if err != nil {
			w.t.Fatal(err)
		}
		b, err := DecodeBody(row.Row.Value)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, v := range b.Values {
			all = append(all, v.Attr.Custom+"="+v.Text)
		}
	}
	return strings.Join(all, " ")
}
