package main

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// garbageRoom is how many bytes of garbage there may be, at least, before it is collected. A server at rest has little in use; collecting when
// that has doubled would cost requests more than the answers do.
const garbageRoom = 96 << 20

// leastPercent is what the GC percent is with much in use, most of which are blocks of the store's cache: they cost a collection nothing.
const leastPercent = 50

// goodPercent is the GC percent that leaves garbageRoom beside what is in use.
func goodPercent(inUse uint64) int {
	return int(max(leastPercent, min(garbageRoom*100/max(inUse, 1), math.MaxInt16)))
}

// leaveRoom has the collector leave garbageRoom, by judging anew after each collection what is in use. An operator's own GOGC or GOMEMLIMIT goes
// before it.
func leaveRoom() {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	now := 100
	adapt := func() {
		used := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		metrics.Read(used)
		if used[0].Value.Kind() != metrics.KindUint64 {
			return
		}
		if p := goodPercent(used[0].Value.Uint64()); 8*max(p-now, now-p) > now || p == leastPercent && now != p { // setting it stops all goroutines for a moment
			now = p
			debug.SetGCPercent(p)
		}
	}
	afterEach(adapt)
}

// afterEach calls do after each collection, in the runtime's goroutine for cleanups.
func afterEach(do func()) {
	type sentinel struct{ _ *int } // an object with a pointer is freed on its own
	runtime.AddCleanup(&sentinel{}, func(do func()) {
		do()
		afterEach(do)
	}, do)
}
