package stage

import (
	"context"
	"iter"

	"kith/profile"
	"kith/profile/fold"
	"kith/profile/index"
	"kith/store"
)

const (
	// dropRanges are looked at, each from its start on, to guess whose rows the index has, so many of each.
	dropRanges = 16
	dropLook   = 512
	// dropShare is the share of the index, as one part of so many, from which on passing over all of it costs less than deriving rows: to derive and sort a
	// row takes two and a half times as long as to pass over one.
	dropShare = 2
)

// fillsIndex says whether a large part of the domain's index rows belongs to profiles that the job has created, as far as a sample can tell.
func (p *Plan) fillsIndex(ctx context.Context) (bool, error) {
	ranges, err := p.store.Split(ctx, store.SweepRange{Table: store.Index, Incarnation: p.inc}, dropRanges)
	if err != nil {
		return false, err
	}
	rows, minted := 0, 0
	for _, r := range ranges {
		n := 0
		for row, err := range p.store.Sweep(ctx, r) {
			if err != nil {
				return false, err
			}
			if id, class, ok := index.ParseRowKey(row.Row.Key); ok && class == index.ByImport && p.Minted(id) {
				minted++
			}
			rows++
			if n++; n == dropLook*dropRanges/len(ranges) {
				break
			}
		}
	}
	return minted*dropShare >= rows, nil
}

// sweepCreated takes back the profiles that the job has created, but for some, by a pass over the index of the domain: whose row it is, its id tells.
func (p *Plan) sweepCreated(ctx context.Context, engine store.Stager, runs map[int]RunResult, all runBlobs, but map[fold.ID]bool, gone func(int64)) error {
	var parts []store.Run
	for _, r := range all { // ids of one bucket are before those of the next
		parts = append(parts, store.Run{Table: store.Profile, Rows: p.createdGone(r, runs[r.bucket], but, gone)})
	}
	profiles := 0
	for _, run := range runs {
		profiles += int(run.Created)
	}
	minted := func(key []byte) bool {
		id, class, ok := index.ParseRowKey(key)
		return ok && class == index.ByImport && p.Minted(id) && (len(but) == 0 || !but[id])
	}
	// What lands begins compactions, which nobody is to wait for: the index is looked at before.
	return engine.Remove(ctx, store.SweepRange{Table: store.Index, Incarnation: p.inc}, minted, func() error { return p.delete(ctx, profiles, parts) })
}

// createdGone are deletions of the contributions of the profiles that a run has created.
func (p *Plan) createdGone(r runBlob, run RunResult, but map[fold.ID]bool, gone func(int64)) iter.Seq2[store.RunRow, error] {
	return func(yield func(store.RunRow, error) bool) {
		row := store.RunRow{Incarnation: p.inc, Mutation: store.Mutation{Time: p.time, Delete: true}}
		var key []byte
		n := int64(0)
		for c, err := range p.written(runBlobs{r}, map[int]RunResult{r.bucket: run}, false) {
			if err != nil {
				yield(row, err)
				return
			}
			if !c.isCreated() || len(but) > 0 && but[c.id] {
				continue
			}
			if n++; n == touchedChunk {
				gone(n)
				n = 0
			}
			key = profile.AppendContributionKey(key[:0], p.time, c.row)
			row.Partition, row.Mutation.Key = c.id[:], key
			if !yield(row, nil) {
				return
			}
		}
		gone(n)
	}
}
