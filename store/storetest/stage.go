package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"kith/store"
)

// stager returns a new store as a Stager.
func stager(t *testing.T, e Engine) (store.Store, store.Stager) {
	t.Helper()
	s := e.New(t)
	st := store.StagerOf(s)
	if st == nil {
		t.Fatal("the engine is no store.Stager")
	}
	return s, st
}

// goes is a value that stands for a deletion.
const goes = "\x00goes"

// stage returns a closed table of rows: partition, key and value of each.
func stage(t *testing.T, st store.Stager, o store.StageOptions, rows ...[3]string) store.Staged {
	t.Helper()
	if o.Table == 0 {
		o.Table = store.Profile
	}
	if o.Incarnation == 0 {
		o.Incarnation = part.Incarnation
	}
	if o.Time == 0 {
		o.Time = 9
	}
	w, err := st.Stage(o)
	if err != nil {
		t.Fatalf("Stage: %v", err)
	}
	for i, r := range rows {
		cut := len(r[2]) / 2
		add := func() error { return w.Add([]byte(r[0]), []byte(r[1]), []byte(r[2][:cut]), []byte(r[2][cut:])) }
		if r[2] == goes {
			add = func() error { return w.Delete([]byte(r[0]), []byte(r[1])) }
		}
		if err := add(); err != nil {
			t.Fatalf("row %d: %v", i, err)
		}
	}
	if w.Rows() != len(rows) || len(rows) > 0 && w.Size() <= 0 {
		t.Fatalf("%d rows and %d bytes, %d rows were added", w.Rows(), w.Size(), len(rows))
	}
	if err := w.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	return w
}

func land(t *testing.T, st store.Stager, tables ...store.Staged) {
	t.Helper()
	if err := st.Land(ctx, tables...); err != nil {
		t.Fatalf("Land: %v", err)
	}
	for _, w := range tables {
		w.Discard() // does nothing any more
	}
}

func stagedRowsAreUnseenUntilLand(t *testing.T, e Engine) {
	s, st := stager(t, e)
	w := stage(t, st, store.StageOptions{}, [3]string{"p", "a", "1"}, [3]string{"p", "b", ""}, [3]string{"q", "", "3"})
	if got := dump(t, s, store.Profile); len(got) != 0 {
		t.Fatalf("before Land: %v", got)
	}
	land(t, st, w)
	want(t, s, part, "b", "")
	if row := want(t, s, part, "a", "1"); row.Time != 9 || row.Version != 0 {
		t.Fatalf("a row has time %d and version %d", row.Time, row.Version)
	}
	if got := dump(t, s, store.Profile); len(got) != 3 {
		t.Fatalf("after Land: %v", got)
	}
}

// Rows of many tables become visible at the same time, to whoever looks.
func landIsAllAtOnce(t *testing.T, e Engine) {
	s, st := stager(t, e)
	for round := range int64(20) {
		var tables []store.Staged
		for i := range 8 {
			tables = append(tables, stage(t, st, store.StageOptions{Time: round + 1}, [3]string{fmt.Sprintf("p%d", i), "k", fmt.Sprint(round)}))
		}
		var wg sync.WaitGroup
		done := make(chan bool)
		wg.Go(func() {
			for more := true; more; {
				select {
				case <-done:
					more = false
				default:
				}
				// The last one first: who sees it there sees the others, too.
				seen := false
				for i := 7; i >= 0; i-- {
					row, err := s.Get(ctx, store.Partition{Table: store.Profile, Incarnation: 7, Key: fmt.Sprintf("p%d", i)}, []byte("k"))
					if now := err == nil && row.Time == round+1; seen && !now {
						t.Errorf("round %d: table %d is not there, others are", round, i)
					} else {
						seen = now
					}
				}
			}
		})
		err := st.Land(ctx, tables...)
		close(done)
		wg.Wait()
		if err != nil {
			t.Fatalf("Land: %v", err)
		}
	}
}

