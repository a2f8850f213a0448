package index

import (
	"hash/maphash"
	"slices"
	"sync"

	"kith/store"
)

// Holds keep index partitions for one call of this process at a time. The zero Holds is ready.
type Holds struct {
	once  sync.Once
	seed  maphash.Seed
	locks [numHolds]sync.Mutex
}

// numHolds is how many locks all partitions share. A call keeps a few of them while it reads and until its write is visible, about a hundred
// microseconds; whoever has to do more than that gives them up first.
const numHolds = 4096

// Hold is what a call keeps. Nil is nothing.
type Hold struct {
	of    *Holds
	locks []int
}

// Take waits until no other call keeps any of some partitions. All take their locks in one order, so nobody waits in a circle; who has a Hold
// must not take another, nor call what does.
func (h *Holds) Take(inc store.Incarnation, parts []string) *Hold {
	h.once.Do(func() { h.seed = maphash.MakeSeed() })
	hold := &Hold{of: h, locks: make([]int, 0, len(parts))}
	for _, part := range parts {
		hold.locks = append(hold.locks, int((maphash.String(h.seed, part)^uint64(inc)*0x9e3779b97f4a7c15)%numHolds))
	}
	slices.Sort(hold.locks)
	hold.locks = slices.Compact(hold.locks)
	for _, i := range hold.locks {
		h.locks[i].Lock()
	}
	return hold
}

// Release gives everything up, and says whether there was anything. It may be called again, by one goroutine at a time.
func (h *Hold) Release() bool {
	if h == nil || h.locks == nil {
		return false
	}
	for _, i := range h.locks {
		h.of.locks[i].Unlock()
	}
	h.locks = nil
	return true
}
