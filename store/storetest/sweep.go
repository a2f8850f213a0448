package storetest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"kith/store"
)

func fill(t *testing.T, s store.Store, partitions int) {
	t.Helper()
	for i := range partitions {
		p := store.Partition{Table: store.Profile, Incarnation: store.Incarnation(1 + i%3), Key: fmt.Sprintf("p%04d", i)}
		write(t, s, p, put("a", "1", int64(i+1)))
		swap(t, s, p, store.Swap{Key: []byte("s"), Value: []byte("2")})
	}
}

func sweepMeetsEveryRowOnce(t *testing.T, e Engine) {
	s := e.New(t)
	fill(t, s, 90)
	seen := map[string]int{}
	closed := map[string]bool{}
	open := ""
	var last []byte
	for row, err := range s.Sweep(ctx, store.SweepRange{Table: store.Profile}) {
		if err != nil {
			t.Fatal(err)
		}
		at := store.AppendKey(nil, row.Partition, row.Row.Key)
		if s.Whole() && bytes.Compare(at, last) <= 0 {
			t.Fatalf("%q %q comes behind what is behind it", row.Partition.Key, row.Row.Key)
		}
		last = at
		p := fmt.Sprint(row.Partition)
		if p != open {
			if closed[p] {
				t.Fatalf("partition %v came in two parts", row.Partition)
			}
			closed[open] = true
			open = p
		}
		if (row.Row.Version > 0) == (row.Row.Time > 0) {
			t.Fatalf("row has version %d and time %d", row.Row.Version, row.Row.Time)
		}
		seen[p+string(row.Row.Key)]++
	}
	if len(seen) != 180 {
		t.Fatalf("met %d rows, want 180", len(seen))
	}
	for k, n := range seen {
		if n != 1 {
			t.Fatalf("met %s %d times", k, n)
		}
	}
}

func sweepResumes(t *testing.T, e Engine) {
	s := e.New(t)
	fill(t, s, 40)
	whole := dump(t, s, store.Profile)
	var got []string
	for r := (store.SweepRange{Table: store.Profile}); ; {
		n := 0
		for row, err := range s.Sweep(ctx, r) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprintf("%d/%q/%q=%q v%t t%d", row.Partition.Incarnation, row.Partition.Key, row.Row.Key, row.Row.Value, row.Row.Version > 0, row.Row.Time))
			r.From = row.Cursor()
			if n++; n == 7 {
				break
			}
		}
		if n < 7 {
			break
		}
	}
	if !slices.Equal(got, whole) {
		t.Fatalf("resumed sweeps met %d rows, one sweep %d", len(got), len(whole))
	}
}

func sweepKeepsIncarnationsApart(t *testing.T, e Engine) {
	s := e.New(t)
	fill(t, s, 30)
	n := 0
	for row, err := range s.Sweep(ctx, store.SweepRange{Table: store.Profile, Incarnation: 2}) {
		if err != nil {
			t.Fatal(err)
		}
		if row.Partition.Incarnation != 2 {
			t.Fatalf("met incarnation %d", row.Partition.Incarnation)
		}
		n++
	}
	if n != 20 {
		t.Fatalf("met %d rows, want 20", n)
	}
}

func splitCoversTheRange(t *testing.T, e Engine) {
	s := e.New(t)
	fill(t, s, 120)
	rows := func(yield func(store.RunRow, error) bool) {
		for i := range e.bulk(100_000) {
			if !yield(store.RunRow{Incarnation: 2, Partition: fmt.Appendf(nil, "q%06d", i), Mutation: put("row", "some bytes that make the run long", 1)}, nil) {
				return
			}
		}
	}
	if err := s.WriteRun(ctx, store.Run{Table: store.Profile, Rows: rows}); err != nil {
		t.Fatal(err)
	}
	for _, inc := range []store.Incarnation{0, 2} {
		whole := 0
		for _, err := range s.Sweep(ctx, store.SweepRange{Table: store.Profile, Incarnation: inc}) {
			if err != nil {
				t.Fatal(err)
			}
			whole++
		}
		for _, n := range []int{1, 2, 8} {
			ranges, err := s.Split(ctx, store.SweepRange{Table: store.Profile, Incarnation: inc}, n)
			if err != nil || len(ranges) == 0 || len(ranges) > n {
				t.Fatalf("%d ranges, %v", len(ranges), err)
			}
			met, home := 0, map[store.Partition]int{}
			for i, r := range ranges {
				for row, err := range s.Sweep(ctx, r) {
					if err != nil {
						t.Fatal(err)
					}
					if at, ok := home[row.Partition]; ok && at != i {
						t.Fatalf("partition %v is cut", row.Partition)
					}
					home[row.Partition] = i
					met++
				}
			}
			if met != whole {
				t.Fatalf("inc %d, %d ranges met %d rows, want %d", inc, len(ranges), met, whole)
			}
		}
	}
}

