package storetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"kith/store"
)

func getReturnsAKeepableRow(t *testing.T, e Engine) {
	s := e.New(t)
	write(t, s, part, put("a", "1", 1))
	row := want(t, s, part, "a", "1")
	for i := range 100 {
		write(t, s, part, put("a", fmt.Sprint(i), int64(i+2)))
	}
	if string(row.Value) != "1" || string(row.Key) != "a" {
		t.Fatalf("the row changed under its holder: %q=%q", row.Key, row.Value)
	}
}

func getTellsAbsence(t *testing.T, e Engine) {
	s := e.New(t)
	wantNone(t, s, part, "a")
	write(t, s, part, put("a", "", 1))
	want(t, s, part, "a", "")
	wantNone(t, s, part, "")
	wantNone(t, s, store.Partition{Table: store.Index, Incarnation: 7, Key: "p"}, "a")
	wantNone(t, s, store.Partition{Table: store.Profile, Incarnation: 8, Key: "p"}, "a")
}

func keysMayHoldAnyByte(t *testing.T, e Engine) {
	s := e.New(t)
	odd := []string{"", "\x00", "\x00\x00", "\x00\x01", "\x00\xff", "a", "a\x00", "a\x00\x01b", "\xff", "\xff\xff", "ü"}
	for _, p := range odd {
		for _, k := range odd {
			write(t, s, store.Partition{Table: store.Profile, Incarnation: 1, Key: p}, put(k, p+"|"+k, 1))
		}
	}
	for _, p := range odd {
		pt := store.Partition{Table: store.Profile, Incarnation: 1, Key: p}
		rows, err := store.Collect(s.Scan(ctx, pt, store.Range{}))
		if err != nil || len(rows) != len(odd) {
			t.Fatalf("partition %q: %d rows, %v", p, len(rows), err)
		}
		for _, k := range odd {
			want(t, s, pt, k, p+"|"+k)
		}
	}
	n := 0
	for row, err := range s.Sweep(ctx, store.SweepRange{Table: store.Profile}) {
		if err != nil {
			t.Fatal(err)
		}
		if string(row.Row.Value) != row.Partition.Key+"|"+string(row.Row.Key) {
			t.Fatalf("sweep decodes %q/%q as %q", row.Partition.Key, row.Row.Key, row.Row.Value)
		}
		n++
	}
	if n != len(odd)*len(odd) {
		t.Fatalf("sweep met %d rows, want %d", n, len(odd)*len(odd))
	}
}

func scanRangesAndLimits(t *testing.T, e Engine) {
	s := e.New(t)
	for i := range 300 {
		write(t, s, part, put(fmt.Sprintf("k%03d", i), fmt.Sprint(i), 1))
	}
	keys := func(r store.Range) (got []string) {
		for row, err := range s.Scan(ctx, part, r) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, string(row.Key))
		}
		return got
	}
	if got := keys(store.Range{}); len(got) != 300 || !slices.IsSorted(got) {
		t.Fatalf("open range: %d keys, sorted %t", len(got), slices.IsSorted(got))
	}
	if got := keys(store.Range{Start: []byte("k010"), End: []byte("k013")}); !slices.Equal(got, []string{"k010", "k011", "k012"}) {
		t.Fatalf("half-open range: %v", got)
	}
	if got := keys(store.Range{Start: []byte("k0105"), Limit: 2}); !slices.Equal(got, []string{"k011", "k012"}) {
		t.Fatalf("limit: %v", got)
	}
	if got := keys(store.Prefix("k29")); len(got) != 10 {
		t.Fatalf("prefix: %v", got)
	}
	if got := keys(store.Range{Start: []byte("x"), End: []byte("a")}); got != nil {
		t.Fatalf("inverted range: %v", got)
	}
	for range s.Scan(ctx, part, store.Range{}) {
		break // an early stop must not leak or block
	}
	write(t, s, part, put("z", "", 2))
}

func scanStaysInItsPartition(t *testing.T, e Engine) {
	s := e.New(t)
	for _, k := range []string{"o", "p", "p\x00", "pa", "q"} {
		write(t, s, store.Partition{Table: store.Profile, Incarnation: 7, Key: k}, put("row", k, 1))
	}
	rows, err := store.Collect(s.Scan(ctx, part, store.Range{}))
	if err != nil || len(rows) != 1 || string(rows[0].Value) != "p" {
		t.Fatalf("%v, %v", rows, err)
	}
}

func probeAnswersInOrder(t *testing.T, e Engine) {
	s := e.New(t)
	for i := 0; i < 200; i += 2 {
		p := store.Partition{Table: store.Index, Incarnation: 7, Key: fmt.Sprintf("v%03d", i)}
		write(t, s, p, put("a", "1", 1), put("b", "2", 1), put("c", "3", 1))
	}
	probes := func(yield func(store.Probe) bool) {
		for i := range 200 {
			r := store.Range{Limit: 2}
			if i%3 == 0 {
				r = store.Range{Start: []byte("b")}
			}
			// The same probe twice is in order too.
			if !yield(store.Probe{Partition: fmt.Sprintf("v%03d", i), Range: r}) || !yield(store.Probe{Partition: fmt.Sprintf("v%03d", i), Range: r}) {
				return
			}
		}
	}
	var got, wanted []string
	for hit, err := range s.Probe(ctx, store.Index, 7, probes) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%d:%s", hit.Index, hit.Row.Key))
	}
	for i := 0; i < 200; i += 2 {
		keys := []string{"a", "b"}
		if i%3 == 0 {
			keys = []string{"b", "c"}
		}
		for j := range 2 {
			for _, k := range keys {
				wanted = append(wanted, fmt.Sprintf("%d:%s", 2*i+j, k))
			}
		}
	}
	if !slices.Equal(got, wanted) {
		t.Fatalf("got %v\nwant %v", got, wanted)
	}
}

func probeRefusesDisorder(t *testing.T, e Engine) {
	s := e.New(t)
	write(t, s, store.Partition{Table: store.Index, Incarnation: 7, Key: "a"}, put("k", "", 1))
	var last error
	for _, err := range s.Probe(ctx, store.Index, 7, slices.Values([]store.Probe{{Partition: "b"}, {Partition: "a"}})) {
		last = err
	}
	if !errors.Is(last, store.ErrOrder) {
		t.Fatalf("%v, want ErrOrder", last)
	}
}
