package job

import "kith/store"

// Families are the rows of this package. A piece of work has further rows in its partition: those of whoever does it.
var Families = []store.Family{
	{Name: "lease", Table: store.Jobs, Partition: "work/{id}", Key: "lease", Kind: store.SwapRows,
		Value: "JSON: owner, length", Writers: "the node that does the work"},
	{Name: "attempts at work", Table: store.Jobs, Partition: "work/{id}", Key: "attempts", Kind: store.SwapRows,
		Value: "JSON: takings that have not ended, failures", Writers: "the node that does the work, and who did before"},
	{Name: "claim of a part", Table: store.Jobs, Partition: "work/{id}", Key: PartPrefix + "{stage}/{part:5}", Kind: store.SwapRows,
		Value: "as a lease", Writers: "the node that does the part"},
	{Name: "lease of standing work", Table: store.Jobs, Partition: "standing/{name}", Key: "lease", Kind: store.SwapRows,
		Value: "as a lease", Writers: "the node that does the work"},
	{Name: "attempts at standing work", Table: store.Jobs, Partition: "standing/{name}", Key: "attempts", Kind: store.SwapRows,
		Value: "as attempts at work; when it ended last", Writers: "the node that does the work, and who did before"},
	{Name: "claim of a part of standing work", Table: store.Jobs, Partition: "standing/{name}", Key: PartPrefix + "{name}", Kind: store.SwapRows,
		Value: "as a lease", Writers: "the node that does the part"},
	{Name: "queue", Table: store.Jobs, Partition: "queue", Key: "queue", Kind: store.SwapRows,
		Value: "JSON: the domain's work, by lane and arrival", Writers: "every node"},
}
