package storetest

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"kith/store"
)

// removeRows are rows for Remove: by their keys mine or others', in runs of many lengths, of the suite's incarnation and the next one.
func removeRows(t *testing.T, s store.Store) {
	t.Helper()
	var rows []store.RunRow
	for _, inc := range []store.Incarnation{7, 8} {
		for i := range 6000 {
			key := "mine"
			if i < 1000 && i%3 == 0 || i == 2500 || i > 5000 && i%300 == 0 {
				key = "other"
			}
			r := runRow(removeName(i), put(key, "v", 5))
			r.Incarnation = inc
			rows = append(rows, r)
		}
	}
	if err := s.WriteRun(ctx, store.Run{Table: store.Index, Rows: run(rows...)}); err != nil {
		t.Fatal(err)
	}
}

func removeName(i int) string { return fmt.Sprintf("p%05d\x00", i) }

var removeRange = store.SweepRange{Table: store.Index, Incarnation: 7}

func isMine(key []byte) bool { return string(key) == "mine" }

// others are the rows of a dump that a removal leaves.
func others(all []string) (left []string) {
	for _, row := range all {
		if !strings.HasPrefix(row, "7/") || !strings.Contains(row, `"mine"`) {
			left = append(left, row)
		}
	}
	return left
}

func removeTakesWhatIsAccepted(t *testing.T, e Engine) {
	s, st := stager(t, e)
	removeRows(t, s)
	all := dump(t, s, store.Index)
	calls := 0
	before := func() error {
		if calls++; !slices.Equal(dump(t, s, store.Index), all) {
			t.Error("rows went before they might")
		}
		return nil
	}
	for range 2 { // it may be repeated
		if err := st.Remove(ctx, removeRange, isMine, before); err != nil {
			t.Fatal(err)
		}
		before = nil
	}
	want := others(all)
	if got := dump(t, s, store.Index); !slices.Equal(got, want) || calls != 1 {
		t.Errorf("after %d calls: %s", calls, difference(want, got))
	}
	// What went does not hide what comes, and does not come back.
	write(t, s, store.Partition{Table: store.Index, Incarnation: 7, Key: removeName(3000)}, put("mine", "again", 1))
	after := dump(t, s, store.Index)
	if len(after) != len(want)+1 {
		t.Errorf("%d rows after another one was put, want %d", len(after), len(want)+1)
	}
	dir := filepath.Join(t.TempDir(), "copy")
	if err := s.Checkpoint(ctx, dir); err != nil {
		t.Fatal(err)
	}
	for name, again := range map[string]store.Store{"copy": e.OpenCopy(t, s, dir), "crash": e.Crash(t, s)} {
		if got := dump(t, again, store.Index); !slices.Equal(after, got) {
			t.Errorf("%s: %s", name, difference(after, got))
		}
	}
}

