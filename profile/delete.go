package profile

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"

	"kith/api"
	"kith/domain"
	"kith/fault"
	"kith/profile/change"
	"kith/profile/fingerprint"
	"kith/profile/fold"
	"kith/profile/index"
	"kith/profile/write"
	"kith/schema"
	"kith/store"
)

// DeleteProfile removes a profile and everything attached to it. Its id is dead for good.
func (s *Service) DeleteProfile(ctx context.Context, in *api.DeleteProfileRequest) (*api.DeleteProfileResponse, error) {
	rec, err := s.Domains.Lookup(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	id, _ := fold.ParseID(*in.ProfileId)
	if err := patiently(ctx, func() error { return s.delete(ctx, rec, id) }); err != nil {
		return nil, err
	}
	return &api.DeleteProfileResponse{Message: api.Ptr("OK")}, nil
}

// delete deletes a profile. errBusy: a merge was faster.
func (s *Service) delete(ctx context.Context, rec *domain.Record, id ID) error {
	if err := s.SettleLinks(ctx, rec, id); err != nil {
		return err
	}
	mains, err := s.loadMains(ctx, rec.Incarnation, []ID{id})
	if err != nil {
		return err
	}
	p := mains[id]
	if p == nil {
		return fault.NotFoundf("Profile %s is not found in domain %s.", id, rec.Name)
	}
	links := &fold.State{}
	if p.links != nil {
		links = p.links
	}
	if len(links.OpenMerges()) > 0 {
		return errBusy
	}
	row := &change.Row{ID: id, Kind: change.Write, Action: write.Deleted, Time: fold.WriteTime(s.Now().UnixMicro(), p.Newest(), rec.LastJobTime)}
	_, _ = rand.Read(row.Call[:])
	if err := s.Feed.AnnounceBeyond(ctx, rec.Incarnation, row); err != nil {
		return err
	}
	// The tombstone hides everything at once; what follows may be cut off, the sweep goes on with it. The head stands as it was when the
	// row was put, so whoever settles the row can keep a deletion that is late from happening: by a fence.
	links.Deleted = &fold.Deletion{At: s.Now().UnixMicro(), By: caller(ctx)}
	if p.stateVersion == 0 {
		if err := fingerprint.Put(ctx, s.Store, rec.Incarnation, id, links.Deleted.At); err != nil {
			return err
		}
	}
	_, err = store.Certain(ctx, s.Store, Partition(rec.Incarnation, id), []store.Swap{
		{Key: stateKey, Value: links.Append(nil), Expect: p.stateVersion},
		{Key: headKey, Op: store.Check, Expect: p.headVersion},
	}, func(value []byte) bool {
		now, err := fold.DecodeState(value)
		return err == nil && now.Deleted != nil
	})
	if errors.Is(err, store.ErrConflict) {
		return errors.Join(errBusy, s.Feed.Withdraw(ctx, rec.Incarnation, row))
	}
	if err != nil {
		return fmt.Errorf("delete a profile: %w", err)
	}
	return s.erase(ctx, rec, id)
}

// erase removes the rows of a deleted profile and of its members, but for their states: the ids are dead for good. Members get
// tombstones of their own first, from the main profile down, so that nobody can take them out of a person that is being removed.
func (s *Service) erase(ctx context.Context, rec *domain.Record, id ID) error {
	ids, err := s.tombstones(ctx, rec, id)
	if err != nil || ids == nil {
		return err
	}
	all, err := s.readAll(ctx, rec.Incarnation, ids, 0) // what has expired, too
	if err == nil {
		err = s.withMembers(ctx, rec.Incarnation, all, 0)
	}
	if err != nil {
		return err
	}
	for _, p := range all { // as they were before
		if p.State != nil {
			p.State.Deleted = nil
		}
	}
	var names index.Set
	if root := all[id]; root != nil {
		names.AddFullName(root.Profile())
	}
	for _, id := range slices.Backward(ids) { // the main profile last
		if p := all[id]; p != nil {
			if err := s.clear(ctx, rec, p, names.Keys()); err != nil {
				return fmt.Errorf("remove a deleted profile: %w", err)
			}
		}
	}
	return nil
}

// tombstones gives the members of a deleted profile tombstones, each after its main profile has one. It returns the ids of all, the
// deleted one first; nil if it was not deleted.
func (s *Service) tombstones(ctx context.Context, rec *domain.Record, id ID) (ids []ID, err error) {
	for queue := []ID{id}; len(queue) > 0; queue = queue[1:] {
		if err := s.SettleLinks(ctx, rec, queue[0]); err != nil {
			return nil, err
		}
		row, err := s.stateOf(ctx, rec.Incarnation, queue[0])
		if err != nil {
			return nil, err
		}
		if row.links == nil || row.links.Deleted == nil {
			continue // only the first can be alive
		}
		ids = append(ids, queue[0])
		for _, m := range row.links.Merges {
			for _, member := range m.From {
				dead, err := s.tombstone(ctx, rec, member, m.ID, row.links.Deleted)
				if err != nil {
					return nil, err
				}
				if dead {
					queue = append(queue, member)
				}
			}
		}
	}
	return ids, nil
}

// tombstone gives a member of a merge whose main profile is dead a tombstone. dead: it has one.
func (s *Service) tombstone(ctx context.Context, rec *domain.Record, id ID, merge fold.MergeID, d *fold.Deletion) (dead bool, err error) {
	for {
		var open []fold.MergeID
		err := s.swapState(ctx, rec.Incarnation, id, func(st *fold.State) (bool, error) {
			_, linked := st.Linked(merge)
			open, dead = st.OpenMerges(), linked
			if !linked || open != nil || st.Deleted != nil {
				return false, nil
			}
			st.Deleted = &fold.Deletion{At: d.At, By: d.By}
			return true, nil
		})
		if err != nil || !dead || open == nil {
			return dead, err
		}
		if err := s.settleAll(ctx, rec, id, open); err != nil {
			return false, err
		}
	}
}

// clear removes everything of one dead profile but its state and the ids, times and actions of its history. Index rows go before what
// they are made from, so that a cut leaves what names them. names are full names of its person.
func (s *Service) clear(ctx context.Context, rec *domain.Record, p *stored, names []index.Key) error {
	alone := p.Member.Alone().Profile()
	var keys index.Set
	keys.RequiredByImports(&p.Member, alone, rec.Keys)
	keys.AddFullName(alone)
	for _, k := range names {
		keys.Add(k)
	}
	now := fold.WriteTime(s.Now().UnixMicro(), p.Newest(), rec.LastJobTime)
	var rows, contributions []store.RunRow
	var full []index.Key
	for _, k := range keys.Keys() {
		rows = append(rows, index.Row(rec.Incarnation, k, p.ID, index.ByImport, now, true))
		if k.Name == schema.KeyFullName {
			full = append(full, k)
		}
	}
	if err := s.Store.WriteRun(ctx, store.Run{Table: store.Index, Rows: store.SortRows(rows)}); err != nil {
		return err
	}
	if err := write.Erase(ctx, s.Store, rec, p.ID, full, now); err != nil {
		return err
	}
	for i, part := range p.Parts {
		contributions = append(contributions, contributionRow(rec.Incarnation, p.ID, part.Source, store.Mutation{Delete: true, Time: p.times[i]}))
	}
	print := []store.RunRow{fingerprint.Row(rec.Incarnation, p.ID, store.Mutation{Delete: true, Time: now})}
	return s.Store.WriteRun(ctx, store.Run{Table: store.Fingerprint, Rows: store.SortRows(print)}, store.Run{Table: store.Profile, Rows: store.SortRows(contributions)})
}

// putFullNames puts the index rows of the full names that persons show, with a time.
func (s *Service) putFullNames(ctx context.Context, rec *domain.Record, at int64, persons ...*fold.Member) error {
	var rows []store.RunRow
	for _, m := range persons {
		var keys index.Set
		keys.AddFullName(m.Profile())
		for _, k := range keys.Keys() {
			rows = append(rows, index.Row(rec.Incarnation, k, m.ID, index.ByAPI, at, false))
		}
	}
	return s.Store.WriteRun(ctx, store.Run{Table: store.Index, Rows: store.SortRows(rows)})
}
