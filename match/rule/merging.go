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
	resolution := merge.ResolutionOf(e.rec.RuleBasedMatching.ConflictResolution)
	for _, m := range due {
		if slices.ContainsFunc(m.members, func(id fold.ID) bool { return stale[id] }) {
			again = append(again, m.members...)
			continue
		}
		_, err := e.Merger.Merge(ctx, e.rec, merge.Request{IDs: m.members, Resolution: resolution, By: merge.RuleBy(strconv.Itoa(int(m.level)))})
		if errors.Is(err, profile.ErrRefused) {
			stay = append(stay, m)
			continue
		}
		if err != nil {
			return nil, nil, fmt.Errorf("merge profiles that match by a rule: %w", err)
		}
		again = append(again, m.members...)
	}
	return stay, again, nil
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
