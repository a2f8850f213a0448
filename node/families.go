package node

import (
	"slices"

	"kith/access"
	"kith/catalog"
	"kith/deadletter"
	"kith/domain"
	"kith/integration"
	"kith/job"
	"kith/match"
	"kith/match/rule"
	"kith/profile"
	"kith/profile/change"
	"kith/profile/fingerprint"
	"kith/profile/index"
	"kith/profile/write"
	"kith/query"
	"kith/resource"
	"kith/store"
	"kith/upload"
)

// Families are the rows of the whole program, from the core nouns outwards. docs/rows.md is their table.
var Families = slices.Concat(access.Families, domain.Families, resource.Families, profile.Families, fingerprint.Families, index.Families, change.Families, write.Families, job.Families, upload.Families, query.Families, rule.Families, integration.Families, catalog.Families, deadletter.Families, match.Families, []store.Family{
	{Name: "purge", Table: store.Catalog, Partition: "purge", Key: "last", Kind: store.WriteRows,
		Value: "empty; its time tells when the embedded store was purged last", Writers: "the embedded store, when it is purged"},
	{Name: "node", Table: store.Catalog, Partition: "nodes", Key: "{node's name}", Kind: store.WriteRows,
		Value: "JSON: when it was last seen", Writers: "the node itself; whoever finds it gone"},
})
