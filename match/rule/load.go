package rule

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

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
	found := make([]map[Level]MatchID, len(in))
	err := e.probe(ctx, len(in), func(i int) store.Probe { return store.Probe{Partition: memberPartition(e.st.Series, in[i])} }, func(i int, row store.Row) error {
		if len(row.Key) != 1 || len(row.Value) != len(MatchID{}) {
			return fmt.Errorf("%w: a match of profile %s", fold.ErrCorrupt, in[i])
		}
		if found[i] == nil {
			found[i] = map[Level]MatchID{}
		}
		found[i][Level(row.Key[0])] = MatchID(row.Value)
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the matches of profiles: %w", err)
	}
	for i, id := range in {
		e.in[id] = found[i]
	}
	return nil
}

// loadBuckets reads the holders of tuples, which ascend.
func (e *evaluation) loadBuckets(ctx context.Context, tuples []Tuple) error {
	var want []Tuple
	var read []*bucket
	for _, t := range tuples {
		if e.buckets[t] == nil {
			b := &bucket{}
			e.buckets[t] = b
			want, read = append(want, t), append(read, b)
		}
	}
	most := e.maxHolders()
	err := e.probe(ctx, len(want), func(i int) store.Probe {
		t := want[i]
		return store.Probe{Partition: holderPartition(e.st.Gen, t.Level, t.Hash[0]), Range: holdersOf(t, most+1)}
	}, func(i int, row store.Row) error {
		_, id, err := holderOf(row.Key)
		if err == nil {
			read[i].add(id, most)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("read the holders of tuples: %w", err)
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

// fewProbes are made by one goroutine.
const fewProbes = 1000

// probe reads n small ranges, which ascend, on all cores if there are many. take gets the rows of each in order, those of different ones at once.
func (x *pass) probe(ctx context.Context, n int, of func(i int) store.Probe, take func(i int, row store.Row) error) error {
	part := func(ctx context.Context, from, to int) error {
		probes := func(yield func(store.Probe) bool) {
			for i := from; i < to; i++ {
				if !yield(of(i)) {
					return
				}
			}
		}
		for hit, err := range x.Store.Probe(ctx, store.Match, x.inc, probes) {
			if err == nil {
				err = take(from+hit.Index, hit.Row)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	if n < fewProbes {
		return part(ctx, 0, n)
	}
	return inParts(ctx, x.workers(), n, part)
}

// inParts cuts n tasks into parts that are done side by side.
func inParts(ctx context.Context, parts, n int, do func(ctx context.Context, from, to int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for i := range parts {
		wg.Go(func() {
			if err := do(ctx, i*n/parts, (i+1)*n/parts); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}
