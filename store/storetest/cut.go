package storetest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"kith/store"
)

// stretch sweeps a table and returns its positions behind the first row for which from is true, and behind the last one for which to is.
func stretch(t *testing.T, s store.Store, r store.SweepRange, from, to func(p store.Partition, key []byte) bool) store.SweepRange {
	t.Helper()
	out := r
	for row, err := range s.Sweep(ctx, r) {
		if err != nil {
			t.Fatal(err)
		}
		if out.From == r.From && from(row.Partition, row.Row.Key) {
			out.From = row.Cursor()
		}
		if to(row.Partition, row.Row.Key) {
			out.To = row.Cursor()
		}
	}
	return out
}

// rowIs says whether a row is one of a partition.
func rowIs(partition, key string) func(store.Partition, []byte) bool {
	return func(p store.Partition, k []byte) bool { return p.Key == partition && string(k) == key }
}

// Cut removes what lies between two positions, in memory, in files and in landed tables, and nothing else; what is written later stays. It survives a crash.
func cutRemovesRanges(t *testing.T, e Engine) {
	s, st := stager(t, e)
	land(t, st, stage(t, st, store.StageOptions{}, [3]string{"a", "1", "v"}, [3]string{"b", "1", "v"}, [3]string{"c", "1", "v"}))
	for _, p := range []string{"a", "b", "c", "d"} {
		write(t, s, store.Partition{Table: store.Profile, Incarnation: 7, Key: p}, put("2", "v", 9))
		write(t, s, store.Partition{Table: store.Profile, Incarnation: 8, Key: p}, put("2", "v", 9))
	}
	write(t, s, store.Partition{Table: store.Index, Incarnation: 7, Key: "b"}, put("1", "v", 9))
	others := append(dump(t, s, store.Index), ofOthers(t, s, store.Profile)...)
	all := store.SweepRange{Table: store.Profile, Incarnation: 7}
	r := stretch(t, s, all, rowIs("a", "1"), rowIs("c", "1"))
	if err := st.Cut(ctx, s.Mark(), r); err != nil {
		t.Fatal(err)
	}
	kept := store.Partition{Table: store.Profile, Incarnation: 7, Key: "b"}
	write(t, s, kept, put("2", "later", 9))
	dir := filepath.Join(t.TempDir(), "copy")
	if err := s.Checkpoint(ctx, dir); err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]store.Store{"copy": e.OpenCopy(t, s, dir), "crash": e.Crash(t, s)} {
		at := func(p string) store.Partition { return store.Partition{Table: store.Profile, Incarnation: 7, Key: p} }
		want(t, s, at("a"), "1", "v")
		wantNone(t, s, at("a"), "2")
		wantNone(t, s, at("b"), "1")
		want(t, s, kept, "2", "later")
		wantNone(t, s, at("c"), "1")
		want(t, s, at("c"), "2", "v")
		want(t, s, at("d"), "2", "v")
		if got := append(dump(t, s, store.Index), ofOthers(t, s, store.Profile)...); !slices.Equal(got, others) {
			t.Errorf("%s: %s", name, difference(others, got))
		}
		st := store.StagerOf(s)
		if err := st.Cut(ctx, s.Mark()); err != nil {
			t.Errorf("%s: no ranges: %v", name, err)
		}
		if err := st.Cut(ctx, s.Mark(), all, store.SweepRange{Table: store.Index, Incarnation: 7}); err != nil {
			t.Fatal(err)
		}
		if index, profiles := dump(t, s, store.Index), dump(t, s, store.Profile); len(index) != 0 || !slices.Equal(profiles, ofOthers(t, s, store.Profile)) || len(profiles) != 4 {
			t.Errorf("%s: all of an incarnation was cut; %q and %q are left", name, index, profiles)
		}
	}
}

// ofOthers is dump without the rows of incarnation 7.
func ofOthers(t *testing.T, s store.Store, tb store.Table) []string {
	t.Helper()
	return slices.DeleteFunc(dump(t, s, tb), func(row string) bool { return strings.HasPrefix(row, "7/") })
}

