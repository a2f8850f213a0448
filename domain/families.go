package domain

import "kith/store"

// Families are the rows of this package.
var Families = []store.Family{
	{Name: "domain", Table: store.Catalog, Partition: "domains", Key: livePrefix + "{name}", Kind: store.SwapRows,
		Value: "JSON: settings, incarnation, indexed keys, last calls", Writers: "operations on domains; imports, which add keys"},
	{Name: "deleted domain", Table: store.Catalog, Partition: "domains", Key: deadPrefix + "{incarnation, hexadecimal}", Kind: store.SwapRows,
		Value: "empty", Writers: "DeleteDomain; the undertaker, when all rows are gone"},
}
