// Package match is identity resolution: it finds profiles that seem to be of one person, tells why, merges them where a domain wants
// that, and obeys what people answer.
//
// Operations: GetMatches, GetSimilarProfiles, GetAutoMergingPreview, ListIdentityResolutionJobs, GetIdentityResolutionJob. Additions:
// StartIdentityResolutionJob, GetIdentityResolutionJobDetails, ListIdentityResolutionJobMerges, UnmergeMatch, ExplainMatch,
// PutMatchAnswer, ListMatchAnswers, DeleteMatchAnswer. Behaviour: docs/spec/advanced.md section 1.
//
// What is alike is found by package match/link, what is merged and how by match/merge, and matching by rules is match/rule.
//
// # Jobs
//
// A job is queued work in a lane of its own, one at a time in a domain. The next one of a domain's schedule is not stored: it follows from the
// domain's record, with an id made of the incarnation and its time (schedule.go). So what turns matching on or off, or moves it, writes
// nothing else. StartDue makes a job of what is due.
//
//	PENDING ─► PREPROCESSING ─► FIND_MATCHING ─► [MERGING] ─► COMPLETED or PARTIAL_SUCCESS; FAILED from wherever nothing was merged
//
//	find     link.Find reads all profiles, with other nodes that share the store (share.go). Its groups are ordered and written under the number of
//	         this taking of the lease (the fence), which the record names beforehand, so that rows of an attempt that died are found and removed. One Swap of the record
//	         publishes them.
//	merge    a chunk of groups after the other. Before a merge is made its id is written down; so after a kill it is known which were
//	         made (profile.Service.Merged), and none is made or counted twice. What a group's criteria ask for is written with the first
//	         of its merges: a later attempt goes on with that plan, not with one of profiles that are half merged. One Swap of the record
//	         counts the merges of a chunk and moves on to the next.
//	export   files are written whole, and again after a kill.
//
// The results of the latest finished job are served. Rows of older ones are removed, but for the list of what they merged, which is kept as
// long as the job: 30 days.
package match
