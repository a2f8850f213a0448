package link

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
)

// Sketches of parts make the sketch of the whole, in whatever order they are merged: also where one has just left out what is beyond its size and no other has more.
func TestSketchesMergeInAnyOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for _, sizes := range [][]int{{0, 2 * sketchSize}, {2 * sketchSize, 10}, {300, 300, 5000, 20_000}, {2 * sketchSize, 2 * sketchSize, 2 * sketchSize}} {
		var parts []sketch
		whole := sketch{}
		for n, size := range sizes {
			var s sketch
			for i := range size {
				value := fmt.Sprint(n%3, i/(1+n/2))
				s.add(value)
				whole.add(value)
			}
			parts = append(parts, s)
		}
		whole.shrink()
		for range 10 {
			var all sketch
			for _, n := range rng.Perm(len(parts)) {
				all.merge(&sketch{N: parts[n].N, Bytes: parts[n].Bytes, Counts: maps.Clone(parts[n].Counts), Limit: parts[n].Limit})
			}
			all.shrink()
			if all.Limit != whole.Limit || !maps.Equal(all.Counts, whole.Counts) || all.N != whole.N || all.Bytes != whole.Bytes {
				t.Fatalf("%v: %d hashes up to %x, want %d up to %x", sizes, len(all.Counts), all.Limit, len(whole.Counts), whole.Limit)
			}
		}
	}
}
