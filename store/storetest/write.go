package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"

	"kith/store"
)

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
	for _, n := range []int{0, 1, 5, e.bulk(60_000)} { // the last one is large enough for an engine's bulk path
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
				if err := s.WriteRun(ctx, store.Run{Table: store.Index, Rows: rows}); err != nil {
					t.Fatalf("WriteRun: %v", err)
				}
				got := dump(t, s, store.Index)
				if i == 0 {
					first = got
				} else if !slices.Equal(first, got) {
					t.Fatalf("repetition %d changed the rows: %s", i, difference(first, got))
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
			for i := range e.bulk(40_000) {
				if !yield(runRow(fmt.Sprintf("p%06d", i), put("row", fmt.Sprintf("at %d, padded to be long enough for the bulk path", at), at)), nil) {
					return
				}
			}
		}
		if err := s.WriteRun(ctx, store.Run{Table: store.Profile, Rows: rows}); err != nil {
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
	if err := s.WriteRun(ctx, store.Run{Table: store.Profile, Rows: rows}); !errors.Is(err, fail) {
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
		if err := s.WriteRun(ctx, store.Run{Table: store.Profile, Rows: rows}); !errors.Is(err, store.ErrOrder) {
			t.Errorf("%s: %v, want ErrOrder", name, err)
		}
	}
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
		"small run": func(s store.Store) error { return s.WriteRun(ctx, store.Run{Table: store.Index, Rows: rows(3)}) },
		"large run": func(s store.Store) error {
			return s.WriteRun(ctx, store.Run{Table: store.Index, Rows: rows(e.bulk(60_000))})
		},
		"Swap":      func(s store.Store) error { _, err := s.Swap(ctx, part, []store.Swap{{Key: []byte("t")}}); return err },
		"DropRange": func(s store.Store) error { return s.DropRange(ctx, store.Profile, 99) },
		"DropPartitions": func(s store.Store) error {
			return s.DropPartitions(ctx, store.Profile, 99, "", "q", slices.Values([]string{"p"}))
		},
		"Commit": func(s store.Store) error {
			_, err := s.Commit(ctx, store.Group{
				Before:    []store.PartitionWrite{{Partition: store.Partition{Table: store.Index, Incarnation: 7, Key: "b"}, Mutations: []store.Mutation{put("b", "1", 1)}}},
				Partition: part, Swap: []store.Swap{{Key: []byte("t")}},
				After: []store.PartitionWrite{{Partition: store.Partition{Table: store.Index, Incarnation: 7, Key: "a"}, Mutations: []store.Mutation{put("a", "1", 1)}}},
			})
			return err
		},
		"lazy Commit": func(s store.Store) error {
			_, err := s.Commit(ctx, store.Group{Lazy: true, Before: []store.PartitionWrite{{Partition: part, Mutations: []store.Mutation{put("lazy", "1", 1)}}}})
			return errors.Join(err, s.Write(ctx, part, []store.Mutation{put("w", "1", 1)}))
		},
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
		"run key":   s.WriteRun(ctx, store.Run{Table: store.Profile, Rows: run(runRow("p", put(long, "", 1)))}),
		"run value": s.WriteRun(ctx, store.Run{Table: store.Profile, Rows: run(runRow("p", store.Mutation{Key: []byte("k"), Value: append(value, 0)}))}),
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
		"WriteRun": s.WriteRun(dead, store.Run{Table: store.Profile, Rows: run(runRow("p", put("x", "", 1)))}),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want context.Canceled", name, err)
		}
	}
	wantNone(t, s, part, "x")
}

// difference tells where two dumps part.
func difference(a, b []string) string {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("%d and %d rows; row %d is %s, then %s", len(a), len(b), i, a[i], b[i])
		}
	}
	return fmt.Sprintf("%d and %d rows", len(a), len(b))
}

// Several runs of one call, small and large, of one table and of two, are all there in the end, and an error in one of them is
// that of the call.
func writeRunTakesSeveral(t *testing.T, e Engine) {
	s := e.New(t)
	rows := func(prefix string, n int) iter.Seq2[store.RunRow, error] {
		return func(yield func(store.RunRow, error) bool) {
			buf := make([]byte, 0, 64)
			for i := range n {
				buf = fmt.Appendf(buf[:0], "%s%06d", prefix, i) // used again: the engine must not keep it
				if !yield(store.RunRow{Incarnation: 7, Partition: buf, Mutation: put("row", "padded to be long enough for tables", 3)}, nil) {
					return
				}
			}
		}
	}
	for _, n := range []int{2, e.bulk(30_000)} {
		err := s.WriteRun(ctx,
			store.Run{Table: store.Index, Rows: rows("a", n)}, store.Run{Table: store.Index, Rows: rows("b", 3)},
			store.Run{Table: store.Profile, Rows: rows("c", n)}, store.Run{Table: store.Profile, Rows: rows("d", 0)})
		if err != nil {
			t.Fatal(err)
		}
		if i, p := len(dump(t, s, store.Index)), len(dump(t, s, store.Profile)); i != n+3 || p != n {
			t.Fatalf("%d and %d rows, want %d and %d", i, p, n+3, n)
		}
	}
	if err := s.WriteRun(ctx); err != nil {
		t.Fatalf("no run at all: %v", err)
	}
	fail := errors.New("source failed")
	broken := func(yield func(store.RunRow, error) bool) { yield(store.RunRow{}, fail) }
	if err := s.WriteRun(ctx, store.Run{Table: store.Index, Rows: broken}, store.Run{Table: store.Profile, Rows: rows("z", 3)}); !errors.Is(err, fail) {
		t.Fatalf("%v, want the source's error", err)
	}
	wantNone(t, s, store.Partition{Table: store.Profile, Incarnation: 7, Key: "z000000"}, "row")
}
