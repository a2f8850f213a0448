package profile

import "kith/store"

// Families are the rows of this package.
var Families = []store.Family{
	{Name: "state of a profile", Table: store.Profile, Partition: "{profile id:16}", Key: "a", Kind: store.SwapRows,
		Value: "version, tombstone, merge links (fold.State)", Writers: "DeleteProfile, merges and unmerges, and whoever settles these; an import, to keep a profile from being made twice"},
	{Name: "contribution", Table: store.Profile, Partition: "{profile id:16}", Key: contributionPrefix + "{source}", Kind: store.WriteRows,
		Value: "version, expiry, stamp, values or the source of the contribution that has them (fold.Contribution)", Writers: "whoever has the domain's turn"},
	{Name: "head", Table: store.Profile, Partition: "{profile id:16}", Key: "h", Kind: store.SwapRows,
		Value: "version, time, expiry, values, objects (fold.Head)", Writers: "API writes; the completer, to fence them; the sweep; DeleteProfile and the sweep remove it"},
	{Name: "index row", Table: store.Index, Partition: "{key name}\x01{value}", Key: "{profile id:16}{class:1}", Kind: store.WriteRows,
		Value: "empty", Writers: "class i: whoever has the domain's turn; class a: API writes, merges and unmerges, the completer; for full names and new keys whoever has the turn"},
	{Name: "merge", Table: store.Jobs, Partition: mergesPrefix + "{hour, hexadecimal:8}", Key: "{time:8}{random:4}", Kind: store.SwapRows,
		Value: "JSON: how it stands, profiles, choices of fields", Writers: "MergeProfiles, UnmergeProfiles, an import that reconciles; whoever settles it"},
	{Name: "statistics", Table: store.Jobs, Partition: "standing/" + Statistics, Key: "profiles", Kind: store.SwapRows,
		Value: "JSON: how many profiles, when and how long they were counted", Writers: "the node that counts"},
}
