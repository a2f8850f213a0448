package match

import (
	"context"
	"fmt"
	"strings"

	"kith/api"
	"kith/domain"
	"kith/fault"
	"kith/match/link"
	"kith/profile/fold"
	"kith/store"
)

// maxPairs is how many pairs of a group are explained, the weakest one first.
const maxPairs = 45

// ExplainMatch tells of two profiles, or of each pair of a match, what was compared and how it comes to its score, by what the latest job has
// learned and what the profiles show now. Profiles that were merged are explained as they are by themselves.
func (s *Service) ExplainMatch(ctx context.Context, in *api.ExplainMatchRequest) (*api.ExplainMatchResponse, error) {
	rec, err := s.Domains.Lookup(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	if (in.ProfileIds == nil) == (in.MatchId == nil) {
		return nil, fault.BadRequestf("Give either ProfileIds or MatchId: two profiles, or a match of GetMatches.")
	}
	r, err := s.latest(ctx, rec.Incarnation)
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, fault.BadRequestf("No identity resolution job of domain %s has finished yet, so nothing was learned by which a match could be explained. Start one by StartIdentityResolutionJob.", rec.Name)
	}
	model, err := s.loadModel(ctx, rec.Incarnation, r.id)
	if err != nil {
		return nil, err
	}
	if model == nil {
		return nil, replaced()
	}
	out := &api.ExplainMatchResponse{JobId: &r.id, Pairs: []api.MatchPair{}, PairsLeftOut: api.Ptr(int32(0))}
	var pairs [][2]fold.ID
	if in.ProfileIds != nil {
		a, b, err := pair(in.ProfileIds)
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, [2]fold.ID{a, b})
	} else {
		g, err := s.groupNamed(ctx, rec, r, *in.MatchId, fold.ID{})
		if err != nil {
			return nil, err
		}
		out.MatchId, out.ConfidenceScore = in.MatchId, &g.score
		all := pairsOf(g)
		pairs = all[:min(len(all), maxPairs)]
		*out.PairsLeftOut = int32(len(all) - len(pairs))
	}
	return out, s.explain(ctx, rec, model, pairs, in.ProfileIds != nil, out)
}

// pairsOf returns the pairs of a group, the weakest first.
func pairsOf(g *group) [][2]fold.ID {
	all := [][2]fold.ID{g.weakest}
	for i, a := range g.members {
		for _, b := range g.members[i+1:] {
			if p := [2]fold.ID{a, b}; p != g.weakest && p != [2]fold.ID{g.weakest[1], g.weakest[0]} {
				all = append(all, p)
			}
		}
	}
	return all
}

// explain explains pairs. Those of which a profile has gone are left out, or refused if they were named.
func (s *Service) explain(ctx context.Context, rec *domain.Record, model *link.Model, pairs [][2]fold.ID, named bool, out *api.ExplainMatchResponse) error {
	var ids []fold.ID
	for _, p := range pairs {
		ids = append(ids, p[0], p[1])
	}
	people, err := s.Profiles.People(ctx, rec.Incarnation, ids)
	if err != nil {
		return err
	}
	for _, p := range pairs {
		a, b := people[p[0]], people[p[1]]
		if a == nil || b == nil {
			if gone := p[0]; named {
				if a != nil {
					gone = p[1]
				}
				return fault.NotFoundf("Profile %s is not found in domain %s.", gone, rec.Name)
			}
			*out.PairsLeftOut++
			continue
		}
		x, y := shown(a, p[0], a.ID == b.ID), shown(b, p[1], a.ID == b.ID)
		if x == nil || y == nil {
			*out.PairsLeftOut++
			continue
		}
		one, err := s.pair(ctx, rec.Incarnation, p, model.Explain(x, y))
		if err != nil {
			return err
		}
		out.Pairs = append(out.Pairs, *one)
	}
	return nil
}

// shown returns what a profile shows: the person that it is, or what it has alone if it was merged, or stands beside one of its own members.
func shown(person *fold.Member, id fold.ID, alone bool) *fold.Profile {
	if person.ID == id && !alone {
		return person.Profile()
	}
	var p *fold.Profile
	person.Walk(func(m *fold.Member) {
		if m.ID == id {
			p = m.Alone().Profile()
		}
	})
	return p
}

func (s *Service) pair(ctx context.Context, inc store.Incarnation, ids [2]fold.ID, why *link.Why) (*api.MatchPair, error) {
	out := &api.MatchPair{ProfileIds: []string{ids[0].String(), ids[1].String()}, Comparisons: []api.MatchComparison{}, Prior: &why.Prior, Sum: &why.Sum, Probability: &why.Probability}
	var words []string
	for _, c := range why.Comparisons {
		out.Comparisons = append(out.Comparisons, api.MatchComparison{Field: &c.Field, Values: []string{c.A, c.B}, Level: &c.Words, Weight: &c.Weight})
		if c.Weight != 0 {
			words = append(words, fmt.Sprintf("%s: %s (%s)", c.Field, c.Words, signed(c.Weight)))
		}
	}
	text := strings.Join(words, "; ")
	if text == "" {
		text = "nothing that both have tells anything"
	}
	said, err := s.answersAbout(ctx, inc, ids[:])
	if err != nil {
		return nil, err
	}
	for _, a := range said {
		if a.a == ids[0] && a.b == ids[1] || a.a == ids[1] && a.b == ids[0] {
			out.Answer = a.kind()
		}
	}
	out.Explanation = api.Ptr(fmt.Sprintf("%s; any two profiles (%s): together %s, which is a probability %s", text, signed(why.Prior), signed(why.Sum), probability(why.Probability)))
	return out, nil
}

// probability writes a probability; none is certain.
func probability(p float64) string {
	switch {
	case p > 0.9999:
		return "above 0.9999"
	case p < 0.0001:
		return "below 0.0001"
	}
	return fmt.Sprintf("of %.4f", p)
}

// signed writes a weight, in bits, with its sign.
func signed(w float64) string {
	return strings.Replace(fmt.Sprintf("%+.1f", w), "-", "−", 1)
}