// Puts and deletions go over rows in memory, rows in files, and rows of tables that landed before; what is written later goes over them.
func landGoesOverWhatWasThere(t *testing.T, e Engine) {
	s, st := stager(t, e)
	p := store.Partition{Table: store.Index, Incarnation: 7, Key: "p"}
	write(t, s, p, put("memory", "old", 1), put("gone", "old", 1), put("stays", "old", 1))
	long := func(yield func(store.RunRow, error) bool) {
		for i := range e.bulk(60_000) {
			if !yield(runRow(fmt.Sprintf("q%06d", i), put("k", "a value of a run", 1)), nil) {
				return
			}
		}
	}
	if err := s.WriteRun(ctx, store.Run{Table: store.Index, Rows: long}); err != nil {
		t.Fatal(err)
	}
	o := store.StageOptions{Table: store.Index, Time: 5}
	land(t, st, stage(t, st, o, [3]string{"p", "memory", "new"}), stage(t, st, o, [3]string{"p", "never", goes}, [3]string{"q000000", "k", goes}, [3]string{"q000001", "k", goes}),
		stage(t, st, o, [3]string{"q000002", "k", "new"}, [3]string{"r", "", "first"}))
	land(t, st, stage(t, st, o, [3]string{"q000001", "k", "back"}, [3]string{"r", "", "second"}))
	land(t, st, stage(t, st, o, [3]string{"p", "gone", goes}, [3]string{"p", "memory", "mixed"}))
	write(t, s, p, put("memory", "newest", 6))
	q := func(i int) store.Partition {
		return store.Partition{Table: store.Index, Incarnation: 7, Key: fmt.Sprintf("q%06d", i)}
	}
	want(t, s, p, "memory", "newest")
	want(t, s, p, "stays", "old")
	wantNone(t, s, p, "gone")
	wantNone(t, s, q(0), "k")
	want(t, s, q(1), "k", "back")
	want(t, s, q(2), "k", "new")
	want(t, s, q(3), "k", "a value of a run")
	want(t, s, store.Partition{Table: store.Index, Incarnation: 7, Key: "r"}, "", "second")
}

func landIsDurable(t *testing.T, e Engine) {
	s, st := stager(t, e)
	write(t, s, part, put("a", "old", 1), put("b", "old", 1), put("c", "old", 1))
	land(t, st, stage(t, st, store.StageOptions{}, [3]string{"p", "a", "new"}, [3]string{"p", "b", goes}), stage(t, st, store.StageOptions{}, [3]string{"p", "c", "new"}, [3]string{"q", "", "new"}))
	lost := stage(t, st, store.StageOptions{}, [3]string{"x", "lost", "never seen"})
	before := dump(t, s, store.Profile)
	dir := filepath.Join(t.TempDir(), "copy")
	if err := s.Checkpoint(ctx, dir); err != nil {
		t.Fatal(err)
	}
	for name, again := range map[string]store.Store{"copy": e.OpenCopy(t, s, dir), "crash": e.Crash(t, s)} {
		if got := dump(t, again, store.Profile); !slices.Equal(before, got) {
			t.Errorf("%s: %s", name, difference(before, got))
		}
		land(t, store.StagerOf(again), stage(t, store.StagerOf(again), store.StageOptions{}, [3]string{"p", "a", "newer"}))
		want(t, again, part, "a", "newer")
	}
	lost.Discard()
}

