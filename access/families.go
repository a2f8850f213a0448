package access

import "kith/store"

// Families are the rows of this package.
var Families = []store.Family{
	{Name: "access key", Table: store.Catalog, Partition: "access-keys", Key: "{access key id}", Kind: store.SwapRows,
		Value: "JSON: sealed secret, policy, boundaries, creation", Writers: "CreateAccessKey, DeleteAccessKey"},
	{Name: "check of the master key", Table: store.Catalog, Partition: "master-key", Key: "sealed", Kind: store.SwapRows,
		Value: "a text that is known, sealed under the master key", Writers: "the first start"},
}