// Rows that others put while a removal is under way stay, in whatever way they are written.
func removeLeavesWhatOthersWrite(t *testing.T, e Engine) {
	long := strings.Repeat("x", store.MaxKey-100)
	theirs := func(from, to int) (rows []store.RunRow) { // between mine
		for i := from; i < to; i++ {
			rows = append(rows, runRow(removeName(i)+"\x01", put("theirs"+long, "v", 5)))
		}
		return rows
	}
	for name, put := range map[string]func(*testing.T, store.Store, store.Stager) error{
		"a commit": func(t *testing.T, s store.Store, _ store.Stager) error {
			_, err := s.Commit(ctx, store.Group{Before: []store.PartitionWrite{writes(store.Partition{Table: store.Index, Incarnation: 7, Key: removeName(2000)}, put("a", "", 5), put("z", "", 5))},
				Partition: part, Swap: []store.Swap{{Key: []byte("k")}}})
			return err
		},
		"many writes": func(t *testing.T, s store.Store, _ store.Stager) error { // more than are kept in mind
			for _, r := range theirs(1000, 2400) {
				if err := s.Write(ctx, store.Partition{Table: store.Index, Incarnation: 7, Key: string(r.Partition)}, []store.Mutation{r.Mutation}); err != nil {
					return err
				}
			}
			return nil
		},
		"a small run": func(t *testing.T, s store.Store, _ store.Stager) error {
			return s.WriteRun(ctx, store.Run{Table: store.Index, Rows: run(theirs(3000, 3003)...)})
		},
		"a large run": func(t *testing.T, s store.Store, _ store.Stager) error {
			return s.WriteRun(ctx, store.Run{Table: store.Index, Rows: run(theirs(1000, 1700)...)})
		},
		"a table": func(t *testing.T, s store.Store, st store.Stager) error {
			return st.Land(ctx, stage(t, st, store.StageOptions{Table: store.Index}, [3]string{removeName(3000) + "\x01", "theirs", "v"}))
		},
	} {
		for _, when := range []string{"during the look", "behind it"} {
			t.Run(name+" "+when, func(t *testing.T) {
				s, st := stager(t, e)
				removeRows(t, s)
				had := others(dump(t, s, store.Index))
				n := 0
				var rows []string
				write := func() error {
					err := put(t, s, st)
					rows = others(dump(t, s, store.Index))
					return err
				}
				var asked atomic.Bool
				gone := func(key []byte) bool {
					if when == "during the look" && !asked.Swap(true) {
						if err := write(); err != nil {
							t.Error(err)
						}
					}
					return isMine(key)
				}
				before := func() error {
					if n++; when == "behind it" {
						return write()
					}
					return nil
				}
				if err := st.Remove(ctx, removeRange, gone, before); err != nil {
					t.Fatal(err)
				}
				if got := dump(t, s, store.Index); !slices.Equal(got, rows) || len(rows) <= len(had) || n != 1 {
					t.Errorf("of %d rows that others had and %d that they wrote %d are left; %d calls before: %s", len(had), len(rows)-len(had), len(got), n, difference(rows, got))
				}
			})
		}
	}
}

func removeTakesNothingWhenItFails(t *testing.T, e Engine) {
	s, st := stager(t, e)
	removeRows(t, s)
	all := dump(t, s, store.Index)
	failed := errors.New("no")
	if err := st.Remove(ctx, removeRange, isMine, func() error { return failed }); !errors.Is(err, failed) {
		t.Errorf("Remove after a failure: %v", err)
	}
	for _, in := range []store.SweepRange{{Table: store.Profile, Incarnation: 7}, {Table: store.Index}} {
		if err := st.Remove(ctx, in, func([]byte) bool { return true }, nil); err == nil {
			t.Errorf("Remove from %+v", in)
		}
	}
	if got := dump(t, s, store.Index); !slices.Equal(got, all) {
		t.Error(difference(all, got))
	}
	if err := st.Remove(ctx, store.SweepRange{Table: store.Index, Incarnation: 9}, isMine, nil); err != nil {
		t.Errorf("Remove from nothing: %v", err)
	}
}

// Nothing that writers put goes, whatever moments removals have.
func removeAmongWriters(t *testing.T, e Engine) {
	s, st := stager(t, e)
	var ended atomic.Bool
	var writers sync.WaitGroup
	const many = 4
	rows := make([][]store.RunRow, many)
	for w := range many {
		writers.Go(func() {
			for n := 0; !ended.Load(); n++ {
				r := runRow(removeName(n*37%6000)+"\x01", put(fmt.Sprintf("%d of %d", n, w), "", int64(n+1)))
				var err error
				if n%2 == 0 {
					err = s.Write(ctx, store.Partition{Table: store.Index, Incarnation: 7, Key: string(r.Partition)}, []store.Mutation{r.Mutation})
				} else {
					err = s.WriteRun(ctx, store.Run{Table: store.Index, Rows: run(r)})
				}
				if err != nil {
					t.Error(err)
					return
				}
				rows[w] = append(rows[w], r)
			}
		})
	}
	for range 8 {
		removeRows(t, s)
		if err := st.Remove(ctx, removeRange, isMine, nil); err != nil {
			t.Error(err)
		}
	}
	ended.Store(true)
	writers.Wait()
	for _, all := range rows {
		for _, r := range all {
			want(t, s, store.Partition{Table: store.Index, Incarnation: 7, Key: string(r.Partition)}, string(r.Mutation.Key), "")
		}
	}
	for row, err := range s.Sweep(ctx, removeRange) {
		if err != nil || isMine(row.Row.Key) {
			t.Fatalf("%q is left, %v", row.Partition.Key, err)
		}
	}
}
