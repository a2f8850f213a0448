package match

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/go-json-experiment/json"

	"kith/api"
	"kith/domain"
	"kith/fault"
	"kith/match/link"
	"kith/match/merge"
	"kith/profile"
	"kith/profile/fold"
	"kith/store"
)

// answer is what a person said of a pair. It is stored under both orders of the two.
type answer struct {
	Same bool
	By   string `json:",omitzero"`
	At   int64

	a, b fold.ID
}

func answersPartition(inc store.Incarnation) store.Partition {
	return store.Partition{Table: store.Match, Incarnation: inc, Key: "answers"}
}

func answerKey(a, b fold.ID) []byte { return append(a[:], b[:]...) }

func decodeAnswer(row store.Row) (a answer, err error) {
	if len(row.Key) != 32 {
		return a, fmt.Errorf("the key of an answer has %d bytes", len(row.Key))
	}
	copy(a.a[:], row.Key)
	copy(a.b[:], row.Key[16:])
	return a, json.Unmarshal(row.Value, &a)
}

func (a *answer) kind() *api.MatchAnswerKind {
	if a.Same {
		return api.Ptr(api.MatchAnswerKindSame)
	}
	return api.Ptr(api.MatchAnswerKindNotSame)
}

func (a *answer) wire() api.MatchAnswer {
	out := api.MatchAnswer{ProfileIds: []string{a.a.String(), a.b.String()}, Answer: a.kind(), AnsweredAt: api.Micros(a.At)}
	if a.By != "" {
		out.AnsweredBy = &a.By
	}
	return out
}

// pair reads two ids that a request names.
func pair(ids []string) (a, b fold.ID, err error) {
	a, _ = fold.ParseID(ids[0])
	b, _ = fold.ParseID(ids[1])
	if a == b {
		return a, b, fault.BadRequestf("ProfileIds names profile %s twice. Name two profiles.", a)
	}
	if b.Compare(a) < 0 {
		a, b = b, a
	}
	return a, b, nil
}

