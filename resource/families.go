package resource

import "kith/store"

// Families are the rows of this package.
var Families = []store.Family{
	{Name: "resource", Table: store.Resource, Partition: "k/{kind}", Key: recordPrefix + "{name}", Kind: store.SwapRows,
		Value: "version byte, JSON: revision, times, tags, data, last calls, name of the text", Writers: "operations on the resource, TagResource, UntagResource"},
	{Name: "state of a kind", Table: store.Resource, Partition: "k/{kind}", Key: stateKey, Kind: store.SwapRows,
		Value: "version byte, JSON: number of resources, which is the default", Writers: "what creates or deletes a resource, or changes the default"},
	{Name: "text that no resource names", Table: store.Resource, Partition: "k/{kind}", Key: pendingPrefix + "{text:32}", Kind: store.SwapRows,
		Value: "version byte, JSON: being written or garbage, size", Writers: "who writes or replaces a text; Tidy"},
	{Name: "part of a text", Table: store.Resource, Partition: "t/{text:32}", Key: "{number:2}", Kind: store.WriteRows,
		Value: "1 MiB of the text", Writers: "who writes the text, once; whoever removes it"},
}
