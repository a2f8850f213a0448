package index

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
)

// Calls that want the same partitions, in whatever order they name them, go one after the other, and none waits for ever.
func TestHolds(t *testing.T) {
	var h Holds
	var inside [8]atomic.Int64
	var wg sync.WaitGroup
	for caller := range 16 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(caller), 1))
			for range 500 {
				var parts []string
				for _, i := range rng.Perm(len(inside))[:1+rng.IntN(3)] {
					parts = append(parts, fmt.Sprint(i))
				}
				hold := h.Take(7, append(parts, parts[0]))
				for _, part := range parts {
					if inside[part[0]-'0'].Add(1) != 1 {
						t.Errorf("two calls keep partition %s", part)
					}
				}
				for _, part := range parts {
					inside[part[0]-'0'].Add(-1)
				}
				hold.Release()
				hold.Release()
			}
		})
	}
	wg.Wait()
	(*Hold)(nil).Release()
}
