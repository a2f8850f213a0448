package integration

import "kith/store"

// Families are the rows of this package.
var Families = []store.Family{
	{Name: "owner of a flow", Table: store.Catalog, Partition: "flows", Key: "{uri}", Kind: store.SwapRows,
		Value: "version byte, incarnation of the domain:8", Writers: "PutIntegration and DeleteIntegration of a flow; the undertaker"},
}
