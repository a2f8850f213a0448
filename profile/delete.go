package profile

import (
	"context"
	"errors"
	"fmt"

	"kith/api"
	"kith/domain"
	"kith/fault"
	"kith/profile/fold"
	"kith/profile/index"
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
	if err := s.settleLinks(ctx, rec, id); err != nil {
		return err
	}
	row, err := s.stateOf(ctx, rec.Incarnation, id)
	if err != nil {
		return err
	}
	if row.links == nil {
		row.links = &fold.State{}
	}
	if len(row.links.OpenMerges()) > 0 {
		return errBusy
	}
	p, err := s.Load(ctx, rec.Incarnation, id)
	if err != nil {
		return err
	}
	if p == nil {
		return fault.NotFoundf("Profile %s is not found in domain %s.", id, rec.Name)
	}
	// The tombstone hides everything at once; what follows may be cut off, the sweep goes on with it.
	row.links.Deleted = &fold.Deletion{At: s.Now().UnixMicro(), By: caller(ctx)}
	value, err := row.links.Append(nil)
	if err != nil {
		return err
	}
	_, err = s.Store.Swap(ctx, Partition(rec.Incarnation, id), []store.Swap{{Key: stateKey, Value: value, Expect: row.version}})
	if errors.Is(err, store.ErrConflict) {
		return errBusy
	}
	if err != nil {
		return fmt.Errorf("delete a profile: %w", err)
	}
	return s.bury(ctx, rec, id)
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
