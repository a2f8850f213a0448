package extsort

import "sync"

// Arena is memory outside of the heap, shared by all pools of a process: the garbage collector neither looks at it nor lets the heap grow
// because of it.
type Arena struct {
	// Budget is how many bytes may wait in chunks; what is worked on is beyond it.
	Budget int64
	// Return gives slabs that nobody has back to the system at once, not only when nobody has any; other pools get them zeroed.
	Return bool
	// Poison has everything that is given back overwritten, so that tests find who reads on.
	Poison bool

	mu      sync.Mutex
	free    [][]byte // slabs
	used    int64    // bytes of slabs that pools have
	waiting int64    // bytes of chunks that wait in memory
	regions [][]byte
}

const (
	slabSize   = 64 << 10
	regionSize = 16 << 20
)

// slab returns memory of slabSize bytes, which is not zeroed.
func (a *Arena) slab() []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.used += slabSize
	if len(a.free) == 0 {
		region, all, err := mapMemory(regionSize)
		if err != nil { // the system refuses; the heap may have some left
			return make([]byte, slabSize)
		}
		if a.Return {
			smallPages(all)
		}
		a.regions = append(a.regions, all)
		for at := regionSize - slabSize; at >= 0; at -= slabSize {
			a.free = append(a.free, region[at:at+slabSize:at+slabSize])
		}
	}
	last := len(a.free) - 1
	s := a.free[last]
	a.free = a.free[:last]
	return s
}

// release takes slabs back. When nobody has any the system gets all of them.
func (a *Arena) release(slabs ...[]byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.used -= slabSize * int64(len(slabs))
	if a.Return && a.used > 0 {
		for _, s := range slabs {
			forgetMemory(s)
		}
	}
	if a.free = append(a.free, slabs...); a.used > 0 {
		return
	}
	a.free = nil
	for _, r := range a.regions {
		unmapMemory(r)
	}
	a.regions = nil
}

// Empty says that no pool holds anything.
func (a *Arena) Empty() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.used == 0 && a.waiting == 0 && a.regions == nil
}

// poison overwrites what was given back.
func (a *Arena) poison(c []byte) {
	if !a.Poison {
		return
	}
	c = c[:cap(c)]
	for i := range c {
		c[i] = 0xdb
	}
}

// wait adds to the bytes that wait in memory if the budget allows it.
func (a *Arena) wait(n int64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if n > 0 && a.waiting+n > a.Budget {
		return false
	}
	a.waiting += n
	return true
}
