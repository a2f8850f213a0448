package merge

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"kith/domain"
	"kith/fault"
	"kith/profile"
	"kith/profile/fold"
)

// Merger merges.
type Merger struct{ Profiles *profile.Service }

// Request is what is to become one person.
type Request struct {
	// IDs are profiles: of each the person that it belongs to now takes part. Profiles that are gone are left out.
	IDs []fold.ID
	Resolution
	// By is what does it, for history and provenance: JobBy or RuleBy.
	By string
	// Intend is told of each attempt before it is made, so that after a crash Merger.Profiles.Merged tells by its id what became of it. An error
	// ends it. Nil: nobody wants to know.
	Intend func(ctx context.Context, attempt *Done) error
}

const (
	byJob  = "identity-resolution-job/"
	byRule = "rule-based-matching/level-"
)

// JobBy names an identity resolution job as who does a merge, and RuleBy a level of rule-based matching.
func JobBy(job string) string { return byJob + job }

// RuleBy is JobBy of a rule.
func RuleBy(level string) string { return byRule + level }

// Automatic says whether a merge was made by a job or a rule.
func Automatic(by string) bool { return strings.HasPrefix(by, byJob) || strings.HasPrefix(by, byRule) }

// Done is a merge that was made. It can be taken back by its id.
type Done struct {
	ID   fold.MergeID
	Main fold.ID
	From []fold.ID
}

// patience is for how long a merge is tried while other changes of the same profiles are faster.
const patience = 30 * time.Second

// Merge makes one person of several. nil: they are one already, or no two of them exist. profile.ErrRefused, with a sentence: they would be
// larger than a person may be.
func (m *Merger) Merge(ctx context.Context, rec *domain.Record, in Request) (*Done, error) {
	var before []fold.ID
	for deadline := time.Now().Add(patience); ; {
		people, err := m.People(ctx, rec, in.IDs, in.Resolution)
		if err != nil || len(people) < 2 {
			return nil, err
		}
		done := &Done{ID: m.Profiles.NewMergeID()}
		ids := idsOf(people)
		done.Main, done.From = ids[0], ids[1:]
		if in.Intend != nil {
			if err := in.Intend(ctx, done); err != nil {
				return nil, err
			}
		}
		err = m.Profiles.Merge(ctx, rec, profile.Merging{ID: done.ID, Main: done.Main, From: done.From, Fields: Resolve(people, in.Resolution), By: in.By})
		switch {
		case err == nil:
			return done, nil
		case errors.Is(err, profile.ErrRefused) && slices.Equal(before, ids):
			return nil, err
		case errors.Is(err, profile.ErrRefused): // perhaps one of them has gone between the look and the merge: look again
			before = ids
		case !errors.Is(err, profile.ErrBusy):
			return nil, err
		case time.Now().After(deadline):
			return nil, fault.Throttledf("Other changes of the same profiles are under way. Try again.")
		default:
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(time.Duration(2+rand.IntN(30)) * time.Millisecond):
			}
		}
	}
}

// People returns the persons that profiles belong to, each once, from the oldest on. They have Sources if the resolution asks for them.
func (m *Merger) People(ctx context.Context, rec *domain.Record, ids []fold.ID, r Resolution) ([]*Person, error) {
	found, err := m.PeopleOf(ctx, rec, ids, r)
	if err != nil {
		return nil, err
	}
	persons := map[fold.ID]*Person{}
	for _, p := range found {
		persons[p.ID] = p
	}
	return slices.SortedFunc(maps.Values(persons), func(a, b *Person) int { return a.ID.Compare(b.ID) }), nil
}

// PeopleOf is People by the ids of the profiles; members of one person have the same one.
func (m *Merger) PeopleOf(ctx context.Context, rec *domain.Record, ids []fold.ID, r Resolution) (map[fold.ID]*Person, error) {
	found, err := m.Profiles.People(ctx, rec.Incarnation, ids)
	if err != nil {
		return nil, err
	}
	persons, all := map[fold.ID]*Person{}, map[fold.ID]*Person{}
	for id, of := range found {
		p := persons[of.ID]
		if p == nil {
			shown := of.Profile()
			if shown == nil {
				continue
			}
			p = &Person{ID: of.ID, Values: shown.Values}
			of.Walk(func(m *fold.Member) { p.Members = append(p.Members, m.ID) })
			if r.Source != "" {
				if p.Sources, err = m.Profiles.SourcesOf(ctx, rec, of); err != nil {
					return nil, err
				}
			}
			persons[of.ID] = p
		}
		all[id] = p
	}
	return all, nil
}

func idsOf(people []*Person) (ids []fold.ID) {
	for _, p := range people {
		ids = append(ids, p.ID)
	}
	return ids
}
