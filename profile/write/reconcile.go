package write

import (
	"context"
	"errors"
	"fmt"

	"kith/domain"
	"kith/profile/change"
	"kith/profile/fingerprint"
	"kith/profile/fold"
	"kith/profile/index"
	"kith/store"
)

// An import and objects that create profiles do not wait for each other. The import looks its unique keys up when its turn begins, and its
// rows become visible at its end; an object that brings one of these keys meanwhile finds none, and makes a profile as the import does.
// So when everything of the import is visible it looks for such creations in the feed:
//
//	the change row was put before the object's keys were resolved for good, so:
//	    not in the feed yet     it will resolve later, and find the import's rows
//	    not visible yet         a tombstone on its id keeps it from ever being: its call starts over, and finds the import's rows
//	    visible                 it is merged with the profile that the import has made for the key
//	    settled at the turn's beginning: it was visible then, and the import has found it, or it has never been
//
// Until the two are merged, more objects may come with that key. They find two profiles, so they attach to neither and make a third. A look at
// the feed may have passed the place of such a one already, so it looks again until there is nothing to merge: then each of these keys has one
// person, whom all later calls find.

// Applied is an import that has been applied, but has not given up its turn.
type Applied struct {
	// Since is the feed's settled time (change.Feed.Settled) before the import's first read of the index.
	Since int64
	// KeyName is the name of its unique key.
	KeyName string
	// Created says whether it made a profile.
	Created func(ctx context.Context, id fold.ID) (bool, error)
	// Merge merges the person of a profile that the import made into that of one that an object made for the same key; both are main profiles.
	// It may be called again after it has done so. It does nothing if one of them is gone or no main profile any more, and if they would be
	// larger together than persons may be.
	Merge func(ctx context.Context, main, imported fold.ID) error
}

// Reconcile sees to it that objects which made a profile while an import was on its way have no other profile for its unique key than the
// import has. It returns how many profiles were merged. It may be repeated.
func (w *Writer) Reconcile(ctx context.Context, rec *domain.Record, a Applied) (merged int64, err error) {
	for {
		n, err := w.reconcileOnce(ctx, rec, a)
		merged += n
		if err != nil || n == 0 {
			return merged, err
		}
	}
}

func (w *Writer) reconcileOnce(ctx context.Context, rec *domain.Record, a Applied) (merged int64, err error) {
	if err := w.Feed.Ended(ctx, rec.Incarnation); err != nil {
		return 0, err
	}
	for row, err := range w.Feed.Unsettled(ctx, rec.Incarnation, a.Since) {
		if err != nil {
			return merged, err
		}
		if row.Kind != change.Write || !row.Creates {
			continue
		}
		n, err := w.reconcile(ctx, rec, a, &row)
		if err != nil {
			return merged, fmt.Errorf("reconcile an import with profile %s: %w", row.ID, err)
		}
		merged += n
	}
	return merged, nil
}

func (w *Writer) reconcile(ctx context.Context, rec *domain.Record, a Applied, row *change.Row) (merged int64, err error) {
	for _, part := range row.Keys {
		if index.ParsePartitionKey(part).Name != a.KeyName {
			continue
		}
		twins, err := w.madeBy(ctx, rec, a, part, row.ID)
		if err != nil {
			return merged, err
		}
		for _, twin := range twins {
			alive, err := w.stop(ctx, rec, row.ID)
			if err != nil || !alive {
				return merged, err
			}
			ok, err := w.join(ctx, rec, a, row.ID, twin, part)
			if err != nil {
				return merged, err
			}
			if ok {
				merged++
			}
		}
	}
	return merged, nil
}

// join merges the persons of two profiles, if both have a key. Either may have become a member of another person meanwhile, by a caller, and
// may become one at any moment: so it looks again until there is one person, or a second attempt at the same two could do no more.
func (w *Writer) join(ctx context.Context, rec *domain.Record, a Applied, created, twin fold.ID, part string) (merged bool, err error) {
	var before [2]fold.ID
	for {
		both, ok, err := w.share(ctx, rec, created, twin, part)
		switch {
		case err != nil:
			return false, err
		case !ok:
			return before != [2]fold.ID{}, nil
		case both == before:
			return false, nil
		}
		if err := a.Merge(ctx, both[0], both[1]); err != nil {
			return false, err
		}
		before = both
	}
}

// madeBy returns the profiles that the import has made and the index names for a key, but for one.
func (w *Writer) madeBy(ctx context.Context, rec *domain.Record, a Applied, part string, but fold.ID) (ids []fold.ID, err error) {
	for row, err := range w.Store.Scan(ctx, store.Partition{Table: store.Index, Incarnation: rec.Incarnation, Key: part}, store.Range{}) {
		if err != nil {
			return nil, fmt.Errorf("read the index: %w", err)
		}
		id, class, ok := index.ParseRowKey(row.Key)
		if !ok || class != index.ByImport || id == but {
			continue
		}
		made, err := a.Created(ctx, id)
		if err != nil {
			return nil, err
		}
		if made {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// stop says whether a profile is there. If it is not, a tombstone keeps it from ever being.
func (w *Writer) stop(ctx context.Context, rec *domain.Record, id fold.ID) (alive bool, err error) {
	for {
		all := map[fold.ID]*rows{}
		if err := w.readRows(ctx, rec.Incarnation, []fold.ID{id}, all, 0); err != nil {
			return false, err
		}
		r := all[id]
		h, err := r.Head()
		if err != nil {
			return false, err
		}
		if r.deleted() {
			return false, nil
		}
		if h.Expires != 0 || r.member.State != nil || len(r.member.Parts) > 0 {
			return true, nil
		}
		tombstone := fold.State{Deleted: &fold.Deletion{At: w.Now().UnixMicro(), By: byReconciling}}
		_, err = w.Store.Commit(ctx, store.Group{
			Before:    []store.PartitionWrite{fingerprint.Mark(rec.Incarnation, id, tombstone.Deleted.At)},
			Partition: profilePartition(rec.Incarnation, id),
			Swap: []store.Swap{
				{Key: stateKey, Value: tombstone.Append(nil), Expect: r.stateVersion},
				{Key: headKey, Op: store.Check, Expect: r.headVersion},
			},
		})
		if errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrUnknown) {
			continue
		}
		if err != nil {
			return false, fmt.Errorf("stop a creation: %w", err)
		}
		return false, nil
	}
}

// byReconciling is who gives a tombstone to a profile that was never there.
const byReconciling = "upload-job"

// share says whether the persons that two profiles belong to are two and both have a key, and returns their main profiles.
func (w *Writer) share(ctx context.Context, rec *domain.Record, a, b fold.ID, part string) (main [2]fold.ID, ok bool, err error) {
	one, err := w.read(ctx, rec, a)
	if err != nil {
		return main, false, err
	}
	other, err := w.read(ctx, rec, b)
	if err != nil || one.ID() == other.ID() {
		return main, false, err
	}
	k, now := index.ParsePartitionKey(part), w.Now().UnixMicro()
	return [2]fold.ID{one.ID(), other.ID()}, one.confirms(rec, k, now) && other.confirms(rec, k, now), nil
}
