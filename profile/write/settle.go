package write

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"kith/domain"
	"kith/profile/change"
	"kith/profile/fold"
	"kith/profile/index"
	"kith/store"
)

// Settler settles change rows of writes: what they announce can't happen any more if it has not, and what a write that was cut off left
// undone is done. It implements change.Settler.
type Settler struct {
	*Writer
	// Domain returns a living domain as it stands now, not as it was cached; nil when it is gone. A key of the domain that is not known
	// here would lose its rows.
	Domain func(ctx context.Context, inc store.Incarnation) (*domain.Record, error)
}

// Settle implements change.Settler.
func (s *Settler) Settle(ctx context.Context, inc store.Incarnation, all []change.Row) error {
	rec, err := s.Domain(ctx, inc)
	if rec == nil || err != nil {
		return err
	}
	var order []fold.ID
	byID := map[fold.ID][]*change.Row{}
	for i := range all {
		r := &all[i]
		if r.Whole && r.Moves == "" && len(rec.Keys) == 0 { // else its write may not have known a key of the domain
			continue
		}
		if r.Kind == change.Write {
			if byID[r.ID] == nil {
				order = append(order, r.ID)
			}
			byID[r.ID] = append(byID[r.ID], r)
		}
	}
	for _, id := range order {
		for {
			err := s.settle(ctx, rec, id, byID[id])
			if errors.Is(err, errAgain) {
				continue
			}
			if err != nil {
				return fmt.Errorf("profile %s: %w", id, err)
			}
			break
		}
	}
	return nil
}

// settle settles the rows of a profile. errAgain: it has changed meanwhile.
func (s *Settler) settle(ctx context.Context, rec *domain.Record, id fold.ID, all []*change.Row) error {
	p, err := s.read(ctx, rec, id)
	if err != nil {
		return err
	}
	r, shows := p.all[id], p.Profile
	if r == nil { // its main profile was deleted, or it was unmerged while it was read
		all := map[fold.ID]*rows{}
		if err := s.readRows(ctx, rec.Incarnation, []fold.ID{id}, all, s.Now().UnixMicro()); err != nil {
			return err
		}
		r = all[id]
		shows = r.member.Profile()
	}
	h, err := r.Head()
	if err != nil {
		return err
	}
	newest := int64(0)
	for _, row := range all {
		newest = max(newest, row.Time)
	}
	switch {
	case r.deleted(): // no Swap of its head can succeed, and nobody will ever put a row for it
		h = &fold.Head{Time: max(h.Time, newest), Change: h.Change}
	case newest > h.Time: // a write has not happened: it may still, and rows that it has put are later than the head
		if err := s.fence(ctx, rec.Incarnation, r, h, newest); err != nil {
			return err
		}
	}
	return s.complete(ctx, rec, r, h, shows, all)
}

// complete does what writes that were cut off left undone, and puts the index rows of the domain's own keys; shows is what the profile's person
// shows. Deletions carry the time of the head, so they harm nobody who swaps it later.
func (s *Settler) complete(ctx context.Context, rec *domain.Record, r *rows, h *fold.Head, shows *fold.Profile, all []*change.Row) error {
	inc, id := rec.Incarnation, r.member.ID
	shown := r.member.Profile()
	writes, err := s.missingRecord(ctx, inc, id, h, shown)
	if err != nil {
		return err
	}
	wants := index.RequiredByAPI(h, shown, rec.Keys)
	wants.Show(shows)
	if shown == nil { // an expired head requires its rows until it is swept, but what its full name was is not known any more
		wants.KeepNames()
	}
	// A write may have gone by a record of the domain that lacked a key, and the job that made it one may have seen the profile before it.
	var puts []string
	for _, part := range wants.Partitions() {
		name := index.ParsePartitionKey(part).Name
		if !r.deleted() && slices.ContainsFunc(rec.Keys, func(k domain.Key) bool { return k.Name == name }) {
			puts = append(puts, part)
			writes = append(writes, indexRow(inc, part, id, h.Time, false))
		}
	}
	listed := map[string]bool{}
	for _, o := range h.Objects {
		listed[string(BodyKey(o))] = true
	}
	var keys, bodies []string
	for _, row := range all {
		keys, bodies = append(keys, row.Keys...), append(bodies, row.Bodies...)
	}
	for _, part := range distinct(keys) {
		if !wants.Has(part) {
			writes = append(writes, indexRow(inc, part, id, h.Time, true))
		}
	}
	var garbage []store.Mutation
	for _, key := range distinct(bodies) {
		if !listed[key] {
			garbage = append(garbage, store.Mutation{Key: []byte(key), Delete: true, Time: h.Time})
		}
	}
	if garbage != nil {
		writes = append(writes, store.PartitionWrite{Partition: bodyPartition(inc, id), Mutations: garbage})
	}
	if writes != nil {
		if err := s.commitAsRead(ctx, inc, r, writes, puts, all[0]); err != nil {
			return err
		}
	}
	for _, row := range all {
		if err := (index.Claims{Store: s.Store}).Release(ctx, inc, row.Claims, row.Call, nil); err != nil {
			return err
		}
		if err := s.again(ctx, inc, h, row); err != nil {
			return err
		}
		if row.Moves != "" {
			if err := s.moved(ctx, rec, index.ParsePartitionKey(row.Moves), ""); err != nil {
				return err
			}
		}
	}
	return nil
}

// commitAsRead writes what follows from a head. Rows that it puts must not outlive the head that calls for them: a write that has taken one
// of them away meanwhile, and has been settled by another node, would never be asked for it again. So the head is checked, and when
// it has changed these rows are judged once more, as if the change row named them.
func (s *Settler) commitAsRead(ctx context.Context, inc store.Incarnation, r *rows, writes []store.PartitionWrite, puts []string, row *change.Row) error {
	g := store.Group{Before: writes}
	if len(puts) > 0 {
		g.Partition = profilePartition(inc, r.member.ID)
		g.Swap = []store.Swap{{Key: headKey, Op: store.Check, Expect: r.headVersion}}
	}
	_, err := s.Store.Commit(ctx, g)
	if len(puts) > 0 && (errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrUnknown)) {
		row.Keys = append(row.Keys, puts...)
		return errAgain
	}
	if err != nil {
		return fmt.Errorf("complete a write: %w", err)
	}
	return nil
}

// again has a row settled a second time if its write is not known to have happened.
func (s *Settler) again(ctx context.Context, inc store.Incarnation, h *fold.Head, row *change.Row) error {
	if row.Again || row.Whole || h.Change != nil && h.Change.ID == row.Call {
		return nil
	}
	ok, err := s.hasRecord(ctx, inc, row.ID, &fold.Change{ID: row.Call, At: row.Time})
	if err != nil || ok {
		return err
	}
	return s.Feed.Again(ctx, inc, *row)
}

func distinct(all []string) []string {
	slices.Sort(all)
	return slices.Compact(all)
}
