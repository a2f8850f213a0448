package extsort

import "testing"

// What is asked for may be at the very end of memory, or nowhere.
func TestPrefetchReadsNothing(t *testing.T) {
	usable, all, err := mapMemory(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	end := usable[len(usable)-1:]
	for _, b := range [][]byte{nil, {}, {1}, usable, end, end[1:]} {
		Prefetch(b)
	}
	unmapMemory(all)
	Prefetch(end)
}
