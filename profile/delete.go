package profile

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"kith/api"
	"kith/domain"
	"kith/fault"
	"kith/profile/change"
	"kith/profile/fold"
	"kith/profile/index"
	"kith/profile/write"
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
	if err := s.announce(ctx, rec.Incarnation, row); err != nil {
		return err
	}
	// The tombstone hides everything at once; what follows may be cut off, the sweep goes on with it. The head stands as it was when the
	// row was put, so whoever settles the row can keep a deletion that is late from happening: by a fence.
	links.Deleted = &fold.Deletion{At: s.Now().UnixMicro(), By: caller(ctx)}
	value, err := links.Append(nil)
	if err != nil {
		return err
	}
	_, err = s.Store.Swap(ctx, Partition(rec.Incarnation, id), []store.Swap{
		{Key: stateKey, Value: value, Expect: p.stateVersion},
		{Key: headKey, Op: store.Check, Expect: p.headVersion},
	})
	if errors.Is(err, store.ErrConflict) {
		return errors.Join(errBusy, s.Feed.Withdraw(ctx, rec.Incarnation, row))
	}
	if err != nil {
		return fmt.Errorf("delete a profile: %w", err)
	}
	return s.bury(ctx, rec, id)
}

// announce puts a row into the feed.
func (s *Service) announce(ctx context.Context, inc store.Incarnation, r *change.Row) error {
	for after := int64(0); ; {
		sealed, err := s.Feed.Announce(ctx, inc, r, nil, after)
		if !errors.Is(err, change.ErrSealed) {
			return err
		}
		after = sealed
	}
}

// bury removes the rows of a deleted profile and of its members, but for their states: the ids are dead for good.
func (s *Service) bury(ctx context.Context, rec *domain.Record, id ID) error {
	all, err := s.readAll(ctx, rec.Incarnation, []ID{id}, 0) // what has expired, too
	if err == nil {
		err = s.withMembers(ctx, rec.Incarnation, all, 0)
	}
	if err != nil {
		return err
	}
	root := all[id]
	if root == nil {
		return nil
	}
	person := root.Member
	if root.State != nil { // what it was before it was deleted
		person.State = root.State.Clone()
		person.State.Deleted = nil
	}
	var names index.Set
	names.AddFullName(person.Profile())
	for _, p := range all {
		if err := s.clear(ctx, rec, p, names.Keys()); err != nil {
			return fmt.Errorf("remove a deleted profile: %w", err)
		}
	}
	return nil
}

// clear removes everything of one dead profile but its state. Index rows go last but one, so that a cut leaves what names them; names
// are those of its person.
func (s *Service) clear(ctx context.Context, rec *domain.Record, p *stored, names []index.Key) error {
	var keys index.Set
	keys.RequiredByImports(&p.Member, Alone(&p.Member).Profile(), rec.Keys)
	now := fold.WriteTime(s.Now().UnixMicro(), p.Newest(), rec.LastJobTime)
	var rows, contributions []store.RunRow
	for _, k := range names {
		keys.Add(k)
		rows = append(rows, index.Row(rec.Incarnation, k, p.ID, index.ByAPI, now, true))
	}
	for _, k := range keys.Keys() {
		rows = append(rows, index.Row(rec.Incarnation, k, p.ID, index.ByImport, now, true))
	}
	for i, part := range p.Parts {
		contributions = append(contributions, contributionRow(rec.Incarnation, p.ID, part.Source, store.Mutation{Delete: true, Time: p.times[i]}))
	}
	return s.Store.WriteRun(ctx,
		store.Run{Table: store.Index, Rows: store.SortRows(rows)},
		store.Run{Table: store.Profile, Rows: store.SortRows(contributions)})
}

// Alone returns a member without those that were merged into it.
func Alone(m *fold.Member) *fold.Member {
	a := *m
	a.State, a.Of = nil, nil
	return &a
}

// putFullNames puts the index rows of the full names that a person shows, with a time.
func (s *Service) putFullNames(ctx context.Context, rec *domain.Record, m *fold.Member, at int64) error {
	var keys index.Set
	keys.AddFullName(m.Profile())
	var rows []store.RunRow
	for _, k := range keys.Keys() {
		rows = append(rows, index.Row(rec.Incarnation, k, m.ID, index.ByAPI, at, false))
	}
	return s.Store.WriteRun(ctx, store.Run{Table: store.Index, Rows: store.SortRows(rows)})
}
