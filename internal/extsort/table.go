package extsort

import "unsafe"

// Table is a slice outside of the heap: the garbage collector neither looks at it nor lets the heap grow because of it, and what of it was never
// written takes no memory. T must have no pointers: what only a table points to is collected.
//
// Close gives the memory back at once. Whoever reads a slice of a table that was closed is killed by the system, so nothing that outlives a table may be
// cut from it.
type Table[T any] struct {
	// All are the elements.
	All    []T
	mapped []byte // what the system wants to have back; nil: the table is on the heap
}

// smallTable is up to how many bytes a table is on the heap: mapping would cost more than collecting.
const smallTable = 256 << 10

// NewTable returns a table of n zero values.
func NewTable[T any](n int) *Table[T] {
	t := &Table[T]{}
	t.All, t.mapped = makeTable[T](n)
	return t
}

func makeTable[T any](n int) ([]T, []byte) {
	var one T
	size := n * int(unsafe.Sizeof(one))
	if size > smallTable {
		if usable, mapped, err := mapMemory(size); err == nil {
			return unsafe.Slice((*T)(unsafe.Pointer(&usable[0])), n), mapped
		}
	}
	return make([]T, n), nil // small, or the system refuses; the heap may have some left
}

// Append adds elements. Slices that were cut from All before may no longer be used.
func (t *Table[T]) Append(more ...T) {
	if n := len(t.All); n+len(more) > cap(t.All) {
		all, mapped := makeTable[T](max(2*n, n+len(more), 1024))
		copy(all, t.All)
		t.Close()
		t.All, t.mapped = all[:n], mapped
	}
	t.All = append(t.All, more...)
}

// Close gives the memory back. The table is empty then, and can be used again.
func (t *Table[T]) Close() {
	if t == nil {
		return
	}
	if t.mapped != nil {
		unmapMemory(t.mapped)
	}
	t.All, t.mapped = nil, nil
}
