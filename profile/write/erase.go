package write

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"kith/domain"
	"kith/profile/fold"
	"kith/profile/index"
	"kith/store"
)

// Erase removes what API writes have left of a profile that has a tombstone: its index rows of class 'a', bodies, head, and what its
// history records say but for ids, times and actions. names are full names that it may have index rows for; at is later than all that
// was written to it. It may be cut off anywhere and repeated: the head, which names the rest, goes last.
//
// A write that was on its way when the profile was deleted may still put index rows and a body; its change row names them, and whoever
// settles that row removes them.
func Erase(ctx context.Context, st store.Store, rec *domain.Record, id fold.ID, names []index.Key, at int64) error {
	for {
		err := erase(ctx, st, rec, id, names, at)
		if !errors.Is(err, errAgain) {
			return err
		}
	}
}

func erase(ctx context.Context, st store.Store, rec *domain.Record, id fold.ID, names []index.Key, at int64) error {
	inc := rec.Incarnation
	r := rows{member: fold.Member{ID: id}}
	switch row, err := st.Get(ctx, profilePartition(inc, id), headKey); {
	case err == nil:
		r.head, r.headVersion = row.Value, row.Version
	case !errors.Is(err, store.ErrNotFound):
		return fmt.Errorf("read a deleted profile: %w", err)
	}
	h, err := r.Head()
	if err != nil {
		return err
	}
	parts := index.RequiredByAPI(h, nil, rec.Keys).Partitions()
	for _, k := range names {
		parts = append(parts, index.PartitionKey(k))
	}
	carried, bodies, err := bodiesOf(ctx, st, inc, id, at)
	if err != nil {
		return err
	}
	records, err := bareRecords(ctx, st, inc, id, h.Change, at)
	if err != nil {
		return err
	}
	var rows []store.RunRow
	for _, part := range distinct(slices.Concat(parts, carried)) {
		rows = append(rows, store.RunRow{Incarnation: inc, Partition: []byte(part),
			Mutation: store.Mutation{Key: index.AppendRowKey(nil, id, index.ByAPI), Delete: true, Time: at}})
	}
	for _, run := range []store.Run{
		{Table: store.Index, Rows: store.SortRows(rows)},
		{Table: store.History, Rows: store.SortRows(rowsOf(inc, id, records))},
		{Table: store.Body, Rows: store.SortRows(rowsOf(inc, id, bodies))},
	} {
		if err := st.WriteRun(ctx, run); err != nil {
			return fmt.Errorf("erase a deleted profile: %w", err)
		}
	}
	if r.head == nil {
		return nil
	}
	_, err = st.Swap(ctx, profilePartition(inc, id), []store.Swap{{Key: headKey, Op: store.Delete, Expect: r.headVersion}})
	if errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrUnknown) {
		return errAgain
	}
	if err != nil {
		return fmt.Errorf("erase a deleted profile: %w", err)
	}
	return nil
}

// bodiesOf returns the index partitions of the keys that the bodies of a profile carry, and the deletions of these bodies, those of
// failed attempts included.
func bodiesOf(ctx context.Context, st store.Store, inc store.Incarnation, id fold.ID, at int64) (parts []string, deletions []store.Mutation, err error) {
	for row, err := range st.Scan(ctx, bodyPartition(inc, id), store.Range{}) {
		if err != nil {
			return nil, nil, fmt.Errorf("read the objects of a deleted profile: %w", err)
		}
		b, err := DecodeBody(row.Value)
		if err != nil {
			return nil, nil, err
		}
		for _, k := range b.Keys {
			parts = append(parts, index.PartitionKey(k))
		}
		deletions = append(deletions, store.Mutation{Key: bytes.Clone(row.Key), Delete: true, Time: max(at, row.Time)})
	}
	return parts, deletions, nil
}

func rowsOf(inc store.Incarnation, id fold.ID, all []store.Mutation) (rows []store.RunRow) {
	for _, m := range all {
		rows = append(rows, store.RunRow{Incarnation: inc, Partition: id[:], Mutation: m})
	}
	return rows
}

// bareRecords returns the history records of a profile that say more than ids, times and actions, without the rest. last is the change
// that the head names: its record may be missing. They are later than what they replace, so that a record that comes late does not win.
func bareRecords(ctx context.Context, st store.Store, inc store.Incarnation, id fold.ID, last *fold.Change, at int64) (records []store.Mutation, err error) {
	bare := func(c *fold.Change) store.Mutation {
		m := recordOf(&fold.Change{ID: c.ID, At: c.At, Action: c.Action, By: c.By}, nil)
		m.Time = max(at, c.At+1)
		return m
	}
	stands := false
	for row, err := range st.Scan(ctx, historyPartition(inc, id), store.Range{}) {
		if err != nil {
			return nil, fmt.Errorf("read the history of a deleted profile: %w", err)
		}
		r, err := DecodeRecord(row.Value)
		if err != nil {
			return nil, err
		}
		stands = stands || last != nil && r.ID == last.ID && r.At == last.At
		if m := bare(&r.Change); !bytes.Equal(m.Value, row.Value) {
			m.Time = max(m.Time, row.Time+1)
			records = append(records, m)
		}
	}
	if last != nil && last.Action != Swept && !stands {
		records = append(records, bare(last))
	}
	return records, nil
}

// Stored counts what is stored of a profile besides its head: bodies of objects, and history records that say more than ids, times, actions
// and who it was.
func Stored(ctx context.Context, st store.Store, inc store.Incarnation, id fold.ID) (bodies, contents int64, err error) {
	for _, err := range st.Scan(ctx, bodyPartition(inc, id), store.Range{}) {
		if err != nil {
			return 0, 0, fmt.Errorf("read the objects of a profile: %w", err)
		}
		bodies++
	}
	for row, err := range st.Scan(ctx, historyPartition(inc, id), store.Range{}) {
		if err != nil {
			return 0, 0, fmt.Errorf("read the history of a profile: %w", err)
		}
		r, err := DecodeRecord(row.Value)
		if err != nil {
			return 0, 0, err
		}
		if bare := recordOf(&fold.Change{ID: r.ID, At: r.At, Action: r.Action, By: r.By}, nil); !bytes.Equal(bare.Value, row.Value) {
			contents++
		}
	}
	return bodies, contents, nil
}
