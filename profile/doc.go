// Package profile owns profiles: their rows, the operations on them, merges, history, and what time does to them.
//
// Operations: CreateProfile, UpdateProfile, AddProfileKey, DeleteProfileKey, ListProfileAttributeValues, SearchProfiles, BatchGetProfile,
// DeleteProfile, MergeProfiles, UnmergeProfiles, GetProfileProvenance, ListProfileHistoryRecords, GetProfileHistoryRecord. Behaviour: docs/spec/core.md sections 4.5 and 5.
//
// A profile is computed, never stored: package fold says how, package index says by which keys it is found, package change tells others
// what was written.
//
// Rows:
//
//	table profile, partition = profile id (16 bytes)
//	    "a"                 → fold.State         Swap row: tombstone and merge links
//	    "c" + source        → fold.Contribution  Write rows: what one import says
//	    "h"                 → fold.Head          Swap row: what API writes say, compacted
//	table key_index: see package index
//	table jobs, partition = "merges/" + hour
//	    merge id            → mergeRecord        Swap row: how a merge stands (merge.go, settle.go)
//	tables body and history: see package write
//
// A source is "i" + time of the upload job (8 bytes) + number of the first row that has the unique key (5 bytes), or, of imports that
// were compacted, "f" + time of the compaction (8 bytes) + number (1 byte).
//
// Invariants:
//
//  1. A contribution is invisible from its expiry on, and when its profile, or the main profile of its person, has a tombstone. A
//     profile exists while something of it is visible.
//  2. An index row is a hint; the person it leads to confirms it or not. No visible profile lacks one (package index).
//  3. Only the holder of the domain's turn writes contributions and index rows of class ByImport; but anybody may remove those of a
//     profile with a tombstone, whose id is dead for good.
//  4. A merge moves nothing: rows stay where they were written, and links say who belongs to whom. So whatever else writes a
//     contribution or takes it back need not know of merges. An unmerge moves no contribution either, only objects (unmerge.go).
package profile
