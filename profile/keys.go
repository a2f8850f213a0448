package profile

import (
	"encoding/hex"
	"strings"

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

// SourceText returns a source in words, for provenance and tests.
func SourceText(source string) string {
	if len(source) == 25 && source[0] == byte(Import) {
		return "import:" + hex.EncodeToString([]byte(source[1:17])) + "/" + hex.EncodeToString([]byte(source[17:]))
	}
	return "unknown:" + hex.EncodeToString([]byte(source))
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

func isContribution(key []byte) (source string, ok bool) {
	return strings.CutPrefix(string(key), contributionPrefix)
}
