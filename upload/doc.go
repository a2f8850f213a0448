// Package upload owns upload jobs: from CreateUploadJob over the uploaded CSV file to profiles.
//
// Operations: CreateUploadJob, GetUploadJobPath, StartUploadJob, StopUploadJob, GetUploadJob, ListUploadJobs, and the additions
// GetUploadJobDetails, ListUploadJobRejects, ExportUploadJobRejects, DryRunUploadJob, UndoUploadJob, PutUploadJobOptions, PutUploadJobMapping and
// SuggestUploadMapping, whose rules are those of package upload/suggest. Behaviour: docs/spec/core.md
// section 1.
//
// An import decides once and then applies. While it has the domain's turn it goes through three stages, each repeatable: read, resolve
// and apply. Package upload/stage does them; this one has the job's record, its lease and its publications (work.go, stages.go).
//
// A dry run is the first two without publishing, in a lane of its own. An undo goes by the runs once more, which name profiles: of what the job has created and no
// later import has met, contributions go with the index rows that they yield; the other profiles are folded, and what they still require stays (undo.go).
//
// Rows, in the job's partition of table jobs (job.Partition), all Swap rows:
//
//	"state"     → Job          the record, its status, its counters once final
//	"read"      → stage.ReadResult   published once when the file has been read
//	"run/<n>"   → stage.RunResult    published once per bucket
//	"applied/<n>"              where nodes share the work: the bucket has been applied
//	"lease"                    of package job
//	"partial"   → Partial      what has arrived of a file that is uploaded in parts
//
// In that of its dry run, which is work of its own (dryrun.go):
//
//	"dry"       → dryState     the last one's result
//
// and in partition "upload-jobs" of the domain, a Write row per job, newest first: inverted creation time + job id.
//
// Blobs, all sealed with the job's client token: <incarnation>/<job>/file-*, run-*, ambiguous-*, rejects-*, and, where nodes share the
// work, spill-*. Each attempt writes under names of its own; what is published names the blobs that count. Spills are scratch: they
// may be gone after a power failure, and are made again from the file. Runs are kept as long as rejects, for an undo and the history.
//
// What waits in memory, in files without a name and in tables that are built aside is gone with the process: the next attempt reads the file again, and makes the
// rows of published runs as those say.
//
// Invariants:
//
//  1. "read" and "run/<n>" are published by one Swap that checks the lease and that "state" is IN_PROGRESS. The first
//     publisher wins. Counters are sums over what is published.
//  2. Nothing is written to profiles before all runs are published or the job is stopped. Once applying has begun it is
//     repeated until it succeeds or is given up (giveup.go): the job is FAILED then and says that it is half done, and an undo takes back
//     what was written.
//  3. Memory is bounded by the distinct keys of a bucket, never by the file.
package upload
