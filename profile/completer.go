package profile

import (
	"context"
	"errors"

	"kith/profile/change"
	"kith/profile/fold"
	"kith/profile/write"
	"kith/store"
)

// Completer settles the rows of a domain's feed: what a call has left undone between partitions is done.
type Completer struct {
	*Service
	// Writes settles the rows of writes.
	Writes *write.Settler
}

// Settle implements change.Settler.
func (c *Completer) Settle(ctx context.Context, inc store.Incarnation, rows []change.Row) error {
	if err := c.Writes.Settle(ctx, inc, rows); err != nil {
		return err
	}
	rec, err := c.live(ctx, inc)
	if rec == nil || err != nil {
		return err
	}
	for _, row := range rows {
		switch {
		case row.Kind == change.Merged:
			_, err = c.settle(ctx, rec, fold.MergeID(row.Call[:len(fold.MergeID{})]))
		case row.Kind == change.Write && row.Action == write.Deleted:
			var state stateRow
			if state, err = c.stateOf(ctx, inc, row.ID); err == nil && state.links != nil && state.links.Deleted != nil {
				err = c.erase(ctx, rec, row.ID)
			}
		}
		if err != nil && !errors.Is(err, errBusy) {
			return err
		}
	}
	return nil
}
