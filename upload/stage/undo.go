package stage

import (
	"context"
	"iter"

	"kith/internal/extsort"
	"kith/profile/fold"
)

// written streams the profiles and rows that runs have written, in order. updated leaves the created profiles out.
func (p *Plan) written(all runBlobs, runs map[int]RunResult, updated bool) iter.Seq2[*rowCursor, error] {
	var cursors []*rowCursor
	for _, r := range all {
		c := p.newRowCursor(r, runs[r.bucket].Who)
		c.updated = updated
		cursors = append(cursors, c)
	}
	return extsort.Merge(cursors)
}

// touchedChunk is how many profiles are looked at together.
const touchedChunk = 10_000

// EachTouched calls do for the profiles that runs have updated, and for those of the created ones that are named, some at a time, ascending. nil
// stands for all.
func (p *Plan) EachTouched(ctx context.Context, runs map[int]RunResult, created map[fold.ID]bool, do func([]fold.ID) error) error {
	all, err := p.openAll(ctx, runs, func(r *RunResult) string { return r.Run })
	defer all.close()
	if err != nil {
		return err
	}
	var ids []fold.ID
	for c, err := range p.written(all, runs, created != nil && len(created) == 0) {
		if err != nil {
			return err
		}
		if c.isCreated() && created != nil && !created[c.id] {
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