func landRefusesWhatIsNotReady(t *testing.T, e Engine) {
	s, st := stager(t, e)
	open, err := st.Stage(store.StageOptions{Table: store.Profile, Incarnation: 7, Time: 1})
	if err != nil {
		t.Fatal(err)
	}
	landed := stage(t, st, store.StageOptions{}, [3]string{"a", "", ""})
	land(t, st, landed)
	discarded := stage(t, st, store.StageOptions{}, [3]string{"b", "", ""})
	discarded.Discard()
	ended, cancel := context.WithCancel(ctx)
	cancel()
	row := [3]string{"p", "a", "1"}
	for name, land := range map[string]func() error{
		"open":      func() error { return st.Land(ctx, stage(t, st, store.StageOptions{}, row), open) },
		"landed":    func() error { return st.Land(ctx, stage(t, st, store.StageOptions{}, row), landed) },
		"discarded": func() error { return st.Land(ctx, stage(t, st, store.StageOptions{}, row), discarded) },
		"over each other": func() error {
			return st.Land(ctx, stage(t, st, store.StageOptions{}, row, [3]string{"r", "", ""}), stage(t, st, store.StageOptions{}, [3]string{"q", "", ""}))
		},
		"twice the same row": func() error {
			return st.Land(ctx, stage(t, st, store.StageOptions{}, row), stage(t, st, store.StageOptions{}, [3]string{"p", "a", goes}))
		},
		"no time to land": func() error { return st.Land(ended, stage(t, st, store.StageOptions{}, row)) },
	} {
		if err := land(); err == nil {
			t.Errorf("%s: landed", name)
		}
		wantNone(t, s, part, "a")
	}
	if _, err := st.Stage(store.StageOptions{Table: store.Profile, Incarnation: 7}); err == nil {
		t.Error("a table without a time began")
	}
	land(t, st)
	land(t, st, stage(t, st, store.StageOptions{}))
	land(t, st, stage(t, st, store.StageOptions{}), stage(t, st, store.StageOptions{}, row))
	want(t, s, part, "a", "1")
}

