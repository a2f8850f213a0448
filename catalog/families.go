package catalog

import "kith/store"

// Families are the rows of this package.
var Families = []store.Family{
	{Name: "what is kept of a catalogue", Table: store.Resource, Partition: "catalogue", Key: "m", Kind: store.WriteRows,
		Value: "version byte, JSON: types, time of the pass", Writers: "standing work \"catalogue\""},
	{Name: "attribute of a type", Table: store.Resource, Partition: "catalogue/{type}", Key: namePrefix + "{path}", Kind: store.WriteRows,
		Value: "version byte, JSON: its newest time, statistics", Writers: "standing work \"catalogue\""},
	{Name: "values of an attribute", Table: store.Resource, Partition: "catalogue/{type}", Key: valuePrefix + "{path}", Kind: store.WriteRows,
		Value: "version byte, JSON: values and their times", Writers: "standing work \"catalogue\""},
}
