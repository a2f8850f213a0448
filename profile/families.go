package profile

import "kith/store"

// Families are the rows of this package.
var Families = []store.Family{
	{Name: "merges of a profile", Table: store.Profile, Partition: "{profile id:16}", Key: "a", Kind: store.SwapRows,
		Value: "JSON: the profile it went into, those that came into it", Writers: "MergeProfiles"},
	{Name: "contribution", Table: store.Profile, Partition: "{profile id:16}", Key: contributionPrefix + "{source}", Kind: store.WriteRows,
		Value: "binary: stamp, expiry, values", Writers: "whoever has the domain's turn"},
	{Name: "tombstone", Table: store.Profile, Partition: "{profile id:16}", Key: "t", Kind: store.SwapRows,
		Value: "JSON: time, caller", Writers: "DeleteProfile"},
	{Name: "index row", Table: store.Index, Partition: "{key name}\x01{value}", Key: "{profile id:16}{source}", Kind: store.WriteRows,
		Value: "empty", Writers: "whoever has the domain's turn"},
	{Name: "merge", Table: store.Jobs, Partition: mergesPrefix + "{hour, hexadecimal:8}", Key: "{time:8}{random:4}", Kind: store.SwapRows,
		Value: "JSON: state, profiles", Writers: "MergeProfiles; whoever meets it unfinished"},
}