func dropRangeRemovesAnIncarnation(t *testing.T, e Engine) {
	s := e.New(t)
	fill(t, s, 30)
	for range 2 {
		if err := s.DropRange(ctx, store.Profile, 2); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(dump(t, s, store.Profile)); got != 40 {
		t.Fatalf("%d rows left, want 40", got)
	}
	for _, err := range s.Sweep(ctx, store.SweepRange{Table: store.Profile, Incarnation: 2}) {
		t.Fatalf("a row is left, %v", err)
	}
}

func dropPartitionsRemovesARange(t *testing.T, e Engine) {
	s := e.New(t)
	keys := []string{"", "a", "a\x00", "a\xff", "b", "b\x00b", "c", "\xff"}
	for _, inc := range []store.Incarnation{1, 2} {
		for _, k := range keys {
			p := store.Partition{Table: store.Change, Incarnation: inc, Key: k}
			write(t, s, p, put("w1", "x", 5), put("w2", "x", 6))
			swap(t, s, p, store.Swap{Key: []byte("s")})
		}
	}
	drop := func(from, to string) {
		t.Helper()
		for range 2 { // it may be repeated
			if err := s.DropPartitions(ctx, store.Change, 1, from, to, slices.Values(append(keys, "none", "at"))); err != nil {
				t.Fatal(err)
			}
		}
	}
	left := func() (got []string) {
		for row, err := range s.Sweep(ctx, store.SweepRange{Table: store.Change, Incarnation: 1}) {
			if err != nil {
				t.Fatal(err)
			}
			if k := row.Partition.Key; !slices.Contains(got, k) {
				got = append(got, k)
			}
		}
		slices.Sort(got)
		return got
	}
	drop("c", "a")
	drop("b", "b")
	if got := left(); len(got) != len(keys) {
		t.Fatalf("empty ranges left %q", got)
	}
	drop("a\x00", "b\x00b")
	if got, want := left(), []string{"", "a", "b\x00b", "c", "\xff"}; !slices.Equal(got, want) {
		t.Fatalf("left are %q, want %q", got, want)
	}
	if got := len(dump(t, s, store.Change)); got != 3*len(keys)+3*5 {
		t.Fatalf("%d rows are left, want those of incarnation 2 and 5 partitions", got)
	}
}

// tablesAreApart holds an engine to have all tables, each by itself.
func tablesAreApart(t *testing.T, e Engine) {
	s := e.New(t)
	for _, tb := range store.Tables {
		write(t, s, store.Partition{Table: tb, Incarnation: 7, Key: "p"}, put("k", tb.String(), 1))
	}
	for _, tb := range store.Tables {
		want(t, s, store.Partition{Table: tb, Incarnation: 7, Key: "p"}, "k", tb.String())
		if got := dump(t, s, tb); len(got) != 1 {
			t.Errorf("table %s has %v, want one row", tb, got)
		}
	}
}

func checkpointIsConsistent(t *testing.T, e Engine) {
	if e.OpenCopy == nil {
		t.Skip("excepted: this engine has no files to copy")
	}
	s := e.New(t)
	fill(t, s, 50)
	dir := filepath.Join(t.TempDir(), "copy")
	before := dump(t, s, store.Profile)
	if err := s.Checkpoint(ctx, dir); err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		write(t, s, store.Partition{Table: store.Profile, Incarnation: 1, Key: fmt.Sprint(rng.IntN(100))}, put("late", "x", 99))
	}
	if got := dump(t, e.OpenCopy(t, s, dir), store.Profile); !slices.Equal(got, before) {
		t.Fatalf("the copy has %d rows, the store had %d", len(got), len(before))
	}
	if err := s.Checkpoint(ctx, dir); err == nil {
		t.Fatal("a second checkpoint into the same folder succeeded")
	}
}
