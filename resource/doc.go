// Package resource keeps the plain resources of a domain: named records with tags that are created, listed, changed under their
// version and deleted. A kind of resource is a Kind, the type of its records, and its rules; CONTRIBUTING.md has the recipe.
// The package owns no operations.
//
// Rows, all in table resource under the domain's incarnation, all values JSON behind a version byte:
//
//	partition "k/<kind>", Swap rows
//	  "k"        → state    how many records the kind has, and which one is its default
//	  "r/<name>" → row      a record: revision, times, tags, data, its last calls, and the name of its text
//	  "x/<text>" → pending  a text that no record names: it is being written, or it is garbage
//	partition "t/<text>", Write rows
//	  <number, 2 bytes> → a part of the text, 1 MiB
//
// A text is the member of a record that may be larger than a row, and that lists don't show: a layout of 2,000,000 characters has
// up to 8 MB. It is written once under a random name, and never changed.
//
// Invariants:
//
//  1. A text that has parts is named by exactly one row: by its record, or by an "x/" row. So nothing is lost track of, whatever dies when.
//  2. A record names whole texts only. Who writes a text first puts its "x/" row, then the parts; the Swap that publishes the record
//     deletes the "x/" row, expecting it as it was put. So Tidy may end a writer that takes an hour, by changing that row.
//  3. The Swap that makes a record name another text, or that deletes it, puts an "x/" row for the old text, whose parts go next.
//     A reader that misses a part reads the record again.
//  4. The count of a kind and its default change in the same Swap as the records. So a limit, and that at most one is the default,
//     hold whoever else writes.
//  5. A call whose answer was lost (store.ErrUnknown) has its effect once, and finds out by reading: a record knows the last calls that changed it.
//     What has not happened is done again. A refusal that comes behind it is told only when it can't happen any more.
//  6. A write that a deletion of the domain overtook is taken back and answered with NotFound.
package resource
