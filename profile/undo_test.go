package profile

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"kith/domain"
	"kith/profile/fold"
	"kith/profile/index"
	"kith/schema"
	"kith/store"
	"kith/store/mem"
	"kith/store/pebble"
)

const undoProfiles = 3000

// undoStore fills a store with profiles that up to three imports have written to, with what a later one has in common with an earlier one as a repeat.
func undoStore(t *testing.T, st store.Store) (ids []ID) {
	t.Helper()
	var contributions, keys []store.RunRow
	for i := range undoProfiles {
		id := fold.ImportID(1_000_000, 1, uint32(i), 7)
		ids = append(ids, id)
		add := func(at int64, mail string, repeats int64) {
			c := fold.Contribution{Expires: 1 << 60, Stamp: fold.Stamp{Time: at}, Values: []fold.Value{{Attr: schema.Attr{ID: schema.EmailAddress}, Text: mail, Stamp: fold.Stamp{Time: at}}}}
			value := c.Append(nil)
			if repeats != 0 {
				value = c.AppendRepeat(nil, AppendImportSource(nil, repeats, int64(i)))
			}
			contributions = append(contributions, store.RunRow{Incarnation: 3, Partition: id[:], Mutation: store.Mutation{Time: at, Key: AppendContributionKey(nil, at, int64(i)), Value: value}})
			var set index.Set
			set.AddContribution(&c, nil)
			for _, k := range set.Keys() {
				keys = append(keys, index.Row(3, k, id, index.ByImport, at, false))
			}
		}
		mail := fmt.Sprintf("m%d@x.com", i)
		if i%5 != 3 {
			add(1_000_000, mail, 0)
		}
		switch i % 5 {
		case 0:
			add(2_000_000, mail, 1_000_000)
		case 1:
			add(2_000_000, "new"+mail, 0)
		case 3:
			add(2_000_000, mail, 0)
		case 4:
			add(2_000_000, mail, 1_000_000)
			add(3_000_000, mail, 2_000_000)
		}
	}
	if err := st.WriteRun(t.Context(), store.Run{Table: store.Index, Rows: store.SortRows(keys)}, store.Run{Table: store.Profile, Rows: store.SortRows(contributions)}); err != nil {
		t.Fatal(err)
	}
	return ids
}

func undoDump(t *testing.T, st store.Store) (all []string) {
	t.Helper()
	for _, table := range []store.Table{store.Profile, store.Index} {
		for row, err := range st.Sweep(t.Context(), store.SweepRange{Table: table}) {
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, fmt.Sprintf("%q/%q=%q", row.Partition.Key, row.Row.Key, row.Row.Value))
		}
	}
	return all
}

// undoOf takes the first import back, some profiles at a time, and writes after so many bytes.
func undoOf(ctx context.Context, st store.Store, ids []ID, maxRows int, looked func(int64)) error {
	u := (&Service{Store: st}).NewUndo(&domain.Record{Incarnation: 3}, 9_000_000, 1_000_000, looked)
	u.maxRows = maxRows
	for chunk := range slices.Chunk(ids, 170) {
		if err := u.Take(ctx, chunk); err != nil {
			u.Abandon()
			return err
		}
	}
	return u.End(ctx)
}

// However much is written together, and whether the engine builds tables aside or not, the same is left: what others say, by itself, with its index rows.
func TestUndoOfProfilesThatOthersWroteTo(t *testing.T) {
	m := mem.New()
	if err := undoOf(t.Context(), m, undoStore(t, m), 1000, func(int64) {}); err != nil {
		t.Fatal(err)
	}
	want := undoDump(t, m)
	if n := 2*undoProfiles/5 + undoProfiles/5 + 2*undoProfiles/5; len(want) != n+4*undoProfiles/5 { // contributions, and a row of the index for each profile that has one
		t.Errorf("%d rows are left", len(want))
	}
	for row, err := range m.Sweep(t.Context(), store.SweepRange{Table: store.Profile}) {
		at, _ := ImportTime(sourceOf(row.Row.Key))
		of, repeats := fold.RepeatOf(row.Row.Value)
		if err != nil || at == 1_000_000 || repeats && at == 2_000_000 {
			t.Fatalf("%q is left, a repeat of %q, %v", row.Row.Key, of, err)
		}
	}
	for _, maxRows := range []int{1000, 60_000, 32 << 20} {
		dir := t.TempDir()
		st, err := pebble.Open(dir, pebble.Options{})
		if err != nil {
			t.Fatal(err)
		}
		ids := undoStore(t, st)
		all := undoDump(t, st)
		ctx, cancel := context.WithCancel(t.Context())
		looks := 0
		cut := func(int64) {
			if looks++; looks == 10 {
				cancel()
			}
		}
		if err := undoOf(ctx, st, ids, maxRows, cut); err == nil {
			t.Error("an undo that was cut off did not fail")
		}
		if got := undoDump(t, st); len(got) != len(all) {
			t.Errorf("an undo that was cut off took %d rows", len(all)-len(got))
		}
		for _, some := range [][]ID{ids[:1000], ids} { // it may be repeated
			if err := undoOf(t.Context(), st, some, maxRows, func(int64) {}); err != nil {
				t.Fatal(err)
			}
		}
		if got := undoDump(t, st); !slices.Equal(got, want) {
			t.Errorf("written by %d bytes, of %d rows %d are left instead of %d", maxRows, len(all), len(got), len(want))
		}
		if waiting, err := os.ReadDir(filepath.Join(dir, "ingest")); err != nil || len(waiting) > 0 {
			t.Errorf("%d tables wait, %v", len(waiting), err)
		}
		if err := st.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
