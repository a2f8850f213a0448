package rule

import (
	"context"
	"slices"
	"strings"

	"kith/api"
	"kith/fault"
	"kith/profile/fold"
)

// GetSimilarProfiles tells who is in a match by rules: a named one, or the strongest that a profile is in.
func (s *Service) GetSimilarProfiles(ctx context.Context, in *api.GetSimilarProfilesRequest) (*api.GetSimilarProfilesResponse, error) {
	rec, err := s.Domains.Lookup(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	if *in.MatchType != api.MatchTypeRuleBasedMatching {
		return nil, fault.BadRequestf("MatchType %s is not served yet: use %s.", *in.MatchType, api.MatchTypeRuleBasedMatching)
	}
	var match string
	var id, after fold.ID
	switch strings.ToLower(strings.TrimPrefix(*in.SearchKey, "_")) {
	case "matchid":
		match = *in.SearchValue
	case "profileid":
		var ok bool
		if id, ok = fold.ParseID(*in.SearchValue); !ok {
			return nil, fault.NotFoundf("No such profile in domain %s.", rec.Name)
		}
	default:
		return nil, fault.BadRequestf("SearchKey must be matchId or profileId.")
	}
	if in.NextToken != nil {
		var ok bool
		if after, ok = fold.ParseID(*in.NextToken); !ok {
			return nil, fault.BadRequestf("NextToken is not valid: begin without one.")
		}
	}
	found, err := s.Similar(ctx, rec, match, id)
	if err != nil {
		return nil, err
	}
	out := &api.GetSimilarProfilesResponse{ProfileIds: []string{}, MatchType: in.MatchType}
	if len(found.Members) == 0 {
		return out, nil
	}
	out.MatchId, out.RuleLevel = &found.MatchID, api.Ptr(int32(found.Level))
	limit := maxPage
	if in.MaxResults != nil {
		limit = int(*in.MaxResults)
	}
	rest := slices.DeleteFunc(found.Members, func(id fold.ID) bool { return id.Compare(after) <= 0 })
	for _, id := range rest[:min(limit, len(rest))] {
		out.ProfileIds = append(out.ProfileIds, id.String())
	}
	if len(rest) > limit {
		out.NextToken = api.Ptr(rest[limit-1].String())
	}
	return out, nil
}
