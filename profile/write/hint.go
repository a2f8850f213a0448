package write

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"kith/profile/fold"
	"kith/profile/index"
	"kith/store"
)

// maxHints is how many rows of an index partition are read together with others. A key that more profiles may have is read by itself, row by
// row, until two of them have confirmed it.
const maxHints = 16

// hints are the profiles that the index names, by partition, as one Probe has read them. What it does not know is read when it is asked
// for.
type hints struct {
	w     *Writer
	inc   store.Incarnation
	known []hint
}

// hint is what one partition names.
type hint struct {
	part string
	ids  []fold.ID // each once
	rows int
}

// hints reads what the index names for some partitions, which it sorts. The rows of a partition are read no earlier than the call begins.
func (w *Writer) hints(ctx context.Context, inc store.Incarnation, parts []string) (*hints, error) {
	parts = distinct(parts)
	h := &hints{w: w, inc: inc, known: make([]hint, len(parts))}
	for i, part := range parts {
		h.known[i].part = part
	}
	if len(parts) == 0 {
		return h, nil
	}
	probes := func(yield func(store.Probe) bool) {
		for _, part := range parts {
			if !yield(store.Probe{Partition: part, Range: store.Range{Limit: maxHints}}) {
				return
			}
		}
	}
	for hit, err := range w.Store.Probe(ctx, store.Index, inc, probes) {
		if err != nil {
			return nil, fmt.Errorf("read the index: %w", err)
		}
		of := &h.known[hit.Index]
		of.rows++
		if id, _, ok := index.ParseRowKey(hit.Row.Key); ok && (len(of.ids) == 0 || of.ids[len(of.ids)-1] != id) {
			of.ids = append(of.ids, id)
		}
	}
	return h, nil
}

// named streams the profiles that the index names for a partition, each once, in the order of their ids.
func (h *hints) named(ctx context.Context, part string) iter.Seq2[fold.ID, error] {
	i := slices.IndexFunc(h.known, func(of hint) bool { return of.part == part })
	if i < 0 || h.known[i].rows >= maxHints { // there may be more
		return h.w.named(ctx, h.inc, part)
	}
	return func(yield func(fold.ID, error) bool) {
		for _, id := range h.known[i].ids {
			if !yield(id, nil) {
				return
			}
		}
	}
}

// named streams the profiles that the index names for a partition, each once, in the order of their ids.
func (w *Writer) named(ctx context.Context, inc store.Incarnation, part string) iter.Seq2[fold.ID, error] {
	return func(yield func(fold.ID, error) bool) {
		var last fold.ID
		for row, err := range w.Store.Scan(ctx, store.Partition{Table: store.Index, Incarnation: inc, Key: part}, store.Range{}) {
			if err != nil {
				yield(fold.ID{}, fmt.Errorf("read the index: %w", err))
				return
			}
			id, _, ok := index.ParseRowKey(row.Key)
			if !ok || id == last {
				continue
			}
			last = id
			if !yield(id, nil) {
				return
			}
		}
	}
}
