// Package storetest is the conformance suite of the storage contract. Every engine and decorator runs it; every sentence of
// the contract has a test with its name. An engine that can't do something is excepted by category, with the reason where
// the suite is called.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"kith/store"
)

// Engine is what the suite needs of an engine.
type Engine struct {
	// New returns an empty store, closed by the test's cleanup.
	New func(t *testing.T) store.Store
	// Crash returns the store as it is after the process died without warning. Nil excepts the crash tests.
	Crash func(t *testing.T, s store.Store) store.Store
	// OpenCopy opens what Checkpoint wrote. Nil excepts the checkpoint test.
	OpenCopy func(t *testing.T, s store.Store, dir string) store.Store
}

// Run runs the suite.
func Run(t *testing.T, e Engine) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Engine)
	}{
		{"WriteIsAllOrNone", writeIsAllOrNone},
		{"WriteIsRepeatable", writeIsRepeatable},
		{"WriteRunIsRepeatable", writeRunIsRepeatable},
		{"WriteRunNewerWins", writeRunNewerWins},
		{"WriteRunKeepsPartitionsWhole", writeRunKeepsPartitionsWhole},
		{"WriteRunRefusesDisorder", writeRunRefusesDisorder},
		{"SwapConflictWritesNothing", swapConflictWritesNothing},
		{"SwapOneWinnerOfMany", swapOneWinnerOfMany},
		{"SwapChecksAndDeletes", swapChecksAndDeletes},
		{"SwapVersionsNeverComeBack", swapVersionsNeverComeBack},
		{"SwapRefusesWriteRows", swapRefusesWriteRows},
		{"CrashKeepsWhatReturned", crashKeepsWhatReturned},
		{"GetReturnsAKeepableRow", getReturnsAKeepableRow},
		{"GetTellsAbsence", getTellsAbsence},
		{"KeysMayHoldAnyByte", keysMayHoldAnyByte},
		{"ScanRangesAndLimits", scanRangesAndLimits},
		{"ScanStaysInItsPartition", scanStaysInItsPartition},
		{"ProbeAnswersInOrder", probeAnswersInOrder},
		{"ProbeRefusesDisorder", probeRefusesDisorder},
		{"SweepMeetsEveryRowOnce", sweepMeetsEveryRowOnce},
		{"SweepResumes", sweepResumes},
		{"SweepKeepsIncarnationsApart", sweepKeepsIncarnationsApart},
		{"SplitCoversTheRange", splitCoversTheRange},
		{"DropRangeRemovesAnIncarnation", dropRangeRemovesAnIncarnation},
		{"LimitsAreEnforced", limitsAreEnforced},
		{"ContextEndsCalls", contextEndsCalls},
		{"CheckpointIsConsistent", checkpointIsConsistent},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, e) })
	}
}

var (
	ctx  = context.Background()
	part = store.Partition{Table: store.Profile, Incarnation: 7, Key: "p"}
)

func put(key, value string, at int64) store.Mutation {
	return store.Mutation{Key: []byte(key), Value: []byte(value), Time: at}
}

func del(key string, at int64) store.Mutation {
	return store.Mutation{Key: []byte(key), Delete: true, Time: at}
}

func write(t *testing.T, s store.Store, p store.Partition, ms ...store.Mutation) {
	t.Helper()
	if err := s.Write(ctx, p, ms); err != nil {
		t.Fatalf("Write: %v", err)
	}
}

func swap(t *testing.T, s store.Store, p store.Partition, ops ...store.Swap) uint64 {
	t.Helper()
	v, err := s.Swap(ctx, p, ops)
	if err != nil {
		t.Fatalf("Swap: %v", err)
	}
	return v
}

func want(t *testing.T, s store.Store, p store.Partition, key, value string) store.Row {
	t.Helper()
	row, err := s.Get(ctx, p, []byte(key))
	if err != nil {
		t.Fatalf("Get %q: %v", key, err)
	}
	if string(row.Value) != value {
		t.Fatalf("Get %q = %q, want %q", key, row.Value, value)
	}
	return row
}

