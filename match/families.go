package match

import "kith/store"

// Families are the rows of this package.
var Families = []store.Family{
	{Name: "identity resolution job in the list", Table: store.Jobs, Partition: "identity-resolution-jobs", Key: "{2^64-1 - time:8}{job id}", Kind: store.WriteRows,
		Value: "empty", Writers: "StartIdentityResolutionJob, the schedule, retention"},
	{Name: "identity resolution job", Table: store.Jobs, Partition: "work/{job id}", Key: "match", Kind: store.SwapRows,
		Value: "JSON: status, settings, counters, what its rows are called", Writers: "who starts it; the node that has its lease; retention"},
	{Name: "what a job has learned", Table: store.Jobs, Partition: "work/{job id}", Key: "model", Kind: store.SwapRows,
		Value: "the matcher's model (link.Model)", Writers: "the node that has the lease; retention"},
	{Name: "plan of a search", Table: store.Jobs, Partition: "work/{job id}", Key: "part/plan", Kind: store.SwapRows,
		Value: "JSON: fence, program, sealed key, blob of what is searched", Writers: "the node that has the lease; retention"},
	{Name: "piece of a search", Table: store.Jobs, Partition: "work/{job id}", Key: "part/{fence:16}/{step}={piece:4}", Kind: store.SwapRows,
		Value: "the blob", Writers: "whoever makes the piece; the node that has the lease, retention"},
	{Name: "group of profiles", Table: store.Match, Partition: findPrefix + "{job id:16}{fence:8}g{chunk:4}", Key: "{rank:4}", Kind: store.WriteRows,
		Value: "version, score, weakest pair, profile ids", Writers: "the node that has the lease; retention"},
	{Name: "group of a profile, or of a match id", Table: store.Match, Partition: findPrefix + "{job id:16}{fence:8}p{bucket:1}", Key: "{p or m:1}{profile or match id:16}", Kind: store.WriteRows,
		Value: "rank:4", Writers: "the node that has the lease; retention"},
	{Name: "merge of a job", Table: store.Match, Partition: didPrefix + "{job id:16}{chunk:4}", Key: "{rank:4}{step:2}{fence:8}", Kind: store.WriteRows,
		Value: "JSON: id of the merge, profiles, score, plan", Writers: "the node that has the lease; retention"},
	{Name: "answer about a pair", Table: store.Match, Partition: "answers", Key: "{profile id:16}{profile id:16}", Kind: store.WriteRows,
		Value: "JSON: whether they are the same, who says so, when", Writers: "PutMatchAnswer, UnmergeMatch, DeleteMatchAnswer, ForgetPerson"},
}
