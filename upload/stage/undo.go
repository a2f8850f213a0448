package stage

import (
	"context"
	"iter"

	"kith/internal/extsort"
	"kith/profile"
	"kith/profile/fold"
	"kith/store"
)

// DropCreated deletes what runs name of the profiles that they created, but for some, index rows with the time at. It calls gone for every
// few rows. It may be repeated.
func (p *Plan) DropCreated(ctx context.Context, runs map[int]RunResult, at int64, but map[fold.ID]bool, gone func(rows int64)) error {
	all, err := p.openAll(ctx, runs, func(r *RunResult) string { return r.Run })
	defer all.close()
	if err != nil {
		return err
	}
	rows, done, err := p.indexRuns(ctx, runs, at, but)
	defer done()
	if err != nil {
		return err
	}
	parts := append([]store.Run{{Table: store.Profile, Rows: p.deletions(created(p.written(all, runs), but), gone)}}, rows...)
	return p.store.WriteRun(ctx, parts...)
}

// written streams the profiles and rows that runs have written, in order.
func (p *Plan) written(all runBlobs, runs map[int]RunResult) iter.Seq2[*rowCursor, error] {
	var cursors []*rowCursor
	for _, r := range all {
		cursors = append(cursors, &rowCursor{who: p.newWho(r, runs[r.bucket].Who)})
	}
	return extsort.Merge(cursors)
}

// entry is an entry of a run, which belongs to a profile.
type entry interface {
	isCreated() bool
	profile() fold.ID
}

// created leaves of entries those of created profiles, but for some.
func created[C entry](entries iter.Seq2[C, error], but map[fold.ID]bool) iter.Seq2[C, error] {
	return func(yield func(C, error) bool) {
		for c, err := range entries {
			if err == nil && (!c.isCreated() || len(but) > 0 && but[c.profile()]) {
				continue
			}
			if !yield(c, err) {
				return
			}
		}
	}
}

// deletions turns the entries of "who" sections into deletions of contributions, and counts them.
func (p *Plan) deletions(entries iter.Seq2[*rowCursor, error], gone func(rows int64)) iter.Seq2[store.RunRow, error] {
	return func(yield func(store.RunRow, error) bool) {
		row := store.RunRow{Incarnation: p.inc, Mutation: store.Mutation{Time: p.time, Delete: true}}
		var key []byte
		n := int64(0)
		for c, err := range entries {
			if err != nil {
				yield(row, err)
				return
			}
			if n++; n%1024 == 0 {
				gone(1024)
			}
			key = profile.AppendContributionKey(key[:0], p.time, c.row)
			row.Partition, row.Mutation.Key = c.id[:], key
			if !yield(row, nil) {
				return
			}
		}
	}
}

// touchedChunk is how many profiles are looked at together.
const touchedChunk = 10_000

// EachTouched calls do for the profiles that runs have updated, and for those of the created ones that are wanted, some at a time, ascending. A nil
// function wants all.
func (p *Plan) EachTouched(ctx context.Context, runs map[int]RunResult, created func(fold.ID) bool, do func([]fold.ID) error) error {
	all, err := p.openAll(ctx, runs, func(r *RunResult) string { return r.Run })
	defer all.close()
	if err != nil {
		return err
	}
	var ids []fold.ID
	for c, err := range p.written(all, runs) {
		if err != nil {
			return err
		}
		if c.isCreated() && created != nil && !created(c.id) {
			continue
		}
		if n := len(ids); n == 0 || ids[n-1] != c.id {
			ids = append(ids, c.id)
		}
		if len(ids) == touchedChunk {
			if err := do(ids); err != nil {
				return err
			}
			ids = ids[:0]
		}
	}
	return do(ids)
}
