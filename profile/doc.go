// Package profile owns profiles: the contributions they are made of, the fold that computes them, the key index, and search.
//
// Operations: SearchProfiles, BatchGetProfile, DeleteProfile, MergeProfiles, ListProfileHistoryRecords,
// GetProfileHistoryRecord. Behaviour: spec/core.md sections 4.5 and 5.
//
// Rows:
//
//	table profile, partition = profile id (16 bytes)
//	    "a"                 → ties            Swap row: the merges by which others came into it, or by which it went into another
//	    "c" + source        → Contribution   import contributions are Write rows, those of API writes Swap rows
//	    "t"                 → grave           Swap row, the tombstone: the profile was deleted
//	table key_index, partition = key name 0x01 index value
//	    profile id + source → empty           Write rows
//
//	table jobs, partition = "merges/" + hour
//	    merge id            → mergeRecord    Swap row: whether a merge has happened (merge.go)
//
// A source is "i" + time of the upload job (8 bytes) + number of the first row that has the unique key (5 bytes), or
// "f" + time of the folding (8 bytes) + number (1 byte), or "g" + merge id (12 bytes) + number of the merged profile (1 byte) + the
// source it had there. Others will follow.
//
// Invariants:
//
//  1. A profile is computed, never stored: it is the fold of its visible contributions.
//  2. A contribution is invisible from its expiry on, and when the profile has a tombstone, whatever its time. A profile
//     exists while one contribution is visible.
//  3. An index row is a hint. A reader believes it when the profile it names has that key: see Profile.Keys.
//  4. Index rows are written before the contribution they belong to, and removed when it is invisible but still there, so
//     that no visible profile lacks one and no index row is forgotten.
//  5. Each key that a contribution of an import yields has an index row of that contribution or of another import's of the profile
//     that is there (heir.go); other contributions have all of theirs.
//  6. A contribution that a merge brought counts if the row of ties knows the merge and it has happened. A merge is replayed when a
//     profile is computed, at its time: so what an undo takes back is gone from what the merge decided, too.
package profile
