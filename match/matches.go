package match

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"kith/api"
	"kith/domain"
	"kith/fault"
	"kith/match/merge"
	"kith/profile/fold"
	"kith/store"
)

// maxPassed is how many groups a page passes over at most that are groups no more. Then it ends, however few it has.
const maxPassed = 10_000

// pagePosition is where a page of a job's groups, or merges, begins.
func pagePosition(token *string) (job string, at []byte, err error) {
	if token == nil {
		return "", nil, nil
	}
	job, text, ok := strings.Cut(*token, ":")
	at, hexErr := hex.DecodeString(text)
	if !ok || hexErr != nil {
		return "", nil, fault.BadRequestf("NextToken is not valid.")
	}
	return job, at, nil
}

func pageToken(job string, at []byte) *string { return api.Ptr(job + ":" + hex.EncodeToString(at)) }

// GetMatches returns what the latest finished job found: groups of profiles by their scores. Profiles that have gone, or were merged, are left out,
// and so are groups of which one is left.
func (s *Service) GetMatches(ctx context.Context, in *api.GetMatchesRequest) (*api.GetMatchesResponse, error) {
	rec, err := s.enabled(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	of, at, err := pagePosition(in.NextToken)
	if err != nil {
		return nil, err
	}
	r, err := s.latest(ctx, rec.Incarnation)
	if err != nil {
		return nil, err
	}
	out := &api.GetMatchesResponse{Matches: []api.MatchItem{}, PotentialMatches: api.Ptr(int32(0))}
	switch {
	case r == nil && in.NextToken == nil:
		return out, nil
	case r == nil || in.NextToken != nil && (of != r.id || len(at) != 4):
		return nil, replaced()
	}
	out.MatchGenerationDate, *out.PotentialMatches = api.Micros(r.Ended), int32(min(r.left(), 1<<31-1))
	from, limit := int64(0), 100
	if in.NextToken != nil {
		from = int64(binary.BigEndian.Uint32(at))
	}
	if in.MaxResults != nil {
		limit = int(*in.MaxResults)
	}
	for passed := 0; from < r.Found.Groups; {
		if len(out.Matches) >= limit || passed > maxPassed {
			out.NextToken = pageToken(r.id, rankKey(from))
			break
		}
		groups, err := s.groupsFrom(ctx, rec.Incarnation, r, from, max(limit-len(out.Matches), min(passed, chunkGroups)))
		if err != nil {
			return nil, err
		}
		if len(groups) == 0 {
			return nil, replaced()
		}
		live, err := s.live(ctx, rec.Incarnation, groups)
		if err != nil {
			return nil, err
		}
		for _, g := range groups {
			ids := alive(&g, live)
			if len(ids) >= 2 && len(out.Matches) == limit {
				break
			}
			from = g.rank + 1
			if len(ids) < 2 {
				passed++
				continue
			}
			out.Matches = append(out.Matches, api.MatchItem{MatchId: api.Ptr(g.id.String()), ProfileIds: texts(ids), ConfidenceScore: api.Ptr(g.score)})
		}
	}
	return out, nil
}

func texts(ids []fold.ID) []string {
	all := make([]string, 0, len(ids))
	for _, id := range ids {
		all = append(all, id.String())
	}
	return all
}

// GetSimilarProfiles returns the group that a match id names, or that a profile is in.
func (s *Service) GetSimilarProfiles(ctx context.Context, in *api.GetSimilarProfilesRequest) (*api.GetSimilarProfilesResponse, error) {
	rec, err := s.Domains.Lookup(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	var match string
	var id fold.ID
	switch strings.ToLower(strings.TrimPrefix(*in.SearchKey, "_")) {
	case "matchid":
		match = *in.SearchValue
	case "profileid":
		var ok bool
		if id, ok = fold.ParseID(*in.SearchValue); !ok {
			return nil, fault.NotFoundf("No such profile in domain %s.", rec.Name)
		}
		people, err := s.Profiles.People(ctx, rec.Incarnation, []fold.ID{id})
		if err != nil {
			return nil, err
		}
		if p := people[id]; p == nil || p.ID != id {
			return nil, fault.NotFoundf("Profile %s is not found in domain %s.", id, rec.Name)
		}
	default:
		return nil, fault.BadRequestf("SearchKey is %q; matchId and profileId are possible.", *in.SearchKey)
	}
	out := &api.GetSimilarProfilesResponse{MatchType: in.MatchType, ProfileIds: []string{}}
	var ids []fold.ID
	if *in.MatchType == api.MatchTypeRuleBasedMatching {
		g, err := s.Rules.Similar(ctx, rec, match, id)
		if err != nil || len(g.Members) == 0 {
			return out, err
		}
		out.MatchId, out.RuleLevel, ids = &g.MatchID, api.Ptr(int32(g.Level)), g.Members
	} else {
		g, err := s.similar(ctx, rec, match, id)
		if err != nil || g == nil {
			return out, err
		}
		out.MatchId, out.ConfidenceScore, ids = api.Ptr(g.id.String()), &g.score, g.members
	}
	return page(in, out, ids)
}

// page fills in the page of a group's members that a request asks for.
func page(in *api.GetSimilarProfilesRequest, out *api.GetSimilarProfilesResponse, ids []fold.ID) (*api.GetSimilarProfilesResponse, error) {
	_, after, err := pagePosition(in.NextToken)
	if err != nil {
		return nil, err
	}
	limit := 100
	if in.MaxResults != nil {
		limit = int(*in.MaxResults)
	}
	slices.SortFunc(ids, fold.ID.Compare)
	if at := slices.IndexFunc(ids, func(id fold.ID) bool { return string(id[:]) > string(after) }); at > 0 && after != nil {
		ids = ids[at:]
	} else if at < 0 {
		ids = nil
	}
	if len(ids) > limit {
		ids = ids[:limit]
		out.NextToken = pageToken("", ids[limit-1][:])
	}
	out.ProfileIds = texts(ids)
	return out, nil
}

// similar returns a group of the latest job with the members that are there; nil: the profile is in none.
func (s *Service) similar(ctx context.Context, rec *domain.Record, match string, id fold.ID) (*group, error) {
	if _, err := s.enabled(ctx, rec.Name); err != nil {
		return nil, err
	}
	r, err := s.latest(ctx, rec.Incarnation)
	if err != nil {
		return nil, err
	}
	g, err := s.groupNamed(ctx, rec, r, match, id)
	if err != nil || g == nil {
		return nil, err
	}
	live, err := s.live(ctx, rec.Incarnation, []group{*g})
	if err != nil {
		return nil, err
	}
	if g.members = alive(g, live); len(g.members) < 2 {
		if match != "" {
			return nil, noMatch(match, rec)
		}
		return nil, nil
	}
	return g, nil
}

func noMatch(match string, rec *domain.Record) error {
	return fault.NotFoundf("Match %s is not found in domain %s. GetMatches lists those of the latest identity resolution job.", match, rec.Name)
}

// groupNamed returns a group of a job by its match id, or by a profile; nil: the profile is in none.
func (s *Service) groupNamed(ctx context.Context, rec *domain.Record, r *record, match string, id fold.ID) (*group, error) {
	if match == "" {
		if r == nil {
			return nil, nil
		}
		return s.groupOf(ctx, rec.Incarnation, r, 'p', id)
	}
	m, ok := parseMatchID(match)
	if !ok || r == nil {
		return nil, noMatch(match, rec)
	}
	g, err := s.groupOf(ctx, rec.Incarnation, r, 'm', m)
	if err == nil && g == nil {
		err = noMatch(match, rec)
	}
	return g, err
}

// maxSample is how many groups a preview looks at.
const maxSample = 1000

// GetAutoMergingPreview tells what settings would merge, by a sample of the groups that the latest job found. It is the same for the same job.
func (s *Service) GetAutoMergingPreview(ctx context.Context, in *api.GetAutoMergingPreviewRequest) (*api.GetAutoMergingPreviewResponse, error) {
	rec, err := s.enabled(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	criteria, err := merge.Criteria(in.Consolidation.MatchingAttributesList)
	if err != nil {
		return nil, err
	}
	if err := domain.CheckResolution("", in.ConflictResolution); err != nil {
		return nil, err
	}
	out := &api.GetAutoMergingPreviewResponse{DomainName: &rec.Name, NumberOfMatchesInSample: new(int64), NumberOfProfilesInSample: new(int64), NumberOfProfilesWillBeMerged: new(int64)}
	r, err := s.latest(ctx, rec.Incarnation)
	if err != nil || r == nil {
		return out, err
	}
	groups, err := s.sample(ctx, rec.Incarnation, r)
	if err != nil {
		return nil, err
	}
	resolution := merge.ResolutionOf(in.ConflictResolution)
	var ids []fold.ID
	for _, g := range groups {
		ids = append(ids, g.members...)
	}
	people, err := s.merger().PeopleOf(ctx, rec, ids, resolution)
	if err != nil {
		return nil, err
	}
	said, err := s.saidOf(ctx, rec.Incarnation, people)
	if err != nil {
		return nil, err
	}
	for _, g := range groups {
		several := distinct(g.members, people)
		if len(several) < 2 {
			continue
		}
		*out.NumberOfMatchesInSample++
		*out.NumberOfProfilesInSample += int64(len(several))
		if g.score >= api.Val(in.MinAllowedConfidenceScoreForMerging) {
			*out.NumberOfProfilesWillBeMerged += int64(merge.Touched(merge.Plan(criteria, several, resolution, said.of(several))))
		}
	}
	return out, nil
}

// sample returns some groups of a job: all if there are few, else those of ranks that are drawn by the job's id.
func (s *Service) sample(ctx context.Context, inc store.Incarnation, r *record) ([]group, error) {
	if r.Found.Groups <= maxSample {
		return s.groupsFrom(ctx, inc, r, 0, maxSample)
	}
	jobID, _ := hex.DecodeString(r.id)
	rnd := rand.New(rand.NewPCG(binary.BigEndian.Uint64(jobID), binary.BigEndian.Uint64(jobID[8:])))
	ranks := map[int64]bool{}
	for len(ranks) < maxSample {
		ranks[rnd.Int64N(r.Found.Groups)] = true
	}
	probes := func(yield func(store.Probe) bool) {
		for _, rank := range slices.Sorted(maps.Keys(ranks)) {
			key := rankKey(rank)
			if !yield(store.Probe{Partition: r.Found.chunk(jobID, int(rank/chunkGroups)), Range: store.Range{Start: key, End: store.After(key)}}) {
				return
			}
		}
	}
	var all []group
	for hit, err := range s.Store.Probe(ctx, store.Match, inc, probes) {
		if err != nil {
			return nil, fmt.Errorf("read groups of profiles: %w", err)
		}
		g, err := readGroup(jobID, hit.Row)
		if err != nil {
			return nil, err
		}
		all = append(all, g)
	}
	return all, nil
}

// ListIdentityResolutionJobMerges lists the merges that a job made, in the order of its groups.
func (s *Service) ListIdentityResolutionJobMerges(ctx context.Context, in *api.ListIdentityResolutionJobMergesRequest) (*api.ListIdentityResolutionJobMergesResponse, error) {
	rec, r, err := s.stored(ctx, *in.DomainName, *in.JobId)
	if err != nil {
		return nil, err
	}
	_, after, err := pagePosition(in.NextToken)
	if err != nil {
		return nil, err
	}
	limit := 100
	if in.MaxResults != nil {
		limit = int(*in.MaxResults)
	}
	out := &api.ListIdentityResolutionJobMergesResponse{Items: []api.MatchMerge{}}
	jobID, _ := hex.DecodeString(r.id)
	chunk := 0
	if len(after) >= 4 {
		chunk = int(binary.BigEndian.Uint32(after)) / chunkGroups
	}
	for ; chunk < r.chunksEver(); chunk++ {
		for {
			part := store.Range{Limit: limit + 1}
			if after != nil {
				part.Start = append(slices.Clone(after), 0)
			}
			written, keys, err := s.mergings(ctx, rec.Incarnation, jobID, chunk, part)
			if err != nil {
				return nil, err
			}
			for i, m := range written {
				made, err := s.Profiles.MergeNamed(ctx, rec, m.ID)
				if err != nil {
					return nil, err
				}
				if made != nil && len(out.Items) == limit {
					out.NextToken = pageToken("", after)
					return out, nil
				}
				if after = keys[i]; made != nil {
					out.Items = append(out.Items, m.wire(made.Holds))
				}
			}
			if len(written) <= limit {
				break
			}
		}
	}
	return out, nil
}

func (m *merging) wire(holds bool) api.MatchMerge {
	text, _ := m.ID.MarshalText()
	status := api.MatchMergeStatusMerged
	if !holds {
		status = api.MatchMergeStatusUnmerged
	}
	return api.MatchMerge{
		MergeId: api.Ptr(string(text)), MatchId: &m.Match, ConfidenceScore: &m.Score, Criterion: api.Ptr(int32(m.Criterion)),
		MainProfileId: api.Ptr(m.Main.String()), ProfileIds: texts(m.From), Status: &status,
	}
}
