// Package fold computes a profile from what its sources say. It is pure: it knows rows as bytes, and neither store nor clock.
//
// A profile's partition has three kinds of row, read in this order:
//
//	"a"          → State         Swap row: tombstone and merge links
//	"c" + source → Contribution  Write rows: what one import says, itself or by naming another one (repeat.go)
//	"h"          → Head          Swap row: everything that API writes say, compacted
//
// A Member is these rows of one profile, decoded. A person is a Member and the Members that were merged into it, and its fold is
// the Profile that callers see.
//
// The fold replays values in the order of time, attribute by attribute; each either replaces the present one or does not (replaces).
// The rules are no total order, so the newest does not always win, and a fold of folds would be wrong: this is why compaction
// (compact.go) drops an entry only when no later event can make it count.
//
// A merge is replayed at its time: what each member had by then is combined once, and whatever any of them gets later is replayed in
// the order of the main profile. So what is taken back, by an undo, an expiry or an unmerge, is gone from what the merge decided too.
package fold

// The row keys of a profile's partition.
const (
	StateKey           = "a"
	ContributionPrefix = "c"
	HeadKey            = "h"
)
