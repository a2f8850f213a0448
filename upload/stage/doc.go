// Package stage takes an uploaded file to profiles, in the three stages of an import. It knows no lease and no record of a job: who
// drives the stages publishes what they find out, and decides what comes next.
//
//	Plan      what all stages know of a job; nothing of it changes while they run
//	Reader    read: records are parsed, mapped and validated in parallel; each goes, with its index keys, to the bucket of its unique
//	          key, bad ones to the rejects (read.go, mapper.go, sinks.go)
//	Resolver  resolve, bucket by bucket: rows of one key are merged in file order, the key index is probed, hits are verified against
//	          their profiles, created / updated / rejected is decided, ids are minted; the Outcome is an immutable sorted run
//	          (resolve.go, build.go)
//	Plan      apply: Write merges runs and writes them, index rows first (apply.go). For an undo DropCreated takes back profiles that nobody else
//	          has contributed to (drop.go), and EachTouched lists those that have to be folded (undo.go; profile.Undo does that)
//	Sharer    divides the buckets of a stage among workers and nodes
//
// A dry run is the first two with a Trial, which gathers what would happen.
//
// Invariants:
//
//  1. Every stage may be run again, for the same file and plan, and finds out the same.
//  2. Nothing is written to profiles but by Write and DropCreated.
//  3. Memory is bounded by the distinct keys of a bucket, never by the file or by what it is decompressed to.
package stage
