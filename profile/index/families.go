package index

import "kith/store"

// Families are the rows of this package, but for index rows, which package profile lists.
var Families = []store.Family{
	{Name: "claim of a key", Table: store.Jobs, Partition: claimPrefix + "{key name}\x01{value}", Key: "claim", Kind: store.SwapRows,
		Value: "profile id, call, when", Writers: "API writes that bring a new key, on a cluster"},
}
