package profile

import (
	"kith/objecttype"
	"kith/store"
)

const contributionPrefix = "c"

var tombstoneKey = []byte("t")

// Partition returns the partition of a profile.
func Partition(inc store.Incarnation, id ID) store.Partition {
	return store.Partition{Table: store.Profile, Incarnation: inc, Key: string(id[:])}
}

// ContributionKey returns the row key of a contribution.
func ContributionKey(source string) []byte { return []byte(contributionPrefix + source) }

// ImportSource returns the source of the contribution of one unique key of an upload job.
func ImportSource(jobID [16]byte, keyHash [8]byte) string {
	return string(rune(Import)) + string(jobID[:]) + string(keyHash[:])
}

// IndexPartition returns the partition key of an index value.
func IndexPartition(name, normalized string) string {
	return name + "\x01" + objecttype.IndexValue(normalized)
}

// IndexRowKey returns the row key of an index row.
func IndexRowKey(dst []byte, id ID, source string) []byte {
	return append(append(dst, id[:]...), source...)
}

// IndexedID returns the profile an index row points at.
func IndexedID(rowKey []byte) (id ID, ok bool) {
	return id, copy(id[:], rowKey) == len(id)
}

// isContribution says whether a row of a profile's partition is a contribution.
func isContribution(key []byte) bool {
	return len(key) > 0 && key[0] == contributionPrefix[0]
}

// sourceOf returns the source of a contribution's row.
func sourceOf(key []byte) string { return string(key[len(contributionPrefix):]) }
