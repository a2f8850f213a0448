package rule

import (
	"context"
	"fmt"
	"slices"

	"kith/profile/fold"
	"kith/store"
)

// apply makes documents and holders say what profiles are indexed with now, nil: with nothing, and matches what follows from that. It returns
// the profiles that were merged. Repeatable, and done again when it was cut off; see the package documentation for the order.
func (x *pass) apply(ctx context.Context, now map[fold.ID]*doc, all bool) (merged []fold.ID, err error) {
	ids := sortedIDs(now)
	before, err := x.docs(ctx, ids)
	if err != nil {
		return nil, err
	}
	w := &writes{pass: x, at: x.now(), e: x.evaluation()}
	for _, id := range ids {
		w.profile(id, before[id], now[id], all)
	}
	err = x.Store.WriteRun(ctx, store.Run{Table: store.Match, Rows: store.SortRows(w.docs)}, store.Run{Table: store.Match, Rows: store.SortRows(w.put)})
	if err != nil {
		return nil, fmt.Errorf("write what profiles are matched by: %w", err)
	}
	if err := x.write(ctx, w.gone); err != nil {
		return nil, err
	}
	if merged, err = w.e.run(ctx); err != nil {
		return nil, err
	}
	return merged, w.finish(ctx)
}

// due notes when a profile changes by itself; 0: it does not.
func (x *pass) due(at int64) {
	if at != 0 && (x.st.Changes == 0 || at < x.st.Changes) {
		x.st.Changes = at
	}
}

// docs returns what profiles have been indexed with. Ids ascend.
func (x *pass) docs(ctx context.Context, ids []fold.ID) (map[fold.ID]*doc, error) {
	read := make([]*doc, len(ids))
	err := x.probe(ctx, len(ids), func(i int) store.Probe {
		return store.Probe{Partition: docPartition(x.st.Gen, ids[i]), Range: store.Range{Start: docKey, End: store.After(docKey)}}
	}, func(i int, row store.Row) (err error) {
		if read[i], err = decodeDoc(row.Value); err != nil {
			err = fmt.Errorf("profile %s: %w", ids[i], err)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the tuples of profiles: %w", err)
	}
	found := make(map[fold.ID]*doc, len(ids))
	for i, d := range read {
		if d != nil {
			found[ids[i]] = d
		}
	}
	return found, nil
}

// writes gathers the rows of a step.
type writes struct {
	*pass
	e               *evaluation
	at              int64
	docs, put, gone []store.RunRow // in this order
	final           []store.RunRow // in the end
}

func (x *pass) row(partition string, at int64, m store.Mutation) store.RunRow {
	m.Time = at
	return store.RunRow{Incarnation: x.inc, Partition: []byte(partition), Mutation: m}
}

// profile notes what changes for a profile. Its document names what it had and what it has as long as any of it has to go.
func (w *writes) profile(id fold.ID, was, is *doc, all bool) {
	if is != nil {
		w.due(is.changes)
	}
	w.e.docs[id] = is
	if was == nil && !w.force { // it has been in no match
		w.e.in[id] = nil
	}
	same := was == nil && is == nil || was != nil && is != nil && slices.Equal(was.tuples, is.tuples)
	if !same || all || w.force {
		w.e.changed = append(w.e.changed, id)
	}
	if same && (was == nil || !w.force && was.changes == is.changes) {
		return
	}
	had, has := &doc{}, &doc{}
	if was != nil {
		had = was
	}
	if is != nil {
		has = is
	}
	both := slices.Concat(had.tuples, has.tuples)
	slices.SortFunc(both, Tuple.compare)
	both = slices.Compact(both)
	for _, t := range both {
		_, old := slices.BinarySearchFunc(had.tuples, t, Tuple.compare)
		_, stays := slices.BinarySearchFunc(has.tuples, t, Tuple.compare)
		if old != stays || w.force {
			w.e.tuples[t] = true
		}
		key := holderKey(t, id)
		switch at := holderPartition(w.st.Gen, t.Level, t.Hash[0]); {
		case !stays:
			w.gone = append(w.gone, w.row(at, w.at, store.Mutation{Key: key, Delete: true}))
		case !old || w.force:
			w.put = append(w.put, w.row(at, w.at, store.Mutation{Key: key}))
		}
	}
	switch {
	case was == nil:
		w.st.Profiles++
	case is == nil:
		w.st.Profiles--
	}
	home := docPartition(w.st.Gen, id)
	final := store.Mutation{Key: docKey, Delete: is == nil}
	if is != nil {
		final.Value = is.append(nil)
	}
	if len(both) == len(has.tuples) && is != nil {
		w.docs = append(w.docs, w.row(home, w.at, final))
		return
	}
	w.docs = append(w.docs, w.row(home, w.at, store.Mutation{Key: docKey, Value: (&doc{changes: has.changes, tuples: both}).append(nil)}))
	w.final = append(w.final, w.row(home, 0, final))
}

// finish writes what is left to be written when everything has been evaluated.
func (w *writes) finish(ctx context.Context) error {
	at := w.now() // later than the documents that name both
	for i := range w.final {
		w.final[i].Mutation.Time = at
	}
	return w.write(ctx, w.final)
}

func (x *pass) write(ctx context.Context, rows []store.RunRow) error {
	if len(rows) == 0 {
		return nil
	}
	if err := x.Store.WriteRun(ctx, store.Run{Table: store.Match, Rows: store.SortRows(rows)}); err != nil {
		return fmt.Errorf("write what profiles are matched by: %w", err)
	}
	return nil
}

// drop removes the generations that are used no more.
func (x *pass) drop(ctx context.Context) error {
	if len(x.st.Old) == 0 {
		return x.save(ctx)
	}
	if err := x.save(ctx); err != nil { // before, so that nobody goes by what is half gone
		return err
	}
	for _, gen := range x.st.Old {
		if err := store.DropListed(ctx, x.Store, store.Match, x.inc, string(generation(gen)), string(generation(gen+1))); err != nil {
			return fmt.Errorf("remove what profiles were matched by: %w", err)
		}
	}
	x.st.Old = nil
	return x.save(ctx)
}

// end removes everything of a domain that has no rules any more: what was merged stays.
func (x *pass) end(ctx context.Context) error {
	st := x.st
	if st.Gen == 0 && len(st.Old) == 0 {
		return nil
	}
	if st.Gen != 0 {
		st.Old = append(st.Old, st.Gen, st.Series)
	}
	x.st = &state{Newest: st.Newest, Old: st.Old, Time: st.Time, published: st.published}
	return x.drop(ctx)
}
