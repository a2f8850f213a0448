package upload

import "kith/store"

// Families are the rows of this package.
var Families = []store.Family{
	{Name: "upload job in the list", Table: store.Jobs, Partition: "upload-jobs", Key: "{2^64-1 - creation:8}{job id}", Kind: store.WriteRows,
		Value: "empty", Writers: "CreateUploadJob, retention"},
	{Name: "upload job", Table: store.Jobs, Partition: "work/{job id}", Key: "state", Kind: store.SwapRows,
		Value: "JSON: definition, status, counters, last calls", Writers: "operations on the job; the node that has its lease"},
	{Name: "outcome of reading", Table: store.Jobs, Partition: "work/{job id}", Key: "read", Kind: store.SwapRows,
		Value: "JSON: format of the file, counters, buckets", Writers: "the node that has the lease"},
	{Name: "run of a bucket", Table: store.Jobs, Partition: "work/{job id}", Key: runPrefix + "{bucket:5}", Kind: store.SwapRows,
		Value: "JSON: counters, blob of decisions", Writers: "whoever resolves the bucket"},
	{Name: "applied bucket", Table: store.Jobs, Partition: "work/{job id}", Key: appliedPrefix + "{bucket:5}", Kind: store.SwapRows,
		Value: "empty", Writers: "whoever applies the bucket"},
	{Name: "resumable upload", Table: store.Jobs, Partition: "work/{job id}", Key: "partial", Kind: store.SwapRows,
		Value: "JSON: length, parts that have arrived", Writers: "the client's requests"},
	{Name: "dry run", Table: store.Jobs, Partition: "work/" + dryPrefix + "{job id}", Key: "dry", Kind: store.SwapRows,
		Value: "JSON: the file that was tried, outcome", Writers: "the node that has the dry run's lease; who ends it"},
}
