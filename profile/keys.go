package profile

import (
	"encoding/binary"

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

// AppendContributionKey appends the row key of an import's contribution.
func AppendContributionKey(dst []byte, jobTime, row int64) []byte {
	return AppendImportSource(append(dst, contributionPrefix...), jobTime, row)
}

// sourceSize is the length of an import's source.
const sourceSize = 1 + 8 + 5

// AppendImportSource appends the source of the contribution of one unique key of an upload job, given the job's time, which
// no other job of the domain has, and the number of the first row that has the key: 'i', time (8), row (5), big-endian.
func AppendImportSource(dst []byte, jobTime, row int64) []byte {
	dst = append(dst, byte(Import))
	dst = binary.BigEndian.AppendUint64(dst, uint64(jobTime))
	return append(dst, byte(row>>32), byte(row>>24), byte(row>>16), byte(row>>8), byte(row))
}

// ImportTime returns the time of the upload job that a source belongs to.
func ImportTime(source string) (jobTime int64, ok bool) {
	if len(source) != sourceSize || source[0] != byte(Import) {
		return 0, false
	}
	return int64(binary.BigEndian.Uint64([]byte(source[1:9]))), true
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

// IsContribution says whether a row of a profile's partition is a contribution.
func IsContribution(key []byte) bool {
	return len(key) > 0 && key[0] == contributionPrefix[0]
}

// IsOwn says whether a row of a profile's partition is a contribution that no merge has brought.
func IsOwn(key []byte) bool {
	return len(key) > 1 && key[0] == contributionPrefix[0] && key[1] != pathByte
}

// sourceOf returns the source of a contribution's row.
func sourceOf(key []byte) string { return string(key[len(contributionPrefix):]) }

// appendFoldedSource appends the source of the n-th contribution that a folding leaves in a profile.
func appendFoldedSource(dst []byte, at int64, n int) []byte {
	return append(binary.BigEndian.AppendUint64(append(dst, 'f'), uint64(at)), byte(n))
}

func isFolded(source string) bool { return len(source) == 10 && source[0] == 'f' }

// storedPart is a contribution as it is stored.
type storedPart struct {
	sourced
	version uint64 // of a Swap row; 0: a Write row
	time    int64  // of a Write row
}

func decodePart(row store.Row) (storedPart, error) {
	c, err := DecodeContribution(row.Value)
	return storedPart{sourced{sourceOf(row.Key), c}, row.Version, row.Time}, err
}

// contributionRunRow is a mutation of a contribution's row, as a part of a run.
func contributionRunRow(inc store.Incarnation, id ID, source string, m store.Mutation) store.RunRow {
	m.Key = ContributionKey(source)
	return store.RunRow{Incarnation: inc, Partition: id[:], Mutation: m}
}

// indexRunRow is a mutation of an index row, as a part of a run.
func indexRunRow(inc store.Incarnation, k IndexKey, id ID, source string, m store.Mutation) store.RunRow {
	m.Key = IndexRowKey(nil, id, source)
	return store.RunRow{Incarnation: inc, Partition: []byte(IndexPartition(k.Name, k.Value)), Mutation: m}
}