func stageRefusesDisorder(t *testing.T, e Engine) {
	s, st := stager(t, e)
	w, err := st.Stage(store.StageOptions{Table: store.Profile, Incarnation: 7, Time: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []struct {
		partition, key string
		order          bool
	}{
		{"b", "2", true}, {"b", "2", false}, {"b", "1", false}, {"b", "", false}, {"a", "3", false}, {"", "", false}, {"b", "20", true}, {"b\x00", "", true},
		{"b", "3", false}, {"b\x00", "", false}, {"b\x00\x01", "", true}, {"b\x00", "x", false}, {"ba", "", true}, {"b\x00\xff", "", false},
	} {
		err := w.Add([]byte(r.partition), []byte(r.key), []byte("v"), nil)
		if r.order && err != nil || !r.order && !errors.Is(err, store.ErrOrder) {
			t.Errorf("%q/%q: %v", r.partition, r.key, err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	land(t, st, w)
	if got := dump(t, s, store.Profile); len(got) != 5 {
		t.Errorf("landed %q", got)
	}
}

// Partitions, keys and values of any bytes and sizes come back as they went, and what is too large is refused.
func stageTakesAnyRow(t *testing.T, e Engine) {
	s, st := stager(t, e)
	long := bytes.Repeat([]byte{0xff}, store.MaxKey)
	type row struct{ partition, key, value []byte }
	rows := []row{
		{nil, nil, nil}, {nil, []byte{0}, bytes.Repeat([]byte("big"), store.MaxValue/3)}, {[]byte{0}, nil, []byte{0}}, {[]byte{0, 0}, []byte{0, 0xff}, nil},
		{[]byte{0, 1}, []byte("k"), bytes.Repeat([]byte{1}, store.MaxValue)}, {[]byte{1}, long[1:], []byte("v")}, {[]byte{0xff}, nil, nil}, {long, nil, []byte("v")},
	}
	w, err := st.Stage(store.StageOptions{Table: store.Profile, Incarnation: 7, Time: 1})
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range rows {
		cut := len(r.value) / 3
		if err := w.Add(r.partition, r.key, r.value[:cut], r.value[cut:]); err != nil {
			t.Fatalf("row %d: %v", i, err)
		}
		for what, err := range map[string]error{
			"a key": w.Add(long, []byte("k"), nil, nil), "a partition": w.Add(append(long, 1), nil, nil, nil),
			"a value in two parts": w.Add(long, nil, make([]byte, store.MaxValue), []byte{1}),
		} {
			if !errors.Is(err, store.ErrTooLarge) {
				t.Errorf("%s too large: %v", what, err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	land(t, st, w)
	for i, r := range rows {
		got, err := s.Get(ctx, store.Partition{Table: store.Profile, Incarnation: 7, Key: string(r.partition)}, r.key)
		if err != nil || !bytes.Equal(got.Value, r.value) {
			t.Errorf("row %d has %d bytes, %v; want %d", i, len(got.Value), err, len(r.value))
		}
	}
}

func stageForgetsWhatIsDiscarded(t *testing.T, e Engine) {
	s, st := stager(t, e)
	w, err := st.Stage(store.StageOptions{Table: store.Profile, Incarnation: 7, Time: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Add([]byte("p"), []byte("a"), nil, nil); err != nil {
		t.Fatal(err)
	}
	w.Discard()
	w.Discard()
	if err := w.Add([]byte("p"), []byte("b"), nil, nil); err == nil {
		t.Error("a discarded table takes rows")
	}
	if err := w.Close(); err == nil {
		t.Error("a discarded table was closed")
	}
	stage(t, st, store.StageOptions{}, [3]string{"p", "c", ""}).Discard()
	if got := dump(t, s, store.Profile); len(got) != 0 {
		t.Errorf("seen: %v", got)
	}
}

// All ways to read meet the rows of landed tables, among others.
func landedTablesAreRead(t *testing.T, e Engine) {
	s, st := stager(t, e)
	const n = 3000
	name := func(i int) string { return fmt.Sprintf("p%05d", i/3) }
	var tables []store.Staged
	for from := 0; from < n; from += n / 3 {
		var rows [][3]string
		for i := from; i < from+n/3; i++ {
			rows = append(rows, [3]string{name(i), fmt.Sprintf("k%05d", i), fmt.Sprint("value ", i)})
		}
		tables = append(tables, stage(t, st, store.StageOptions{}, rows...))
	}
	for i := range 10 {
		write(t, s, store.Partition{Table: store.Profile, Incarnation: 7, Key: name(i * n / 10)}, put("z", "other", 1))
	}
	scan := func(i int) []store.Row {
		rows, err := store.Collect(s.Scan(ctx, store.Partition{Table: store.Profile, Incarnation: 7, Key: name(i)}, store.Range{Limit: 2}))
		if err != nil {
			t.Fatal(err)
		}
		return rows
	}
	// An engine may keep what it read with for the next reader.
	if rows := scan(n / 2); len(rows) > 1 {
		t.Fatalf("%d rows before Land", len(rows))
	}
	land(t, st, tables...)
	if rows := scan(n / 2); len(rows) != 2 {
		t.Fatalf("%d rows after Land", len(rows))
	}
	whole := dump(t, s, store.Profile)
	if len(whole) != n+10 {
		t.Fatalf("%d rows", len(whole))
	}
	pieces, err := s.Split(ctx, store.SweepRange{Table: store.Profile}, 3)
	if err != nil {
		t.Fatal(err)
	}
	met := 0
	for _, r := range pieces {
		for _, err := range s.Sweep(ctx, r) {
			if err != nil {
				t.Fatal(err)
			}
			met++
		}
	}
	if met != len(whole) { // a compaction may have left one table, and so one piece
		t.Errorf("%d pieces met %d rows of %d", len(pieces), met, len(whole))
	}
	var found []string
	asked := iter.Seq[store.Probe](func(yield func(store.Probe) bool) {
		for i := 0; i < n; i += 3 {
			if !yield(store.Probe{Partition: name(i), Range: store.Range{Start: fmt.Appendf(nil, "k%05d", i+1)}}) {
				return
			}
		}
	})
	for hit, err := range s.Probe(ctx, store.Profile, 7, asked) {
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, string(hit.Row.Key))
	}
	if len(found) != 2*n/3+10 {
		t.Errorf("probes found %d rows", len(found))
	}
	for i := 0; i < n; i += 500 {
		if rows := scan(i); len(rows) != 2 || rows[0].Time != 9 {
			t.Errorf("scan of %s: %d rows", name(i), len(rows))
		}
		want(t, s, store.Partition{Table: store.Profile, Incarnation: 7, Key: name(i)}, fmt.Sprintf("k%05d", i), fmt.Sprint("value ", i))
	}
}
