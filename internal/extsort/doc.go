// Package extsort sorts and joins more than fits into memory: what belongs together goes to the same bucket, in chunks, which wait in memory
// or in a file until the bucket's turn comes; each bucket is sorted in memory, and sorted streams are merged.
//
//	Partition   which bucket a key belongs to, by ranges of sampled keys or by a secret hash
//	Pool        chunks that wait, in the memory of an Arena or in a file without a name
//	Table       a slice outside of the heap
//	Sorter      a radix sort of references to keys
//	Merge       several sorted streams as one
//	Prefetch    memory that is read soon, in an order that the processor does not foresee
//	Window      a stream whose entries are parsed in place
package extsort
