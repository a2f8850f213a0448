package job

import "kith/store"

// Families are the rows of this package. A piece of work has further rows in its partition: those of whoever does it.
var Families = []store.Family{
	{Name: "lease", Table: store.Jobs, Partition: "work/{id}", Key: "lease", Kind: store.SwapRows,
		Value: "JSON: owner, end, failed attempts", Writers: "the node that does the work"},
	{Name: "claim of a part", Table: store.Jobs, Partition: "work/{id}", Key: "part/{name}", Kind: store.SwapRows,
		Value: "as a lease", Writers: "the node that does the part"},
	{Name: "turn", Table: store.Jobs, Partition: "turn", Key: "turn", Kind: store.SwapRows,
		Value: "JSON: who has the domain's turn, who waits", Writers: "every node"},
}
