package cache

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var ctx = context.Background()

func TestCache(t *testing.T) {
	now := time.Unix(1000, 0)
	reads := 0
	c := &Cache[string, int]{MaxAge: time.Second, Max: 8, Now: func() time.Time { return now }}
	get := func() int {
		v, err := c.Get(ctx, "a", func(context.Context) (int, error) { reads++; return reads, nil })
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, step := range []struct {
		what string
		do   func()
		want int
	}{
		{"first", func() {}, 1},
		{"remembered", func() { now = now.Add(time.Second - 1) }, 1},
		{"too old", func() { now = now.Add(1) }, 2},
		{"the clock was set back", func() { now = now.Add(-time.Minute) }, 3},
		{"dropped", func() { c.Drop("a") }, 4},
		{"another key was dropped", func() { c.Drop("b") }, 4},
	} {
		if step.do(); get() != step.want {
			t.Fatalf("%s: read %d times, want %d", step.what, reads, step.want)
		}
	}
}

// The age of a value counts from before its read: what changes while it is read is not in it.
func TestAgeCountsFromBeforeTheRead(t *testing.T) {
	now := time.Unix(1000, 0)
	c := &Cache[string, int]{MaxAge: time.Second, Max: 8, Now: func() time.Time { return now }}
	reads := 0
	for range 2 {
		_, _ = c.Get(ctx, "a", func(context.Context) (int, error) { reads++; now = now.Add(time.Second); return 0, nil })
	}
	if reads != 2 {
		t.Fatal("a value was remembered that is as old as its read took")
	}
}

func TestErrorsAndStrangersAreNotRemembered(t *testing.T) {
	c := &Cache[string, int]{MaxAge: time.Hour, Max: 8}
	failed := errors.New("no such key")
	for i := range 100 {
		if _, err := c.Get(ctx, strconv.Itoa(i), func(context.Context) (int, error) { return 0, failed }); !errors.Is(err, failed) {
			t.Fatal(err)
		}
	}
	if c.count != 0 {
		t.Fatalf("%d keys that do not exist are remembered", c.count)
	}
	for i := range 100 {
		_, _ = c.Get(ctx, strconv.Itoa(i), func(context.Context) (int, error) { return i, nil })
	}
	if c.count > c.Max {
		t.Fatalf("%d values are remembered, at most %d may be", c.count, c.Max)
	}
}

// A read that began before a Drop is not remembered after it.
func TestDropDuringARead(t *testing.T) {
	c := &Cache[string, int]{MaxAge: time.Hour, Max: 8}
	_, _ = c.Get(ctx, "a", func(context.Context) (int, error) { c.Drop("a"); return 1, nil })
	if v, _ := c.Get(ctx, "a", func(context.Context) (int, error) { return 2, nil }); v != 2 {
		t.Fatal("what was read before the drop came back after it")
	}
}

// Whatever runs side by side, nobody sees a value that was replaced before he asked.
func TestNobodySeesWhatWasReplacedBefore(t *testing.T) {
	c := &Cache[string, int64]{MaxAge: time.Hour, Max: 2}
	var stored, dropped atomic.Int64
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := range int64(2000) {
			stored.Store(n)
			c.Drop("a")
			dropped.Store(n)
		}
	})
	for range 4 {
		wg.Go(func() {
			for dropped.Load() < 1999 {
				least := dropped.Load()
				v, _ := c.Get(ctx, "a", func(context.Context) (int64, error) { return stored.Load(), nil })
				if v < least {
					t.Errorf("saw %d after %d had been written and dropped", v, least)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestCacheIsBoundedBySize(t *testing.T) {
	now := time.Unix(1000, 0)
	c := &Cache[string, int]{MaxAge: time.Second, Max: 100, Size: func(v int) int { return v }, MaxSize: 10, Now: func() time.Time { return now }}
	get := func(key string, v int) int {
		got, err := c.Get(ctx, key, func(context.Context) (int, error) { return v, nil })
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	for i := range 20 { // a value that is read again takes the place of the old one
		get("a", 4)
		get("b", 5)
		if now = now.Add(time.Second); c.count != 2 || c.size != 9 {
			t.Fatalf("%d: %d values of size %d", i, c.count, c.size)
		}
	}
	c.Drop("b")
	if get("c", 6); c.count != 2 || c.size != 10 {
		t.Fatalf("%d values of size %d", c.count, c.size)
	}
	if get("d", 1); c.count != 0 || c.size != 0 || get("d", 2) != 2 {
		t.Fatalf("%d values of size %d", c.count, c.size)
	}
	if got := get("huge", 11); got != 11 || c.size != 0 {
		t.Fatal(got, c.size)
	}
}