func wantNone(t *testing.T, s store.Store, p store.Partition, key string) {
	t.Helper()
	if _, err := s.Get(ctx, p, []byte(key)); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("Get %q: %v, want ErrNotFound", key, err)
	}
}

func dump(t *testing.T, s store.Store, tb store.Table) []string {
	t.Helper()
	var all []string
	for row, err := range s.Sweep(ctx, store.SweepRange{Table: tb}) {
		if err != nil {
			t.Fatalf("Sweep: %v", err)
		}
		all = append(all, fmt.Sprintf("%d/%q/%q=%q v%t t%d", row.Partition.Incarnation, row.Partition.Key, row.Row.Key, row.Row.Value, row.Row.Version > 0, row.Row.Time))
	}
	return all
}

func run(rows ...store.RunRow) iter.Seq2[store.RunRow, error] {
	return func(yield func(store.RunRow, error) bool) {
		for _, r := range rows {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func runRow(p string, m store.Mutation) store.RunRow {
	return store.RunRow{Incarnation: 7, Partition: p, Mutation: m}
}

func writeIsAllOrNone(t *testing.T, e Engine) {
	s := e.New(t)
	big := make([]byte, store.MaxValue+1)
	err := s.Write(ctx, part, []store.Mutation{put("a", "1", 1), {Key: []byte("b"), Value: big, Time: 1}})
	if !errors.Is(err, store.ErrTooLarge) {
		t.Fatalf("Write with one value too large: %v", err)
	}
	wantNone(t, s, part, "a")
}

func writeIsRepeatable(t *testing.T, e Engine) {
	s := e.New(t)
	write(t, s, part, put("gone", "x", 4))
	for range 3 {
		write(t, s, part, put("a", "1", 5), put("b", "", 5), del("gone", 4), del("never", 5))
	}
	if row := want(t, s, part, "a", "1"); row.Time != 5 || row.Version != 0 {
		t.Fatalf("row has time %d, version %d", row.Time, row.Version)
	}
	want(t, s, part, "b", "")
	wantNone(t, s, part, "gone")
	wantNone(t, s, part, "never")
}

func writeRunIsRepeatable(t *testing.T, e Engine) {
	for _, n := range []int{0, 1, 5, 60_000} { // the last one is large enough for an engine's bulk path
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			s := e.New(t)
			write(t, s, store.Partition{Table: store.Index, Incarnation: 7, Key: fmt.Sprintf("p%06d", 3)}, put("old", "x", 1))
			rows := func(yield func(store.RunRow, error) bool) {
				for i := range n {
					m := put("row", fmt.Sprintf("value %d of the run", i), 9)
					if i == 3 {
						m = del("old", 1)
					}
					if !yield(runRow(fmt.Sprintf("p%06d", i), m), nil) {
						return
					}
				}
			}
			var first []string
			for i := range 3 {
				if err := s.WriteRun(ctx, store.Index, rows); err != nil {
					t.Fatalf("WriteRun: %v", err)
				}
				got := dump(t, s, store.Index)
				if i == 0 {
					first = got
				} else if !slices.Equal(first, got) {
					t.Fatalf("repetition %d changed the rows", i)
				}
			}
			if wantN := max(n-1, 1); n > 3 && len(first) != wantN {
				t.Fatalf("%d rows, want %d", len(first), wantN)
			}
		})
	}
}

func writeRunNewerWins(t *testing.T, e Engine) {
	s := e.New(t)
	for at := int64(1); at <= 3; at++ {
		rows := func(yield func(store.RunRow, error) bool) {
			for i := range 40_000 {
				if !yield(runRow(fmt.Sprintf("p%06d", i), put("row", fmt.Sprintf("at %d, padded to be long enough for the bulk path", at), at)), nil) {
					return
				}
			}
		}
		if err := s.WriteRun(ctx, store.Profile, rows); err != nil {
			t.Fatalf("WriteRun: %v", err)
		}
	}
	write(t, s, store.Partition{Table: store.Profile, Incarnation: 7, Key: "p000005"}, put("row", "later", 4))
	p := func(i int) store.Partition {
		return store.Partition{Table: store.Profile, Incarnation: 7, Key: fmt.Sprintf("p%06d", i)}
	}
	want(t, s, p(4), "row", "at 3, padded to be long enough for the bulk path")
	want(t, s, p(5), "row", "later")
}

func writeRunKeepsPartitionsWhole(t *testing.T, e Engine) {
	s := e.New(t)
	fail := errors.New("source failed")
	rows := func(yield func(store.RunRow, error) bool) {
		if !yield(runRow("a", put("1", "x", 1)), nil) || !yield(runRow("b", put("1", "x", 1)), nil) {
			return
		}
		yield(store.RunRow{}, fail) // "b" would have had a second row
	}
	if err := s.WriteRun(ctx, store.Profile, rows); !errors.Is(err, fail) {
		t.Fatalf("WriteRun: %v, want the source's error", err)
	}
	wantNone(t, s, store.Partition{Table: store.Profile, Incarnation: 7, Key: "b"}, "1")
}

func writeRunRefusesDisorder(t *testing.T, e Engine) {
	s := e.New(t)
	for name, rows := range map[string]iter.Seq2[store.RunRow, error]{
		"partitions": run(runRow("b", put("1", "", 1)), runRow("a", put("1", "", 1))),
		"keys":       run(runRow("a", put("2", "", 1)), runRow("a", put("1", "", 1))),
		"twice":      run(runRow("a", put("1", "", 1)), runRow("a", put("1", "", 1))),
	} {
		if err := s.WriteRun(ctx, store.Profile, rows); !errors.Is(err, store.ErrOrder) {
			t.Errorf("%s: %v, want ErrOrder", name, err)
		}
	}
}

func swapConflictWritesNothing(t *testing.T, e Engine) {
	s := e.New(t)
	v := swap(t, s, part, store.Swap{Key: []byte("a"), Value: []byte("1")})
	for name, ops := range map[string][]store.Swap{
		"insert over a row":  {{Key: []byte("b")}, {Key: []byte("a"), Value: []byte("2")}},
		"stale version":      {{Key: []byte("b")}, {Key: []byte("a"), Value: []byte("2"), Expect: v + 1}},
		"update of absent":   {{Key: []byte("b")}, {Key: []byte("c"), Value: []byte("2"), Expect: v}},
		"failed check":       {{Key: []byte("b")}, {Key: []byte("c"), Op: store.Check, Expect: v}},
		"failed absence":     {{Key: []byte("b")}, {Key: []byte("a"), Op: store.Check}},
		"delete of absent":   {{Key: []byte("b")}, {Key: []byte("c"), Op: store.Delete, Expect: v}},
		"delete of stale":    {{Key: []byte("b")}, {Key: []byte("a"), Op: store.Delete, Expect: v + 1}},
		"winner then loser":  {{Key: []byte("a"), Value: []byte("2"), Expect: v}, {Key: []byte("c"), Op: store.Check, Expect: 1}},
		"delete then failed": {{Key: []byte("a"), Op: store.Delete, Expect: v}, {Key: []byte("c"), Op: store.Check, Expect: 1}},
	} {
		if _, err := s.Swap(ctx, part, ops); !errors.Is(err, store.ErrConflict) {
			t.Errorf("%s: %v, want ErrConflict", name, err)
		}
		wantNone(t, s, part, "b")
		if row := want(t, s, part, "a", "1"); row.Version != v {
			t.Errorf("%s: version moved from %d to %d", name, v, row.Version)
		}
	}
}

func swapOneWinnerOfMany(t *testing.T, e Engine) {
	s := e.New(t)
	v := swap(t, s, part, store.Swap{Key: []byte("n"), Value: []byte("start")})
	var wg sync.WaitGroup
	wins := make([]bool, 32)
	for i := range wins {
		wg.Go(func() {
			_, err := s.Swap(ctx, part, []store.Swap{
				{Key: []byte("n"), Value: fmt.Append(nil, i), Expect: v},
				{Key: fmt.Appendf(nil, "mark%d", i)},
			})
			if err != nil && !errors.Is(err, store.ErrConflict) {
				t.Errorf("Swap: %v", err)
			}
			wins[i] = err == nil
		})
	}
	wg.Wait()
	winner := slices.Index(wins, true)
	if winner < 0 || slices.Index(wins[winner+1:], true) >= 0 {
		t.Fatalf("winners: %v, want exactly one", wins)
	}
	want(t, s, part, "n", fmt.Sprint(winner))
	marks, err := store.Collect(s.Scan(ctx, part, store.Prefix("mark")))
	if err != nil || len(marks) != 1 {
		t.Fatalf("%d marks, %v, want the winner's alone", len(marks), err)
	}
}

func swapChecksAndDeletes(t *testing.T, e Engine) {
	s := e.New(t)
	v := swap(t, s, part, store.Swap{Key: []byte("lease"), Value: []byte("me")}, store.Swap{Key: []byte("state"), Value: []byte("1")})
	v2 := swap(t, s, part,
		store.Swap{Key: []byte("lease"), Op: store.Check, Expect: v},
		store.Swap{Key: []byte("absent"), Op: store.Check},
		store.Swap{Key: []byte("state"), Value: []byte("2"), Expect: v},
	)
	if got := want(t, s, part, "lease", "me").Version; got != v {
		t.Fatalf("a check moved the version from %d to %d", v, got)
	}
	if got := want(t, s, part, "state", "2").Version; got != v2 {
		t.Fatalf("version %d, want the returned %d", got, v2)
	}
	swap(t, s, part, store.Swap{Key: []byte("state"), Op: store.Delete, Expect: v2})
	wantNone(t, s, part, "state")
}

func swapVersionsNeverComeBack(t *testing.T, e Engine) {
	s := e.New(t)
	seen := map[uint64]bool{}
	for range 50 {
		v := swap(t, s, part, store.Swap{Key: []byte("a")})
		if seen[v] || v == 0 {
			t.Fatalf("version %d came back after the row was deleted", v)
		}
		seen[v] = true
		swap(t, s, part, store.Swap{Key: []byte("a"), Op: store.Delete, Expect: v})
	}
}

func swapRefusesWriteRows(t *testing.T, e Engine) {
	s := e.New(t)
	write(t, s, part, put("a", "1", 1))
	if _, err := s.Swap(ctx, part, []store.Swap{{Key: []byte("a"), Value: []byte("2")}}); err == nil {
		t.Fatal("a Swap over a Write row succeeded")
	}
	want(t, s, part, "a", "1")
}

// Each kind of write is the last one before the crash once: what comes later must not be what makes it durable.
func crashKeepsWhatReturned(t *testing.T, e Engine) {
	if e.Crash == nil {
		t.Skip("excepted: this engine keeps nothing when its process dies")
	}
	rows := func(n int) iter.Seq2[store.RunRow, error] {
		return func(yield func(store.RunRow, error) bool) {
			for i := range n {
				if !yield(runRow(fmt.Sprintf("p%06d", i), put("row", "a value of a run", 3)), nil) {
					return
				}
			}
		}
	}
	for name, write := range map[string]func(s store.Store) error{
		"Write":     func(s store.Store) error { return s.Write(ctx, part, []store.Mutation{put("w", "1", 1)}) },
		"small run": func(s store.Store) error { return s.WriteRun(ctx, store.Index, rows(3)) },
		"large run": func(s store.Store) error { return s.WriteRun(ctx, store.Index, rows(60_000)) },
		"Swap":      func(s store.Store) error { _, err := s.Swap(ctx, part, []store.Swap{{Key: []byte("t")}}); return err },
		"DropRange": func(s store.Store) error { return s.DropRange(ctx, store.Profile, 99) },
		"Swap delete": func(s store.Store) error {
			v, _ := s.Get(ctx, part, []byte("s"))
			_, err := s.Swap(ctx, part, []store.Swap{{Key: []byte("s"), Op: store.Delete, Expect: v.Version}})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := e.New(t)
			swap(t, s, part, store.Swap{Key: []byte("s"), Value: []byte("2")})
			swap(t, s, store.Partition{Table: store.Profile, Incarnation: 99, Key: "p"}, store.Swap{Key: []byte("s")})
			if err := write(s); err != nil {
				t.Fatal(err)
			}
			before := append(dump(t, s, store.Index), dump(t, s, store.Profile)...)
			s = e.Crash(t, s)
			if after := append(dump(t, s, store.Index), dump(t, s, store.Profile)...); !slices.Equal(before, after) {
				t.Fatalf("%d rows after the crash, %d before", len(after), len(before))
			}
		})
	}
	s := e.New(t)
	v := swap(t, s, part, store.Swap{Key: []byte("s")})
	s = e.Crash(t, s)
	if got := swap(t, s, part, store.Swap{Key: []byte("s"), Expect: v}); got <= v {
		t.Fatalf("version %d after the crash, %d before", got, v)
	}
}

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
	for row, err := range s.Sweep(ctx, store.SweepRange{Table: store.Profile}) {
		if err != nil {
			t.Fatal(err)
		}
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
		for i := range 100_000 {
			if !yield(store.RunRow{Incarnation: 2, Partition: fmt.Sprintf("q%06d", i), Mutation: put("row", "some bytes that make the run long", 1)}, nil) {
				return
			}
		}
	}
	if err := s.WriteRun(ctx, store.Profile, rows); err != nil {
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

func limitsAreEnforced(t *testing.T, e Engine) {
	s := e.New(t)
	long := string(bytes.Repeat([]byte{'k'}, store.MaxKey))
	value := make([]byte, store.MaxValue)
	write(t, s, store.Partition{Table: store.Profile, Incarnation: 7}, store.Mutation{Key: []byte(long), Value: value, Time: 1})
	if row, err := s.Get(ctx, store.Partition{Table: store.Profile, Incarnation: 7}, []byte(long)); err != nil || len(row.Value) != store.MaxValue {
		t.Fatalf("the largest row: %d bytes, %v", len(row.Value), err)
	}
	for name, err := range map[string]error{
		"key":       s.Write(ctx, part, []store.Mutation{put(long, "", 1)}),
		"batch":     s.Write(ctx, part, []store.Mutation{{Key: []byte("1"), Value: value}, {Key: []byte("2"), Value: value}, {Key: []byte("3"), Value: []byte("x")}}),
		"run key":   s.WriteRun(ctx, store.Profile, run(runRow("p", put(long, "", 1)))),
		"run value": s.WriteRun(ctx, store.Profile, run(runRow("p", store.Mutation{Key: []byte("k"), Value: append(value, 0)}))),
	} {
		if !errors.Is(err, store.ErrTooLarge) {
			t.Errorf("%s: %v, want ErrTooLarge", name, err)
		}
	}
	if _, err := s.Swap(ctx, part, []store.Swap{{Key: []byte("k"), Value: append(value, 0)}}); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("swap: %v, want ErrTooLarge", err)
	}
}

func contextEndsCalls(t *testing.T, e Engine) {
	s := e.New(t)
	fill(t, s, 3)
	dead, cancel := context.WithCancel(ctx)
	cancel()
	first := func(seq iter.Seq2[store.Row, error]) error {
		for _, err := range seq {
			return err
		}
		return nil
	}
	p := store.Partition{Table: store.Profile, Incarnation: 1, Key: "p0000"}
	_, getErr := s.Get(dead, p, []byte("a"))
	_, swapErr := s.Swap(dead, part, []store.Swap{{Key: []byte("x")}})
	var sweepErr error
	for _, err := range s.Sweep(dead, store.SweepRange{Table: store.Profile}) {
		sweepErr = err
		break
	}
	for name, err := range map[string]error{
		"Get": getErr, "Swap": swapErr, "Sweep": sweepErr,
		"Scan":     first(s.Scan(dead, p, store.Range{})),
		"Write":    s.Write(dead, part, []store.Mutation{put("x", "", 1)}),
		"WriteRun": s.WriteRun(dead, store.Profile, run(runRow("p", put("x", "", 1)))),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want context.Canceled", name, err)
		}
	}
	wantNone(t, s, part, "x")
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
