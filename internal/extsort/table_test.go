package extsort

import "testing"

// What is appended stays, on the heap and beyond; a closed table is empty and takes new elements.
func TestTable(t *testing.T) {
	table := NewTable[uint32](3)
	for i := range uint32(300_000) {
		table.Append(i)
	}
	if len(table.All) != 300_003 {
		t.Fatal(len(table.All))
	}
	for i, v := range table.All {
		if want := uint32(max(0, i-3)); v != want {
			t.Fatalf("element %d is %d", i, v)
		}
	}
	if table.mapped == nil {
		t.Error("a megabyte is on the heap")
	}
	table.Close()
	table.Close()
	if len(table.All) != 0 {
		t.Error("a closed table has elements")
	}
	if table.Append(7); len(table.All) != 1 || table.All[0] != 7 {
		t.Error(table.All)
	}
	table.Close()
	(*Table[int])(nil).Close()
	if big := NewTable[[3]uint64](100_000); len(big.All) != 100_000 || big.All[99_999] != [3]uint64{} {
		t.Error("a new table is not zero")
	} else {
		big.Close()
	}
}