// Cut refuses when anything of its tables and incarnations has changed since the mark, however, and removes nothing then.
func cutSeesWhatCameMeanwhile(t *testing.T, e Engine) {
	at := func(table store.Table, inc store.Incarnation) store.Partition {
		return store.Partition{Table: table, Incarnation: inc, Key: "x"}
	}
	for name, c := range map[string]struct {
		change func(s store.Store, st store.Stager) error
		refuse bool
	}{
		"nothing": {func(store.Store, store.Stager) error { return nil }, false},
		"a write to another table": {func(s store.Store, _ store.Stager) error {
			return s.Write(ctx, at(store.Body, 7), []store.Mutation{put("k", "v", 2)})
		}, false},
		"a write": {func(s store.Store, _ store.Stager) error {
			return s.Write(ctx, at(store.Index, 7), []store.Mutation{put("k", "v", 2)})
		}, true},
		"a write beside a Swap": {func(s store.Store, _ store.Stager) error {
			_, err := s.Commit(ctx, store.Group{Partition: at(store.Jobs, 7), Swap: []store.Swap{{Key: []byte("k"), Value: []byte("v")}},
				After: []store.PartitionWrite{{Partition: at(store.Index, 7), Mutations: []store.Mutation{put("k", "v", 2)}}}})
			return err
		}, true},
		"a Swap": {func(s store.Store, _ store.Stager) error {
			_, err := s.Swap(ctx, at(store.Profile, 7), []store.Swap{{Key: []byte("k"), Value: []byte("v")}})
			return err
		}, true},
		"a small run": {func(s store.Store, _ store.Stager) error {
			return s.WriteRun(ctx, store.Run{Table: store.Index, Rows: store.SortRows([]store.RunRow{runRow("x", put("k", "v", 2))})})
		}, true},
		"a large run": {func(s store.Store, _ store.Stager) error {
			return s.WriteRun(ctx, store.Run{Table: store.Index, Rows: func(yield func(store.RunRow, error) bool) {
				for i := range 60_000 {
					if !yield(runRow(fmt.Sprintf("q%06d", i), put("k", "a value of a run", 1)), nil) {
						return
					}
				}
			}})
		}, true},
		"a landed table": {func(_ store.Store, st store.Stager) error {
			w, err := st.Stage(store.StageOptions{Table: store.Index, Incarnation: 7, Time: 2})
			if err == nil {
				err = errors.Join(w.Add([]byte("x"), []byte("k"), nil, nil), w.Close(), st.Land(ctx, w))
			}
			return err
		}, true},
	} {
		s, st := stager(t, e)
		there := []store.Partition{{Table: store.Profile, Incarnation: 7, Key: "p"}, {Table: store.Index, Incarnation: 7, Key: "p"}}
		for _, p := range there {
			write(t, s, p, put("k", "v", 1))
		}
		mark := s.Mark()
		if err := c.change(s, st); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		err := st.Cut(ctx, mark, store.SweepRange{Table: store.Profile, Incarnation: 7}, store.SweepRange{Table: store.Index, Incarnation: 7})
		if c.refuse != errors.Is(err, store.ErrConflict) || !c.refuse && err != nil {
			t.Errorf("after %s: %v", name, err)
		}
		for _, p := range there {
			if c.refuse {
				want(t, s, p, "k", "v")
			} else {
				wantNone(t, s, p, "k")
			}
		}
		if err := st.Cut(ctx, s.Mark(), store.SweepRange{Table: store.Profile, Incarnation: 7}); err != nil {
			t.Errorf("by a later mark after %s: %v", name, err)
		}
	}
}

// While a table is cut again and again, calls put rows into it that stand when they return: no Cut removes one that its mark does not know.
func cutLosesNothing(t *testing.T, e Engine) {
	s, st := stager(t, e)
	const callers = 4
	rounds := max(e.bulk(2000)/callers, 10)
	var writers, cutters sync.WaitGroup
	stop := make(chan bool)
	var mu sync.Mutex
	cut := map[string]bool{} // what a Cut has seen before it
	cutters.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			mark := s.Mark()
			seen := dump(t, s, store.Index)
			if err := st.Cut(ctx, mark, store.SweepRange{Table: store.Index, Incarnation: 7}); err == nil {
				mu.Lock()
				for _, row := range seen {
					cut[row] = true
				}
				mu.Unlock()
			} else if !errors.Is(err, store.ErrConflict) {
				t.Error(err)
				return
			}
		}
	})
	for c := range callers {
		writers.Go(func() {
			for i := range rounds {
				p := store.Partition{Table: store.Index, Incarnation: 7, Key: fmt.Sprint("p", c)}
				if err := s.Write(ctx, p, []store.Mutation{{Key: binary.BigEndian.AppendUint32(nil, uint32(i)), Time: 1}}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	writers.Wait()
	close(stop)
	cutters.Wait()
	for _, row := range dump(t, s, store.Index) {
		cut[row] = true
	}
	if len(cut) != callers*rounds {
		t.Fatalf("%d rows are left or were seen before they went, of %d", len(cut), callers*rounds)
	}
}
