package main

import (
	"runtime"
	"testing"
)

// There are processors to spare while there is work, and no longer.
func TestSpareProcessors(t *testing.T) {
	own := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(own)
	busy := spareProcessors()
	for _, c := range []struct{ works, want int }{{0, own}, {1, 2*own + 2}, {2, 2*own + 2}, {1, 2*own + 2}, {0, own}, {1, 2*own + 2}, {0, own}} {
		if busy(c.works); runtime.GOMAXPROCS(0) != c.want {
			t.Fatalf("%d pieces of work: %d processors, want %d", c.works, runtime.GOMAXPROCS(0), c.want)
		}
	}
}
