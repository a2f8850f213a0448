// Package extsort sorts and joins more than fits into memory: what belongs together goes to the same bucket, buckets are spilled
// when there are too many bytes of them, each is sorted and grouped in memory, and sorted streams are merged.
//
//	Partition   which bucket a key belongs to, by ranges of sampled keys or by a secret hash
//	Buckets     bytes on their way to their buckets, in memory first, then in files of the caller's
//	Groups      the frames of a bucket, sorted, one for each key
//	Sorter      a radix sort of references to keys
//	Merge       several sorted streams as one
//	Window      a stream whose entries are parsed in place
//
// A frame is a uvarint length and so many bytes. What is in it, and what its key is, is the caller's.
package extsort
