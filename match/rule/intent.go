package rule

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"kith/profile/fold"
	"kith/store"
)

// Who is about to be put into matches, or taken out of them, is noted first, in rows that the next evaluation removes. So what a process that died has
// written of them is found, even if nothing leads there any more: a profile that connected them may have gone meanwhile.

// intentIDs is how many profiles a row names.
const intentIDs = 50_000

// intentRows returns the rows that note profiles for an evaluation, and those that remove the notes of the one before.
func (x *pass) intentRows(at int64, rows ...[]matchRow) (run []store.RunRow, keys [][]byte) {
	home := string(append(generation(x.st.Series), intentLetter))
	for _, key := range x.intents {
		run = append(run, x.row(home, at, store.Mutation{Key: key, Delete: true}))
	}
	var ids []byte
	flush := func() {
		if len(ids) == 0 {
			return
		}
		key := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(nil, uint64(at)), uint32(len(keys)))
		keys = append(keys, key)
		run = append(run, x.row(home, at, store.Mutation{Key: key, Value: ids}))
		ids = nil
	}
	for _, list := range rows {
		for i := range list {
			if ids = append(ids, list[i].id[:]...); len(ids) >= intentIDs*len(fold.ID{}) {
				flush()
			}
		}
	}
	flush()
	return run, keys
}

// pending evaluates whom evaluations were about that may not have come to their end.
func (x *pass) pending(ctx context.Context) error {
	home := store.Partition{Table: store.Match, Incarnation: x.inc, Key: string(append(generation(x.st.Series), intentLetter))}
	var keys [][]byte
	var ids []fold.ID
	for row, err := range x.Store.Scan(ctx, home, store.Range{}) {
		if err != nil {
			return fmt.Errorf("read whose matches were being written: %w", err)
		}
		if slices.ContainsFunc(x.intents, func(k []byte) bool { return string(k) == string(row.Key) }) {
			continue
		}
		keys = append(keys, slices.Clone(row.Key))
		for part := range slices.Chunk(row.Value, len(fold.ID{})) {
			if len(part) < len(fold.ID{}) {
				return fmt.Errorf("%w: profiles whose matches were being written", fold.ErrCorrupt)
			}
			ids = append(ids, fold.ID(part))
		}
	}
	if len(keys) == 0 {
		return nil
	}
	if err := x.index(ctx, ids, true); err != nil {
		return err
	}
	at := x.now()
	var run []store.RunRow
	for _, key := range keys {
		run = append(run, x.row(home.Key, at, store.Mutation{Key: key, Delete: true}))
	}
	return x.write(ctx, run)
}
