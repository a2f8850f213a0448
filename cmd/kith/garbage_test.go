package main

import (
	"runtime"
	"testing"
	"time"
)

// However much is in use, there is room for garbage, and with very much in use half of that at least.
func TestGoodPercent(t *testing.T) {
	for _, c := range []struct {
		inUse uint64
		want  int
	}{
		{0, 32767},
		{1 << 10, 32767},
		{garbageRoom / 3, 300},
		{garbageRoom, 100},
		{garbageRoom * 4 / 3, 75},
		{4 << 30, leastPercent},
	} {
		if got := goodPercent(c.inUse); got != c.want {
			t.Errorf("%d bytes in use: %d, want %d", c.inUse, got, c.want)
		}
	}
}

func TestAfterEachCollection(t *testing.T) {
	met := make(chan struct{}, 16)
	afterEach(func() {
		select {
		case met <- struct{}{}:
		default:
		}
	})
	for range 3 {
		runtime.GC()
		select {
		case <-met:
		case <-time.After(time.Minute):
			t.Fatal("nobody was told of a collection")
		}
	}
}
