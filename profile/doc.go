// Package profile owns profiles: the contributions they are made of, the fold that computes them, the key index, and search.
//
// Operations: SearchProfiles, BatchGetProfile, DeleteProfile. Behaviour: spec/core.md sections 4.5 and 5.
//
// Rows:
//
//	table profile, partition = profile id (16 bytes)
//	    "c" + source        → Contribution   import contributions are Write rows, those of API writes Swap rows
//	    "t"                 → tombstone       Swap row: the profile was deleted
//	table key_index, partition = key name 0x01 index value
//	    profile id + source → empty           Write rows
//
// A source is "i" + time of the upload job (8 bytes) + number of the first row that has the unique key (5 bytes), or
// "f" + time of the folding (8 bytes) + number (1 byte). Others will follow.
//
// Invariants:
//
//  1. A profile is computed, never stored: it is the fold of its visible contributions.
//  2. A contribution is invisible from its expiry on, and when the profile has a tombstone, whatever its time. A profile
//     exists while one contribution is visible.
//  3. An index row is a hint. A reader believes it when the profile it names has that key: see Profile.Keys.
//  4. Index rows are written before the contribution they belong to, and removed when it is invisible but still there, so
//     that no visible profile lacks one and no index row is forgotten.
package profile
