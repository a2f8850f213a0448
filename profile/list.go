package profile

import (
	"context"
	"encoding/base64"

	"kith/api"
	"kith/fault"
	"kith/profile/fold"
	"kith/store"
)

const (
	defaultPage = 100
	// pageRows bounds the rows that are read for a page: where much was deleted or merged a page may be short, or empty, with others
	// behind it.
	pageRows = 50_000
)

// ListProfiles lists all profiles of a domain, in the store's order: that of ids on one node, of their tokens on a cluster. A profile
// that stays as it is while pages are read is met once; those merged into another are not listed.
func (s *Service) ListProfiles(ctx context.Context, in *api.ListProfilesRequest) (*api.ListProfilesResponse, error) {
	rec, err := s.Domains.Lookup(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	limit, from := defaultPage, []byte(nil)
	if in.MaxResults != nil {
		limit = int(*in.MaxResults)
	}
	if in.NextToken != nil {
		if from, err = base64.RawURLEncoding.DecodeString(*in.NextToken); err != nil {
			return nil, fault.BadRequestf("NextToken is not valid.")
		}
	}
	ids, next, err := s.listed(ctx, rec.Incarnation, string(from), limit)
	if err != nil {
		return nil, err
	}
	mains, err := s.loadMains(ctx, rec.Incarnation, ids)
	if err != nil {
		return nil, err
	}
	out := &api.ListProfilesResponse{Items: []api.Profile{}}
	for _, id := range ids {
		if p := mains[id]; p != nil {
			out.Items = append(out.Items, *wire(p.Profile()))
		}
	}
	if next != "" {
		out.NextToken = api.Ptr(base64.RawURLEncoding.EncodeToString([]byte(next)))
	}
	return out, nil
}

// listed returns up to limit ids of profiles that lie behind a position, perhaps of some that show nothing, and the position behind
// them; empty: there are no more.
func (s *Service) listed(ctx context.Context, inc store.Incarnation, from string, limit int) (ids []ID, next string, err error) {
	last, rows := "", 0
	for row, err := range s.Store.Sweep(ctx, store.SweepRange{Table: store.Profile, Incarnation: inc, From: from}) {
		if err != nil {
			return nil, "", err
		}
		if rows++; row.Partition.Key != last {
			if len(ids) == limit || rows > pageRows {
				return ids, next, nil
			}
			if last = row.Partition.Key; len(last) == len(ID{}) {
				ids = append(ids, ID([]byte(last)))
			}
		}
		if len(ids) == limit || rows >= pageRows {
			next = row.Cursor()
		}
	}
	return ids, "", nil
}

// Wire returns a profile in the API's form.
func Wire(p *fold.Profile) *api.Profile { return wire(p) }

// MergedBy returns the profiles that a merge is about, the main one first; none: its record is gone.
func (s *Service) MergedBy(ctx context.Context, inc store.Incarnation, id fold.MergeID) ([]ID, error) {
	m, err := s.loadMerge(ctx, inc, id)
	if m == nil || err != nil {
		return nil, err
	}
	return append([]ID{m.Main}, m.From...), nil
}

// PeopleOf returns the visible profiles among those that ids name, folded. Ids ascend. Members of others are missing.
func (s *Service) PeopleOf(ctx context.Context, inc store.Incarnation, ids []ID) (map[ID]*fold.Profile, error) {
	people, err := s.peopleOf(ctx, inc, &plainReader{ids: ids})
	if err != nil {
		return nil, err
	}
	out := make(map[ID]*fold.Profile, len(ids))
	for i, person := range people {
		if person != nil && person.ID == ids[i] {
			out[ids[i]] = person.Profile()
		}
	}
	return out, nil
}
