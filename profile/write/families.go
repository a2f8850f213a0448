package write

import "kith/store"

// Families are the rows of this package, but for heads, which package profile lists, and claims, which package index does.
var Families = []store.Family{
	{Name: "body of an object", Table: store.Body, Partition: "{profile id:16}", Key: "{object type}\x00{its incarnation:8}{hash of the unique key:16}{time:8}{attempt:4}", Kind: store.WriteRows,
		Value: "version, the object's JSON, values and keys", Writers: "API writes; the completer removes it"},
	{Name: "history record", Table: store.History, Partition: "{profile id:16}", Key: "{inverted time:8}{call:16}", Kind: store.WriteRows,
		Value: "version, the change, what the profile showed", Writers: "the write itself, the next one, or the completer; unmerges; the sweep; DeleteProfile leaves ids, times and actions"},
}
