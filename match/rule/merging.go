package rule

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"kith/match/merge"
	"kith/profile"
	"kith/profile/fold"
)

// merge makes one person of each match up to the level for merging, the strongest first. It returns the matches that stay, those that can't be
// merged among them, and who is to be evaluated again.
func (e *evaluation) merge(ctx context.Context, found []match) (stay []match, again []fold.ID, err error) {
	busy := map[fold.ID]bool{}
	var due []match
	for _, m := range found {
		switch {
		case m.level > e.rules.merging || e.Merger == nil:
			stay = append(stay, m)
		case slices.ContainsFunc(m.members, func(id fold.ID) bool { return busy[id] }):
			again = append(again, m.members...) // of a stronger match: what that makes is matched again
		default:
			due = append(due, m)
			for _, id := range m.members {
				busy[id] = true
			}
		}
	}
	if len(due) == 0 {
		return stay, again, nil
	}
	stale, err := e.stale(ctx, due)
	if err != nil {
		return nil, nil, err
	}
	refused := make([]bool, len(due))
	err = inParts(ctx, e.mergers(len(due)), len(due), func(ctx context.Context, from, to int) error {
		for i := from; i < to; i++ {
			m := &due[i]
			if slices.ContainsFunc(m.members, func(id fold.ID) bool { return stale[id] }) {
				continue
			}
			_, err := e.Merger.Merge(ctx, e.rec, merge.Request{
				IDs: m.members, Resolution: merge.ResolutionOf(e.rec.RuleBasedMatching.ConflictResolution), By: merge.RuleBy(strconv.Itoa(int(m.level))),
			})
			if errors.Is(err, profile.ErrApart) { // said meanwhile, or of somebody who has become one with a member meanwhile: they are looked at again
				continue
			}
			if refused[i] = errors.Is(err, profile.ErrRefused); err != nil && !refused[i] {
				return fmt.Errorf("merge profiles that match by a rule: %w", err)
			}
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	for i, m := range due {
		if refused[i] {
			stay = append(stay, m)
		} else {
			again = append(again, m.members...)
		}
	}
	slices.SortFunc(stay, match.compare)
	return stay, again, nil
}

const (
	// sideBySide is how many merges are made at once: they wait for the disk together.
	sideBySide = 16
	// fewMerges are made one after the other.
	fewMerges = 8
)

func (x *pass) mergers(n int) int {
	if n < fewMerges {
		return 1
	}
	return min(sideBySide, n)
}

// stale returns the members of matches of whose profiles the tuples are not what they were read as: they have changed meanwhile.
func (e *evaluation) stale(ctx context.Context, due []match) (map[fold.ID]bool, error) {
	var ids []fold.ID
	for _, m := range due {
		ids = append(ids, m.members...)
	}
	slices.SortFunc(ids, fold.ID.Compare)
	now, err := e.docsOf(ctx, ids)
	if err != nil {
		return nil, err
	}
	stale := map[fold.ID]bool{}
	for _, id := range ids {
		was, is := e.docs[id], now[id]
		if was == nil || is == nil || !slices.Equal(was.tuples, is.tuples) {
			stale[id] = true
		}
	}
	return stale, nil
}
