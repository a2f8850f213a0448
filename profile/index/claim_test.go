package index

import (
	"context"
	"testing"

	"kith/profile/fold"
	"kith/store/mem"
)

// A claim is one call's until it is released or adopted; a call that meets another's holds none of its own.
func TestClaims(t *testing.T) {
	ctx, c := context.Background(), Claims{Store: mem.New()}
	one, two, a, b := fold.ID{1}, fold.ID{2}, [16]byte{1}, [16]byte{2}
	must := func(ok bool, err error) {
		t.Helper()
		if err != nil || !ok {
			t.Fatalf("%t, %v", ok, err)
		}
	}
	take := func(parts []string, id fold.ID, call [16]byte) *Claim {
		t.Helper()
		other, err := c.Take(ctx, 7, parts, id, call, Taken{})
		must(true, err)
		return other
	}
	held := func(parts []string, id fold.ID, call [16]byte) bool {
		t.Helper()
		for _, part := range parts {
			claim, err := c.Get(ctx, 7, part)
			must(true, err)
			if claim == nil || claim.Call != call || claim.ID != id {
				return false
			}
		}
		return true
	}
	if other := take([]string{"y", "x"}, one, a); other != nil || !held([]string{"x", "y"}, one, a) {
		t.Fatalf("%+v", other)
	}
	other := take([]string{"z", "w", "y"}, two, b)
	if other == nil || other.ID != one || other.Partition != "y" || held([]string{"w"}, two, b) {
		t.Fatalf("%+v", other)
	}
	if take([]string{"x"}, one, a) != nil || take([]string{"x"}, two, a) != nil || !held([]string{"x"}, two, a) || held([]string{"x"}, one, a) {
		t.Fatal("a call may take its own claim again, for another profile too")
	}
	seen, err := c.Get(ctx, 7, "y")
	must(seen.Same(other), err)
	ok, err := c.Adopt(ctx, 7, seen, b)
	must(ok, err)
	if ok, err = c.Adopt(ctx, 7, seen, b); ok || err != nil {
		t.Fatal("what has changed since can't be adopted")
	}
	if !held([]string{"y"}, one, b) {
		t.Fatal("it was adopted for the same profile")
	}
	must(true, c.Release(ctx, 7, []string{"x", "y", "none"}, a, nil))
	if gone, err := c.Get(ctx, 7, "x"); gone != nil || err != nil || !held([]string{"y"}, one, b) {
		t.Fatalf("only its own: %+v, %v", gone, err)
	}
}