// PutMatchAnswer says of two profiles that they are the same person, or not. Every later job and rule obeys it, until it is deleted.
func (s *Service) PutMatchAnswer(ctx context.Context, in *api.PutMatchAnswerRequest) (*api.PutMatchAnswerResponse, error) {
	rec, err := s.Domains.Lookup(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	a, b, err := pair(in.ProfileIds)
	if err != nil {
		return nil, err
	}
	people, err := s.Profiles.People(ctx, rec.Incarnation, []fold.ID{a, b})
	if err != nil {
		return nil, err
	}
	for _, id := range []fold.ID{a, b} {
		if people[id] == nil {
			return nil, fault.NotFoundf("Profile %s is not found in domain %s.", id, rec.Name)
		}
	}
	same := *in.Answer == api.MatchAnswerKindSame
	if !same && people[a].ID == people[b].ID {
		return nil, areOne(a, b, people[a].ID)
	}
	ans := answer{Same: same, By: caller(ctx), At: s.Now().UnixMicro(), a: a, b: b}
	if err := s.putAnswers(ctx, rec.Incarnation, ans); err != nil {
		return nil, err
	}
	if !same { // a merge that was under way may not have heard of it
		if main, one, err := s.Profiles.Decided(ctx, rec, a, b); err != nil {
			return nil, err
		} else if one {
			if err := s.deleteAnswers(ctx, rec.Incarnation, ans.At+1, [2]fold.ID{a, b}); err != nil { // not one that was given later
				return nil, err
			}
			return nil, areOne(a, b, main)
		}
	}
	if err := s.revisit(ctx, rec, people[a].ID, people[b].ID); err != nil {
		return nil, err
	}
	return (*api.PutMatchAnswerResponse)(api.Ptr(ans.wire())), nil
}

func areOne(a, b, main fold.ID) error {
	return fault.BadRequestf("Profiles %s and %s were merged into one, %s. Take that merge back by UnmergeMatch, which answers NOT_SAME too.", a, b, main)
}

// putAnswers writes answers.
func (s *Service) putAnswers(ctx context.Context, inc store.Incarnation, all ...answer) error {
	var ms []store.Mutation
	for _, a := range all {
		value, err := json.Marshal(&a, json.Deterministic(true))
		if err != nil {
			return err
		}
		ms = append(ms, store.Mutation{Key: answerKey(a.a, a.b), Value: value, Time: a.At}, store.Mutation{Key: answerKey(a.b, a.a), Value: value, Time: a.At})
		if err := s.reconsider(ctx, inc, a.a, a.b); err != nil {
			return err
		}
	}
	if err := s.Store.Write(ctx, answersPartition(inc), ms); err != nil {
		return fmt.Errorf("write an answer: %w", err)
	}
	return nil
}

// reconsider has profiles matched by rules again.
func (s *Service) reconsider(ctx context.Context, inc store.Incarnation, ids ...fold.ID) error {
	if s.Rules == nil {
		return nil
	}
	return s.Rules.Reconsider(ctx, inc, ids...)
}

// DeleteMatchAnswer takes an answer back.
func (s *Service) DeleteMatchAnswer(ctx context.Context, in *api.DeleteMatchAnswerRequest) (*api.DeleteMatchAnswerResponse, error) {
	rec, err := s.Domains.Lookup(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	a, b, err := pair(in.ProfileIds)
	if err != nil {
		return nil, err
	}
	row, err := s.Store.Get(ctx, answersPartition(rec.Incarnation), answerKey(a, b))
	if errors.Is(err, store.ErrNotFound) {
		return nil, fault.NotFoundf("There is no answer about profiles %s and %s in domain %s.", a, b, rec.Name)
	}
	if err != nil {
		return nil, fmt.Errorf("read an answer: %w", err)
	}
	if err := s.deleteAnswers(ctx, rec.Incarnation, max(s.Now().UnixMicro(), row.Time), [2]fold.ID{a, b}); err != nil {
		return nil, err
	}
	if err := s.revisit(ctx, rec, a, b); err != nil {
		return nil, err
	}
	return &api.DeleteMatchAnswerResponse{Message: api.Ptr("OK")}, nil
}

func (s *Service) deleteAnswers(ctx context.Context, inc store.Incarnation, at int64, pairs ...[2]fold.ID) error {
	var ms []store.Mutation
	for _, p := range pairs {
		ms = append(ms, store.Mutation{Key: answerKey(p[0], p[1]), Delete: true, Time: at}, store.Mutation{Key: answerKey(p[1], p[0]), Delete: true, Time: at})
		if err := s.reconsider(ctx, inc, p[0], p[1]); err != nil {
			return err
		}
	}
	if err := s.Store.Write(ctx, answersPartition(inc), ms); err != nil {
		return fmt.Errorf("delete an answer: %w", err)
	}
	return nil
}

// ListMatchAnswers lists what was answered, by the lower id of each pair.
func (s *Service) ListMatchAnswers(ctx context.Context, in *api.ListMatchAnswersRequest) (*api.ListMatchAnswersResponse, error) {
	rec, err := s.Domains.Lookup(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	limit := 100
	if in.MaxResults != nil {
		limit = int(*in.MaxResults)
	}
	r := store.Range{}
	if in.NextToken != nil {
		if r.Start, err = hex.DecodeString(*in.NextToken); err != nil {
			return nil, fault.BadRequestf("NextToken is not valid.")
		}
	}
	out := &api.ListMatchAnswersResponse{Items: []api.MatchAnswer{}}
	for row, err := range s.Store.Scan(ctx, answersPartition(rec.Incarnation), r) {
		if err != nil {
			return nil, fmt.Errorf("list answers: %w", err)
		}
		a, err := decodeAnswer(row)
		if err != nil {
			return nil, err
		}
		if a.b.Compare(a.a) < 0 {
			continue
		}
		if len(out.Items) == limit {
			out.NextToken = api.Ptr(hex.EncodeToString(row.Key))
			break
		}
		out.Items = append(out.Items, a.wire())
	}
	return out, nil
}

// answersAbout returns what was answered about some profiles and others: each pair once if both are among them.
func (s *Service) answersAbout(ctx context.Context, inc store.Incarnation, ids []fold.ID) (all []answer, err error) {
	ids = slices.Clone(ids)
	slices.SortFunc(ids, fold.ID.Compare)
	ids = slices.Compact(ids)
	probes := func(yield func(store.Probe) bool) {
		for _, id := range ids {
			if !yield(store.Probe{Partition: answersPartition(inc).Key, Range: store.Prefix(string(id[:]))}) {
				return
			}
		}
	}
	for hit, err := range s.Store.Probe(ctx, store.Match, inc, probes) {
		if err != nil {
			return nil, fmt.Errorf("read answers: %w", err)
		}
		a, err := decodeAnswer(hit.Row)
		if err != nil {
			return nil, err
		}
		if _, both := slices.BinarySearchFunc(ids, a.b, fold.ID.Compare); !both || a.b.Compare(a.a) > 0 {
			all = append(all, a)
		}
	}
	return all, nil
}

// Apart returns the pairs among some persons of which somebody has answered that they are not the same: of any profile of the one and any of
// the other. It is what matching by rules asks before it puts them together.
func (s *Service) Apart(ctx context.Context, inc store.Incarnation, ids []fold.ID) (apart [][2]fold.ID, err error) {
	if any, err := s.anyAnswers(ctx, inc); !any || err != nil {
		return nil, err
	}
	people, err := s.Profiles.People(ctx, inc, ids)
	if err != nil {
		return nil, err
	}
	of := map[fold.ID]fold.ID{} // the id that was asked about, by those of the person's profiles
	for id, p := range people {
		p.Walk(func(m *fold.Member) { of[m.ID] = id })
	}
	said, err := s.answersAbout(ctx, inc, slices.Collect(maps.Keys(of)))
	if err != nil {
		return nil, err
	}
	for _, a := range said {
		x, ok := of[a.a]
		y, ok2 := of[a.b]
		if !a.Same && ok && ok2 && x != y {
			apart = append(apart, [2]fold.ID{x, y})
		}
	}
	return apart, nil
}

// answersBatch is for how many answers persons are read at a time.
const answersBatch = 1000

// answers returns all answers of a domain about the persons that its profiles belong to now. What was answered about a profile that has gone, or
// about two that are one by now, is left out.
func (s *Service) answers(ctx context.Context, inc store.Incarnation) (all []link.Answer, err error) {
	var some []answer
	flush := func() error {
		var ids []fold.ID
		for _, a := range some {
			ids = append(ids, a.a, a.b)
		}
		people, err := s.Profiles.People(ctx, inc, ids)
		if err != nil {
			return err
		}
		for _, a := range some {
			x, y := people[a.a], people[a.b]
			if x == nil || y == nil || x.ID == y.ID {
				continue
			}
			l := link.Answer{A: x.ID, B: y.ID, Same: a.Same}
			if bytes.Compare(l.B[:], l.A[:]) < 0 {
				l.A, l.B = l.B, l.A
			}
			all = append(all, l)
		}
		some = some[:0]
		return nil
	}
	for row, err := range s.Store.Scan(ctx, answersPartition(inc), store.Range{}) {
		if err != nil {
			return nil, fmt.Errorf("read answers: %w", err)
		}
		a, err := decodeAnswer(row)
		if err != nil {
			return nil, err
		}
		if a.b.Compare(a.a) < 0 {
			continue
		}
		if some = append(some, a); len(some) == answersBatch {
			if err := flush(); err != nil {
				return nil, err
			}
		}
	}
	return all, flush()
}

// said is what was answered, by each of the two persons.
type said map[fold.ID][]link.Answer

// saidOf returns what was answered about some persons and each other.
func (s *Service) saidOf(ctx context.Context, inc store.Incarnation, people map[fold.ID]*merge.Person) (said, error) {
	if any, err := s.anyAnswers(ctx, inc); !any || err != nil {
		return nil, err
	}
	of := map[fold.ID]fold.ID{}
	for _, p := range people {
		for _, id := range p.Members {
			of[id] = p.ID
		}
	}
	all, err := s.answersAbout(ctx, inc, slices.Collect(maps.Keys(of)))
	if err != nil {
		return nil, err
	}
	by := said{}
	for _, a := range all {
		x, y := of[a.a], of[a.b]
		if x == y || x == (fold.ID{}) || y == (fold.ID{}) {
			continue
		}
		l := link.Answer{A: x, B: y, Same: a.Same}
		by[x], by[y] = append(by[x], l), append(by[y], l)
	}
	return by, nil
}

// anyAnswers says whether anything was answered in a domain.
func (s *Service) anyAnswers(ctx context.Context, inc store.Incarnation) (bool, error) {
	for _, err := range s.Store.Scan(ctx, answersPartition(inc), store.Range{Limit: 1}) {
		if err != nil {
			return false, fmt.Errorf("read answers: %w", err)
		}
		return true, nil
	}
	return false, nil
}

// of returns what was said of pairs among some persons.
func (s said) of(people []*merge.Person) (out merge.Said) {
	for _, p := range people {
		for _, a := range s[p.ID] {
			if a.A != p.ID || !slices.ContainsFunc(people, func(o *merge.Person) bool { return o.ID == a.B }) {
				continue
			}
			if a.Same {
				out.Same = append(out.Same, [2]fold.ID{a.A, a.B})
			} else {
				out.Apart = append(out.Apart, [2]fold.ID{a.A, a.B})
			}
		}
	}
	return out
}

// UnmergeMatch takes a merge back and answers that those who were merged are not the one they were merged into: no later job or rule
// merges them again.
func (s *Service) UnmergeMatch(ctx context.Context, in *api.UnmergeMatchRequest) (*api.UnmergeMatchResponse, error) {
	rec, err := s.Domains.Lookup(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	main, from, err := s.mergeNamed(ctx, rec, *in.MergeId)
	if err != nil {
		return nil, err
	}
	if err := s.answerApart(ctx, rec, main, from); err != nil {
		return nil, err
	}
	out, err := s.Profiles.UnmergeProfiles(ctx, &api.UnmergeProfilesRequest{DomainName: in.DomainName, MergeId: in.MergeId})
	if err != nil {
		return nil, err
	}
	return &api.UnmergeMatchResponse{Items: out.Items}, nil
}

// Unmerging is profile.Service.Unmerging. Where a job or a rule would merge again at once what is taken back, that is answered for: it was
// merged by one of them, or they are on.
func (s *Service) Unmerging(ctx context.Context, rec *domain.Record, m *profile.Made) error {
	if !merge.Automatic(m.By) && !rec.MatchingOn() && !rulesOn(rec) {
		return nil
	}
	return s.answerApart(ctx, rec, m.Main, m.From)
}

func rulesOn(rec *domain.Record) bool {
	return rec.RuleBasedMatching != nil && api.Val(rec.RuleBasedMatching.Enabled)
}

// answerApart answers that profiles are not another one. It comes before a merge is taken back: what runs meanwhile must not merge again.
func (s *Service) answerApart(ctx context.Context, rec *domain.Record, main fold.ID, from []fold.ID) error {
	var all []answer
	for _, id := range from {
		a := answer{By: caller(ctx), At: s.Now().UnixMicro(), a: main, b: id}
		if a.b.Compare(a.a) < 0 {
			a.a, a.b = a.b, a.a
		}
		all = append(all, a)
	}
	return s.putAnswers(ctx, rec.Incarnation, all...)
}

// revisit has matching by rules look at two profiles again: what was said of them has changed.
func (s *Service) revisit(ctx context.Context, rec *domain.Record, ids ...fold.ID) error {
	if !rulesOn(rec) {
		return nil
	}
	for _, id := range ids {
		if err := s.Profiles.Revisit(ctx, rec, id); err != nil {
			return err
		}
	}
	return nil
}

// mergeNamed returns the profiles of a merge that holds.
func (s *Service) mergeNamed(ctx context.Context, rec *domain.Record, text string) (main fold.ID, from []fold.ID, err error) {
	var id fold.MergeID
	if err := id.UnmarshalText([]byte(text)); err != nil {
		return main, nil, fault.BadRequestf("MergeId is not the id of a merge.")
	}
	m, err := s.Profiles.MergeNamed(ctx, rec, id)
	if err == nil && (m == nil || !m.Holds) {
		err = fault.NotFoundf("There is no merge %s that holds in domain %s.", text, rec.Name)
	}
	if err != nil {
		return main, nil, err
	}
	return m.Main, m.From, nil
}
