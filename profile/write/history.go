package write

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"

	"kith/profile/change"
	"kith/profile/fold"
	"kith/store"
)

// The actions of history records. They are on disk.
const (
	Created byte = 1 + iota
	Updated
	Ingested
	AddedKey
	DeletedKey
	DeletedObject
	Deleted // the profile itself; it has no record but its tombstone
	// MovedObject: an object has gone to another profile, to which its keys lead now.
	MovedObject
	// ExpiredObject: an object had expired. Its record has that time.
	ExpiredObject
	// DeletedType: an object has gone with its type.
	DeletedType
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
	// ExpiredImport: what an import had brought to a profile has expired, and the profile lives on.
	ExpiredImport
)

// Record is a history record: of an API write, or of what is none and can't be derived any more.
type Record struct {
	fold.Change
	// Shown is what the profile showed after it; of Created and Updated only. The content of the others is in Detail: the row key of an
	// object's body, which may have been replaced since; the values of a key.
	Shown []fold.Value
}

func historyPartition(inc store.Incarnation, id fold.ID) store.Partition {
	return store.Partition{Table: store.History, Incarnation: inc, Key: string(id[:])}
}

// recordKey is the row key of the record of a change: records are read from new to old.
func recordKey(c *fold.Change) []byte {
	return append(binary.BigEndian.AppendUint64(make([]byte, 0, 24), ^uint64(c.At)), c.ID[:]...)
}

// Encoding: version | length of the change as a uvarint | change, as a head that says nothing else | values.
const recordV1 = 1

// recordOf returns the row of the record of the last change of a head, after which a person shows shown.
func recordOf(c *fold.Change, shown *fold.Profile) store.Mutation {
	change := (&fold.Head{Change: c}).Append(nil)
	b := append(make([]byte, 0, 3+len(change)), recordV1)
	b = append(binary.AppendUvarint(b, uint64(len(change))), change...)
	if shown != nil && (c.Action == Created || c.Action == Updated) {
		for _, v := range shown.Values {
			b = fold.AppendValue(b, v, v.Stamp)
		}
	}
	return store.Mutation{Key: recordKey(c), Value: b, Time: c.At}
}

// DecodeRecord reads a row of the history.
func DecodeRecord(b []byte) (*Record, error) {
	if len(b) == 0 || b[0] != recordV1 {
		return nil, fmt.Errorf("%w: not a history record", fold.ErrCorrupt)
	}
	n, size := binary.Uvarint(b[1:])
	if size <= 0 || n > uint64(len(b)-1-size) {
		return nil, fmt.Errorf("%w: a history record", fold.ErrCorrupt)
	}
	b = b[1+size:]
	h, err := fold.DecodeHead(b[:n])
	if err == nil && h.Change == nil {
		err = fmt.Errorf("%w: a history record without a change", fold.ErrCorrupt)
	}
	if err != nil {
		return nil, err
	}
	r := &Record{Change: *h.Change}
	r.Shown, err = fold.DecodeValues(b[n:], fold.Stamp{})
	return r, err
}

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

// missingRecord returns the record that a head names, if it does not stand: whoever swaps the head writes it first.
func (w *Writer) missingRecord(ctx context.Context, inc store.Incarnation, id fold.ID, h *fold.Head, shown *fold.Profile) ([]store.PartitionWrite, error) {
	if h.Change == nil || h.Change.Action == Swept || w.Feed.Local != nil { // then it was committed with the head
		return nil, nil
	}
	ok, err := w.hasRecord(ctx, inc, id, h.Change)
	if err != nil || ok {
		return nil, err
	}
	return []store.PartitionWrite{{Partition: historyPartition(inc, id), Mutations: []store.Mutation{recordOf(h.Change, shown)}}}, nil
}

func (w *Writer) hasRecord(ctx context.Context, inc store.Incarnation, id fold.ID, c *fold.Change) (bool, error) {
	_, err := w.Store.Get(ctx, historyPartition(inc, id), recordKey(c))
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read a history record: %w", err)
	}
	return true, nil
}

// changeOf returns what a head says of a call's change.
func changeOf(call change.CallID, at int64) *fold.Change { return &fold.Change{ID: call, At: at} }
