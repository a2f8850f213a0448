// Package stage takes an uploaded file to profiles, in the three stages of an import. It knows no lease and no record of a job: who
// drives the stages publishes what they find out, and decides what comes next.
//
//	Plan      what all stages know of a job; nothing of it changes while they run
//	Reader    read: records are parsed, mapped and validated in parallel; each goes, as a frame, to the bucket of its unique key, where it
//	          waits in memory outside of the heap or in a file without a name; bad ones go to the rejects (read.go, mapper.go, sinks.go, frame.go)
//	Resolver  resolve, bucket by bucket: rows of one key are merged in file order, the key index is probed, hits are verified against
//	          their profiles, created / updated / rejected is decided, ids are minted; the Outcome is an immutable run, which says who is who
//	          (rows.go, resolve.go, judge.go, build.go)
//	Output    apply: the rows of the store that follow from a run, built as tables while buckets are resolved, sorted on shelves where they come
//	          in another order, and landed all at once (output.go, shelves.go). Where the engine builds no tables aside, Resolver.Write writes a
//	          bucket's (apply.go). For an undo DropCreated takes back profiles that nobody else has contributed to (drop.go, dropsweep.go), and EachTouched lists those that
//	          have to be looked at (undo.go; profile.Undo does that)
//
// A dry run is the first two with a Trial, which gathers what would happen.
//
// Invariants:
//
//  1. Every stage may be run again, for the same file and plan, and finds out the same.
//  2. Nothing becomes visible but by Output.Land, Resolver.Write and DropCreated.
//  3. A run and the file make the rows of a bucket again, whatever the store holds by then; all that waits between the stages is scratch.
//  4. Memory is bounded by the distinct keys of a bucket and by what the Arena grants, never by the file or by what it is decompressed to.
package stage
