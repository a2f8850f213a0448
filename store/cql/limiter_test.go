package cql

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestLimiterFollowsTheCluster(t *testing.T) {
	l := newLimiter(256)
	now := time.Unix(0, 0)
	feed := func(n int, took float64, overloaded bool) {
		for range n {
			now = now.Add(20 * time.Millisecond)
			l.inFlight = int(l.limit) // as many as it allows are under way
			l.learn(took, overloaded, now)
		}
		l.inFlight = 0
	}
	feed(20_000, 0.002, false)
	if l.bound() < 150 {
		t.Fatalf("bound %d after quick answers, want it to grow from 64", l.bound())
	}
	grown := l.bound()
	feed(300, 0.200, false)
	if l.bound() >= grown/2 {
		t.Fatalf("bound %d after slow answers, want less than half of %d", l.bound(), grown)
	}
	feed(2000, 0.002, true)
	if l.bound() != leastInFlight {
		t.Fatalf("bound %d while the cluster is overloaded, want %d", l.bound(), leastInFlight)
	}
	feed(100_000, 0.002, false)
	if l.bound() != 256 {
		t.Fatalf("bound %d after it recovered, want the most", l.bound())
	}
}

func TestLimiterHandsPlacesOnInOrder(t *testing.T) {
	l := newLimiter(1)
	ctx := context.Background()
	if err := l.acquire(ctx); err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(ctx)
	left := make(chan error)
	go func() { left <- l.acquire(gone) }()
	waiting := func(n int) {
		for {
			l.mu.Lock()
			have := len(l.waiting)
			l.mu.Unlock()
			if have == n {
				return
			}
			time.Sleep(time.Millisecond)
		}
	}
	waiting(1)
	order := make(chan int, 2)
	for i := range 2 {
		go func() {
			if l.acquire(ctx) == nil {
				order <- i
			}
		}()
		waiting(2 + i)
	}
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Fatalf("%v, want the context's error", err)
	}
	for i := range 2 {
		l.release(time.Millisecond, false)
		if got := <-order; got != i {
			t.Fatalf("the place went to %d, want %d", got, i)
		}
	}
	l.release(time.Millisecond, false)
	if l.inFlight != 0 {
		t.Fatalf("%d places are taken in the end", l.inFlight)
	}
}
