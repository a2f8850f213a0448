package change

import "kith/store"

// Families are the rows of this package.
var Families = []store.Family{
	{Name: "change", Table: store.Change, Partition: "{minute:4}{shard:1}", Key: "{time:8}{profile id:16}{call:16}", Kind: store.WriteRows,
		Value: "version, kind, keys and bodies in question (change.Row)", Writers: "API writes, merges, imports"},
	{Name: "import in the registry", Table: store.Change, Partition: "imports", Key: "{time of the import:8}", Kind: store.WriteRows,
		Value: "JSON: job, when it was applied and undone", Writers: "whoever has the domain's turn"},
	{Name: "seal of the feed", Table: store.Jobs, Partition: "standing/" + Completer, Key: "seal", Kind: store.SwapRows,
		Value: "version, sealed, settled, dropped up to, clock", Writers: "the completer"},
	{Name: "size of the feed", Table: store.Jobs, Partition: "standing/" + Completer, Key: "hours", Kind: store.SwapRows,
		Value: "JSON: bytes by hour", Writers: "the completer"},
	{Name: "cursor of a consumer", Table: store.Jobs, Partition: "standing/{consumer}", Key: "cursor", Kind: store.SwapRows,
		Value: "time up to which it has read (8)", Writers: "the consumer"},
}
