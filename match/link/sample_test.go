package link

import (
	"slices"
	"testing"
)

// Pairs are learned from in their order, whatever parts and tasks they came from.
func TestSamplesAreInOrder(t *testing.T) {
	part := func(pairs ...pair) *sample {
		s := &sample{fields: 2}
		for _, p := range pairs {
			var e evidence
			e.level[0], e.level[1], e.log[1] = uint16(p), uint16(p)+1, float32(p)
			s.add(&e)
			s.pairs = append(s.pairs, p)
		}
		return s
	}
	all := sample{fields: 2}
	all.inOrder([]*sample{part(5, 9), part(), part(1, 7, 30), part(2)})
	if want := []uint16{1, 2, 2, 3, 5, 6, 7, 8, 9, 10, 30, 31}; !slices.Equal(all.level, want) || all.n != 6 || len(all.one) != 6 || len(all.home) != 6 || len(all.gap) != 6 {
		t.Errorf("%d pairs have levels %v", all.n, all.level)
	}
	if want := []float32{0, 1, 0, 2, 0, 5, 0, 7, 0, 9, 0, 30}; !slices.Equal(all.log, want) {
		t.Errorf("logs are %v", all.log)
	}
}
