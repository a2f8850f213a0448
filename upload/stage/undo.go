package stage

import (
	"context"
	"iter"

	"kith/internal/extsort"
	"kith/profile/fold"
)

// written streams the profiles and rows that runs have written, in order.
func (p *Plan) written(all runBlobs, runs map[int]RunResult) iter.Seq2[*rowCursor, error] {
	var cursors []*rowCursor
	for _, r := range all {
		cursors = append(cursors, p.newRowCursor(r, runs[r.bucket].Who))
	}
	return extsort.Merge(cursors)
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
