package store_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"kith/store"
	"kith/store/faulty"
	"kith/store/mem"
)

// What becomes of a Swap whose answer is lost, whatever others do meanwhile, is found out.
func TestCertain(t *testing.T) {
	ctx := context.Background()
	p := store.Partition{Table: store.Catalog, Key: "p"}
	a, b := []byte("a"), []byte("b")
	mine := func(value []byte) bool { return string(value[:4]) == "mine" }
	for _, c := range []struct {
		what      string
		there     bool // both rows
		op        store.SwapOp
		meanwhile string // the value that others write to row a, "-": they delete it, "b": they write row b
		happened  string // the outcome when the Swap had happened before the others came
		otherwise string
	}{
		{"put", false, store.Put, "", "ok", "ok"},
		{"put, and another changes it", false, store.Put, "mine, and more", "ok of others", "ok of others"},
		{"put, and another has put it", false, store.Put, "other", "conflict", "conflict"},
		{"put, and another deletes it", false, store.Put, "-", "ok", "ok"},
		{"change", true, store.Put, "", "ok", "ok"},
		{"change, and another changes it", true, store.Put, "other", "conflict", "conflict"},
		{"change, and what was checked changes", true, store.Put, "b", "ok", "conflict"},
		{"change of nothing", true, store.Put, "same", "ok", "ok"},
		{"delete", true, store.Delete, "", "gone", "gone"},
		{"delete, and another puts it", true, store.Delete, "other", "conflict", "conflict"},
		{"delete, and another deletes it", true, store.Delete, "-", "gone", "gone"},
		{"delete, and what was checked changes", true, store.Delete, "b", "gone", "conflict"},
	} {
		for _, happened := range []bool{true, false} {
			inner := mem.New()
			s := &faulty.Store{Store: inner}
			version := func(key []byte) uint64 {
				row, err := inner.Get(ctx, p, key)
				if err != nil && !errors.Is(err, store.ErrNotFound) {
					t.Fatal(err)
				}
				return row.Version
			}
			put := func(op store.Swap) {
				op.Expect = version(op.Key)
				if op.Op == store.Delete && op.Expect == 0 {
					return
				}
				if _, err := inner.Swap(ctx, p, []store.Swap{op}); err != nil {
					t.Fatal(err)
				}
			}
			if c.there {
				first := "first"
				if c.meanwhile == "same" {
					first = "mine"
				}
				put(store.Swap{Key: a, Value: []byte(first)})
				put(store.Swap{Key: b, Value: []byte("first")})
			}
			lose := faulty.Hook(func(op faulty.Op, _ store.Partition) error {
				if op != faulty.Swap {
					return nil
				}
				s.Before(nil)
				s.After(nil)
				switch c.meanwhile {
				case "", "same":
				case "-":
					put(store.Swap{Key: a, Op: store.Delete})
				case "b":
					put(store.Swap{Key: b, Value: []byte("other")})
				default:
					put(store.Swap{Key: a, Value: []byte(c.meanwhile)})
				}
				return fmt.Errorf("%w: lost", store.ErrUnknown)
			})
			want := c.otherwise
			if happened {
				want = c.happened
				s.After(lose)
			} else {
				s.Before(lose)
			}
			v, err := store.Certain(ctx, s, p, []store.Swap{
				{Key: a, Op: c.op, Value: []byte("mine"), Expect: version(a)},
				{Key: b, Op: store.Check, Expect: version(b)},
			}, mine)
			got := "ok"
			switch {
			case errors.Is(err, store.ErrConflict) && errors.Is(err, store.ErrUnknown):
				got = "conflict"
			case err != nil:
				got = err.Error()
			case c.op == store.Delete:
				got = "gone"
			case v == 0:
				got = "ok of others"
			case v != version(a):
				got = "ok with a wrong version"
			}
			if got != want {
				t.Errorf("%s, happened %t: %s, want %s", c.what, happened, got, want)
			}
		}
	}
}

// What is not in doubt is Swap's answer, and what stays in doubt is said.
func TestCertainOfWhatIsKnown(t *testing.T) {
	ctx := context.Background()
	p := store.Partition{Table: store.Catalog, Key: "p"}
	s := &faulty.Store{Store: mem.New()}
	put := []store.Swap{{Key: []byte("a"), Value: []byte("mine")}}
	if v, err := store.Certain(ctx, s, p, put, nil); err != nil || v == 0 {
		t.Fatal(v, err)
	}
	if _, err := store.Certain(ctx, s, p, put, nil); !errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrUnknown) {
		t.Fatalf("a conflict: %v", err)
	}
	down := errors.New("down")
	s.Before(func(op faulty.Op, _ store.Partition) error { return down })
	if _, err := store.Certain(ctx, s, p, put, nil); !errors.Is(err, down) || errors.Is(err, store.ErrUnknown) {
		t.Fatalf("a failure: %v", err)
	}
	s.Before(func(op faulty.Op, _ store.Partition) error {
		if op == faulty.Swap {
			return store.ErrUnknown
		}
		return down
	})
	if _, err := store.Certain(ctx, s, p, put, nil); !errors.Is(err, down) || !errors.Is(err, store.ErrUnknown) || errors.Is(err, store.ErrConflict) {
		t.Fatalf("nobody can look: %v", err)
	}
	put[0].Key = []byte("b")
	s.Before(func(op faulty.Op, _ store.Partition) error {
		if op == faulty.Swap {
			return store.ErrUnknown
		}
		return nil
	})
	if _, err := store.Certain(ctx, s, p, put, nil); !errors.Is(err, store.ErrUnknown) || errors.Is(err, store.ErrConflict) {
		t.Fatalf("it never comes through: %v", err)
	}
}

func TestCalls(t *testing.T) {
	var c store.Calls
	for id := range uint64(20) {
		c = c.With(id)
		if !c.Has(id) || id > 5 && !c.Has(id-5) || len(c) > 8 {
			t.Fatal(c)
		}
	}
}
