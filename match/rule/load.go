package rule

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"

	"kith/profile/fold"
	"kith/store"
)

// load reads documents of profiles, and which matches they are said to be in.
func (e *evaluation) load(ctx context.Context, ids []fold.ID) error {
	var docs []fold.ID
	for _, id := range ids {
		if _, ok := e.docs[id]; !ok {
			docs = append(docs, id)
		}
	}
	slices.SortFunc(docs, fold.ID.Compare)
	docs = slices.Compact(docs)
	found, err := e.pass.docs(ctx, docs)
	if err != nil {
		return err
	}
	for _, id := range docs {
		e.docs[id] = found[id]
	}
	return e.loadMatches(ctx, ids)
}

// loadMatches reads which matches profiles are said to be in.
func (e *evaluation) loadMatches(ctx context.Context, ids []fold.ID) error {
	var in []fold.ID
	for _, id := range ids {
		if _, ok := e.in[id]; !ok {
			e.in[id] = nil
			in = append(in, id)
		}
	}
	slices.SortFunc(in, fold.ID.Compare)
	probes := func(yield func(store.Probe) bool) {
		for _, id := range in {
			if !yield(store.Probe{Partition: memberPartition(e.st.Series, id)}) {
				return
			}
		}
	}
	for hit, err := range e.Store.Probe(ctx, store.Match, e.inc, probes) {
		if err == nil && (len(hit.Row.Key) != 1 || len(hit.Row.Value) != len(MatchID{})) {
			err = fold.ErrCorrupt
		}
		if err != nil {
			return fmt.Errorf("read the matches of profiles: %w", err)
		}
		id := in[hit.Index]
		if e.in[id] == nil {
			e.in[id] = map[Level]MatchID{}
		}
		e.in[id][Level(hit.Row.Key[0])] = MatchID(hit.Row.Value)
	}
	return nil
}

// loadBuckets reads the holders of tuples, which ascend.
func (e *evaluation) loadBuckets(ctx context.Context, tuples []Tuple) error {
	var want []Tuple
	for _, t := range tuples {
		if e.buckets[t] == nil {
			e.buckets[t] = &bucket{}
			want = append(want, t)
		}
	}
	probes := func(yield func(store.Probe) bool) {
		for _, t := range want {
			if !yield(store.Probe{Partition: holderPartition(e.st.Gen, t.Level, t.Hash[0]), Range: holdersOf(t, e.maxHolders()+1)}) {
				return
			}
		}
	}
	for hit, err := range e.Store.Probe(ctx, store.Match, e.inc, probes) {
		var id fold.ID
		if err == nil {
			_, id, err = holderOf(hit.Row.Key)
		}
		if err != nil {
			return fmt.Errorf("read the holders of tuples: %w", err)
		}
		b := e.buckets[want[hit.Index]]
		b.add(id, e.maxHolders())
	}
	return nil
}

// add takes in a holder. Of too many only the first is kept.
func (b *bucket) add(id fold.ID, most int) {
	if b.crowded {
		return
	}
	if b.holders = append(b.holders, id); len(b.holders) > most {
		b.holders, b.crowded = b.holders[:1:1], true
	}
}

// loadGroups reads matches.
func (e *evaluation) loadGroups(ctx context.Context, ids map[MatchID]bool) error {
	var want []MatchID
	for _, id := range slices.SortedFunc(maps.Keys(ids), func(a, b MatchID) int { return bytes.Compare(a[:], b[:]) }) {
		if _, ok := e.groups[id]; !ok {
			e.groups[id] = nil
			want = append(want, id)
		}
	}
	found, err := e.readGroups(ctx, e.inc, e.st.Series, want)
	for _, g := range found {
		e.groups[g.id] = g
	}
	return err
}

// readGroups reads matches by their ids, which ascend.
func (s *Service) readGroups(ctx context.Context, inc store.Incarnation, series uint32, ids []MatchID) (found []*group, err error) {
	probes := func(yield func(store.Probe) bool) {
		for _, id := range ids {
			if !yield(store.Probe{Partition: groupPartition(series, id[0]), Range: store.Range{Start: id[:], End: append(slices.Clone(id[:]), 0)}}) {
				return
			}
		}
	}
	for hit, err := range s.Store.Probe(ctx, store.Match, inc, probes) {
		var g *group
		if err == nil {
			g, err = decodeGroup(hit.Row)
		}
		if err != nil {
			return nil, fmt.Errorf("read matches: %w", err)
		}
		found = append(found, g)
	}
	return found, nil
}
