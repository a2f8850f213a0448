package match

import (
	"context"
	"errors"
	"slices"

	"kith/api"
	"kith/domain"
	"kith/fault"
	"kith/profile/fold"
)

// Known is what matching knows of a person.
type Known struct {
	Matches []KnownMatch
	Answers []api.MatchAnswer
	// Exported are files of matches that may name its profiles, as bucket/key.
	Exported []string
}

// KnownMatch is a match that a profile of the person is in.
type KnownMatch struct {
	MatchId         string
	JobId           string  `json:",omitzero"`
	ConfidenceScore float64 `json:",omitzero"`
	RuleLevel       int     `json:",omitzero"`
	ProfileIds      []string
}

// Know gathers what matching knows of a person's profiles: the matches of the latest job and of rules, and answers.
func (s *Service) Know(ctx context.Context, rec *domain.Record, ids []fold.ID) (*Known, error) {
	k := &Known{Matches: []KnownMatch{}, Answers: []api.MatchAnswer{}, Exported: []string{}}
	said, err := s.answersAbout(ctx, rec.Incarnation, ids)
	if err != nil {
		return nil, err
	}
	for _, a := range said {
		k.Answers = append(k.Answers, a.wire())
	}
	r, err := s.latest(ctx, rec.Incarnation)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		if r != nil {
			g, err := s.groupOf(ctx, rec.Incarnation, r, 'p', id)
			if err != nil {
				return nil, err
			}
			if g != nil && !slices.ContainsFunc(k.Matches, func(m KnownMatch) bool { return m.MatchId == g.id.String() }) {
				k.Matches = append(k.Matches, KnownMatch{MatchId: g.id.String(), JobId: r.id, ConfidenceScore: g.score, ProfileIds: texts(g.members)})
			}
		}
		if s.Rules == nil {
			continue
		}
		g, err := s.Rules.Similar(ctx, rec, "", id)
		switch {
		case errors.Is(err, fault.NotFound), errors.Is(err, fault.BadRequest): // merged or gone, or there are no rules
		case err != nil:
			return nil, err
		case len(g.Members) > 0:
			k.Matches = append(k.Matches, KnownMatch{MatchId: g.MatchID, RuleLevel: int(g.Level), ProfileIds: texts(g.Members)})
		}
	}
	k.Exported, err = s.Exported(ctx, rec)
	return k, err
}

// Exported returns the files that jobs of a domain wrote outside, as bucket/key.
func (s *Service) Exported(ctx context.Context, rec *domain.Record) (files []string, err error) {
	files = []string{}
	all, err := s.list(ctx, rec.Incarnation)
	if err != nil {
		return nil, err
	}
	for _, l := range all {
		r, err := s.load(ctx, rec.Incarnation, l.id)
		if err != nil {
			return nil, err
		}
		if r == nil {
			continue
		}
		for _, key := range r.Exported {
			files = append(files, *r.Exporting.S3BucketName+"/"+key)
		}
	}
	return files, nil
}

// Forget removes the answers about a person's profiles, and returns how many there were. Matches hold nothing of it but ids.
func (s *Service) Forget(ctx context.Context, rec *domain.Record, ids []fold.ID) (int64, error) {
	said, err := s.answersAbout(ctx, rec.Incarnation, ids)
	if err != nil || len(said) == 0 {
		return 0, err
	}
	at := s.Now().UnixMicro()
	var pairs [][2]fold.ID
	for _, a := range said {
		at = max(at, a.At)
		pairs = append(pairs, [2]fold.ID{a.a, a.b})
	}
	for some := range slices.Chunk(pairs, 1000) {
		if err := s.deleteAnswers(ctx, rec.Incarnation, at, some...); err != nil {
			return 0, err
		}
	}
	return int64(len(said)), nil
}
