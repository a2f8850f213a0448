package rule

import (
	"context"
	"fmt"
	"slices"

	"kith/api"
	"kith/domain"
	"kith/fault"
	"kith/profile/fold"
	"kith/store"
)

// maxPage is the largest page, and the one of who does not say.
const maxPage = 100

// ListRuleBasedMatches lists the ids of the matches of a domain, in their order. GetSimilarProfiles tells who is in one.
func (s *Service) ListRuleBasedMatches(ctx context.Context, in *api.ListRuleBasedMatchesRequest) (*api.ListRuleBasedMatchesResponse, error) {
	rec, err := s.Domains.Lookup(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	if err := off(rec); err != nil {
		return nil, err
	}
	limit := maxPage
	if in.MaxResults != nil {
		limit = int(*in.MaxResults)
	}
	var from MatchID
	if in.NextToken != nil {
		var ok bool
		if from, ok = ParseMatchID(*in.NextToken); !ok {
			return nil, fault.BadRequestf("NextToken is not valid: begin without one.")
		}
	}
	st, err := s.read(ctx, rec.Incarnation)
	if err != nil {
		return nil, err
	}
	out := &api.ListRuleBasedMatchesResponse{MatchIds: []string{}}
	for first := int(from[0]); first < 256 && st.Series != 0; first++ {
		in := store.Range{Limit: limit + 1 - len(out.MatchIds)}
		if first == int(from[0]) {
			in.Start = from[:]
		}
		for row, err := range s.Store.Scan(ctx, store.Partition{Table: store.Match, Incarnation: rec.Incarnation, Key: groupPartition(st.Series, byte(first))}, in) {
			if err != nil {
				return nil, fmt.Errorf("list matches: %w", err)
			}
			g, err := decodeGroup(row)
			if err != nil {
				return nil, err
			}
			if len(out.MatchIds) == limit {
				out.NextToken = api.Ptr(g.id.String())
				return out, nil
			}
			out.MatchIds = append(out.MatchIds, g.id.String())
		}
	}
	return out, nil
}

// off refuses what asks for the matches of a domain without rules.
func off(rec *domain.Record) error {
	if !enabled(rec) {
		return fault.BadRequestf("Rule-based matching of domain %s is off. Turn it on with UpdateDomain: RuleBasedMatching with Enabled and MatchingRules.", rec.Name)
	}
	return nil
}

// Similar is who is in a match.
type Similar struct {
	MatchID string
	Level   Level
	Members []fold.ID // ascending, without those that are gone since it was found
}

// Similar returns a match by its id or, if that is empty, the strongest that a profile is in; without members when it is in none. The errors
// are fault.NotFound, of a match or a profile that there is not, and fault.BadRequest where there are no rules.
func (s *Service) Similar(ctx context.Context, rec *domain.Record, matchID string, id fold.ID) (Similar, error) {
	if err := off(rec); err != nil {
		return Similar{}, err
	}
	st, err := s.read(ctx, rec.Incarnation)
	if err != nil {
		return Similar{}, err
	}
	if matchID == "" {
		return s.similarTo(ctx, rec, st, id)
	}
	if m, ok := ParseMatchID(matchID); ok && st.Series != 0 {
		g, err := s.group(ctx, rec.Incarnation, st.Series, m)
		if err != nil {
			return Similar{}, err
		}
		if out, err := s.present(ctx, rec.Incarnation, g); err != nil || len(out.Members) > 0 {
			return out, err
		}
	}
	return Similar{}, fault.NotFoundf("Match %s is not found in domain %s. ListRuleBasedMatches tells which there are.", matchID, rec.Name)
}

func (s *Service) similarTo(ctx context.Context, rec *domain.Record, st *state, id fold.ID) (Similar, error) {
	p, err := s.Profiles.Load(ctx, rec.Incarnation, id)
	if err != nil {
		return Similar{}, err
	}
	if p == nil {
		return Similar{}, fault.NotFoundf("Profile %s is not found in domain %s.", id, rec.Name)
	}
	if st.Series == 0 {
		return Similar{}, nil
	}
	at := store.Partition{Table: store.Match, Incarnation: rec.Incarnation, Key: memberPartition(st.Series, id)}
	for row, err := range s.Store.Scan(ctx, at, store.Range{}) { // the strongest first
		if err == nil && len(row.Value) != len(MatchID{}) {
			err = fold.ErrCorrupt
		}
		if err != nil {
			return Similar{}, fmt.Errorf("read the matches of a profile: %w", err)
		}
		g, err := s.group(ctx, rec.Incarnation, st.Series, MatchID(row.Value))
		if err != nil {
			return Similar{}, err
		}
		if g == nil || !slices.Contains(g.members, id) { // it has just gone
			continue
		}
		if out, err := s.present(ctx, rec.Incarnation, g); err != nil || len(out.Members) > 0 {
			return out, err
		}
	}
	return Similar{}, nil
}

// group returns a match, or nil.
func (s *Service) group(ctx context.Context, inc store.Incarnation, series uint32, id MatchID) (*group, error) {
	found, err := s.readGroups(ctx, inc, series, []MatchID{id})
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return found[0], nil
}

// present returns a match without the members that are gone; nil, and one of whose members fewer than two are left, are none.
func (s *Service) present(ctx context.Context, inc store.Incarnation, g *group) (Similar, error) {
	if g == nil {
		return Similar{}, nil
	}
	people, err := s.Profiles.PeopleOf(ctx, inc, g.members)
	if err != nil || len(people) < 2 {
		return Similar{}, err
	}
	out := Similar{MatchID: g.id.String(), Level: g.level}
	for _, id := range g.members {
		if people[id] != nil {
			out.Members = append(out.Members, id)
		}
	}
	return out, nil
}
