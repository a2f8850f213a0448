package write

import (
	"context"
	"encoding/binary"
	"fmt"
	"iter"

	"kith/profile/fold"
	"kith/store"
)

// The actions of records of what is no API write. They are on disk.
const (
	// Expired: the last of what a profile had has expired; the record has that time.
	Expired byte = 32 + iota
	// MergedOthers and MergedAway: a merge, of which a profile was the main one or another, that has been taken back since.
	MergedOthers
	MergedAway
	// Returned: a profile is one of its own again, since a merge was taken back.
	Returned
	// Swept: what had expired was removed. It has no record.
	Swept
	// LostOthers: a main profile has been left by those that a merge had brought, since it was taken back.
	LostOthers
)

// RecordRow returns the row of a history record, which tells nothing but what its change says. It may be written any number of times.
func RecordRow(inc store.Incarnation, id fold.ID, c *fold.Change) store.RunRow {
	return store.RunRow{Incarnation: inc, Partition: id[:], Mutation: recordOf(c, nil)}
}

// Records streams the history records of a profile that are not later than a time, from new to old.
func Records(ctx context.Context, st store.Store, inc store.Incarnation, id fold.ID, until int64) iter.Seq2[*Record, error] {
	return records(ctx, st, inc, id, store.Range{Start: binary.BigEndian.AppendUint64(nil, ^uint64(until))})
}

// RecordsAt streams the history records of a profile of one time.
func RecordsAt(ctx context.Context, st store.Store, inc store.Incarnation, id fold.ID, at int64) iter.Seq2[*Record, error] {
	return records(ctx, st, inc, id, store.Range{Start: binary.BigEndian.AppendUint64(nil, ^uint64(at)), End: binary.BigEndian.AppendUint64(nil, ^uint64(at-1))})
}

func records(ctx context.Context, st store.Store, inc store.Incarnation, id fold.ID, r store.Range) iter.Seq2[*Record, error] {
	return func(yield func(*Record, error) bool) {
		for row, err := range st.Scan(ctx, historyPartition(inc, id), r) {
			if err != nil {
				yield(nil, fmt.Errorf("read the history of a profile: %w", err))
				return
			}
			record, err := DecodeRecord(row.Value)
			if !yield(record, err) || err != nil {
				return
			}
		}
	}
}
